"""One image of a source, and what a source says about itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.arguments import check_number, check_text, check_whole
from skyeye_edge.core.errors import InputError

State = Literal["CONNECTING", "LIVE", "STALLED", "RECONNECTING", "ENDED"]


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of the frames of a stream since some earlier point."""

    received: int = 0  # frames that came: decoded, left out as stale, or failed to decode
    skipped: int = 0  # not due by `every`
    dropped: dict[str, int] = field(default_factory=dict)  # by cause: gate, stale, busy, ...

    def __add__(self, other: Counts) -> Counts:
        dropped = dict(self.dropped)
        for cause, number in other.dropped.items():
            dropped[cause] = dropped.get(cause, 0) + number
        return Counts(self.received + other.received, self.skipped + other.skipped, dropped)


@dataclass(frozen=True, slots=True)
class DataPacket:
    """A packet of a data stream that runs beside the video, such as telemetry; as it came."""

    codec: str  # FFmpeg's name, such as klv (MISB ST 0601 and others)
    data: bytes  # unparsed
    time: float | None = None  # media seconds; None if the packet has no time stamp
    stream: int = 0  # which one, where several run side by side


@dataclass(frozen=True, slots=True, eq=False)  # eq=False: arrays have no single answer to ==
class Frame:
    """One RGB image of a source; shared between threads, so nobody writes to it."""

    rgb: npt.NDArray[np.uint8]  # (H, W, 3), row 0 on top; the write flag is cleared
    time: float = 0.0  # media time in seconds since the source began, never the wall clock
    index: int = 0  # counts decoded frames, also those dropped later; never restarts
    epoch: int = 0  # how often the source has begun anew
    arrived: float = 0.0  # when it was decoded, monotonic seconds
    source: str = ""  # name for humans, free of credentials
    before: Counts = field(default_factory=Counts)  # what happened since the item before this one
    lag: float = 0.0  # seconds by which it came later than the quickest frame of its live source
    decoding: float = 0.0  # seconds spent on decoding and converting it
    damaged: bool = False  # data of it or of a picture it is drawn from were missing or wrong
    user: Any = None  # a JSON value of whoever made the frame; stands in the event about it
    metadata: tuple[DataPacket, ...] = ()  # what came with it, since the frame before

    def __post_init__(self) -> None:
        if self.user is not None:
            object.__setattr__(self, "user", _json_copy(self.user))
        rgb = self.rgb
        _check_is_array(rgb)
        check_number(self.time, "frame: time")
        check_number(self.arrived, "frame: arrived")
        check_whole(self.index, "frame: index")
        check_whole(self.epoch, "frame: epoch")
        check_text(self.source, "frame: source")
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
            raise InputError(
                f"frame: {rgb.dtype} array of shape {rgb.shape}; give (height, width, 3) uint8, RGB"
            )
        if rgb.flags.writeable:
            view = rgb.view()
            view.flags.writeable = False
            object.__setattr__(self, "rgb", view)

    @classmethod
    def from_bgr(
        cls,
        bgr: npt.NDArray[np.uint8],
        *,
        time: float = 0.0,
        index: int = 0,
        epoch: int = 0,
        arrived: float = 0.0,
        source: str = "",
    ) -> Frame:
        """A frame from OpenCV's channel order; the array is copied."""
        _check_is_array(bgr)
        if bgr.ndim != 3 or bgr.shape[2] != 3:
            raise InputError(f"frame: shape {bgr.shape}; give (height, width, 3) uint8, BGR")
        rgb = np.ascontiguousarray(bgr[:, :, ::-1])
        return cls(rgb, time, index, epoch, arrived, source)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        height, width, _ = self.rgb.shape
        return width, height


def _check_is_array(pixels: object) -> None:
    if not isinstance(pixels, np.ndarray):
        raise InputError(
            f"frame: {type(pixels).__name__} is no array; give (height, width, 3) uint8, RGB"
        )


@dataclass(frozen=True, slots=True)
class SourceChange:
    """A source changed its state; the last one is ENDED and carries the tail's counts."""

    state: State
    cause: str
    epoch: int = 0
    time: float = 0.0
    before: Counts = field(default_factory=Counts)


def _json_copy(value: Any) -> Any:
    """What an event would give back for a value; nobody else can change it."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"user value {type(value).__name__}: {error}; give what JSON can hold: numbers, text, "
            "True, False, None, and lists and dicts of them"
        ) from error
