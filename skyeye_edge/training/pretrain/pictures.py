"""Everything pretraining looks at, as one record: read from the data folders, or drawn."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.record import RGB
from skyeye_edge.training.data.synthetic import render_scene
from skyeye_edge.training.data.synthetic.flight import plan_flight
from skyeye_edge.training.data.synthetic.paint import Look, paint
from skyeye_edge.training.data.synthetic.phrases import absent_phrases
from skyeye_edge.training.data.synthetic.video import everything_in, frame_truth

LONGEST = 256  # pixels: larger pictures are reduced when they are read
SECONDS = 12.0  # of a flight
FRAME = (256, 144)  # pixels of its frames

# Labels of which a set boxes only some objects (shared/data: crowded marinas, parked cars, crowns).
NOT_THROUGHOUT = {
    "simd": ("car", "boat", "other"),
    "nwpu_vhr10": ("vehicle", "harbour", "bridge"),
    "psu_cars": ("car",),
    "palm_trees": ("palm tree",),
}
# Names of what is nearly the same: where one of them is, the others are not denied.
ALIKE = (
    frozenset(
        (
            "airplane",
            "plane",
            "airliner",
            "helicopter",
            "chartered aircraft",
            "fighter aircraft",
            "propeller aircraft",
            "trainer aircraft",
        )
    ),
    frozenset(("ship", "boat", "merchant ship", "naval ship", "other vessel")),
    frozenset(
        (
            "car",
            "van",
            "truck",
            "bus",
            "minibus",
            "vehicle",
            "other",
            "long vehicle",
            "other vehicle",
            "stair truck",
        )
    ),
    frozenset(("tree", "palm tree")),
    frozenset(("harbour", "harbor", "dock")),
    frozenset(("tennis court", "basketball court")),
)
# What may stand in any picture without a box, so that no other set denies it.
EVERYWHERE = frozenset(("person", "bicycle", "storage tank", "bridge")).union(*ALIKE[1:5])
# Where nothing man-made is expected: objects pasted there are the only ones of their label.
EMPTY_SCENES = frozenset(
    (
        "farmland",
        "forest",
        "meadow",
        "desert",
        "bareland",
        "mountain",
        "grassland",
        "wetland",
        "pasture",
        "bare land",
        "annual crops",
        "herbaceous vegetation",
    )
)


def read_captions(folder: Path, split: str) -> list[Annotation]:
    """`captions.json` and `scene_classes.json` of RSICD, images in `images/`."""
    classes = _json(folder / "scene_classes.json")
    return [
        Annotation(
            (_image(folder, entry["file"]),),
            _sentences(entry),
            scene=classes[entry["file"]],
            origin=folder.name,
        )
        for entry in _json(folder / "captions.json")
        if entry["split"] == split
    ]


def read_scenes(folder: Path, split: str) -> list[Annotation]:
    """`annotations.json` with `scene` and, in some sets, `captions`."""
    return [
        Annotation(
            (_image(folder, entry["file"]),),
            _sentences(entry),
            scene=entry.get("scene") or "",
            origin=folder.name,
        )
        for entry in _json(folder / "annotations.json")
        if entry["split"] == split
    ]


def read_boxes(folder: Path, split: str, labels: frozenset[str] = frozenset()) -> list[Annotation]:
    """`annotations.json` with boxes; `labels` are those of all sets, which this one may deny."""
    entries = _json(folder / "annotations.json")
    own = {box["label"] for entry in entries for box in entry["boxes"]}
    closed = (own | (labels - EVERYWHERE)) - set(NOT_THROUGHOUT.get(folder.name, ()))
    found = []
    for entry in entries:
        if entry["split"] == split and entry["boxes"]:
            objects = tuple((_corners(box["bbox"]), box["label"]) for box in entry["boxes"])
            found.append(
                Annotation(
                    (_image(folder, entry["file"]),),
                    objects=objects,
                    origin=folder.name,
                    closed=frozenset(closed),
                )
            )
    return found


def read_labels(folders: Sequence[Path]) -> frozenset[str]:
    """Every label of some box sets."""
    return frozenset(
        box["label"]
        for folder in folders
        for entry in _json(folder / "annotations.json")
        for box in entry["boxes"]
    )


def read_flown(folder: Path, split: str) -> list[Annotation]:
    """Drone frames with sentences, questions, absent things and some boxes."""
    found = []
    for entry in _json(folder / "annotations.json"):
        if entry["split"] == split:
            scale = min(1.0, LONGEST / max(entry["width"], entry["height"]))
            objects = tuple(
                (scaled(_corners(box["bbox"]), scale, scale), box["label"])
                for box in entry["boxes"]
            )
            found.append(
                Annotation(
                    (_image(folder, entry["file"]),),
                    _sentences(entry),
                    scene=entry["scene"],
                    origin=folder.name,
                    phrases=tuple((f"the {label}", box) for box, label in objects),
                    absent=tuple(f"the {thing}" for thing in entry["absent"]),
                    questions=tuple((q, a) for q, a in entry["questions"]),
                    upright=True,
                )
            )
    return found


def draw_scene(seed: int, side: int) -> Annotation:
    """A synthetic scene, seeds below 1,000,000."""
    scene = render_scene(seed, size=side)
    objects = tuple((thing.xyxy, thing.kind) for thing in scene.objects)
    return Annotation(
        (np.asarray(scene.image),),
        tuple(scene.captions),
        origin="synthetic",
        objects=objects,
        closed=frozenset(label for _, label in objects),
        phrases=tuple(scene.phrases),
        absent=tuple(scene.absent),
        questions=tuple(scene.questions),
    )


def draw_flight(seed: int, frames: int = 8) -> list[Annotation]:
    """Evenly spaced frames of a synthetic flight; planning it costs as much as four frames."""
    width, height = FRAME
    flight = plan_flight(seed, SECONDS, height / width)
    chance = random.Random(f"skyeye flight {seed}")  # noqa: S311 - repeatable, not secret
    absent = absent_phrases(everything_in(flight.world), flight.world.terrain, chance)
    drawn = []
    for index in range(frames):
        time = index * SECONDS / frames
        picture = paint(*flight.at(time), Look(noise=0.6, noise_seed=index), FRAME)
        truth = frame_truth(flight, index, time, width, seed)
        objects = tuple((each.xyxy, each.kind) for each in truth.objects)
        drawn.append(
            Annotation(
                (np.asarray(picture),),
                tuple(truth.captions),
                origin="synthetic",
                objects=objects,
                closed=frozenset(label for _, label in objects),
                phrases=tuple(truth.phrases),
                absent=tuple(absent),
            )
        )
    return drawn


def alike(labels: Iterable[str]) -> frozenset[str]:
    """The labels, and all that are nearly the same as one of them."""
    found = frozenset(labels)
    return found.union(*(names for names in ALIKE if names & found))


def scaled(box: XYXY, across: float, down: float) -> XYXY:
    """A box in a picture that was resized by these factors."""
    x1, y1, x2, y2 = box
    return x1 * across, y1 * down, x2 * across, y2 * down


def _json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _image(folder: Path, name: str) -> RGB:
    with Image.open(folder / "images" / name) as image:
        rgb = image.convert("RGB")
        rgb.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
        return np.asarray(rgb)


def _sentences(entry: dict[str, Any]) -> tuple[str, ...]:
    return tuple(" ".join(text.lower().split()) for text in entry.get("captions") or ())


def _corners(values: Sequence[float]) -> XYXY:
    x1, y1, x2, y2 = values
    return float(x1), float(y1), float(x2), float(y2)
