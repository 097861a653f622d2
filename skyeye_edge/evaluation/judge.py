"""Grades by a language model behind any OpenAI-style address, and how far two of them agree.

A judge sees the question, the right answers and the answer, never the image. Its prompt is ours
(RS-GPT4V and SkyEyeGPT's supplement do not print theirs), so grades compare answers that were
graded by the same model and prompt, nothing else.
"""

from __future__ import annotations

import http.client
import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skyeye_edge.core.address import without_secrets
from skyeye_edge.core.errors import DataError, InputError, SkyEyeError
from skyeye_edge.evaluation.answered import Answered
from skyeye_edge.evaluation.bootstrap import Drawing, Numbers, bootstrap
from skyeye_edge.evaluation.figures import Figure, Table

JUDGED_TASKS = ("caption", "ask")
HIGHEST = 10  # grade
PROMPT = """\
You compare an answer about a picture taken from the air or from space with what people wrote \
about the same picture. You do not see the picture.

Question: {question}
Right answers:
{references}
Answer to grade: {said}

How well does the answer say what the right answers say? Grade from 0 (nothing fits, or it \
contradicts them) to 10 (it says the same; other words are fine). Reply with the whole number \
alone."""
_CAPTION = "What does this picture show?"
_GRADE = re.compile(r"(?<![\d.])(10|[0-9])(?![\d]|\.\d)")
_ATTEMPTS = 5
_PATIENCE_S = 120.0  # for one reply
_LONGEST_WAIT_S = 60.0  # between two attempts
_TRY_AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that grades."""

    address: str = field(repr=False)  # what stands before /chat/completions; may hold secrets
    model: str
    key: str = field(default="", repr=False)  # sent as bearer token; never shown

    def __post_init__(self) -> None:
        if not self.address.lower().startswith(("http://", "https://")):
            raise InputError(
                f"judge {without_secrets(self.address)}: give an address like "
                "http://127.0.0.1:8000/v1"
            )
        if not self.model:
            raise InputError(f"judge {self.shown}: name its model with --judge-model")

    @property
    def shown(self) -> str:
        """The address without secrets."""
        return without_secrets(self.address)


@dataclass(frozen=True, slots=True)
class Graded:
    """What a judge said about an answer."""

    key: str  # of the answer
    judge: str  # its model
    prompt: str
    reply: str
    grade: int | None  # None: the reply holds no grade

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "key": self.key,
            "judge": self.judge,
            "prompt": self.prompt,
            "reply": self.reply,
            "grade": self.grade,
        }


def grade_answers(
    judge: Judge,
    answers: Sequence[Answered],
    path: Path,
    *,
    tell: Callable[[int], None] = lambda graded: None,
    wait: Callable[[float], None] = time.sleep,
) -> list[Graded]:
    """The grades of answers in words; each is written down as it comes, and asked for once.

    Args:
        judge: who grades.
        answers: of any task; those of JUDGED_TASKS are graded.
        path: the file of grades; what it holds is not asked again, nor is a prompt twice.
        tell: hears how many answers are graded.
        wait: sleeps for so many seconds.

    Raises:
        SkyEyeError: the judge refuses, or does not answer after several attempts.
    """
    before = list(_read(path))
    known = {(each.judge, each.key, each.prompt): each for each in before}
    replies = {(each.judge, each.prompt): each.reply for each in before}
    found = []
    with path.open("a", encoding="utf-8") as file:
        for answer in answers:
            if answer.task not in JUDGED_TASKS:
                continue
            prompt = build_prompt(answer)
            graded = known.get((judge.model, answer.key, prompt))
            if graded is None:
                reply = replies.get((judge.model, prompt)) or _ask(judge, prompt, wait)
                replies[judge.model, prompt] = reply
                graded = Graded(answer.key, judge.model, prompt, reply, read_grade(reply))
                file.write(json.dumps(graded.to_json(), ensure_ascii=False) + "\n")
                file.flush()
            found.append(graded)
            tell(len(found))
    return found


def build_prompt(answer: Answered) -> str:
    """What a judge reads about an answer."""
    return PROMPT.format(
        question=answer.asked or _CAPTION,
        references="\n".join(f"- {words}" for words in dict.fromkeys(answer.references)),
        said=answer.said or "(no answer)",
    )


def read_grade(reply: str) -> int | None:
    """The first whole number from 0 to 10 of a reply; None if there is none."""
    found = _GRADE.search(reply)
    return int(found[1]) if found else None


def score_grades(
    grades: Sequence[Graded], answers: Sequence[Answered], drawing: Drawing
) -> list[Table]:
    """The mean grade of each task, x 10."""
    of_key = {answer.key: answer for answer in answers}
    tables = []
    for task in JUDGED_TASKS:
        own = [each for each in grades if of_key[each.key].task == task]
        known = [each for each in own if each.grade is not None]
        if not own:
            continue
        parts = np.asarray([[float(each.grade or 0), 1.0] for each in known]).reshape(-1, 2)
        images = [of_key[each.key].image for each in known]
        value = float(_mean(parts.sum(axis=0))[0]) if known else None
        (interval,) = bootstrap(images, parts, _mean, drawing) if known else (None,)
        figure = Figure("mean grade", value, len(known), interval)
        note = f"0 to 100, by {own[0].judge}, which does not see the image"
        if len(own) > len(known):
            note += f"; {len(own) - len(known)} replies held no grade and are left out"
        tables.append(Table(task, f"judge {own[0].judge}", (figure,), note))
    return tables


def score_agreement(
    first: Sequence[Graded], second: Sequence[Graded], answers: Sequence[Answered], drawing: Drawing
) -> Table:
    """How far two judges agree on the answers that both have graded."""
    images = {answer.key: answer.image for answer in answers}
    other = {each.key: each.grade for each in second}
    pairs = [
        (each.key, each.grade, grade)
        for each in first
        if each.grade is not None and (grade := other.get(each.key)) is not None
    ]
    names = ("equal grades", "Spearman's rank correlation", "Cohen's kappa, quadratic weights")
    title = f"{first[0].judge if first else ''} and {second[0].judge if second else ''}"
    if not pairs:
        return Table("judges", title, tuple(Figure(name, None, 0) for name in names))
    cells = np.zeros((len(pairs), (HIGHEST + 1) ** 2))
    cells[range(len(pairs)), [a * (HIGHEST + 1) + b for _, a, b in pairs]] = 1.0
    values = _agreement(cells.sum(axis=0))
    intervals = bootstrap([images[key] for key, _, _ in pairs], cells, _agreement, drawing)
    figures = [
        Figure(name, float(value), len(pairs), interval)
        for name, value, interval in zip(names, values, intervals, strict=True)
    ]
    return Table("judges", title, tuple(figures), "how far two judges agree, x 100")


def _agreement(sums: Numbers) -> Numbers:
    """Of counts of pairs (..., 121): share of equal ones, Spearman's rho, weighted kappa, x 100."""
    side = HIGHEST + 1
    counts = sums.reshape(*sums.shape[:-1], side, side)
    shares = counts / counts.sum(axis=(-2, -1), keepdims=True)
    rows, columns = shares.sum(axis=-1), shares.sum(axis=-2)
    grades = np.arange(side)
    distance = (grades[:, None] - grades[None, :]) ** 2.0
    by_chance = (rows[..., :, None] * columns[..., None, :] * distance).sum(axis=(-2, -1))
    row_ranks, column_ranks = (np.cumsum(each, axis=-1) - each / 2 for each in (rows, columns))
    row_ranks = row_ranks - (row_ranks * rows).sum(axis=-1, keepdims=True)
    column_ranks = column_ranks - (column_ranks * columns).sum(axis=-1, keepdims=True)
    both = (shares * row_ranks[..., :, None] * column_ranks[..., None, :]).sum(axis=(-2, -1))
    spread = (rows * row_ranks**2).sum(axis=-1) * (columns * column_ranks**2).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = 1 - (shares * distance).sum(axis=(-2, -1)) / by_chance
        rho = both / np.sqrt(spread)
    equal = np.trace(shares, axis1=-2, axis2=-1)
    return np.asarray(100 * np.stack([equal, rho, kappa], axis=-1))


