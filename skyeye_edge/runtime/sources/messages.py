"""What a live source and its reader process say to each other.

The parent sends a `Request` as a line of JSON, then a byte for each frame that it wants; the end
of its side is a request to stop. The child sends messages: JSON, and pixels behind it if there are
some.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from skyeye_edge.runtime.sources.packet_tap import TapOrder
from skyeye_edge.runtime.sources.registry import Notes, Target
from skyeye_edge.runtime.sources.timing import Moment

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

HEADER = struct.Struct("<II")  # bytes of the JSON part, bytes of the pixels


class ParentGone(Exception):
    """Nobody reads the messages any more."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a reader is to do."""

    target: Target
    every: float  # seconds between frames, 0 for all
    last: Moment | None = None  # last frame of an earlier opening
    keep_damaged: bool = False  # pictures that the decoder marks are wanted too
    notes: Notes = field(default_factory=dict)  # of earlier openings
    tap: TapOrder | None = None  # where packets are kept


def parse_request(values: Mapping[str, Any]) -> Request:
    """The reverse of `asdict`."""
    last, tap = values["last"], values["tap"]
    return Request(
        Target(**values["target"]),
        values["every"],
        None if last is None else Moment(**last),
        values["keep_damaged"],
        values["notes"],
        None if tap is None else TapOrder(**tap),
    )


def write_message(
    output: int, values: Mapping[str, Any], rgb: npt.NDArray[np.uint8] | None = None
) -> None:
    """Send one JSON object, and pixels behind it if there are some."""
    head = json.dumps(values).encode()
    body = memoryview(b"") if rgb is None else rgb.data.cast("B")
    _write_all(output, memoryview(HEADER.pack(len(head), len(body)) + head))
    _write_all(output, body)


def _write_all(output: int, data: memoryview) -> None:
    try:
        while data:
            data = data[os.write(output, data) :]
    except BrokenPipeError as error:  # that of a network is another matter
        raise ParentGone from error
