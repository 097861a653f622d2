"""The result of an evaluation: one JSON file with every answer, a page, and a chart."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skyeye_edge.evaluation.answered import Answered
from skyeye_edge.evaluation.bootstrap import Drawing
from skyeye_edge.evaluation.figures import Figure, Table
from skyeye_edge.evaluation.judge import PROMPT
from skyeye_edge.evaluation.published import Published, published_about
from skyeye_edge.evaluation.scoring import sample_scores, score_answers

SCHEMA = 1
_MOST_NAMED = 10  # of the questions that could not be asked


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was asked, answered and scored."""

    name: str
    run: Mapping[str, Any]  # model, data, split, tasks: as the file of answers says
    answers: tuple[Answered, ...]
    tables: tuple[Table, ...]
    drawing: Drawing
    published: tuple[Published, ...] = ()
    prompt: str = ""  # that judges read, with places for question and answers; "" without any

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        scores = sample_scores(self.answers)
        return {
            "schema": SCHEMA,
            "name": self.name,
            "run": dict(self.run),
            "intervals": {
                "level": 0.95,
                "method": "percentile bootstrap over images; of shares of 0 and 100 % Wilson's",
                "draws": self.drawing.draws,
                "seed": self.drawing.seed,
            },
            "tables": [table.to_json() for table in self.tables],
            **({"judge_prompt": self.prompt} if self.prompt else {}),
            "published": [row.to_json() for row in self.published],
            "samples": [
                answer.to_json() | {"score": _rounded(scores.get(answer.key, {}))}
                for answer in self.answers
            ],
        }


def evaluate_answers(
    name: str,
    answers: Sequence[Answered],
    *,
    run: Mapping[str, Any],
    drawing: Drawing,
    benchmark: str = "",
    judged: Sequence[Table] = (),
) -> Evaluation:
    """Score answers, whoever gave them.

    Args:
        name: of the benchmark or the data, for people.
        answers: at least one.
        run: what made them.
        drawing: how intervals are made.
        benchmark: whose published figures stand beside; "" for none.
        judged: what judges made of these answers.

    Raises:
        InputError: nothing was published about `benchmark`.
    """
    published = published_about(benchmark)
    tables = (*score_answers(answers, drawing), *judged)
    prompt = PROMPT if judged else ""
    return Evaluation(name, run, tuple(answers), tables, drawing, published, prompt)


def write_report(found: Evaluation, folder: Path) -> list[Path]:
    """Write `evaluation.json`, `evaluation.md` and `evaluation.png`; returns them."""
    from skyeye_edge.evaluation.chart import draw_chart

    folder.mkdir(parents=True, exist_ok=True)
    values, page, chart = (folder / f"evaluation.{end}" for end in ("json", "md", "png"))
    values.write_text(json.dumps(found.to_json(), ensure_ascii=False, indent=1) + "\n", "utf-8")
    page.write_text("\n".join(build_page(found)) + "\n", "utf-8")
    draw_chart(found, chart)
    return [values, page, chart]


def build_page(found: Evaluation) -> Iterator[str]:
    """The lines of the page."""
    yield f"# {found.name}"
    yield ""
    images = len({answer.image for answer in found.answers})
    yield f"{len(found.answers):,} questions about {images:,} images."
    yield ""
    for key, value in found.run.items():
        if key not in ("type", "schema"):
            yield f"- {key}: {_shown(value)}"
    if found.drawing.draws:
        yield (
            f"- intervals: 95 %, bootstrap over images, {found.drawing.draws:,} draws, "
            f"seed {found.drawing.seed}"
        )
    yield from _problems(found.answers)
    for table in found.tables:
        yield from _table(table, found.published, str(found.run.get("split", "")))
    if found.prompt:
        yield f"\n## What judges read\n\n```text\n{found.prompt}\n```"
    if found.published:
        yield from _sources(found.published)
    yield "\n![The figures as a chart](evaluation.png)"


def build_summary(found: Sequence[Evaluation], folders: Sequence[str]) -> Iterator[str]:
    """The lines of a page about several sets.

    Args:
        found: one per set.
        folders: where the page of each lies, below the folder of this one.
    """
    yield "# Evaluation\n"
    yield "| set | task | figure | value (95 %) | n |"
    yield "|---|---|---|---:|---:|"
    for each, folder in zip(found, folders, strict=True):
        for table in each.tables:
            task = f"{table.task}: {table.title}"
            for figure in table.figures:
                link = f"[{each.name}]({folder}/evaluation.md)"
                cells = (link, task, figure.name, figure_text(figure), f"{figure.number:,}")
                yield f"| {' | '.join(cells)} |"


def figure_text(figure: Figure) -> str:
    """A figure as people read it: value and interval."""
    if figure.value is None:
        return "-"
    if figure.interval is None:
        return f"{figure.value:.2f}"
    low, high = figure.interval
    return f"{figure.value:.2f} ({low:.2f} to {high:.2f})"


def _table(table: Table, published: Sequence[Published], split: str) -> Iterator[str]:
    yield f"\n## {table.task}: {table.title}\n"
    yield f"{table.note}.\n"
    yield "| figure | value (95 %) | n |"
    yield "|---|---:|---:|"
    for figure in table.figures:
        note = f" ({figure.note})" if figure.note else ""
        yield f"| {figure.name}{note} | {figure_text(figure)} | {figure.number:,} |"
    rows = [row for row in published if row.task == table.task and _fits(row, table)]
    names = [figure.name for figure in table.figures if any(figure.name in r.figures for r in rows)]
    if not names:
        return
    yield "\nPublished:\n"
    yield f"| method, split | {' | '.join(names)} |"
    yield f"|---|{'---:|' * len(names)}"
    ours = {figure.name: figure for figure in table.figures}
    own = " | ".join(
        "-" if (value := ours[name].value) is None else f"**{value:.2f}**" for name in names
    )
    yield f"| **this evaluation{f', {split}' * bool(split)}** | {own} |"
    for row in rows:
        cells = (f"{row.figures[name]:.2f}" if name in row.figures else "-" for name in names)
        yield f"| {row.method}, {row.split} | {' | '.join(cells)} |"


def _fits(row: Published, table: Table) -> bool:
    return row.title == table.title or (not row.title and table.title in ("boxes", "questions"))


def _sources(rows: Sequence[Published]) -> Iterator[str]:
    yield "\n## Where published figures are from\n"
    yield (
        "They were not measured again; splits, decoding and scorers may differ from ours in more "
        "than is stated.\n"
    )
    said: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        said.setdefault((row.source, row.caveats), []).append(row.method)
    for (source, caveats), methods in said.items():
        yield f"- {', '.join(dict.fromkeys(methods))}: {source}. {caveats}"


def _problems(answers: Sequence[Answered]) -> Iterator[str]:
    """What could not be asked, and what was not answered as it should be."""
    problems = [answer for answer in answers if answer.problem]
    if problems:
        yield f"- not answered, and counted as wrong: {len(problems)}"
        for answer in problems[:_MOST_NAMED]:
            yield f"  - `{answer.key}`: {answer.problem}"
    for outcome in ("cut", "unreadable"):
        number = sum(answer.outcome == outcome for answer in answers)
        if number:
            yield f"- answers that were {outcome}: {number}"


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _rounded(scores: Mapping[str, float]) -> dict[str, float]:
    return {name: round(score, 4) for name, score in scores.items()}
