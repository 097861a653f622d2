"""Images in memory, and an endless stream of augmented samples with questions of every kind."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch.utils.data import IterableDataset

from skyeye_edge.core.boxes import XYXY, Box
from skyeye_edge.core.preprocess import normalise
from skyeye_edge.core.results import ClassifyResult, GroundResult, TextResult
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.core.tasks import Ask, Caption, Classify, Describe, Ground
from skyeye_edge.training.data.builders.boxes import (
    Object,
    absent_turns,
    detect_turns,
    ground_turns,
    identify_turns,
    question_turns,
)
from skyeye_edge.training.data.builders.turns import spaced
from skyeye_edge.training.data.collate import Tokenizer
from skyeye_edge.training.data.record import RGB, Turn
from skyeye_edge.training.pretrain.augment import (
    augment,
    change_colours,
    crop_around,
    dense_targets,
)
from skyeye_edge.training.pretrain.packing import Row, pack, stack

T = TypeVar("T")
Weighted = tuple[Turn, float]


@dataclass(frozen=True, slots=True, eq=False)
class Captioned:
    """A scene with sentences and a class."""

    rgb: RGB
    captions: tuple[str, ...]
    scene: str


@dataclass(frozen=True, slots=True, eq=False)
class Boxed:
    """An image with annotated objects; `labels` are all that its data set knows."""

    rgb: RGB
    objects: tuple[Object, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A synthetic scene with what it knows about itself; boxes in 0..1."""

    rgb: RGB
    captions: tuple[str, ...]
    phrases: tuple[tuple[str, XYXY], ...]
    absent: tuple[str, ...]
    questions: tuple[tuple[str, str], ...]
    objects: tuple[Object, ...] = ()


