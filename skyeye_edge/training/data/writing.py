"""Annotations as our own JSON Lines: what `readers/lines.py` reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from skyeye_edge.core.boxes import BoxSpec, Size
from skyeye_edge.core.results import PLACE, TaskResult, TextResult
from skyeye_edge.core.tasks import Detect, Ground, Task, instruction
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers import Found
from skyeye_edge.training.data.readers.image_files import image_size
from skyeye_edge.training.data.record import ImageSource, Turn, sizes_of
from skyeye_edge.training.data.video_frames import VideoFrame
from skyeye_edge.training.run_folder import write_whole


def write_lines(found: Iterable[Found], file: Path) -> int:
    """Write entries; returns how many. Names of images near `file` are relative to it.

    Pictures without a file are written beside it, into `<name>_images`.

    Raises:
        OSError: the file, or a picture, cannot be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps(_line(each, file, number), ensure_ascii=False)
        for number, each in enumerate(found)
    ]
    write_whole(file, "\n".join(lines))
    return len(lines)


def _line(found: Found, file: Path, number: int) -> dict[str, Any]:
    item = found.item
    values: dict[str, Any] = _images(item.images, file, number)
    optional = {
        "captions": list(item.captions),
        "class": item.scene,
        "boxes": _boxes(item),
        "questions": _questions(item),
        "absent": list(item.absent),
        "conversations": [_texts(turns, item) for turns in item.conversations],
        "unsure": sorted(item.cut),
        "upright": item.upright,
    }
    values |= {key: value for key, value in optional.items() if value}
    return values | {"split": found.split}


def _images(images: tuple[ImageSource, ...], file: Path, number: int) -> dict[str, Any]:
    first = images[0]
    if isinstance(first, VideoFrame):
        shares = [frame.share for frame in images if isinstance(frame, VideoFrame)]
        return {"image": _relative(first.path, file), "frames": shares}
    names = [_relative(_kept(each, file, f"{number}_{n}"), file) for n, each in enumerate(images)]
    return {"image": names[0]} if len(names) == 1 else {"images": names}


def _kept(image: ImageSource, file: Path, name: str) -> Path:
    """The file of an image; one that has none is written."""
    if not isinstance(image, np.ndarray):
        assert isinstance(image, Path)  # frames of videos are not mixed with other images
        return image
    path = file.with_name(f"{file.stem}_images") / f"{name}.png"
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(image).save(path)
    return path


def _relative(image: Path, file: Path) -> str:
    here, there = file.absolute().parent, image.absolute()
    near = here.parent in there.parents
    return Path(os.path.relpath(there, here) if near else there).as_posix()


def _boxes(item: Annotation) -> list[dict[str, Any]]:
    """Boxes with their labels and phrases: a phrase stands with the object that it means."""
    left = list(item.phrases)
    boxes = []
    for box, label in item.objects:
        values: dict[str, Any] = {"bbox": list(box), "label": label}
        if own := next((each for each in left if each[1] == box), None):
            left.remove(own)
            values["phrase"] = own[0]
        boxes.append(values)
    return boxes + [{"bbox": list(box), "phrase": words} for words, box in left]


def _texts(turns: Sequence[Turn], item: Annotation) -> list[dict[str, str]]:
    """A conversation as LLaVA has it; boxes are shares of the image, turned ones GeoChat's."""
    size = image_size(item.image) if isinstance(item.image, Path) else sizes_of([item.rgb])[0]
    said = []
    for turn in turns:
        turned = any(box.angle for box in (*turn.boxes, *turn.target.boxes))
        boxes = BoxSpec(format="geochat") if turned else BoxSpec(bins=1000, format="normalised")
        task, answer = replace(turn, target=_marked(turn.target)).written(size, boxes)
        said.append({"from": "human", "value": _instruction(task, size, boxes)})
        said.append({"from": "gpt", "value": answer})
    return said


def _marked(target: TaskResult) -> TaskResult:
    """With marks around the words that boxes belong to: lists of shares have none of their own."""
    if not isinstance(target, TextResult):
        return target
    text = ""
    rest = target.text
    for words, _ in target.phrases:
        before, found, rest = rest.partition(words or PLACE)
        text += before + (f"<p>{words}</p> {PLACE}" if words and found else found)
    unnamed = tuple(("", found) for _, found in target.phrases)
    return replace(target, text=text + rest, phrases=unnamed)


def _instruction(task: Task | str, size: Size, boxes: BoxSpec) -> str:
    """The question in MiniGPT-v2's words, phrases marked so that they are found again."""
    match task:
        case str():
            return task
        case Ground(phrase=phrase):
            return f"[refer] give me the location of <p>{phrase}</p>"
        case Detect(name=name):
            return f"[detection] <p>{name}</p>"
    return instruction(task, size, boxes)


def _questions(item: Annotation) -> list[dict[str, str]]:
    types = item.question_types or ("",) * len(item.questions)
    return [
        {"question": question, "answer": answer} | ({"type": kind} if kind else {})
        for (question, answer), kind in zip(item.questions, types, strict=True)
    ]
