"""Going on where a run was interrupted: what its JSON Lines say, and what is still to be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from skyeye_edge.core.errors import DataError, InputError, OutputError
from skyeye_edge.core.events import AnswerEvent, Event, parse_event
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.runtime.run_record import RunRecord, parse_record
from skyeye_edge.runtime.sinks.output import writing
from skyeye_edge.runtime.sources.source import Source


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an interrupted run has left."""

    record: RunRecord | None = None  # None: version 0.1.0 wrote none
    indices: frozenset[int] = frozenset()  # frames that have their answer
    totals: Counts = field(default_factory=Counts)  # up to the last answer
    bytes: int = 0  # length of the file up to the end of the last answer


def read_events(path: Path) -> Iterator[Event]:
    """The events of a JSON Lines file; a torn last line and unknown types are left out.

    Raises:
        DataError: a line before the last is not an event.
    """
    for event, _ in _read_lines(path):
        if event is not None:
            yield event


def read_earlier(path: Path) -> Earlier:
    """The answers in `path`; nothing if there is no such file.

    Raises:
        DataError: a line before the last is not an event.
    """
    if not path.exists():
        return Earlier()
    indices: set[int] = set()
    totals, length = Counts(), 0
    for event, end in _read_lines(path):
        if isinstance(event, AnswerEvent):
            indices.update(event.frames)
            totals, length = totals + event.counts, end
    return Earlier(_read_record(path), frozenset(indices), totals, length)


def check_same_run(earlier: Earlier, now: RunRecord, path: Path) -> None:
    """Refuse to go on with another video, other questions or another model; raises OutputError."""
    if not earlier.indices:
        return
    if earlier.record is None:
        raise OutputError(
            f"{path}: cannot resume, version 0.1.0 did not note which video this is about; "
            "run without --resume to begin anew"
        )
    if differences := list(earlier.record.differences(now)):
        raise OutputError(
            f"{path}: cannot resume, {'; '.join(differences)}. Use the same as before, give "
            "another -o, or run without --resume to begin anew"
        )


def check_same_media(path: Path, now: RunRecord) -> None:
    """Refuse to put answers in the place of those about another recording; raises OutputError.

    Drones begin to count again with every new card: the next DJI_0001.MP4 is another flight.
    """
    then = _read_record(path)
    if then is not None and then.media != now.media:
        raise OutputError(
            f"{path}: holds the answers about another recording: {then.source}, {then.media}; this "
            f"one is {now.source}, {now.media}. Give another -o, or --overwrite if they may go"
        )


def cut_to_last_answer(path: Path, earlier: Earlier) -> None:
    """Remove what follows the last answer: a torn line, the end and the summary of the old run."""
    if path.exists():
        with writing(path):
            os.truncate(path, earlier.bytes)


class Rest:
    """A source without the frames that have their answer; their counts are left out too.

    The file is read again from its beginning, so that `every` falls on the same frames.
    """

    def __init__(self, source: Source, answered: frozenset[int]) -> None:
        self.name = source.name
        self._source = source
        self._answered = answered

    def items(self, every: float) -> Iterator[Frame | SourceChange]:
        """What the source gives after the last answered frame.

        Raises:
            InputError: the source does not stop at the answered frames: `every` was different.
        """
        last = max(self._answered)
        seen = 0
        for item in self._source.items(every):
            if isinstance(item, Frame) and item.index <= last:
                seen += 1
                if item.index not in self._answered:
                    break
                continue
            if isinstance(item, Frame) and seen != len(self._answered):
                break
            yield item
        else:
            return
        raise InputError(
            f"{self.name}: cannot resume, other frames were asked about before; use the same "
            "--every, or run without --resume to begin anew"
        )

    def stop(self) -> None:
        """Stop the source."""
        self._source.stop()

    def close(self) -> None:
        """Close the source."""
        self._source.close()


def _read_lines(path: Path) -> Iterator[tuple[Event | None, int]]:
    """Events and where their lines end, in bytes."""
    end = 0
    torn: DataError | None = None
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if torn is not None:
                raise DataError(f"{path}, line {number - 1}: {torn}") from torn
            end += len(line)
            try:
                event = parse_event(line.decode()) if line.endswith(b"\n") else None
            except (DataError, UnicodeDecodeError) as error:
                torn = DataError(str(error))
                continue
            yield event, end


def _read_record(path: Path) -> RunRecord | None:
    """The first line of a file of answers, if it is a record."""
    with path.open("rb") as lines:
        return parse_record(lines.readline().decode("utf-8", "replace"))
