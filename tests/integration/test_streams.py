"""Several sources and one model: turns, counts, ends, and what is left behind."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from skyeye_edge.core.errors import ClosedError, InputError, SkyEyeError
from skyeye_edge.core.events import AnswerEvent, Event, StateEvent, SummaryEvent
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.core.tasks import Classify, Task
from skyeye_edge.runtime.model import Model, load
from skyeye_edge.runtime.sources.push import Push
from skyeye_edge.runtime.sources.source import Source

HERE = Path(__file__).resolve().parent
SHORT: list[Task] = [Classify(("harbour", "farmland"))]
PICTURE = np.full((40, 60, 3), 90, np.uint8)


def by_source(events: list[Event]) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        found[event.source].append(event)
    return found


def check_sums(events: list[Event]) -> SummaryEvent:
    """The events of one source end in a summary that accounts for every frame."""
    *others, summary = events
    assert isinstance(summary, SummaryEvent)
    assert isinstance(others[-1], StateEvent) and others[-1].state == "ENDED"
    answered = sum(len(event.frames) for event in others if isinstance(event, AnswerEvent))
    assert summary.answered == answered
    lost = summary.counts.skipped + sum(summary.counts.dropped.values())
    assert summary.counts.received == answered + lost
    return summary


def camera(name: str, frames: int) -> Push:
    """A camera whose frames wait."""
    made = Push(name, slots=max(1, frames))
    for number in range(frames):
        made.push(PICTURE + number % 50, time=float(number))
    made.end()
    return made


class Broken:
    """A source that fails on the way, as hardware does."""

    name = "broken"

    def items(self, every: float) -> Iterator[Frame | SourceChange]:
        yield Frame(PICTURE, 0.0, 0, before=Counts(2, 2))
        raise OSError("the cable was pulled")

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_events_of_several_sources_say_whose_they_are_and_each_counts_its_own(
    tiny: Model, demo_clip: Path
) -> None:
    sources: list[str | Path | Source] = [demo_clip, camera("left", 7), camera("right", 3)]

    with tiny.streams(sources, SHORT, every=1.0) as streams:
        found = by_source(list(streams))

    assert set(found) == {demo_clip.name, "left", "right"}
    received = {name: check_sums(events).counts.received for name, events in found.items()}
    assert received == {demo_clip.name: 240, "left": 7, "right": 3}


def test_what_a_stream_among_others_answers_is_what_it_answers_alone(
    tiny: Model, demo_clip: Path
) -> None:
    with tiny.stream(demo_clip, SHORT, every=2.0) as stream:
        alone = [event.results for event in stream if isinstance(event, AnswerEvent)]

    with tiny.streams([demo_clip, camera("left", 9)], SHORT, every=2.0) as streams:
        found = by_source(list(streams))[demo_clip.name]

    assert [event.results for event in found if isinstance(event, AnswerEvent)] == alone


def test_streams_take_turns(tiny: Model) -> None:
    with tiny.streams([camera("a", 12), camera("b", 12)], SHORT, every=0) as streams:
        turns = [event.source for event in streams if isinstance(event, AnswerEvent)]

    ahead = [abs(turns[:end].count("a") - turns[:end].count("b")) for end in range(1, 20)]
    assert max(ahead) <= 4


def test_a_source_that_fails_ends_in_order_and_the_others_go_on(tiny: Model) -> None:
    events: list[Event] = []
    with (
        tiny.streams([Broken(), camera("good", 20)], SHORT, every=0) as streams,
        pytest.raises(OSError, match="cable"),
    ):
        events.extend(streams)

    found = by_source(events)
    state = found["broken"][-2]
    assert isinstance(state, StateEvent) and "cable" in state.cause
    assert check_sums(found["broken"]).counts.received == 3
    assert check_sums(found["good"]).answered == 20


def test_a_stop_ends_all_of_them_with_their_summaries(tiny: Model, demo_clip: Path) -> None:
    live = Push("live")
    with tiny.streams([demo_clip, live], SHORT, every=0) as streams:
        events = [next(streams), next(streams)]
        streams.stop()
        events.extend(streams)
        with pytest.raises(ClosedError):
            streams.add(camera("late", 1))

    for found in by_source(events).values():
        check_sums(found)
    assert len(by_source(events)) == 2


def test_a_source_can_be_added_and_removed_while_others_run(tiny: Model, demo_clip: Path) -> None:
    live = Push("live")
    with tiny.streams([live], SHORT, every=0) as streams:
        added = streams.add(demo_clip)
        events = [next(streams), next(streams)]
        streams.remove(added)
        while not isinstance(events[-1], SummaryEvent):
            events.append(next(streams))
        assert [stream.source.name for stream in streams.streams] == ["live"]
        live.end()
        events.extend(streams)

    assert {name: check_sums(each).source for name, each in by_source(events).items()} == {
        "live": "live",
        demo_clip.name: demo_clip.name,
    }


def test_a_hundred_streams_that_come_and_go_leave_no_thread_file_and_sequence(
    tiny: Model, demo_clip: Path
) -> None:
    live = Push("live")
    with tiny.streams([live], SHORT, every=0) as streams:
        before = (threading.active_count(), len(list(Path("/proc/self/fd").iterdir())))
        for number in range(100):
            added = streams.add(demo_clip if number % 10 == 0 else camera(f"c{number}", 2))
            event = next(streams)
            streams.remove(added)
            while not isinstance(event, SummaryEvent):
                event = next(streams)
        assert len(streams.streams) == 1
        # the live one may have been asked for the first time meanwhile: a thread
        assert threading.active_count() <= before[0] + 1
        assert len(list(Path("/proc/self/fd").iterdir())) <= before[1]
    tiny.encode(np.zeros((8, 8, 3), np.uint8))  # the engine has come round: nothing is at work
    language = tiny._engine._language._language
    assert language.cache.free == language._context.options.sequences


def test_closing_in_the_middle_leaves_no_thread(tiny_bundle: Path, demo_clip: Path) -> None:
    with load(tiny_bundle) as model:
        before = set(threading.enumerate())
        with model.streams([demo_clip, Push(), Push(), demo_clip], SHORT, every=0) as streams:
            next(streams)

        left = [thread for thread in set(threading.enumerate()) - before if thread.is_alive()]
        assert left == []


def test_a_model_that_is_closed_ends_every_stream_and_then_raises(
    tiny_bundle: Path, demo_clip: Path
) -> None:
    model = load(tiny_bundle)
    events: list[Event] = []
    with model.streams([demo_clip, camera("left", 300)], SHORT, every=0) as streams:
        events.append(next(streams))
        model.close()
        with pytest.raises(SkyEyeError):
            events.extend(streams)

    for found in by_source(events).values():
        check_sums(found)


def test_there_is_one_priority_per_source(tiny: Model) -> None:
    with pytest.raises(InputError, match="1 priorities for 2 sources"):
        tiny.streams([camera("a", 1), camera("b", 1)], SHORT, priorities=[2.0])
    with pytest.raises(InputError, match="priority"):
        tiny.streams([camera("a", 1)], SHORT, priorities=[0.0])


@pytest.fixture
def ports() -> list[int]:
    """Three ports that nobody uses."""
    with ExitStack() as stack:
        probes = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(3)
        ]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@pytest.fixture
def senders(ports: list[int]) -> Iterator[None]:
    """Cameras that send to the first two of the ports."""
    with ExitStack() as stack:
        for port in ports[:2]:
            program = subprocess.Popen(
                [sys.executable, HERE / "udp_sender.py", f"udp://127.0.0.1:{port}"],
                stdout=subprocess.PIPE,
            )
            stack.callback(program.wait)
            stack.callback(program.kill)
            assert program.stdout is not None and program.stdout.readline()
        yield


@pytest.mark.usefixtures("senders")
def test_cameras_are_watched_side_by_side_and_one_that_never_comes_holds_up_none(
    tiny: Model, ports: list[int]
) -> None:
    names = [f"udp://127.0.0.1:{port}" for port in ports]
    events: list[Event] = []
    with tiny.streams(names, SHORT, every=0, gate=False) as streams:
        for event in streams:
            events.append(event)
            found = by_source([each for each in events if isinstance(each, AnswerEvent)])
            if min(len(found[name]) for name in names[:2]) >= 5:
                streams.stop()

    found = by_source(events)
    assert [check_sums(found[name]).answered >= 5 for name in names] == [True, True, False]
    assert "CONNECTING" in {e.state for e in found[names[2]] if isinstance(e, StateEvent)}
