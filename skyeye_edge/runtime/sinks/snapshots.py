"""Pictures of answers in a folder, each with its event beside it."""

from __future__ import annotations

import os
import re
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from skyeye_edge.core.answer_drawing import draw_answer
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.events import AlertEvent, AnswerEvent, Event
from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.sinks.naming import plain_name
from skyeye_edge.runtime.sinks.output import make_folder, writing

SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
FIELDS = ("source", "epoch", "index", "time", "utc")


@dataclass(frozen=True, slots=True)
class SnapshotSettings:
    """Which pictures are kept, and how many."""

    keep: int = 1000  # the newest; 0: all
    when: Literal["answer", "found", "alert"] = "answer"
    """Of which answers: all, those with a phrase that was found, or none. Alerts have theirs."""
    draw: bool = False  # boxes and caption on the picture
    quality: int = 90  # of JPEG


class SnapshotSink:
    """Writes the picture of each answer, and its event as JSON under the same name.

    Args:
        pattern: a path whose file name has {index}, as in shots/{source}-{index}-{time}.jpg.
        settings: see there.

    Raises:
        InputError: the folder cannot be written, or the pattern gives no names of their own.
    """

    only_frames = True

    def __init__(self, pattern: Path, settings: SnapshotSettings | None = None) -> None:
        self._settings = settings or SnapshotSettings()
        self.name = str(pattern)
        self._folder, self._pattern = pattern.parent, pattern.name
        fields = re.findall(r"\{(\w*)\}", self._pattern)
        if "index" not in fields or not set(fields) <= set(FIELDS):
            known = " ".join(f"{{{field}}}" for field in FIELDS)
            raise InputError(f"{pattern}: the name needs {{index}}; there are {known}")
        make_folder(self._folder)
        parts = re.split(r"\{\w+\}", self._pattern)
        self._mine = re.compile(".+".join(re.escape(part) for part in parts))
        self._kept = deque(self._found())

    def write(self, event: Event, frame: Frame | None) -> None:
        """Write the picture, if it is one that is wanted; then remove the oldest beyond `keep`."""
        if frame is None or not self._is_wanted(event):
            return
        path = self._folder / snapshot_name(self._pattern, event, frame)
        rgb = frame.rgb
        if self._settings.draw and isinstance(event, AnswerEvent):
            rgb = draw_answer(rgb, event)
        # the event first: where a picture is, it is known what it shows
        self._put(path.with_suffix(".json"), f"{event.to_json()}\n".encode())
        self._put(path, encoded(rgb, path.suffix, self._settings.quality))
        self._kept.append(path)
        self._remove_old()

    def close(self) -> None:
        """Nothing is open between two pictures."""

    def _is_wanted(self, event: Event) -> bool:
        if not isinstance(event, AnswerEvent):
            return True
        if not event.frames or self._settings.when == "alert":  # a heartbeat shows nothing new
            return False
        return self._settings.when == "answer" or any(result.found for result in event.results)

    def _put(self, path: Path, data: bytes) -> None:
        """A file that appears when it is complete."""
        part = path.with_name(f".{path.name}.part")
        with writing(path):
            try:
                part.write_bytes(data)
                os.replace(part, path)  # noqa: PTH105  # Path.replace does the same
            finally:
                with suppress(OSError):
                    part.unlink(missing_ok=True)

    def _found(self) -> list[Path]:
        """What earlier runs have left under such names, the oldest first."""
        for torn in self._folder.glob(".*.part"):  # by a kill
            name = Path(Path(torn.name[1:]).stem)
            if self._mine.fullmatch(name.with_suffix(Path(self._pattern).suffix).name):
                torn.unlink(missing_ok=True)
        there = [path for path in self._folder.iterdir() if self._mine.fullmatch(path.name)]
        ours = [path for path in there if path.with_suffix(".json").exists()]
        return sorted(ours, key=lambda path: path.stat().st_mtime_ns)

    def _remove_old(self) -> None:
        while self._settings.keep and len(self._kept) > self._settings.keep:
            path = self._kept.popleft()
            for old in (path, path.with_suffix(".json")):
                with suppress(OSError):
                    old.unlink()


def snapshot_name(pattern: str, event: Event, frame: Frame) -> str:
    """The file name of a picture; numbers have leading zeros, so that names sort by time."""
    values = {
        "source": plain_name(event.source),
        "epoch": f"{frame.epoch:03}",
        "index": f"{frame.index:08}",
        "time": f"{max(0.0, frame.time):010.3f}",
        "utc": plain_name(event.utc),
    }
    name = Path(re.sub(r"\{(\w+)\}", lambda found: values[found[1]], pattern))
    if isinstance(event, AlertEvent):  # beside the answer about the same picture
        name = name.with_name(f"{name.stem}.{plain_name(event.alert)}-{event.phase}{name.suffix}")
    return name.name


def encoded(rgb: npt.NDArray[np.uint8], suffix: str, quality: int) -> bytes:
    """(H, W, 3) RGB as a file of the kind that a suffix means."""
    buffer = BytesIO()
    Image.fromarray(rgb).save(buffer, SUFFIXES[suffix.lower()], quality=quality)
    return buffer.getvalue()
