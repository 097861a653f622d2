"""One opening of a live source: what became of its pictures, and which one waits to be wanted.

This is the one place for live time, counts and choice; how pictures come is the readers' matter.
"""

from __future__ import annotations

import json
import math
import os
import select
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import asdict, astuple, dataclass, field
from typing import TYPE_CHECKING, Any

from skyeye_edge.core.frame import Counts
from skyeye_edge.runtime.sources.causes import End
from skyeye_edge.runtime.sources.decoding import Picture
from skyeye_edge.runtime.sources.messages import Request
from skyeye_edge.runtime.sources.metadata import MetadataQueue
from skyeye_edge.runtime.sources.packet_tap import PacketTap
from skyeye_edge.runtime.sources.pixels import Converter
from skyeye_edge.runtime.sources.registry import Notes
from skyeye_edge.runtime.sources.timing import Lag, MediaClock, Moment, Sampler

if TYPE_CHECKING:
    import av
    import numpy as np
    import numpy.typing as npt

SILENCE = 1.0  # seconds after which what comes may be the rest of a stream that has ended
WAIT_AND_SEE = 0.2  # seconds that such frames wait for proof that the stream goes on
REPORT = 0.25  # seconds after which counts are told even if no frame is wanted
STALE_AFTER = 2.0  # seconds by which a frame may be late before some are left out
KEYLESS = 5.0  # seconds that a key frame is waited for: some encoders never send one
JUMP = 2.0  # a step of media time that means that the sender began anew, seconds


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """A frame that nobody has wanted so far."""

    picture: Picture
    moment: Moment
    late: float  # seconds
    damaged: bool


@dataclass
class Session:
    """What happened to the frames of one opening, and which one waits to be wanted."""

    request: Request
    wishes: int
    send: Callable[[dict[str, Any], npt.NDArray[np.uint8] | None], None]
    wanted: bool = False
    listened: bool = True  # False once the parent has closed its side
    counts: Counts = field(default_factory=Counts)
    clock: Callable[[], float] = time.monotonic
    told: float = 0.0
    live: bool = False  # the parent knows of a frame of this opening
    waiting: Waiting | None = None

    def __post_init__(self) -> None:
        self.media = MediaClock(self.request.last, jump=JUMP)
        self.sampler = Sampler(self.request.every)
        self.lag = Lag(STALE_AFTER)
        self.anew = -math.inf  # when the sender began anew, if no key frame has come since
        self.marked = False  # some picture was, since the last message
        self.converter = Converter()
        self.metadata = MetadataQueue()
        self.tap: PacketTap | None = None  # where packets are recorded
        self._noted = json.dumps(self.request.notes)  # what the parent knows of them
        self.notes: Notes = json.loads(self._noted)
        self.arrived = self.clock()
        self.resumed = -math.inf  # when frames came again after a silence

    def is_wanted(self, packet: av.Packet[av.VideoStream]) -> bool:
        """Whether to decode; a stream that lags is left out up to the next key frame, as stale."""
        since = self.lag.skipping_since
        if since is None or packet.is_keyframe or packet.size == 0:
            return True
        if self.clock() - since.wall > KEYLESS:
            return True
        self.counts += Counts(1, 0, {"stale": 1})
        return False

    def add(self, picture: Picture) -> None:
        """Take in one decoded picture; the one that waited leaves as busy."""
        moment = self._moment(picture)
        late = self.lag.tell(moment)
        # Drawn from pictures of before, it is a mixture, and no decoder marks it: two senders on
        # one port gave 54 answers about such.
        torn = moment.wall - self.anew < KEYLESS
        hit = picture.marked or torn
        self.marked = self.marked or hit
        if hit and not self.request.keep_damaged:
            self.counts += Counts(1, 0, {"decode": 1})
        elif self.lag.skipping_since is not None and not picture.raw.key_frame:
            self.counts += Counts(1, 0, {"stale": 1})
        elif not self.sampler.is_due(moment.time):
            self.counts += Counts(1, 1)
        else:
            self._replace(Waiting(picture, moment, late, picture.damaged or torn))

    def _moment(self, picture: Picture) -> Moment:
        """When it is; notes silence, and a sender that began anew or is another one."""
        arrived, last, opened = self.clock(), self.media.last, self.media.opened
        if opened and arrived - self.arrived > SILENCE:
            self.resumed = arrived
        self.arrived = arrived
        moment = self.media.tell(picture.raw.time, arrived)
        if opened and last is not None and moment.epoch > last.epoch:
            self.sampler = Sampler(self.request.every)
            self.anew = arrived
        if picture.raw.key_frame:
            self.anew = -math.inf
        return moment

    def _replace(self, waiting: Waiting) -> None:
        if self.waiting is not None:
            self.counts += Counts(1, 0, {"busy": 1})
        self.waiting = waiting

    def tell(self) -> None:
        """Send the waiting frame if it is wanted, and the counts now and then."""
        self._listen()
        if self.arrived - self.resumed < WAIT_AND_SEE:
            return
        first = self.media.opened and not self.live
        if self.wanted and self.waiting is not None:
            self._hand_over()
        elif first or self.clock() - self.told > REPORT:
            self._say({"type": "counts"})

    def end(self, end: End) -> None:
        """Send what is left, why there is no more, and whether to try again."""
        if self.waiting is not None and self.listened:
            self._hand_over(last_words=True)
        elif self.waiting is not None:
            self.counts += Counts(1, 0, {"closed": 1})
        values = {"type": "end", "end": asdict(end)}
        self._say(values, last_words=True)

    def _hand_over(self, *, last_words: bool = False) -> None:
        assert self.waiting is not None
        waiting, self.waiting = self.waiting, None
        self.wanted = False
        if self.tap is not None:
            self.tap.handed_over(waiting.picture, waiting.moment, damaged=waiting.damaged)
        began = time.perf_counter()
        rgb = self.converter.upright_rgb(waiting.picture.raw)
        values = {
            "type": "frame",
            "moment": astuple(waiting.moment),
            "shape": rgb.shape,
            "lag": waiting.late,
            "decoding": waiting.picture.seconds + time.perf_counter() - began,
            "damaged": waiting.damaged,
            "metadata": [
                [each.codec, b64encode(each.data).decode(), each.time, each.stream]
                for each in self.metadata.taken(waiting.moment.time, self.media.offset)
            ],
        }
        self._say(values, rgb, last_words=last_words)

    def _say(
        self,
        values: dict[str, Any],
        rgb: npt.NDArray[np.uint8] | None = None,
        *,
        last_words: bool = False,
    ) -> None:
        counts, self.counts = self.counts, Counts()
        self.told = self.clock()
        self.live = self.media.opened
        last = None if self.media.last is None else astuple(self.media.last)
        figures = [counts.received, counts.skipped, counts.dropped]
        facts: dict[str, Any] = {
            "last": last,
            "last_words": last_words,
            "counts": figures,
            "marked": self.marked,
        }
        self.marked = False
        if (noted := json.dumps(self.notes)) != self._noted:
            self._noted = noted
            facts["notes"] = self.notes
        if self.tap is not None:
            facts["tap"] = self.tap.failure
        self.send(values | facts, rgb)

    def _listen(self) -> None:
        while self.listened and select.select([self.wishes], [], [], 0)[0]:
            heard = os.read(self.wishes, 64)
            self.wanted = self.wanted or bool(heard)
            self.listened = bool(heard)
