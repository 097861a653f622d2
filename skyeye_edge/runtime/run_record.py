"""What a file of answers is about: its first line, by which it is known again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from skyeye_edge._version import __version__
from skyeye_edge.core.errors import DataError
from skyeye_edge.core.events import SCHEMA, parse_event
from skyeye_edge.core.tasks import Task, task_values
from skyeye_edge.runtime.fingerprint import Fingerprint

# Every file begins with it from its first byte on, so that even a torn line is known as ours.
HEAD = b'{"schema": 1, "type": "run", "writer": "skyeye-edge"'
LONGEST_LINE = 2**20  # bytes; the first line of another program's file may never end


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Which recording was asked what, by which model, and how."""

    source: str
    media: Fingerprint | None  # None: a live source, which is never the same again
    tasks: tuple[Mapping[str, Any], ...]  # what differs from the defaults is written down
    model: Mapping[str, str]
    min_score: float  # of boxes, where a task states none
    every: float
    clip: int
    keep_damaged: bool

    def to_json(self, utc: datetime) -> str:
        """One line of JSON without the line's end, with the keys that every event has."""
        values = {
            "schema": SCHEMA,
            "type": "run",
            "writer": "skyeye-edge",
            "version": __version__,
            "id": "",
            "source": self.source,
            "epoch": 0,
            "time": 0.0,
            "utc": utc.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "media": None if self.media is None else asdict(self.media),
            "tasks": [dict(task) for task in self.tasks],
            "model": dict(self.model),
            "min_score": self.min_score,
            "every": self.every,
            "clip": self.clip,
            "keep_damaged": self.keep_damaged,
        }
        values["id"] = blake2b(json.dumps(values).encode(), digest_size=8).hexdigest()
        # A file name may hold bytes that are no text; a line must be UTF-8 all the same.
        return json.dumps(values, ensure_ascii=False).encode("utf-8", "replace").decode()

    def differences(self, now: RunRecord) -> Iterator[str]:
        """What is not the same, in words; nothing if the runs belong together."""
        for what, then, today in (
            ("the video", self._media_text(), now._media_text()),
            ("what is asked", _tasks_text(self.tasks), _tasks_text(now.tasks)),
            ("the model", dict(self.model), dict(now.model)),
            ("the lowest score of a box", self.min_score, now.min_score),
            ("--every", self.every, now.every),
            ("the length of a clip", self.clip, now.clip),
            ("--keep-damaged", self.keep_damaged, now.keep_damaged),
        ):
            if then != today:
                yield f"{what} differs: it was {then}, now it is {today}"

    def _media_text(self) -> str:
        # the same file may be given by another path today
        return f"{Path(self.source).name}, {self.media}"


def build_record(
    source: str,
    media: Fingerprint | None,
    tasks: Sequence[Task],
    model: Mapping[str, str],
    *,
    min_score: float,
    every: float,
    clip: int,
    keep_damaged: bool,
) -> RunRecord:
    """The record of a run that is about to begin."""
    said = tuple(task_values(task) for task in tasks)
    name = source.encode("utf-8", "replace").decode()
    return RunRecord(
        name, media, said, dict(model), float(min_score), float(every), clip, keep_damaged
    )


def parse_record(line: str) -> RunRecord | None:
    """The reverse of `to_json`; None if the line is something else."""
    try:
        values = json.loads(line)
        if values["type"] != "run":
            return None
        media = values["media"]
        return RunRecord(
            values["source"],
            None if media is None else Fingerprint(media["bytes"], media["blake2b"]),
            tuple(values["tasks"]),
            values["model"],
            values["min_score"],
            values["every"],
            values["clip"],
            values["keep_damaged"],
        )
    except (ValueError, KeyError, TypeError):
        return None


def is_event_file(path: Path) -> bool:
    """Whether a file was begun by us: it starts with a record or an event, or is still empty."""
    with path.open("rb") as file:
        line = file.readline(LONGEST_LINE)
    if not line or line.startswith(HEAD):
        return True
    try:
        return parse_event(line.decode()) is not None  # as version 0.1.0 began
    except (DataError, UnicodeDecodeError):
        return False


def _tasks_text(tasks: Sequence[Mapping[str, Any]]) -> str:
    """Tasks for people."""
    return "; ".join(" ".join(str(value) for value in task.values()) for task in tasks)
