"""What there is: counts, words, tokens and sizes of boxes, per split and task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.core.errors import needs
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers import Found

Task = str  # caption, phrase, absent, question, answer, turn (of a conversation), class
SMALL, LARGE = 32**2, 96**2  # pixels: as COCO parts boxes
MOST_LISTED = 20  # labels, classes and words


@dataclass(frozen=True, slots=True)
class Spread:
    """How a quantity is spread."""

    number: int
    mean: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        table = np.array(values, float)
        mean, median = round(float(table.mean()), 2), float(np.median(table))
        return cls(len(values), mean, median, float(table.max()))


@dataclass(slots=True)
class SplitStatistics:
    """Of one split."""

    entries: int = 0
    images: int = 0  # different ones
    tasks: dict[Task, int] = field(default_factory=dict)  # texts of each, boxes
    words: dict[Task, Spread] = field(default_factory=dict)
    tokens: dict[Task, Spread] = field(default_factory=dict)  # with a tokenizer only
    different_words: int = 0
    boxes: dict[str, int] = field(default_factory=dict)  # small, medium, large, as COCO has them
    box_side: Spread | None = None  # pixels: square root of the area
    objects_per_image: Spread | None = None
    labels: dict[str, int] = field(default_factory=dict)  # the most frequent first
    classes: dict[str, int] = field(default_factory=dict)
    commonest: dict[str, int] = field(default_factory=dict)  # words of captions

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


def statistics(
    found: Iterable[Found], encode: Callable[[str], Sequence[int]] | None = None
) -> dict[str, SplitStatistics]:
    """By split, in the order of the file.

    Args:
        found: entries.
        encode: ids of a text; without it no tokens are counted.
    """
    splits: dict[str, list[Annotation]] = {}
    for each in found:
        splits.setdefault(each.split, []).append(each.item)
    return {name: _of_split(items, encode) for name, items in splits.items()}


def texts_of(item: Annotation) -> dict[Task, tuple[str, ...]]:
    """What is said about an image, by task."""
    return {
        "caption": item.captions,
        "phrase": tuple(words for words, _ in item.phrases),
        "absent": item.absent,
        "question": tuple(question for question, _ in item.questions),
        "answer": tuple(answer for _, answer in item.questions),
        "turn": tuple(turn.target.words() for turns in item.conversations for turn in turns),
        "class": (item.scene,) if item.scene else (),
    }


def box_side(box: XYXY) -> float:
    """Pixels: square root of a box's area."""
    return float(np.sqrt(max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])))


def _of_split(
    items: Sequence[Annotation], encode: Callable[[str], Sequence[int]] | None
) -> SplitStatistics:
    texts: dict[Task, list[str]] = {}
    for item in items:
        for task, told in texts_of(item).items():
            texts.setdefault(task, []).extend(told)
    said = {task: told for task, told in texts.items() if told}
    boxes = [box for item in items for box, _ in item.objects]
    boxed = {"box": len(boxes)} if boxes else {}
    crowds = [len(item.objects) for item in items if item.objects]
    sides = [box_side(box) for box in boxes]
    spoken = Counter(word for words in said.get("caption", ()) for word in words.lower().split())
    return SplitStatistics(
        entries=len(items),
        images=len({str(image) for item in items for image in item.images}),
        tasks={task: len(told) for task, told in said.items()} | boxed,
        words={task: Spread.of([len(t.split()) for t in told]) for task, told in said.items()},
        tokens={task: Spread.of([len(encode(t)) for t in told]) for task, told in said.items()}
        if encode
        else {},
        different_words=len(spoken),
        boxes=_coco_sizes(sides) if boxes else {},
        box_side=Spread.of(sides) if boxes else None,
        objects_per_image=Spread.of(crowds) if crowds else None,
        labels=dict(Counter(label for item in items for _, label in item.objects).most_common()),
        classes=dict(Counter(item.scene for item in items if item.scene).most_common()),
        commonest=dict(spoken.most_common(MOST_LISTED)),
    )


def _coco_sizes(sides: Sequence[float]) -> dict[str, int]:
    kinds = Counter(
        "small" if side**2 < SMALL else "large" if side**2 >= LARGE else "medium" for side in sides
    )
    return {name: kinds[name] for name in ("small", "medium", "large")}


def draw_chart(found: Sequence[Found], file: Path) -> Path:
    """Words of texts, sizes of boxes, labels and classes as one picture; what there is of them."""
    with needs("training"):
        from matplotlib.figure import Figure
    items = [each.item for each in found]
    figure = Figure(figsize=(11, 7), layout="constrained")
    words, sides, labels, classes = figure.subplots(2, 2).ravel()
    for task in ("caption", "question", "answer", "phrase"):
        lengths = [len(text.split()) for item in items for text in texts_of(item)[task]]
        if lengths:
            words.hist(lengths, bins=30, alpha=0.6, label=task)
            words.legend()
    words.set_title("words of a text", fontsize=9)
    sides.hist([box_side(box) for item in items for box, _ in item.objects], bins=40)
    sides.set_title("side of a box, pixels", fontsize=9)
    _bars(labels, Counter(label for item in items for _, label in item.objects), "boxes")
    _bars(classes, Counter(item.scene for item in items if item.scene), "entries of a class")
    for axes in (words, sides, labels, classes):
        axes.set_visible(any(patch.get_width() * patch.get_height() for patch in axes.patches))
    figure.savefig(file, dpi=100)
    return file


def _bars(axes: Any, counts: Counter[str], title: str) -> None:
    common = counts.most_common(MOST_LISTED)[::-1]
    axes.barh([name[:24] for name, _ in common], [number for _, number in common])
    axes.set_title(title, fontsize=9)
    axes.tick_params(axis="y", labelsize=7)
