"""Leaving out pictures of a file that nobody asks about, and that nothing asked is drawn from.

Packets come in the order of decoding and pictures in the order of showing. The time stamps of the
packets say which pictures are due before any is decoded; their headers, which others these need. A
decoder is only ever given what it could have been given as a file of its own, so that the pictures
that are asked about are those of a full decode, bit for bit. Where that is not certain (no time
stamps, no order, damage) everything is decoded, up to the next picture where all begins anew.
"""

from __future__ import annotations

import copy
import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from skyeye_edge.runtime.sources.access import Access, Reader
from skyeye_edge.runtime.sources.decoding import Decoder, Picture
from skyeye_edge.runtime.sources.timing import Moment, Sampler

if TYPE_CHECKING:
    import av

MOST_HELD = 32 * 2**20  # bytes of packets that wait for what is due; then they are decoded

LEAST, MOST = -(2**63), 2**63  # no time stamp is so early or so late

Shown = tuple[Picture | None, Moment]  # a picture, or None where it was not decoded, and when it is


@dataclass(slots=True, eq=False)
class _Planned:
    """A picture on its way from its packet to its place in the order of showing."""

    packet: av.Packet[av.VideoStream] | None  # None: it was decoded, or left out
    pts: int | None  # None: a picture that the container does not show
    access: Access
    group: _Group
    moment: Moment | None = None  # None: pictures that are shown before it may still come
    due: bool = False
    decoded: bool = False
    picture: Picture | None = None


@dataclass(slots=True, eq=False)
class _Group:
    """An entry and what follows it, in the order of decoding; what was decoded is gone from it."""

    first: bool  # planning began with it
    held: deque[_Planned] = field(default_factory=deque)
    begun: bool = False  # some of it was decoded
    after_gap: bool = False  # and the decoder knew nothing of what came before


