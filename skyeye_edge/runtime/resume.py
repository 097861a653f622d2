"""Going on where a run was interrupted: what its JSON Lines say, and what is still to be read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from skyeye_edge.core.errors import DataError, InputError
from skyeye_edge.core.events import AnswerEvent, Event, parse_event
from skyeye_edge.core.frame import Counts, Frame, SourceChange
from skyeye_edge.core.results import ClassifyResult, DetectResult, GroundResult, TaskResult
from skyeye_edge.core.tasks import Ask, Detect, Ground, Identify, Task, task_name
from skyeye_edge.runtime.sinks.output import writing
from skyeye_edge.runtime.sources.source import Source


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an interrupted run has left."""

    source: str = ""
    asked: tuple[str, ...] = ()
    model: Mapping[str, str] = field(default_factory=dict)
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
    earlier = Earlier()
    if not path.exists():
        return earlier
    indices: set[int] = set()
    for event, end in _read_lines(path):
        if isinstance(event, AnswerEvent):
            indices.update(event.frames)
            asked = tuple(_said(result) for result in event.results)
            totals = earlier.totals + event.counts
            earlier = Earlier(event.source, asked, event.model, frozenset(), totals, end)
    return Earlier(
        earlier.source,
        earlier.asked,
        earlier.model,
        frozenset(indices),
        earlier.totals,
        earlier.bytes,
    )


def check_same_run(
    earlier: Earlier, source: str, tasks: Sequence[Task], model: Mapping[str, str], path: Path
) -> None:
    """Refuse to go on with other questions, another video or another model; raises InputError."""
    if not earlier.indices:
        return
    asked = tuple(_asked(task) for task in tasks)
    for what, then, now in (
        ("the video", earlier.source, source),
        ("the tasks", earlier.asked, asked),
        ("the model", dict(earlier.model), dict(model)),
    ):
        if then != now:
            raise InputError(
                f"{path}: cannot resume, {what} differs: it was {then}, now it is {now}; "
                "use the same as before, or run without --resume to begin anew"
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


def _asked(task: Task) -> str:
    match task:
        case Ground(words) | Detect(words) | Ask(words):
            return f"{task_name(task)} {words}"
        case Identify(box):
            return f"identify {box}"
        case _:
            return task_name(task)


def _said(result: TaskResult) -> str:
    match result:
        case GroundResult(words):
            return f"ground {words}"
        case DetectResult(words):
            return f"detect {words}"
        case ClassifyResult():
            return "classify"
        case _ if result.task == "ask":
            return f"ask {result.question}"
        case _ if result.box is not None:
            return f"identify {tuple(float(edge) for edge in result.box)}"
        case _:
            return result.task
