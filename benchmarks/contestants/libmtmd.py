"""Contestant: llama-cpp-python's own multimodal handler over libmtmd, asked once for each task.

Its template is ours, so that prompts have the same words; everything else is as the library does
it: the image is decoded, encoded and put into the KV memory again for every question.
"""

from __future__ import annotations

import argparse
import base64
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llama_cpp
from llama_cpp import Llama, mtmd_cpp
from llama_cpp.llama_chat_format import Llava15ChatHandler

from lines import answer, keep_stdout, questions

CONTEXT = 2048


silence = llama_cpp.llama_log_callback(lambda level, text, user: None)


class Handler(Llava15ChatHandler):
    """With the prompt of the bundle that it is compared with."""

    DEFAULT_SYSTEM_MESSAGE = None
    CHAT_FORMAT = (
        "{% for message in messages %}[INST] {% for part in message.content %}"
        "{% if part.type == 'image_url' %}{{ part.image_url.url }}{% else %} {{ part.text }}"
        "{% endif %}{% endfor %} [/INST]{% endfor %}"
    )


def main() -> None:
    """Answer until there is no question more."""
    keep_stdout()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("mmproj", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--flash", action="store_true", help="flash attention")
    args = parser.parse_args()
    spent = {"image": 0.0, "words": 0.0}  # seconds, since the question came
    time_calls(mtmd_cpp, "mtmd_helper_bitmap_init_from_buf", spent, "image")
    time_calls(mtmd_cpp, "mtmd_tokenize", spent, "image")  # makes the pixel values
    time_calls(mtmd_cpp, "mtmd_helper_eval_chunk_single", spent, "image")
    time_calls(Llama, "eval", spent, "words", lambda llama, tokens: len(tokens) > 1)
    for set_log in (mtmd_cpp.mtmd_log_set, mtmd_cpp.mtmd_helper_log_set):
        set_log(silence, None)  # it tells every image
    llama = Llama(
        str(args.gguf), n_ctx=CONTEXT, n_threads=args.threads, n_threads_batch=args.threads,
        flash_attn=args.flash, chat_handler=Handler(str(args.mmproj), verbose=False), verbose=False,
    )  # fmt: skip
    setting = f"{args.mmproj.name}, flash attention {'on' if args.flash else 'off'}"
    answer({"ready": f"llama-cpp-python {llama_cpp.__version__}, {setting}"})
    for asked in questions():
        spent.update(image=0.0, words=0.0)
        started = time.perf_counter()
        counts = []
        for image, limits in zip(asked["images"], asked["tokens"], strict=True):
            url = data_url(Path(image))
            pairs = zip(asked["words"], limits, strict=True)
            counts.append([ask(llama, url, words, limit) for words, limit in pairs])
        seconds = time.perf_counter() - started
        steps = {name: 1000 * value for name, value in spent.items()}
        steps["generate"] = 1000 * seconds - sum(steps.values())
        answer({"steps_ms": steps, "tokens": counts})


def time_calls(
    owner: Any,
    name: str,
    spent: dict[str, float],
    step: str,
    counts: Callable[..., bool] = lambda *arguments: True,
) -> None:
    """Add what a function takes to a step, where the call counts."""
    function: Callable[..., Any] = getattr(owner, name)

    def timed(*arguments: Any) -> Any:
        started = time.perf_counter()
        try:
            return function(*arguments)
        finally:
            if counts(*arguments):
                spent[step] += time.perf_counter() - started

    setattr(owner, name, timed)


def data_url(path: Path) -> str:
    """The image's bytes as its address."""
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()


def ask(llama: Any, url: str, words: str, limit: int) -> int:
    """One question; the number of tokens that came back."""
    image = {"type": "image_url", "image_url": {"url": url}}
    content = [image, {"type": "text", "text": words}]
    reply = llama.create_chat_completion(
        [{"role": "user", "content": content}],
        max_tokens=limit, temperature=0.0, repeat_penalty=1.0,
    )  # fmt: skip
    return int(reply["usage"]["completion_tokens"])


if __name__ == "__main__":
    main()
