"""How many alerts of a model are right: things that come and go, and real clips.

    python benchmarks/alerts.py [--bundle PATH] [--visits 25] [--data DIR]

A visit shows a picture without the thing for five seconds, one with it for five, and the first one
for six; a frame a second, each moved on by some pixels. An alert should begin while it is there and
end behind that. The pictures are drawn scenes, and with DIR (`shared/data`) validation images of
satellites and drones. Of each kind and way:

    right    one begin and one end, each in its time
    missed   no begin while it was there
    false    a begin while it was not there
    held     it began, and did not end in the six seconds behind

and over the real clips, in which a thing is to be seen all or most of the time, or never, how often
it began and the share of the answers that saw it while it stood.
What limits it: the model. Two of three answers must agree, so where they err apart, with a chance
of e each, a frame begins a false alert with a chance of about 2 e^2.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Iterable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

import skyeye_edge as sky
from measure import REPO, report
from skyeye_edge.training.data.synthetic import render_scene

Rgb = npt.NDArray[np.uint8]
BEFORE, THERE, BEHIND = 5, 5, 6  # seconds
STEP = 3  # pixels a second
SCENES = 60
FIRST_SEED = 1_000_000  # scenes that nothing was trained on
DRAWN = {"a boat": "boat", "a car": "car"}
# Thing, the set that shows it, and one that does not.
REAL = (
    ("a car", "drone_view_vehicles", "ships"),
    ("a car", "psu_cars", "airbus_planes"),
    ("an airplane", "airbus_planes", "drone_view_vehicles"),
    ("a ship", "ships", "drone_view_vehicles"),
)
CLIPS = {
    "car_follow": {"a car": True, "a boat": False},
    "boat_hover": {"a boat": True, "an airplane": False},
    "wakeboard_fast": {"a boat": True, "a car": False},
    "group_walk": {"a person": True, "a boat": False},
    "building_approach": {"a building": True, "a boat": False},
}
WAYS: tuple[Any, ...] = ("yes_no", "ground")


def main() -> int:
    """Run the benchmark; the last line of stdout is one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, help="default: the packaged model")
    parser.add_argument("--visits", type=int, default=25, help="of each kind; default: 25")
    parser.add_argument("--data", type=Path, default=shared() / "data")
    parser.add_argument("--quick", action="store_true", help="two visits of drawn scenes")
    args = parser.parse_args()
    if args.quick:
        args.visits, args.data = 2, Path("none")
    try:
        with sky.load(args.bundle) as model:
            figures = measure(model, args.data, args.visits)
    except sky.SkyEyeError as error:
        print(f"alerts: {error}", file=sys.stderr)
        return error.exit_code
    report("alerts", figures)
    return 0


def shared() -> Path:
    """Where data lie that do not belong to the project."""
    return Path(os.environ.get("SKYEYE_SHARED") or REPO.parent / "shared")


def measure(model: sky.Model, data: Path, visits: int) -> dict[str, Any]:
    """Counts of visits, and what was said of clips, of each way."""
    found: dict[str, Any] = {}
    kinds = [(f"{thing}, drawn", thing, *drawn(kind)) for thing, kind in DRAWN.items()]
    for thing, there, elsewhere in REAL:
        if (data / "boxes" / there).is_dir():
            pictures = images(data / "boxes" / there), images(data / "boxes" / elsewhere)
            kinds.append((f"{thing}, {there}", thing, *pictures))
    for name, thing, showing, empty in kinds:
        for way in WAYS:
            alert = sky.Alert(thing, by=way, cooldown=0)
            pairs = islice(zip(cycle(showing), cycle(empty), strict=False), visits)
            found[f"{name} by {way}"] = count(visit(model, alert, *pair) for pair in pairs)
    clips = {
        f"{name}: {thing}{'' if there else ' (never there)'} by {way}": stood(
            model, data / "clips" / f"{name}.mp4", sky.Alert(thing, by=way, cooldown=0)
        )
        for name, things in CLIPS.items()
        for thing, there in things.items()
        for way in WAYS
        if (data / "clips" / f"{name}.mp4").is_file()
    }
    right = sum(outcomes["right"] for outcomes in found.values())
    return {"ratio": right / (visits * len(found)), "visits": found, "clips": clips, "each": visits}


def drawn(kind: str) -> tuple[list[Rgb], list[Rgb]]:
    """Scenes with and without a kind of thing."""
    scenes = [render_scene(FIRST_SEED + number) for number in range(SCENES)]
    pictures = [(np.asarray(each.image), {one.kind for one in each.objects}) for each in scenes]
    return (
        [picture for picture, kinds in pictures if kind in kinds],
        [picture for picture, kinds in pictures if kind not in kinds],
    )


def images(folder: Path) -> list[Rgb]:
    """Validation images of a set, in an order of chance."""
    entries = json.loads((folder / "annotations.json").read_text("utf-8"))
    files = [each["file"] for each in entries if each["split"] == "val" and each["boxes"]]
    random.Random(0).shuffle(files)  # noqa: S311 - repeatable, not secret
    return [
        np.asarray(Image.open(folder / "images" / Path(file).name).convert("RGB")) for file in files
    ]


def visit(model: sky.Model, alert: sky.Alert, showing: Rgb, empty: Rgb) -> str:
    """What the alert made of one visit."""
    shown = [empty] * BEFORE + [showing] * THERE + [empty] * BEHIND
    camera = sky.Push(slots=len(shown))
    for second, picture in enumerate(shown):
        camera.push(np.roll(picture, STEP * second, axis=1), time=float(second))
    camera.end()
    with model.stream(camera, every=0, alerts=[alert]) as events:
        told = [event for event in events if isinstance(event, sky.AlertEvent)]
    begins = [event.time for event in told if event.phase == "begin"]
    there = [BEFORE <= time < BEFORE + THERE for time in begins]
    if not all(there):
        return "false"
    if not begins:
        return "missed"
    return "right" if all(each.why != "ended" for each in told) else "held"


def count(outcomes: Iterable[str]) -> dict[str, int]:
    """How often each."""
    said = list(outcomes)
    return {name: said.count(name) for name in ("right", "missed", "false", "held")}


def stood(model: sky.Model, clip: Path, alert: sky.Alert) -> dict[str, float]:
    """How often an alert began over a clip, and the share of the answers at which it stood."""
    began = seen = answers = 0
    with model.stream(clip, every=1.0, alerts=[alert]) as events:
        for event in events:
            if isinstance(event, sky.AnswerEvent):
                answers += 1
            elif isinstance(event, sky.AlertEvent):
                began += event.phase == "begin"
                seen += event.phase != "end"
    return {"begins": began, "seen": seen / max(1, answers)}


if __name__ == "__main__":
    sys.exit(main())