class Skipper:
    """Pictures of a file with their moments, of which those that nobody needs are not decoded.

    Args:
        decoder: decodes.
        drain: makes the decoder give all that it holds, and forget what it knows.
        tell: the moment of the next picture in the order of showing, from its time stamp.
        sampler: which moments are asked about; whoever takes the pictures asks it.
        reader: reads the headers of packets.
    """

    def __init__(
        self,
        decoder: Decoder,
        drain: Callable[[], list[Picture]],
        tell: Callable[[int | None], Moment],
        sampler: Sampler,
        reader: Reader,
    ) -> None:
        self._decoder, self._drain, self._tell = decoder, drain, tell
        self._sampler, self._reader = sampler, reader
        self._forecast = sampler
        self._planning = self._began = False
        self._groups: deque[_Group] = deque()
        self._undecided: list[tuple[int, int, _Planned]] = []  # a heap by time stamp
        self._decided: deque[_Planned] = deque()  # in the order of showing
        self._at_work: dict[int, _Planned] = {}  # in the decoder, by time stamp
        self._number = 0
        self._dts = self._last_pts = self._newest = LEAST
        self._held = 0  # bytes
        self._parameters = b""
        self._lost = 0  # pictures that never came out
        self._troubles = 0  # when planning began

    def shown(self, packet: av.Packet[av.VideoStream]) -> Iterator[Shown]:
        """What is known to be shown once this packet has come."""
        access = self._reader(memoryview(packet))
        first, self._began = not self._began, True
        if self._planning and not self._fits(packet, access):
            yield from self._give_up()
        elif not self._planning and self._may_begin(access, first):
            yield from self._begin(packet)
        if self._planning and access is not None:
            self._parameters = access.parameters or self._parameters
            self._plan(packet, access)
            yield from self._ready()
        else:
            yield from self._followed(self._decoder.pictures(packet.decode))

    def end(self) -> Iterator[Shown]:
        """What is shown of the last packets, when no more will come."""
        self._decide(MOST)
        while self._groups:
            self._leave_group()
        yield from self._followed(self._drain())
        yield from self._rest()

    def _fits(self, packet: av.Packet[av.VideoStream], access: Access | None) -> bool:
        """Whether the plan can go on with this packet."""
        return (
            access is not None
            and self._is_timed(packet)
            and not packet.has_sidedata("new_extradata")
            and access.parameters in (b"", self._parameters)
            and self._troubles == self._decoder.troubles + self._lost
        )

    def _is_timed(self, packet: av.Packet[av.VideoStream]) -> bool:
        if packet.pts is None or packet.dts is None or not self._dts < packet.dts <= packet.pts:
            return False
        waiting = (pts for pts, _, _ in self._undecided)
        return packet.is_discard or (packet.pts > self._last_pts and packet.pts not in waiting)

    def _may_begin(self, access: Access | None, first: bool) -> bool:
        return access is not None and (access.whole or (first and access.entry))

    def _begin(self, packet: av.Packet[av.VideoStream]) -> Iterator[Shown]:
        """Plan from this entry on; whatever the decoder still holds is shown before."""
        self._dts = self._last_pts = LEAST
        if not self._is_timed(packet) or packet.is_discard:
            return
        yield from self._followed(self._drain())
        yield from self._rest()
        self._planning, self._newest = True, LEAST
        self._forecast = copy.copy(self._sampler)
        self._parameters = b""
        self._troubles = self._decoder.troubles + self._lost

    def _plan(self, packet: av.Packet[av.VideoStream], access: Access) -> None:
        assert packet.pts is not None and packet.dts is not None  # `_fits` has seen to it
        self._dts = packet.dts
        if not self._groups or (access.entry and not packet.is_discard):
            first = not self._groups
            self._groups.append(_Group(first, after_gap=first))
        group = self._groups[-1]
        if group.first and access.leading:
            return  # there is nothing that it could be drawn from: a full decode shows none either
        planned = _Planned(packet, None if packet.is_discard else packet.pts, access, group)
        group.held.append(planned)
        self._held += packet.size
        if planned.pts is not None:
            self._number += 1
            heapq.heappush(self._undecided, (planned.pts, self._number, planned))
        if group.first and access.parameters:  # what comes later may rely on them
            self._decode_up_to(planned)
        self._decide(packet.dts)
        if self._held > MOST_HELD and group.held:
            self._decode_up_to(group.held[-1])

    def _decide(self, dts: float) -> None:
        """Give a moment to each picture that none to come is shown before, and decode what is due.

        What comes later is decoded later than `dts`, and nothing is shown before it is decoded.
        """
        while self._undecided and self._undecided[0][0] <= dts:
            pts, _, planned = heapq.heappop(self._undecided)
            self._last_pts = pts
            planned.moment = self._tell(pts)
            planned.due = self._forecast.is_due(planned.moment.time)
            self._decided.append(planned)
            while planned.group is not self._groups[0] and not planned.access.leading:
                self._leave_group()
            if planned.due and not planned.decoded:
                self._decode_up_to(planned)

    def _leave_group(self) -> None:
        """Nothing is wanted any more of what is held of the first group."""
        group = self._groups.popleft()
        gap = not group.begun or any(not each.access.disposable for each in group.held)
        for each in group.held:
            self._leave_out(each)
        group.held.clear()
        if self._groups and not self._groups[0].begun:
            self._groups[0].after_gap = gap
            if gap and self._at_work:
                self._arrived(self._drain(), drained=True)

    def _decode_up_to(self, last: _Planned) -> None:
        """Decode a picture and what it may be drawn from, as far as that has not been done."""
        for group in self._groups:
            group.begun = group.begun or bool(group.held)
            while group.held:
                each = group.held.popleft()
                not_due = each.moment is not None and not each.due
                impossible = each.access.leading and group.after_gap
                if impossible or (each.access.disposable and not_due):
                    self._leave_out(each)
                else:
                    self._arrived(self._decoded(each))
                if each is last:
                    return

    def _leave_out(self, planned: _Planned) -> None:
        if planned.packet is not None:
            self._held -= planned.packet.size
            planned.packet = None

    def _decoded(self, planned: _Planned) -> list[Picture]:
        assert planned.packet is not None
        packet = planned.packet
        self._leave_out(planned)
        planned.decoded = True
        if planned.pts is not None:
            self._at_work[planned.pts] = planned
        return self._decoder.pictures(packet.decode)

    def _arrived(self, pictures: list[Picture], *, drained: bool = False) -> None:
        for picture in pictures:
            planned = self._at_work.pop(picture.raw.pts or 0, None)
            if planned is None:
                self._lost += 1
                continue
            planned.picture = picture
            self._newest = max(self._newest, planned.pts or 0)
        if drained:
            self._newest = max([self._newest, *self._at_work])
            self._at_work.clear()

    def _ready(self) -> Iterator[Shown]:
        """Those at the head of the order whose fate is known."""
        while self._decided:
            planned = self._decided[0]
            assert planned.moment is not None and planned.pts is not None
            is_missing = planned.decoded and planned.picture is None
            if planned.packet is not None or (is_missing and planned.pts > self._newest):
                return
            self._decided.popleft()
            if is_missing:
                self._lost += 1
                self._at_work.pop(planned.pts, None)
            else:
                yield planned.picture, planned.moment

    # --- without a plan

    def _give_up(self) -> Iterator[Shown]:
        """Decode all that is held: the plan does not hold from here on."""
        self._planning = False
        self._undecided.clear()
        for group in self._groups:
            for each in group.held:
                if each.access.leading and group.after_gap:
                    self._leave_out(each)
                else:
                    yield from self._followed(self._decoded(each))
        self._groups.clear()

    def _followed(self, pictures: list[Picture]) -> Iterator[Shown]:
        """Pictures as they come out; the last ones of a plan have their moment already."""
        for picture in pictures:
            planned = self._at_work.get(picture.raw.pts or 0)
            if planned is not None and planned.moment is not None:
                self._arrived([picture])
                yield from self._ready()
            else:
                yield from self._rest()
                yield picture, self._tell(picture.raw.pts)

    def _rest(self) -> Iterator[Shown]:
        """What a plan had left when other pictures came."""
        self._newest = MOST
        yield from self._ready()
        self._at_work.clear()