def _mean(sums: Numbers) -> Numbers:
    return np.asarray(100 / HIGHEST * sums[..., :1] / sums[..., 1:])


def _read(path: Path) -> Iterator[Graded]:
    """Grades that were written down before; a torn last line is cut off."""
    if not path.exists():
        return
    whole = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                yield Graded(**json.loads(line))
            except (TypeError, ValueError) as error:
                raise DataError(f"{path}:{number}: no grade: {error}") from error
            whole += len(line)
    with path.open("r+b") as file:
        file.truncate(whole)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A key is not carried to where an address points on."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _ask(judge: Judge, prompt: str, wait: Callable[[float], None]) -> str:
    """The reply of a judge, after several attempts if need be."""
    problem = ""
    for attempt in range(_ATTEMPTS):
        try:
            return _post(judge, prompt)
        except urllib.error.HTTPError as error:
            problem = f"HTTP {error.code} {error.reason}"
            if error.code not in _TRY_AGAIN:
                advice = "set SKYEYE_JUDGE_KEY" if error.code in (401, 403) else "see its log"
                raise SkyEyeError(f"judge {judge.shown}: refused: {problem}; {advice}") from None
            pause = _pause(error.headers.get("Retry-After"), attempt)
        except (OSError, http.client.HTTPException) as error:
            problem, pause = str(getattr(error, "reason", error)), _pause(None, attempt)
        except (ValueError, LookupError, TypeError):
            problem, pause = "its reply is none of a chat completion", _pause(None, attempt)
        if attempt + 1 < _ATTEMPTS:
            wait(pause)
    raise SkyEyeError(
        f"judge {judge.shown}: no reply after {_ATTEMPTS} attempts: {problem}; what was graded is "
        "kept, and --resume goes on"
    )


def _pause(asked_for: str | None, attempt: int) -> float:
    """Seconds to wait: what the server asks for, else ever longer."""
    try:
        return min(_LONGEST_WAIT_S, max(0.0, float(asked_for or "")))
    except ValueError:
        return min(_LONGEST_WAIT_S, 2.0**attempt)


def _post(judge: Judge, prompt: str) -> str:
    body = {
        "model": judge.model,
        "messages": [{"role": "user", "content": prompt}],
        "temperature": 0,
    }
    headers = {"Content-Type": "application/json"}
    if judge.key:
        headers["Authorization"] = f"Bearer {judge.key}"
    request = urllib.request.Request(  # noqa: S310 - Judge takes http and https only
        judge.address.rstrip("/") + "/chat/completions",
        data=json.dumps(body).encode(),
        headers=headers,
    )
    opener = urllib.request.build_opener(_NoRedirect)
    with opener.open(request, timeout=_PATIENCE_S) as response:
        reply = json.loads(response.read())
    content = reply["choices"][0]["message"]["content"]
    if not isinstance(content, str):
        raise TypeError
    return content
