"""Answers go into a file one by one, so that an interrupted evaluation goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from skyeye_edge.core.errors import OutputError
from skyeye_edge.evaluation.answered import HEADER, Answered, AnswerFile, answer_lines, read_answers
from skyeye_edge.evaluation.asking import Sample, ask_all
from skyeye_edge.evaluation.predictor import ClipPredictor

SCHEMA = 1


def record_answers(
    predictor: ClipPredictor,
    samples: Sequence[Sample],
    path: Path,
    run: Mapping[str, Any],
    *,
    most_frames: int = 0,
    tell: Callable[[int], None] = lambda answered: None,
) -> list[Answered]:
    """Ask what is not answered in the file yet, and write every answer down as it comes.

    Args:
        predictor: who is asked.
        samples: all questions; their keys say which are answered.
        path: the file of answers; it may hold the beginning of the same run.
        run: what this run is, for its first line; values that JSON can hold.
        most_frames: that the model takes of a clip; 0: all.
        tell: hears how many questions are answered.

    Returns:
        The answers in the order of the samples.

    Raises:
        OutputError: the file holds another run.
        DataError: the file is damaged elsewhere than in its last line.
    """
    header = {"type": HEADER, "schema": SCHEMA, **run}
    before = _continue(path, header)
    answers = {answer.key: answer for answer in before.answers}
    tell(len(answers))
    rest = [sample for sample in samples if sample.unanswered.key not in answers]
    with path.open("a", encoding="utf-8") as file:
        for answer in ask_all(predictor, rest, most_frames):
            answers[answer.key] = answer
            file.write("".join(answer_lines([answer])))
            file.flush()  # whatever ends this process, what was answered is kept
            tell(len(answers))
    return [answers[sample.unanswered.key] for sample in samples]


def _continue(path: Path, header: Mapping[str, Any]) -> AnswerFile:
    """What the file holds of this run, with a torn line cut off; its header, if it is new."""
    if not path.exists() or not path.stat().st_size:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(header, ensure_ascii=False) + "\n", "utf-8")
        return AnswerFile(header, (), 0)
    before = read_answers(path)
    for key in [*header, *before.header]:
        if before.header.get(key) != header.get(key):
            raise OutputError(
                f"{path}: holds answers of another run, whose {key} was "
                f"{before.header.get(key)!r}, not {header.get(key)!r}; give another -o, or "
                "--overwrite to begin anew"
            )
    with path.open("r+b") as file:
        file.truncate(before.whole)
    return before
