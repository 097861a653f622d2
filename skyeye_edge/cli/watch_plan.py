"""What `watch` is to do: from its options, or from a YAML file that can be read anew."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyeye_edge.cli.options import asked_alerts, asked_tasks
from skyeye_edge.core.address import is_like_address
from skyeye_edge.core.arguments import check_flag, check_number, check_text
from skyeye_edge.core.errors import InputError

if TYPE_CHECKING:
    from skyeye_edge.core.tasks import Task
    from skyeye_edge.runtime.alerts import Alert

UNIX = "unix:"  # before the path of a socket
LARGEST = 2**20  # bytes of a plan


@dataclass(frozen=True)
class SourcePlan:
    """One source."""

    url: str
    priority: float = 1.0
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SinkPlan:
    """One sink."""

    to: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What is watched, what is asked, and where it goes; options as for `Model.streams`."""

    sources: tuple[SourcePlan, ...]
    tasks: tuple[Task, ...]
    sinks: tuple[SinkPlan, ...] = ()
    every: float = 1.0
    gate: bool | None = None
    heartbeat: float = 5.0
    max_age: float | None = None
    max_latency: float | None = None
    keep_damaged: bool = False
    alerts: tuple[Alert, ...] = ()
    record: str | None = None  # a folder
    record_gib: float = 16.0

    def options(self) -> dict[str, Any]:
        """What holds for all sources alike, as `Model.streams` takes it."""
        alike = ("every", "gate", "heartbeat", "max_age", "max_latency", "keep_damaged")
        recorded = ("record", "record_gib")
        return {name: getattr(self, name) for name in (*alike, *recorded)}


def plan_of_options(args: argparse.Namespace) -> Plan:
    """The plan of the command line.

    Raises:
        InputError: not as many priorities as URLs.
    """
    from skyeye_edge.core.tasks import Caption

    shares = [1.0] * len(args.urls) if args.priority is None else args.priority
    if len(shares) != len(args.urls):
        raise InputError(
            f"--priority: {len(shares)} numbers for {len(args.urls)} URLs; give one each"
        )
    options = dict(args.source_option)
    sources = (
        SourcePlan(url, share, options) for url, share in zip(args.urls, shares, strict=True)
    )
    plan = Plan(
        tuple(sources),
        (Caption(), *asked_tasks(args)),
        tuple(SinkPlan(to) for to in args.sinks),
        args.every,
        args.gate,
        args.heartbeat,
        args.max_age,
        args.max_latency,
        args.keep_damaged,
        tuple(asked_alerts(args)),
        None if args.record is None else str(args.record),
        args.record_gib,
    )
    return with_folder(plan, args.output)


def with_folder(plan: Plan, folder: Path | None) -> Plan:
    """The plan, with a file of events in a folder if there is one."""
    if folder is None:
        return plan
    return replace(plan, sinks=(SinkPlan(f"{folder}{os.sep}"), *plan.sinks))


def read_plan(path: Path) -> Plan:
    """The plan of a YAML file; files that it names are relative to its folder.

    Raises:
        InputError: it cannot be read, or says what no plan says; the message names the key.
    """
    import yaml

    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if len(text) > LARGEST:
        raise InputError(f"{path}: longer than {LARGEST >> 20} MiB; this is no plan")
    try:
        values = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:  # its own text shows lines, which may hold passwords
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{path}{line}: no YAML ({error.problem})") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: no YAML ({type(error).__name__})") from None
    try:
        return _plan(values, path.parent)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _plan(values: object, folder: Path) -> Plan:
    from skyeye_edge.core.tasks import parse_task
    from skyeye_edge.runtime.alerts import as_alerts, parse_alert

    given = _mapping(values, "the file", [each.name for each in fields(Plan)])
    sources = tuple(_source(each, folder) for each in _list(given, "sources"))
    if len({each.url for each in sources}) != len(sources):
        raise InputError("sources: one stands there twice")
    tasks = tuple(parse_task(each) for each in _list(given, "tasks")) or (parse_task("caption"),)
    sinks = tuple(_sink(each, folder) for each in _list(given, "sinks"))
    alerts = as_alerts(
        [
            parse_alert(each if isinstance(each, str) else _mapping(each, "an alert", None))
            for each in _list(given, "alerts")
        ]
    )
    plan = Plan(sources, tasks, sinks, alerts=alerts, **_options(given, folder))
    if not sources:
        raise InputError("sources: there is nothing to watch; name at least one")
    return plan


def _options(given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    numbers = ("every", "heartbeat", "max_age", "max_latency", "record_gib")
    flags = ("gate", "keep_damaged")
    options = {name: given[name] for name in (*numbers, *flags) if name in given}
    for name, value in options.items():
        if name in flags:
            check_flag(value, name)
        else:
            check_number(value, f"{name} (GiB)" if name == "record_gib" else f"{name} (seconds)", 0)
    if "record" in given:
        check_text(given["record"], "record")
        options["record"] = _place(given["record"], folder)
    return options


def _source(value: object, folder: Path) -> SourcePlan:
    if isinstance(value, int):  # - 0, the first camera
        value = str(value)
    if isinstance(value, str):
        return SourcePlan(_source_place(value, folder))
    given = _mapping(value, "a source", ["url", "priority", "options"])
    check_text(given.get("url"), "sources: url")
    priority = given.get("priority", 1.0)
    check_number(priority, "sources: priority", 0)
    options = _mapping(given.get("options", {}), "sources: options", None)
    said = {name: str(said) for name, said in options.items()}
    return SourcePlan(_source_place(given["url"], folder), float(priority), said)


def _source_place(text: str, folder: Path) -> str:
    """Only what is a file lies where the plan does: no camera, pipeline or standard input."""
    from skyeye_edge.runtime.sources.registry import is_live

    return text if is_live(text) and not text.endswith(".sdp") else _place(text, folder)


def _sink(value: object, folder: Path) -> SinkPlan:
    if isinstance(value, str):
        return SinkPlan(_place(value, folder))
    given = dict(_mapping(value, "a sink", None))
    check_text(given.get("to"), "sinks: to")
    return SinkPlan(_place(given.pop("to"), folder), given)


def _place(text: str, folder: Path) -> str:
    """Files are meant from where the plan lies; a slash at the end stays."""
    if text.startswith(UNIX):
        return f"{UNIX}{folder / text.removeprefix(UNIX)}"
    return text if is_like_address(text) else f"{folder / text}{'/' * text.endswith('/')}"


def _mapping(value: object, what: str, names: Sequence[str] | None) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        kind = type(value).__name__  # the value itself may hold a password
        raise InputError(f"{what}: give names and values, as in `every: 1`, no {kind}")
    unknown = [name for name in value if names is not None and name not in names]
    if unknown and names is not None:
        raise InputError(f"{what}: {unknown[0]!r} is unknown; there are {', '.join(names)}")
    return value


def _list(given: Mapping[str, Any], name: str) -> Iterator[object]:
    value = given.get(name) or []
    if not isinstance(value, list):
        raise InputError(f"{name}: give a list, each behind a dash")
    yield from value
