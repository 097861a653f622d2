"""What may be said to streams while they run: one language, for the keyboard and for a socket."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.tasks import Ask, Ground, Task, parse_task, task_text, task_values
from skyeye_edge.runtime.alerts import Alert, parse_alert
from skyeye_edge.runtime.stream import Stream
from skyeye_edge.runtime.streams import Streams

COMMANDS = {
    "status": "what each source does, what is asked, and what was lost on the way to sinks",
    "phrase TEXT": "find this, too",
    "question TEXT": "ask this, too",
    "alert TEXT": "watch for this, too, as with --alert",
    "forget TEXT": "ask no more about this phrase, question or alert",
    "set_tasks JSON": 'ask this and nothing else: [{"task": "caption"}, {"task": "ground", ...}]',
    "pause": "ask nothing until resume; live sources are read on",
    "resume": "go on",
    "snapshot [FILE]": "save the newest picture of each source as PNG",
    "stop": "end in order",
    "help": "these lines",
}
EVERYBODY = "@NAME before a command means one source only, as in: @flight.mp4 pause"


class Control:
    """Obeys commands about streams that run.

    Args:
        streams: what is controlled.
        folder: where snapshots go whose file is not named.
    """

    def __init__(self, streams: Streams, folder: Path) -> None:
        self._streams, self._folder = streams, folder

    def obey(self, line: str) -> Any:
        """Do what a line of COMMANDS says; from any thread.

        Returns:
            What is to be answered, as JSON holds it.

        Raises:
            SkyEyeError: it cannot be done; then nothing has changed.
        """
        meant, line = self._addressed(line.strip())
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        match word:
            case "status":
                return self._status(meant)
            case "phrase":
                return self._change(meant, lambda now: now.plus(task=Ground(rest)))
            case "question":
                return self._change(meant, lambda now: now.plus(task=Ask(rest)))
            case "alert":
                return self._change(meant, lambda now: now.plus(alert=parse_alert(rest)))
            case "forget":
                return self._change(meant, lambda now: now.without(rest))
            case "set_tasks":
                wanted = _parsed(rest)
                return self._change(meant, lambda now: replace(now, tasks=wanted))
            case "pause":
                return _each(meant, Stream.pause)
            case "resume":
                return _each(meant, Stream.resume)
            case "snapshot":
                return [str(self._snapshot(stream, rest, len(meant))) for stream in meant]
            case "stop":
                return _each(meant, Stream.stop)
            case "help":
                return [f"{command}: {what}" for command, what in COMMANDS.items()] + [EVERYBODY]
        known = ", ".join(command.partition(" ")[0] for command in COMMANDS)
        raise InputError(f"{word!r} is no command; there are {known}")

    def _addressed(self, line: str) -> tuple[list[Stream], str]:
        """Whom a line is for, and what it says."""
        streams = list(self._streams.streams)
        if not line.startswith("@"):
            return streams, line
        name = next(
            (each.source.name for each in streams if line.startswith(f"@{each.source.name} ")), None
        )
        if name is None:
            names = ", ".join(each.source.name for each in streams) or "none"
            raise InputError(f"{line.partition(' ')[0]}: no such source; there are: {names}")
        return [each for each in streams if each.source.name == name], line[len(name) + 2 :]

    def _status(self, meant: Sequence[Stream]) -> dict[str, Any]:
        return {
            "sources": [_source_status(stream) for stream in meant],
            "lost": {name: dict(lost) for name, lost in self._streams.sinks.losses.items()},
        }

    def _snapshot(self, stream: Stream, path: str, of: int) -> Path:
        if path and of > 1:
            raise InputError("snapshot: several sources, one file; say which: @NAME snapshot FILE")
        index = stream.newest.index if stream.newest else 0
        name = re.sub(r"[^\w.-]+", "-", stream.source.name).strip("-") or "stream"
        target = Path(path) if path else self._folder / f"snapshot-{name}-{index}.png"
        stream.snapshot(target)
        return target

    def _change(
        self, meant: Sequence[Stream], change: Callable[[_Asked], _Asked]
    ) -> list[dict[str, Any]]:
        """Ask something else of each."""
        wanted = [change(_Asked(stream.tasks, stream.alerts)) for stream in meant]
        if len(meant) == len(self._streams.streams) and len(set(wanted)) == 1:
            self._streams.set_tasks(wanted[0].tasks, wanted[0].alerts)  # also of those added later
        else:
            for stream, asked in zip(meant, wanted, strict=True):
                stream.set_tasks(asked.tasks, asked.alerts)
        return [_asked_values(stream) for stream in meant]


def _source_status(stream: Stream) -> dict[str, Any]:
    state, totals = stream.state, stream.totals
    return {
        "state": state.state if state else "CONNECTING",
        "cause": state.cause if state else "",
        "paused": stream.is_paused,
        **_asked_values(stream),
        "received": totals.received,
        "answered": stream.answered,
        "skipped": totals.skipped,
        "dropped": dict(totals.dropped),
    }


def _each(meant: Sequence[Stream], do: Callable[[Stream], None]) -> list[str]:
    for stream in meant:
        do(stream)
    return [stream.source.name for stream in meant]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked, and what is watched for."""

    tasks: tuple[Task, ...]
    alerts: tuple[Alert, ...]

    def plus(self, task: Task | None = None, alert: Alert | None = None) -> _Asked:
        tasks = {each: None for each in (*self.tasks, task) if each is not None}
        alerts = {each: None for each in (*self.alerts, alert) if each is not None}
        return _Asked(tuple(tasks), tuple(alerts))

    def without(self, text: str) -> _Asked:
        named = {task: task_text(task).partition(" ")[2] or task_text(task) for task in self.tasks}
        tasks = tuple(task for task in self.tasks if named[task] != text)
        alerts = tuple(alert for alert in self.alerts if text not in (alert.name, alert.phrase))
        if (tasks, alerts) == (self.tasks, self.alerts):
            known = ", ".join([*named.values(), *(alert.name for alert in self.alerts)])
            raise InputError(f"nothing is asked about {text!r}; there are: {known}")
        return _Asked(tasks, alerts)


def _asked_values(stream: Stream) -> dict[str, Any]:
    return {
        "source": stream.source.name,
        "prompt_version": stream.prompt_version,
        "tasks": [task_values(task) for task in stream.tasks],
        "alerts": [alert.name for alert in stream.alerts],
    }


def _parsed(text: str) -> tuple[Task, ...]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"set_tasks: no JSON ({error})") from error
    if not isinstance(values, list):
        raise InputError('set_tasks: give a list, as [{"task": "caption"}]')
    return tuple(parse_task(each) for each in values)
