"""What would end the process elsewhere is an error here; and nothing is said on the terminal."""

from __future__ import annotations

import platform
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyeye_edge.core.errors import BackendError, ClosedError, InputError
from skyeye_edge.runtime.libllama import (
    BATCH,
    ContextOptions,
    LlamaContext,
    LlamaModel,
    Tokens,
    has_tiny_blas,
    quantise_gguf,
)

BOS, END = 1, 2


@pytest.fixture
def context(weights: LlamaModel) -> Iterator[LlamaContext]:
    opened = LlamaContext(weights, ContextOptions(length=1024, sequences=2, exact=True))
    yield opened
    opened.close()


@given(text=st.text(max_size=40) | st.sampled_from(["<s>", "a </s>b", "<unk>", "\0x", "é🚁"]))
@settings(max_examples=60)
def test_tokens_spell_the_text_and_never_become_control_tokens(
    weights: LlamaModel, text: str
) -> None:
    ids = weights.tokenise(text)

    assert b"".join(weights.pieces[token] or b"?" for token in ids).decode() == text
    assert not {BOS, END} & set(ids)


def test_control_tokens_have_no_text(weights: LlamaModel) -> None:
    assert weights.pieces[:3] == (None, None, None)
    assert (weights.bos, weights.end) == (BOS, END)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"this is a text, not a model\n" * 50, id="a text"),
        pytest.param(b"GGUF\x03\0\0\0" + b"\xff" * 64, id="header of nonsense"),
    ],
)
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)

    with pytest.raises(BackendError, match=r"broken\.gguf"):
        LlamaModel(path)


def test_a_model_cut_short_by_one_byte_is_refused_with_the_reason(
    f32_gguf: Path, tmp_path: Path
) -> None:
    path = tmp_path / "short.gguf"
    path.write_bytes(f32_gguf.read_bytes()[:-1])

    with pytest.raises(BackendError, match=r"file bounds|corrupt|incomplete"):
        LlamaModel(path)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="no such GGUF"):
        LlamaModel(tmp_path / "nothing.gguf")


def test_a_run_longer_than_a_batch_gives_the_logits_of_single_tokens(context: LlamaContext) -> None:
    run = [3 + number % 250 for number in range(BATCH + 40)]

    together = context.decode_tokens(0, 0, run).copy()
    for position, token in enumerate(run):
        alone = context.decode_tokens(1, position, [token])

    assert np.abs(together - alone).max() < 1e-3


def test_cutting_back_gives_the_logits_of_the_shorter_text(context: LlamaContext) -> None:
    context.decode_tokens(0, 0, [5, 6])
    before = context.decode_tokens(0, 2, [7]).copy()
    context.decode_tokens(0, 3, [8, 9])

    context.remove(0, 2)

    assert np.array_equal(context.decode_tokens(0, 2, [7]), before)


def test_a_copied_sequence_goes_on_like_its_source(context: LlamaContext) -> None:
    context.decode_tokens(0, 0, [5, 6, 7])
    context.copy(0, 1, 3)

    ours = context.decode_tokens(0, 3, [8]).copy()

    assert np.array_equal(context.decode_tokens(1, 3, [8]), ours)


def test_sequences_that_are_continued_together_get_the_logits_of_each_alone(
    q8_gguf: Path,
) -> None:
    model = LlamaModel(q8_gguf)
    context = LlamaContext(model, ContextOptions(length=256, sequences=7))
    for sequence in range(7):
        context.decode_tokens(sequence, 0, [5, 6, 7, 8 + sequence])

    together = context.decode([Tokens(sequence, 4, [9]) for sequence in range(7)])

    rows = [each[0].copy() for each in together]
    for sequence, row in enumerate(rows):
        context.remove(sequence, 4)
        assert np.array_equal(context.decode_tokens(sequence, 4, [9]), row)
    context.close()
    model.close()


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0", "Q4_1"])
@pytest.mark.parametrize("exact", [True, False])
def test_a_tokens_logits_do_not_depend_on_what_is_computed_beside_it(
    f32_gguf: Path, tmp_path: Path, kind: str, exact: bool
) -> None:
    if has_tiny_blas() or platform.machine() != "x86_64":
        pytest.skip("true of llama.cpp as build_tools/llama_cpp_lean.cmake builds it on x86-64")
    path = f32_gguf
    if kind != "F32":
        path = tmp_path / "model.gguf"
        quantise_gguf(f32_gguf, path, kind)
    model = LlamaModel(path)
    context = LlamaContext(model, ContextOptions(length=256, sequences=3, exact=exact))
    random = np.random.default_rng(3)
    for _ in range(20):
        ids = random.integers(3, 290, 40).tolist()
        alone = [context.decode_tokens(0, place, [ids[place]]).copy() for place in range(40)]
        cuts = sorted({0, 30, *random.integers(1, 30, 4).tolist()})
        for begin, end in pairwise(cuts):
            context.decode([Tokens(1, begin, ids[begin:end], 1), Tokens(2, begin, ids[begin:end])])
        rows = context.decode([Tokens(1, 30, ids[30:36], 6), Tokens(2, 30, ids[:6], 1)])[0]

        assert np.array_equal(rows, alone[30:36])
        for sequence in range(3):
            context.remove(sequence)
    context.close()
    model.close()