@dataclass(frozen=True, slots=True)
class Targets:
    """What the throw-away heads learn."""

    scenes: tuple[str, ...]  # classes of RSICD
    words: tuple[str, ...]  # of its captions, without stop words
    labels: tuple[str, ...]  # of objects, real and synthetic


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One augmented image with everything that is learnt from it."""

    rgb: RGB  # (S, S, 3)
    turns: list[Weighted]
    scene: int = -1
    words: dict[int, float] = field(default_factory=dict)
    objects: list[tuple[XYXY, int]] = field(default_factory=list)  # boxes in 0..1, label
    dense: bool = False  # objects are known, so that their absence means something


EVERY_NAME = 0.25  # share of captioned images that are asked for their class among all classes
LONGEST = 116  # positions of a packed row: more questions are left out
# Labels that one set may have without naming them, so that they are never called absent in another.
EVERYWHERE = {"car", "other", "other vehicle", "person", "tree", "dock", "bicycle", "harbor"}
STOP = set(
    [
        "a",
        "an",
        "the",
        "of",
        "in",
        "on",
        "at",
        "to",
        "is",
        "are",
        "and",
        "with",
        "by",
        "near",
        "some",
        "many",
        "there",
        "this",
        "it",
        "its",
        "from",
        "for",
        "as",
        "be",
        "has",
        "have",
    ]
)


def read_captioned(folder: Path, split: str) -> list[Captioned]:
    """RSICD in the layout of `captions.json` and `scene_classes.json`."""
    classes = json.loads((folder / "scene_classes.json").read_text("utf-8"))
    found = []
    for entry in json.loads((folder / "captions.json").read_text("utf-8")):
        if entry["split"] == split:
            rgb = _read(folder / "images" / entry["file"])
            captions = tuple(" ".join(text.lower().split()) for text in entry["captions"])
            found.append(Captioned(rgb, captions, classes[entry["file"]]))
    return found


def read_boxed(folder: Path, split: str) -> list[Boxed]:
    """One set: its `annotations.json` and `images/`."""
    found = []
    entries = json.loads((folder / "annotations.json").read_text("utf-8"))
    labels = tuple(sorted({box["label"] for entry in entries for box in entry["boxes"]}))
    for entry in entries:
        if entry["split"] == split and entry["boxes"]:
            rgb = _read(folder / "images" / entry["file"])
            objects = tuple((_corners(b["bbox"]), b["label"]) for b in entry["boxes"])
            found.append(Boxed(rgb, objects, labels))
    return found


def _corners(values: Sequence[float]) -> XYXY:
    x1, y1, x2, y2 = values
    return float(x1), float(y1), float(x2), float(y2)


def _read(path: Path) -> RGB:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def build_targets(
    captioned: Sequence[Captioned], boxed: Sequence[Boxed], drawn: Sequence[Drawn]
) -> Targets:
    """Class lists of the throw-away heads; words stand in at least 30 images."""
    words = Counter(w for item in captioned for w in {w for c in item.captions for w in c.split()})
    kept = tuple(sorted(w for w, n in words.items() if n >= 30 and w.isalpha() and w not in STOP))
    things = [item.objects for item in boxed] + [item.objects for item in drawn]
    labels = {label for objects in things for _, label in objects}
    return Targets(tuple(sorted({item.scene for item in captioned})), kept, tuple(sorted(labels)))


def keep_targets(path: Path, targets: Targets) -> Targets:
    """The targets that `path` holds, else these ones, written there: heads keep their shapes."""
    if path.exists():
        return Targets(**{k: tuple(v) for k, v in json.loads(path.read_text("utf-8")).items()})
    path.write_text(json.dumps(asdict(targets)), "utf-8")
    return targets


class Views(IterableDataset[View]):
    """An endless stream of batches; `shares` says how often each kind is drawn."""

    def __init__(
        self,
        captioned: Sequence[Captioned],
        boxed: Sequence[Boxed],
        drawn: Sequence[Drawn],
        targets: Targets,
        spec: ModelSpec,
        tokenizer: Tokenizer,
        *,
        shares: tuple[float, float, float],
        batch: int,
        questions: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.captioned, self.boxed, self.drawn = captioned, boxed, drawn
        self.targets, self.spec, self.tokenizer = targets, spec, tokenizer
        self.shares, self.batch, self.questions, self.seed = shares, batch, questions, seed
        # Sets differ in size by a factor of forty: the root evens them out a little.
        sizes = Counter(item.labels for item in boxed)
        self.boxed_weights = [1 / math.sqrt(sizes[item.labels]) for item in boxed]

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        chance = random.Random(self.seed)  # noqa: S311 - not for secrets
        kinds = [
            kind for kind, items in enumerate((self.captioned, self.boxed, self.drawn)) if items
        ]
        weights = [self.shares[kind] for kind in kinds]
        makers = (self._captioned, self._boxed, self._drawn)
        while True:
            drawn = chance.choices(kinds, weights, k=self.batch)
            yield self._stack([makers[kind](chance) for kind in drawn])

    # The three kinds of samples

    def _captioned(self, chance: random.Random) -> View:
        item = chance.choice(self.captioned)
        rgb, _ = augment(item.rgb, [], self.spec.vision.image_size, chance, lowest=0.4)
        counts = Counter(item.captions)
        words: Counter[str] = Counter()
        for text, number in counts.items():
            words.update({word: number for word in set(text.split())})
        known = {word: index for index, word in enumerate(self.targets.words)}
        shares = {known[w]: n / len(item.captions) for w, n in words.items() if w in known}
        turns = self._captioned_turns(item, counts, chance) if self.questions else []
        return View(rgb, turns, self.targets.scenes.index(item.scene), shares)

    def _captioned_turns(
        self, item: Captioned, counts: Counter[str], chance: random.Random
    ) -> list[Weighted]:
        if chance.random() < EVERY_NAME:  # so long a question leaves no room for others
            return [(self._classify(item.scene, len(self.targets.scenes), chance), 5.0)]
        texts = chance.sample(list(counts), min(3, len(counts)))
        total = sum(math.sqrt(counts[text]) for text in texts)
        turns = [(_caption(text), 8 * math.sqrt(counts[text]) / total) for text in texts]
        turns.append((self._classify(item.scene, chance.randint(2, 6), chance), 2.0))
        draw = chance.random()
        if draw < 0.15:
            long = " ".join(chance.sample(list(counts), min(3, len(counts))))
            turns.append((Turn(Describe(), TextResult("describe", "text", long)), 2.0))
        elif draw < 0.35:
            other = chance.choice(self.targets.scenes) if chance.random() < 0.5 else item.scene
            answer = "yes" if other == item.scene else "no"
            turns.append((_ask(f"is this a {spaced(other)}?", answer), 1.0))
        return turns

    def _classify(self, scene: str, number: int, chance: random.Random) -> Turn:
        others = [name for name in self.targets.scenes if name != scene]
        others = chance.sample(others, number - 1)
        names = [*others, scene]
        chance.shuffle(names)
        if chance.random() < 0.3:
            names.sort()
        plain = chance.random() < 0.35
        label = spaced(scene) if plain else scene
        asked = tuple(spaced(name) for name in names) if plain else tuple(names)
        return Turn(Classify(asked), ClassifyResult(label, "text"))

    def _boxed(self, chance: random.Random) -> View:
        item = chance.choices(self.boxed, self.boxed_weights)[0]
        crop = crop_around(item.rgb, item.objects, chance)
        side = self.spec.vision.image_size
        rgb, objects = augment(item.rgb, list(item.objects), side, chance, crop=crop)
        turns: list[Weighted] = []
        if self.questions and objects:
            size = (side, side)
            ground = ground_turns(objects, size)
            turns += [(turn, 4.0) for turn in chance.sample(ground, min(4, len(ground)))]
            foreign = [name for name in self.targets.labels if name not in EVERYWHERE]
            known = sorted({*item.labels, *foreign})
            absent = absent_turns(objects, known, self.spec.boxes.absent)
            own = [turn for turn in absent if turn.task.phrase[4:] in item.labels]  # type: ignore[union-attr]
            pool = own if own and chance.random() < 0.6 else absent
            turns += [
                (turn, 4.0)
                for turn in chance.sample(pool, min(len(pool), chance.choice((1, 1, 2))))
            ]
            turns += [(turn, 1.0) for turn in _some(identify_turns(objects), 2, chance)]
            turns += [
                (turn, 4.0)
                for turn in _some(detect_turns(objects), chance.choice((0, 0, 1)), chance)
            ]
            asked = question_turns(objects, item.labels, chance)
            turns += [(turn, 1.0) for turn in _some(asked, 1, chance)]
        return View(rgb, turns, objects=self._dense(objects, side), dense=True)

    def _drawn(self, chance: random.Random) -> View:
        item = chance.choice(self.drawn)
        side = self.spec.vision.image_size
        picture = Image.fromarray(item.rgb).resize((side, side), Image.Resampling.BICUBIC)
        rgb = np.asarray(change_colours(picture, chance, 0.15))
        scaled = [(_scale(box, side), text) for text, box in item.phrases]
        turns: list[Weighted] = []
        if self.questions:
            found = [
                Turn(Ground(text), _found(text, box)) for box, text in _some(scaled, 4, chance)
            ]
            turns += [(turn, 4.0) for turn in found]
            for text in _some(item.absent, chance.choice((1, 1, 2)), chance):
                missing = GroundResult(text, "absent", (), text=self.spec.boxes.absent)
                turns.append((Turn(Ground(text), missing), 4.0))
            turns += [(_ask(q, a), 1.5) for q, a in _some(item.questions, 3, chance)]
            if chance.random() < 0.35:
                turns.append((_caption(chance.choice(item.captions)), 4.0))
            objects = [(_scale(box, side), label) for box, label in item.objects]
            turns += [(turn, 1.0) for turn in _some(identify_turns(objects), 1, chance)]
            turns += [
                (turn, 3.0)
                for turn in _some(detect_turns(objects), chance.choice((0, 0, 1)), chance)
            ]
        scaled_objects = [(_scale(box, side), label) for box, label in item.objects]
        return View(rgb, turns, objects=self._dense(scaled_objects, side), dense=bool(item.objects))

    def _dense(self, objects: Sequence[Object], side: int) -> list[tuple[XYXY, int]]:
        known = {label: index for index, label in enumerate(self.targets.labels)}
        return [(_scale(box, 1 / side), known[label]) for box, label in objects if label in known]

    def _stack(self, views: Sequence[View]) -> dict[str, torch.Tensor]:
        pixels = normalise(np.stack([view.rgb for view in views]), self.spec.vision.preprocess)
        words = torch.zeros(len(views), len(self.targets.words))
        for line, view in zip(words, views, strict=True):
            for index, share in view.words.items():
                line[index] = share
        patches = math.isqrt(self.spec.vision.tokens * 4)
        dense = [dense_targets(view.objects, patches, view.dense) for view in views]
        batch = {
            "pixels": torch.from_numpy(pixels),
            "scene": torch.tensor([view.scene for view in views]),
            "words": words,
            "dense_label": torch.from_numpy(np.stack([label for label, _ in dense])),
            "dense_box": torch.from_numpy(np.stack([box for _, box in dense])),
        }
        if self.questions:
            side = self.spec.vision.image_size
            rows = [self._pack(view, (side, side)) for view in views]
            batch |= stack(rows)
        return batch

    def _pack(self, view: View, size: tuple[int, int]) -> Row:
        turns = view.turns or [(_ask("is there anything?", "yes"), 0.0)]
        return pack(turns, size, self.spec, self.tokenizer, limit=LONGEST)


def _some(items: Sequence[T], number: int, chance: random.Random) -> list[T]:
    return chance.sample(list(items), min(number, len(items)))


def _scale(box: XYXY, factor: float) -> XYXY:
    x1, y1, x2, y2 = box
    return (x1 * factor, y1 * factor, x2 * factor, y2 * factor)


def _found(phrase: str, box: XYXY) -> GroundResult:
    return GroundResult(phrase, "found", (Box(box),))


def _caption(text: str) -> Turn:
    return Turn(Caption(), TextResult("caption", "text", text))


def _ask(question: str, answer: str) -> Turn:
    return Turn(Ask(question), TextResult("ask", "text", answer, question=question))
