"""Sets to measure a model on: one from the command line, or several from a YAML file."""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skyeye_edge.core.errors import InputError
from skyeye_edge.evaluation import TASK_NAMES, TaskName
from skyeye_edge.evaluation.published import published_about


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Annotated images, and what is asked about them."""

    path: Path  # the annotation file, or a folder of them
    name: str = ""  # of the report, and of its folder among several; "": as the file
    format: str = "lines"
    images: Path | None = None  # the folder with the images; None: where the format has them
    split: str = "test"
    tasks: tuple[TaskName, ...] = ()  # none: all that the images have answers to
    limit: int = 0  # images, evenly spaced; 0: all
    benchmark: str = ""  # whose published figures stand beside

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.path.name)
        for task in self.tasks:
            if task not in TASK_NAMES:
                raise InputError(f"task {task!r}: known are {', '.join(TASK_NAMES)}")
        if self.limit < 0:
            raise InputError(f"limit {self.limit}: give a number of images, or 0 for all")
        published_about(self.benchmark)  # a wrong name is said before the work, not after


def read_benchmarks(file: Path) -> list[Benchmark]:
    """The sets of a YAML file, `benchmarks: [{name, format, path, ...}]`; paths start at the file.

    Raises:
        InputError: the file is missing or wrong.
    """
    import yaml

    try:
        values = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{file}: not YAML: {error}") from error
    entries = values.get("benchmarks") if isinstance(values, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{file}: give a list, benchmarks: [{{name: ..., path: ...}}, ...]")
    found = [_build(entry, f"{file}: benchmarks[{n}]", file) for n, entry in enumerate(entries)]
    names = [each.name for each in found]
    for name in names:
        if names.count(name) > 1 or Path(name).name != name or name.startswith("."):
            raise InputError(f"{file}: name {name!r}: give each set its own name, without slashes")
    return found


def _build(entry: object, where: str, file: Path) -> Benchmark:
    known = {field.name for field in dataclasses.fields(Benchmark)}
    if not isinstance(entry, dict) or "path" not in entry:
        raise InputError(f"{where}: give at least a path, {{name: ..., path: ...}}")
    for key in entry:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{where}: {key!r} is not known{meant}")
    try:
        return Benchmark(**{key: _value(key, each, file) for key, each in entry.items()})
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _value(key: str, value: Any, file: Path) -> Any:
    if key == "limit":
        if isinstance(value, bool) or not isinstance(value, int):
            raise InputError(f"limit {value!r} is not a whole number")
        return value
    if key == "tasks":
        if not isinstance(value, list):
            raise InputError(f"tasks {value!r}: give a list, [caption, ask]")
        return tuple(map(str, value))
    if not isinstance(value, str):
        raise InputError(f"{key} {value!r}: give some words")
    return file.parent / value if key in ("path", "images") else value
