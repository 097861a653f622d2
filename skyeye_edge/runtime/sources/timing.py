"""When frames are, and which of them are due."""

from __future__ import annotations

import math
from dataclasses import dataclass

from skyeye_edge.core.arguments import check_number

DRIFT = 2e-4  # seconds a second; clocks of cameras and computers differ by less
# Time stamps of MPEG-TS have 33 bits, those of RTP 32, of 90,000 ticks a second: they last for 26.5
# and 13.3 hours. FFmpeg undoes the first wrap of an opening, and no further one.
WRAPS = (2**33 / 90_000, 2**32 / 90_000)  # seconds
WRAP_JUMP = 2.0  # seconds by which a step over a wrap may differ from the gap
TOLERANCE = 1e-6  # seconds; a time stamp of 0.9999999 is the one of second 1


def check_every(every: float) -> None:
    """Refuse an interval that is no duration; raises InputError."""
    check_number(every, "every (seconds between answers, 0 for every frame)", 0)


class Sampler:
    """Chooses the first frame in each interval of `every` seconds, counted from the first."""

    def __init__(self, every: float) -> None:
        check_every(every)
        self.every = every
        self._first = math.nan
        self._slot = -1

    def is_due(self, time: float) -> bool:
        """Whether the frame at `time` (media seconds) is wanted; to be asked once per frame."""
        if self.every == 0:
            return True
        if not time >= self._first:  # the first frame, or a source that began anew
            self._first, self._slot = time, -1
        slot = math.floor((time - self._first + TOLERANCE) / self.every)
        due = slot > self._slot
        self._slot = max(slot, self._slot)
        return due


@dataclass(frozen=True, slots=True)
class Moment:
    """Which frame of a source, and when."""

    index: int  # never restarts
    epoch: int  # how often the source has begun anew
    time: float  # media seconds, never goes back
    wall: float  # when it came by the other measure of `MediaClock`
    began: float  # the other measure when media time was 0


class MediaClock:
    """Index, epoch and media time of a source's frames, over all its openings.

    Time stamps may be missing, begin anew or jump; another measure then fills the gap: seconds on
    the machine's clock when a frame arrived (live), or its number times the seconds between two
    frames (files).

    Args:
        last: the last frame of the opening before this one; media time has gone on since.
        jump: seconds; a step forward by so much more than the gap is not believed.
    """

    def __init__(self, last: Moment | None = None, *, jump: float = math.inf) -> None:
        self.last = last
        self._jump = jump
        self.opened = False  # this opening has had a frame
        self._offset: float | None = None  # from stamps to media time; None: not known

    @property
    def offset(self) -> float | None:
        """Seconds from stamps to media time; None: not known."""
        return self._offset

    def tell(self, stamp: float | None, wall: float) -> Moment:
        """The moment of the next frame.

        Args:
            stamp: its time stamp in seconds; None if it has none.
            wall: when it came, by the other measure.
        """
        self.last = self._moment(stamp, wall)
        if stamp is not None and self._offset is None:
            self._offset = self.last.time - stamp
        self.opened = True
        return self.last

    def _moment(self, stamp: float | None, wall: float) -> Moment:
        last = self.last
        if last is None:
            return Moment(0, 0, 0.0, wall, wall)
        index = last.index + 1
        if not self.opened:
            time = max(last.time, wall - last.began)
            return Moment(index, last.epoch + 1, time, wall, last.began)
        gap = max(0.0, wall - last.wall)
        if stamp is None or self._offset is None:
            return Moment(index, last.epoch, last.time + gap, wall, last.began)
        for wrapped, jump in ((0.0, self._jump), *((wrap, WRAP_JUMP) for wrap in WRAPS)):
            time = stamp + self._offset + wrapped
            if 0 <= time - last.time <= gap + jump:
                self._offset += wrapped
                return Moment(index, last.epoch, time, wall, last.began)
        self._offset = None  # the sender began anew
        return Moment(index, last.epoch + 1, last.time + gap, wall, last.began)


class Lag:
    """By how much live frames come later than the quickest of their source, and what to do then.

    What waits in buffers on the way grows old without a word: with its reader slowed to a third, a
    stream was 5.5 s behind. So arrival minus media time is held against its running minimum.

    Args:
        budget: seconds; a later frame means to skip what follows, up to the next key frame.
    """

    def __init__(self, budget: float) -> None:
        self.skipping_since: Moment | None = None  # the frame that came too late
        self._budget = self._tolerated = budget
        self._least = math.inf  # arrival minus media time
        self._wall = 0.0  # of the last frame

    def tell(self, moment: Moment) -> float:
        """Seconds by which this frame is late; also says anew whether to skip."""
        passed = moment.wall - moment.time
        self._least = min(passed, self._least + DRIFT * (moment.wall - self._wall))
        self._wall = moment.wall
        late = passed - self._least
        since, self.skipping_since = self.skipping_since, None
        if since is not None and moment.wall - since.wall > (moment.time - since.time) / 2:
            self._tolerated = late + self._budget  # nothing waits here: the sender is late
        self._tolerated = max(self._budget, min(self._tolerated, late + self._budget))
        if late > self._tolerated:
            self.skipping_since = moment
        return late
