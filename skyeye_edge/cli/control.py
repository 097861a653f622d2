"""`skyeye-edge control`: commands to a `watch` that runs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from skyeye_edge.cli.options import Commands, add_command, add_json

EXAMPLES = (
    "skyeye-edge control /run/user/1000/skyeye.sock phrase a boat",
    "skyeye-edge control /run/user/1000/skyeye.sock status --json",
)


def add_parser(commands: Commands) -> None:
    """Options of `control`."""
    summary = "Tell a `watch --control SOCKET` that runs what to do; `help` lists the commands."
    parser = add_command(commands, "control", summary, EXAMPLES)
    parser.add_argument("socket", type=Path, metavar="SOCKET", help="as given to watch --control")
    parser.add_argument("words", nargs="+", metavar="COMMAND", help="such as pause, or help")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge control`."""
    from skyeye_edge.runtime.control_socket import send_command

    result = send_command(args.socket, " ".join(args.words))
    print(json.dumps(result, ensure_ascii=False) if args.json else result_text(result))
    return 0


def result_text(result: Any) -> str:
    """What a command gave, for people: a line for each thing."""
    if isinstance(result, dict):
        lost = [
            f"lost to {name}: {number} events ({cause})"
            for name, causes in result["lost"].items()
            for cause, number in causes.items()
        ]
        return "\n".join([*map(_source_line, result["sources"]), *lost])
    return "\n".join(each if isinstance(each, str) else _tasks_line(each) for each in result)


def _source_line(status: dict[str, Any]) -> str:
    paused = ", paused" if status["paused"] else ""
    dropped = sum(status["dropped"].values())
    return (
        f"{status['source']}: {status['state']} ({status['cause']}){paused}; "
        f"{status['received']} frames: {status['answered']} answered, {status['skipped']} not due, "
        f"{dropped} dropped\n{_tasks_line(status)}"
    )


def _tasks_line(values: dict[str, Any]) -> str:
    tasks = "; ".join(" ".join(str(said) for said in task.values()) for task in values["tasks"])
    alerts = "".join(f"; alert {name}" for name in values["alerts"])
    return f"{values['source']}: asked (version {values['prompt_version']}): {tasks}{alerts}"
