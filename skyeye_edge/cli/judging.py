"""Judges of the command line: models behind an address that grade answers in words."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from skyeye_edge.cli.progress import count_bar
from skyeye_edge.core.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from skyeye_edge.evaluation import Answered, Drawing
    from skyeye_edge.evaluation.figures import Table
    from skyeye_edge.evaluation.judge import Judge

GRADES = "judged.jsonl"
JUDGES = {"judge": "SKYEYE_JUDGE_KEY", "second-judge": "SKYEYE_SECOND_JUDGE_KEY"}


def add_judges(parser: argparse.ArgumentParser) -> None:
    """--judge, --second-judge and their models."""
    for which, variable in JUDGES.items():
        role = "grades captions and answers" if which == "judge" else "grades them too"
        parser.add_argument(
            f"--{which}",
            default="",
            metavar="URL",
            help=f"OpenAI-style address of a model that {role}, such as "
            f"http://127.0.0.1:8000/v1; its key comes from {variable}",
        )
        parser.add_argument(f"--{which}-model", default="", metavar="NAME", help="of it")


def open_judges(args: argparse.Namespace) -> list[Judge]:
    """The judges that were named, first one first; raises InputError."""
    from skyeye_edge.evaluation.judge import Judge

    given = vars(args)
    found = []
    for which, variable in JUDGES.items():
        name = which.replace("-", "_")
        address, model = given[name], given[f"{name}_model"]
        if address or model:
            if not address:
                raise InputError(f"--{which}-model {model}: give its address too, --{which} URL")
            found.append(Judge(address, model, os.environ.get(variable, "")))
    if args.second_judge and not args.judge:
        raise InputError("--second-judge: there is no first one; give --judge too")
    return found


def judge(
    args: argparse.Namespace,
    judges: Sequence[Judge],
    answers: Sequence[Answered],
    folder: Path,
    drawing: Drawing,
) -> list[Table]:
    """What judges make of the answers; every prompt and reply is kept beside them."""
    from skyeye_edge.evaluation.judge import (
        JUDGED_TASKS,
        grade_answers,
        score_agreement,
        score_grades,
    )

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / GRADES
    if path.exists() and args.overwrite:
        path.unlink()
    number = sum(answer.task in JUDGED_TASKS for answer in answers)
    if not number:
        raise InputError("--judge: there is no caption and no answer in words to grade")
    tables, grades = [], []
    for each in judges:
        with count_bar(f"judge {each.model}", number, quiet=args.quiet) as tell:
            grades.append(grade_answers(each, answers, path, tell=tell))
        tables += score_grades(grades[-1], answers, drawing)
    if len(grades) > 1:
        tables.append(score_agreement(grades[0], grades[1], answers, drawing))
    return tables