def test_logits_are_those_of_the_positions_that_were_asked_for(context: LlamaContext) -> None:
    context.decode_tokens(0, 0, [5, 6])

    first, second = context.decode([Tokens(0, 2, [7, 8, 9], 2), Tokens(1, 0, [5, 6, 7], 1)])
    found = first.copy()

    assert (first.shape[0], second.shape[0]) == (2, 1)
    wanted = [context.decode_tokens(1, 3, [8]).copy(), context.decode_tokens(1, 4, [9])]
    assert np.abs(np.stack(wanted) - found).max() < 1e-3


def test_more_tokens_than_a_call_takes_are_refused(context: LlamaContext) -> None:
    with pytest.raises(BackendError, match="in one call"):
        context.decode([Tokens(0, 0, [5] * (BATCH + 1))])
    with pytest.raises(BackendError, match="in one call"):
        context.decode([Tokens(0, 0, [5] * 64, 64)])

    assert np.isfinite(context.decode_tokens(0, 0, [5])).all()


@pytest.mark.parametrize(
    ("sequence", "position", "tokens", "message"),
    [
        pytest.param(2, 0, [5], "sequence 2", id="sequence that is not there"),
        pytest.param(0, 1023, [5, 6], "1023 to 1025", id="beyond the context"),
        pytest.param(0, -1, [5], "-1 to 0", id="negative position"),
        pytest.param(0, 0, [99_999], "cannot decode", id="token that is not there"),
        pytest.param(0, 7, [5], "cannot decode", id="gap before the position"),
    ],
)
def test_wrong_places_are_errors_after_which_the_context_still_works(
    context: LlamaContext, sequence: int, position: int, tokens: list[int], message: str
) -> None:
    context.decode_tokens(0, 0, [5, 6, 7])

    with pytest.raises(BackendError, match=message):
        context.decode_tokens(sequence, position, tokens)

    assert np.isfinite(context.decode_tokens(0, 3, [8])).all()


def test_embeddings_of_another_width_are_refused(context: LlamaContext) -> None:
    with pytest.raises(BackendError, match="width is 64"):
        context.decode_embeddings(0, 0, np.zeros((4, 32), np.float32))


def test_a_closed_context_and_a_closed_model_say_so(weights: LlamaModel) -> None:
    context = LlamaContext(weights, ContextOptions(length=256))
    other = LlamaContext(weights, ContextOptions(length=256))
    context.close()
    context.close()

    with pytest.raises(ClosedError):
        context.decode_tokens(0, 0, [5])
    weights.close()
    weights.close()
    with pytest.raises(ClosedError):
        other.decode_tokens(0, 0, [5])
    with pytest.raises(ClosedError):
        weights.tokenise("a")
    other.close()


@pytest.mark.parametrize("name", ["F16", "Q8_0", "Q4_0"])
def test_a_model_can_be_written_in_any_type_and_the_same_twice(
    f32_gguf: Path, tmp_path: Path, name: str
) -> None:
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"

    quantise_gguf(f32_gguf, first, name)
    quantise_gguf(f32_gguf, second, name, threads=2)

    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < f32_gguf.stat().st_size
    LlamaModel(first).close()


def test_a_type_that_is_not_known_is_refused_with_the_known_ones(
    f32_gguf: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"'Q8' is not known.*Q4_K_M.*Q8_0"):
        quantise_gguf(f32_gguf, tmp_path / "out.gguf", "Q8")


def test_what_cannot_be_quantised_leaves_nothing_behind(q8_gguf: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.gguf"

    with pytest.raises(BackendError, match=r"cannot be written as Q4_0.*requantiz"):
        quantise_gguf(q8_gguf, target, "Q4_0")

    assert not target.exists()


def test_opening_and_decoding_say_nothing_on_the_terminal(f32_gguf: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from skyeye_edge.runtime.libllama import *\n"
        "model = LlamaModel(Path(sys.argv[1]))\n"
        "context = LlamaContext(model, ContextOptions(length=256))\n"
        "context.decode_tokens(0, 0, [5, 6])\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(f32_gguf)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
