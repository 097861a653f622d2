"""What a recording holds: what was asked of which source, every event, and its pictures.

DIR/20261122T040000Z-0/recording.json   what was watched and asked, and by which model
                      /events.jsonl     every event, as it was given: these are the decisions
                      /packets/         what a live source sent (sources/packet_tap.py)
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO, Literal

from skyeye_edge._version import __version__
from skyeye_edge.core.arguments import check_number
from skyeye_edge.core.errors import DataError, InputError
from skyeye_edge.core.events import Event, parse_event
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.tasks import Task, parse_task, task_values
from skyeye_edge.runtime.alerts import Alert
from skyeye_edge.runtime.fingerprint import Fingerprint, fingerprint
from skyeye_edge.runtime.sources.file import FileSource
from skyeye_edge.runtime.sources.live import LiveSource
from skyeye_edge.runtime.sources.packet_tap import TapOrder
from skyeye_edge.runtime.sources.source import Source

SCHEMA: Literal[1] = 1
FACTS, EVENTS = "recording.json", "events.jsonl"
DEFAULT_GIB = 16.0
LEAST_GIB = 2**-14  # 64 KiB
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Media:
    """A file that was watched: it is not copied."""

    path: str
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was watched, what was asked, and who answered."""

    source: str  # name, without credentials
    media: Media | None  # None: a live source, whose packets are kept
    tasks: tuple[Task, ...]
    alerts: tuple[Alert, ...]
    model: Mapping[str, str]
    opened_as: Mapping[str, Any]  # arguments of `load`
    min_score: float | None
    clip: int
    keep_damaged: bool

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "schema": SCHEMA,
            "writer": "skyeye-edge",
            "version": __version__,
            "began": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "source": self.source,
            "media": None if self.media is None else asdict(self.media),
            "tasks": [task_values(task) for task in self.tasks],
            "alerts": [asdict(alert) for alert in self.alerts],
            "model": dict(self.model),
            "opened_as": dict(self.opened_as),
            "min_score": self.min_score,
            "clip": self.clip,
            "keep_damaged": self.keep_damaged,
        }


def parse_recorded(values: Mapping[str, Any]) -> Recorded:
    """The reverse of `to_json`; raises KeyError, TypeError, ValueError or InputError."""
    media = values["media"]
    return Recorded(
        source=str(values["source"]),
        media=None if media is None else Media(media["path"], Fingerprint(**media["fingerprint"])),
        tasks=tuple(parse_task(each) for each in values["tasks"]),
        alerts=tuple(Alert(**each) for each in values["alerts"]),
        model=dict(values["model"]),
        opened_as=dict(values["opened_as"]),
        min_score=values["min_score"],
        clip=int(values["clip"]),
        keep_damaged=bool(values["keep_damaged"]),
    )


def check_room(gib: float) -> None:
    """Refuse what is no room for packets; raises InputError."""
    check_number(gib, "record_gib (GiB for packets)", LEAST_GIB)


def begin_recording(root: Path, gib: float, source: Source, wanted: Recorded) -> RecordSink:
    """Begin to record a source that is about to be read.

    Raises:
        InputError: it is neither a live source nor a video file, or the folder cannot be written.
    """
    media = None
    if isinstance(source, FileSource):
        media = Media(str(source.path.absolute()), fingerprint(source.path))
    elif not isinstance(source, LiveSource):
        raise InputError(
            f"{source.name}: only live sources and video files can be recorded, because the "
            "pictures of others cannot be had again; leave `record` (--record) off"
        )
    try:
        folder = _new_folder(root)
        facts = json.dumps(replace(wanted, media=media).to_json(), ensure_ascii=False, indent=1)
        (folder / FACTS).write_text(facts + "\n", encoding="utf-8", errors="replace")
        sink = RecordSink(folder)
    except OSError as error:
        raise InputError(f"{root}: cannot record there: {error.strerror}") from error
    if isinstance(source, LiveSource):
        source.keep_packets(TapOrder(str(folder.absolute()), int(gib * GIB)))
    return sink


def _new_folder(root: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for number in range(1000):
        folder = root / f"{stamp}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(0, "a thousand recordings began in one second")


class RecordSink:
    """Writes every event of one stream; whole lines only, whatever happens to the disk."""

    def __init__(self, folder: Path) -> None:
        self.name = str(folder)
        self._file: BinaryIO = (folder / EVENTS).open("xb", buffering=0)
        self._end = 0  # of the last whole line

    def write(self, event: Event, frame: Frame | None) -> None:
        """Append a line; raises OSError, and then nothing of it stays."""
        line = memoryview(event.to_json().encode() + b"\n")
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:])
        except OSError:
            self._file.truncate(self._end)
            self._file.seek(self._end)
            raise
        self._end += len(line)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as it is read."""

    folder: Path
    wanted: Recorded
    events: tuple[Event, ...]

    @property
    def has_ended(self) -> bool:
        """Whether it was ended in order; else something was killed, or still runs."""
        return bool(self.events) and self.events[-1].to_dict()["type"] == "summary"


def find_recordings(folder: Path) -> list[Path]:
    """A recording, or those in a folder of recordings, the oldest first.

    Raises:
        InputError: there is none.
    """
    if (folder / FACTS).is_file():
        return [folder]
    found = sorted(each.parent for each in folder.glob(f"*/{FACTS}"))
    if not found:
        raise InputError(f"{folder}: no recording; `skyeye-edge watch URL --record DIR` makes one")
    return found


def read_recording(folder: Path) -> Recording:
    """A recording; a line that a power cut tore is left out.

    Raises:
        DataError: it is none, damaged, or of a newer program.
    """
    file = folder / FACTS
    try:
        values = json.loads(file.read_text("utf-8"))
        if values["schema"] > SCHEMA:
            raise DataError(f"{file}: of a newer version of this program; update it")
        wanted = parse_recorded(values)
        lines = (folder / EVENTS).read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, InputError) as error:
        raise DataError(f"{file}: not the facts of a recording ({error!r})") from error
    events: list[Event] = []
    for number, line in enumerate(lines):
        if not line:
            continue
        try:
            event = parse_event(line.decode())
        except (DataError, UnicodeDecodeError) as error:
            if number == len(lines) - 1:  # nothing follows it, not even the line's end
                break
            raise DataError(f"{folder / EVENTS}, line {number + 1}: {error}") from error
        if event is not None:
            events.append(event)
    return Recording(folder, wanted, tuple(events))
