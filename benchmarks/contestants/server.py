"""Contestant: llama-server with its prompt cache, one request for each task of a frame.

The server keeps the KV memory of the longest common beginning, so that a second question about the
same image computes its own words only.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from lines import answer, keep_stdout, questions

CONTEXT = 2048
MARKER = "<__media__>"
PATIENCE_S = 300


def main() -> None:
    """Answer until there is no question more."""
    keep_stdout()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path)
    parser.add_argument("gguf", type=Path)
    parser.add_argument("mmproj", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--flash", action="store_true", help="flash attention")
    args = parser.parse_args()
    port = free_port()
    command = [
        args.program, "-m", args.gguf, "--mmproj", args.mmproj, "-c", CONTEXT, "-np", 1,
        "-t", args.threads, "-tb", args.threads, "--host", "127.0.0.1", "--port", port,
        "--no-ui", "-fa", "on" if args.flash else "off",
    ]  # fmt: skip
    process = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "LLAMA_MEDIA_MARKER": MARKER},
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process)
        setting = f"{args.mmproj.name}, flash attention {'on' if args.flash else 'off'}"
        answer({"ready": f"llama-server, {setting}"})
        for asked in questions():
            answer(ask_all(f"http://127.0.0.1:{port}/completion", asked))
    finally:
        process.terminate()
        process.wait()


def ask_all(address: str, asked: dict[str, Any]) -> dict[str, Any]:
    """Every task about every frame, in order."""
    steps = {"image_and_prompt": 0.0, "generate": 0.0}
    counts: list[list[int]] = []
    for image, limits in zip(asked["images"], asked["tokens"], strict=True):
        data = base64.b64encode(Path(image).read_bytes()).decode()
        counts.append([])
        for words, limit in zip(asked["words"], limits, strict=True):
            text = f"[INST] {MARKER} {words} [/INST]"
            prompt = {"prompt_string": text, "multimodal_data": [data]}
            options = {"n_predict": limit, "temperature": 0, "cache_prompt": True}
            reply = post(address, {"prompt": prompt, "ignore_eos": True, **options})
            steps["image_and_prompt"] += reply["timings"]["prompt_ms"]
            steps["generate"] += reply["timings"]["predicted_ms"]
            counts[-1].append(reply["tokens_predicted"])
    return {"steps_ms": steps, "tokens": counts}


def post(address: str, values: dict[str, Any]) -> dict[str, Any]:
    """JSON there and back."""
    body = json.dumps(values).encode()
    request = urllib.request.Request(  # noqa: S310  # the loopback address that we made
        address, body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:  # noqa: S310
        found: dict[str, Any] = json.load(reply)
        return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    """Until the model is loaded."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise SystemExit(f"llama-server did not start: exit {process.poll()}")


if __name__ == "__main__":
    main()
