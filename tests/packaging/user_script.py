"""A user's program, for type checkers at their strictest: nothing forced, nothing left out.

python user_script.py flight.mp4 photo.jpg
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

import skyeye_edge as sky


def look(model: sky.Model, image: Path) -> tuple[str, list[tuple[str, float]]]:
    """What the image shows, and where its boats and cars are."""
    caption, boat = model.run(image, (sky.Caption(), sky.Ground("a boat")))
    where = [(boat.phrase, box.xyxy[0]) for box in boat.boxes]
    cars = model.detect(image, ["car"])["car"]
    where += [(box.label, box.score) for box in cars.boxes]
    scene = model.classify(image, ["harbour", "farmland"]).label
    boat.save(image.with_suffix(".boat.png"))
    return f"{caption.text} ({scene})", where


def look_again(model: sky.Model, image: npt.NDArray[np.uint8]) -> bool:
    """The same with a list: every kind of result has text, boxes and found."""
    caption, boat = model.run(image, [sky.Caption(), sky.Ground("a boat")])
    picture = sky.plot([caption, boat], image)
    left: list[float] = [box.xyxy[0] for box in boat.boxes]
    return boat.found and bool(caption.text) and picture.width > min(left, default=0.0)


def report(results: Sequence[sky.TaskResult]) -> str:
    """A line that tells the kinds apart."""
    parts: list[str] = []
    for result in results:
        match result:
            case sky.TextResult():
                parts.append(result.text)
            case sky.ClassifyResult():
                parts.append(result.label)
            case sky.GroundResult(phrase=name) | sky.DetectResult(name=name):
                parts.append(f"{name}: {len(result.boxes)}")
        parts.append(json.dumps(result.to_dict()["score"]))
    return " ".join(parts)


def watch(model: sky.Model, source: str | Path) -> int:
    """Print what a stream says; the number of frames with a boat."""
    boats = 0
    tasks: list[sky.Task] = [sky.Caption(), sky.Ground("a boat", min_score=0.2)]
    with model.stream(source, tasks, every=1.0) as events:
        for event in events:
            if isinstance(event, sky.AnswerEvent):
                caption, boat = event.results
                boats += boat.found
                print(event.time, caption.text, boat.boxes, report(event.results), event.user)
            elif isinstance(event, sky.SummaryEvent):
                print(event.counts.received, event.answered)
    return boats


def main() -> None:
    """Both."""
    camera = sky.Push("camera")
    camera.push(np.zeros((360, 640, 3), np.uint8), time=0.5, user={"stamp": [12, 5]})
    camera.end()
    with sky.load(min_score=0.1) as model:
        print(look(model, Path(sys.argv[2])), watch(model, Path(sys.argv[1])))
        for event in model.stream(camera, [sky.Ask("Is there smoke?")], every=0):
            again = sky.parse_event(event.to_json())
            print(type(again).__name__ if again is None else again.source)


if __name__ == "__main__":
    main()
