"""Annotations as our own JSON Lines: what `readers/lines.py` reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers import Found
from skyeye_edge.training.data.record import ImageSource
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
    write_whole(file, "".join(f"{line}\n" for line in lines))
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


def _questions(item: Annotation) -> list[dict[str, str]]:
    types = item.question_types or ("",) * len(item.questions)
    return [
        {"question": question, "answer": answer} | ({"type": kind} if kind else {})
        for (question, answer), kind in zip(item.questions, types, strict=True)
    ]
