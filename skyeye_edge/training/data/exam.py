"""Annotated images as questions with known answers: what `skyeye-edge evaluate` asks."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.core.errors import DataError
from skyeye_edge.core.results import GroundResult, TextResult
from skyeye_edge.core.tasks import Ask, Caption, Classify, Detect, Ground, Identify, Task
from skyeye_edge.evaluation import TASK_NAMES, Answered, Sample, TaskName, evenly, plain_kind
from skyeye_edge.training.data.annotation import Annotation, DataSet
from skyeye_edge.training.data.benchmark import Benchmark
from skyeye_edge.training.data.builders.known import missing_labels, sure_objects
from skyeye_edge.training.data.readers import read_annotations
from skyeye_edge.training.data.record import ImageSource, read_rgb
from skyeye_edge.training.data.video_frames import VideoFrame

# Absent labels that are asked of an image: a share of all, evenly spaced.
MOST_ABSENT = 3


def read_samples(wanted: Benchmark) -> list[Sample]:
    """The questions of a set.

    Raises:
        DataError: the file is missing or wrong, or there is nothing to ask.
    """
    items = read_annotations(wanted.path, wanted.format, wanted.split, wanted.images)
    samples = build_samples(DataSet(wanted.path.stem, tuple(items)), wanted.tasks)
    images = list(dict.fromkeys(each.unanswered.image for each in samples))
    kept = set(evenly(images, wanted.limit))
    samples = [each for each in samples if each.unanswered.image in kept]
    if not samples:
        asked = f" of {', '.join(wanted.tasks)}" if wanted.tasks else ""
        raise DataError(
            f"{wanted.path}: nothing to ask{asked}: the images of split {wanted.split!r} have no "
            "answer to it"
        )
    return samples


def build_samples(data: DataSet, tasks: Sequence[TaskName] = ()) -> list[Sample]:
    """The questions of a set, image by image; their keys name image and question.

    Args:
        data: annotated images; phrases are the annotated ones, and `the <label>` where an image
            has one object of that label. Absent are the annotated phrases, and of the labels that
            an image has none of some, if it has other objects.
        tasks: which questions; none: all that the set knows answers to.
    """
    numbers: Counter[str] = Counter()  # one image may stand in several lines
    samples = []
    for item, name in zip(data.annotations, _names(data.annotations, data.name), strict=True):
        pictures = tuple(
            partial(read_rgb, each) if isinstance(each, VideoFrame) else each
            for each in item.images
        )
        for task in tasks or TASK_NAMES:
            for asked, known in _questions(task, item, data):
                start = f"{name}#{task}"
                key = f"{start}:{numbers[start]}"
                numbers[start] += 1
                samples.append(Sample(pictures, asked, Answered(key, name, task, **known)))
    return samples


def _questions(
    task: TaskName, item: Annotation, data: DataSet
) -> Iterator[tuple[Task, dict[str, Any]]]:
    """What is asked of an image, and what is known of the answer."""
    match task:
        case "caption" if item.captions:
            yield Caption(), {"references": item.captions}
        case "ground":
            for words, box in dict(_present(item)).items():
                yield Ground(words), {"asked": words, "truth": (box,)}
        case "absent":
            for words in _absent(item, data.labels):
                yield Ground(words), {"asked": words}
        case "detect":
            objects = sure_objects(item)
            for label in sorted({label for _, label in objects}):
                boxes = tuple(box for box, name in objects if name == label)
                yield Detect(label), {"asked": label, "truth": boxes}
        case "ask":
            kinds = item.question_types or ("",) * len(item.questions)
            for (question, answer), kind in zip(item.questions, kinds, strict=True):
                yield (
                    Ask(question),
                    {
                        "asked": question,
                        "kind": plain_kind(kind),
                        "references": (answer,),
                    },
                )
        case "classify" if item.scene and len(data.scenes) > 1:
            yield Classify(data.scenes), {"references": (item.scene,)}
        case "identify":
            for box, label in dict.fromkeys([*item.objects, *_identified(item)]):
                yield Identify(box), {"references": (label,), "truth": (box,)}


def _present(item: Annotation) -> list[tuple[str, XYXY]]:
    objects = sure_objects(item)
    counts = Counter(label for _, label in objects)
    unique = [(f"the {name}", box) for box, name in objects if counts[name] == 1]
    return [*unique, *item.phrases, *_placed(item)]


def _placed(item: Annotation) -> Iterator[tuple[str, XYXY]]:
    """Phrases with the upright box around theirs, of conversations: none needs what was before."""
    for turn in chain.from_iterable(item.conversations):
        match turn.task, turn.target:
            case Ground(phrase=phrase), GroundResult(boxes=(box,)):
                yield phrase, box.hull


def _identified(item: Annotation) -> Iterator[tuple[XYXY, str]]:
    """Boxes of conversations with what is in them."""
    for turn in chain.from_iterable(item.conversations):
        match turn.task, turn.target:
            case Identify(box=box), TextResult(text=words):
                yield box, words


def _absent(item: Annotation, labels: Sequence[str]) -> list[str]:
    missing = [f"the {label}" for label in missing_labels(item, labels)]
    return list(dict.fromkeys([*item.absent, *evenly(missing, MOST_ABSENT)]))


def _names(annotations: Sequence[Annotation], data: str) -> list[str]:
    """A short name for the images of each annotation: its path below the folder of all of them."""
    files = [_file(item.image) for item in annotations]
    known = [file.parent for file in files if file is not None]
    folder = Path(os.path.commonpath(known)) if known else Path()
    return [
        f"{data} {number}" if file is None else file.relative_to(folder).as_posix()
        for number, file in enumerate(files)
    ]


def _file(image: ImageSource) -> Path | None:
    """Where an image lies; None if it was drawn."""
    if isinstance(image, VideoFrame):
        return image.path
    return image if isinstance(image, Path) else None
