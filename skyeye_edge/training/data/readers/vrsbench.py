"""VRSBench: captions, referring sentences and questions of an image."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skyeye_edge.core.boxes import XYXY, Size
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers.box_text import read_boxed_text
from skyeye_edge.training.data.readers.boxed import hull
from skyeye_edge.training.data.readers.entries import (
    UNKNOWN,
    Entry,
    OfSplit,
    files_in,
    guarded,
    is_number,
    shown,
    split_of,
)
from skyeye_edge.training.data.readers.image_files import ImageFolders, image_folders, image_size
from skyeye_edge.training.data.readers.json_files import read_array, read_object


def read_vrsbench(path: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """A folder of one JSON per image, or one of the lists `VRSBench_EVAL_*.json`.

    Of rotated objects the upright box around their corners is taken, as the authors do. Only some
    objects are annotated, so nothing is counted or denied. The training file with conversations is
    read as `conversations`. Files were not seen: keys are those of the authors' scripts.

    Raises:
        DataError: a file is wrong.
    """
    folders = image_folders(path, images)
    if path.is_file():
        split = "test" if "eval" in path.stem.lower() else split_of(path)
        yield from ((split, item) for item in _evaluation(path, folders))
        return
    for file in files_in(path, ".json"):
        with guarded(file):
            yield split_of(file), _image(read_object(file), folders)


def _image(entry: Entry, folders: ImageFolders) -> Annotation:
    image = folders.find(entry, entry.text("image"))
    objects = entry.objects("objects") if entry.values.get("objects") else []
    size = image_size(image) if objects else UNKNOWN
    pairs = entry.objects("qa_pairs") if entry.values.get("qa_pairs") else []
    return Annotation(
        (image,),
        captions=(entry.text("caption"),) if entry.values.get("caption") else (),
        phrases=tuple(
            (thing.text("referring_sentence"), _corners(thing, size))
            for thing in objects
            if thing.values.get("referring_sentence")
        ),
        questions=tuple((pair.text("question"), pair.name("answer")) for pair in pairs),
        question_types=tuple(pair.text("type").lower() for pair in pairs),
    )


def _corners(thing: Entry, size: Size) -> XYXY:
    value = thing.values.get("obj_corner")
    if not isinstance(value, list) or len(value) != 8 or not all(map(is_number, value)):
        thing.fail(f'"obj_corner" is {shown(value)}; give x and y of four corners, 0 to 1')
    width, height = size
    shares = [share * (height if place % 2 else width) for place, share in enumerate(value)]
    said = f'"obj_corner" is {shown(value)}'
    return thing.inside(thing.checked(hull(shares), said), size, said)


def _evaluation(file: Path, folders: ImageFolders) -> Iterator[Annotation]:
    """The list's questions, image by image."""
    by_image: dict[str, list[Entry]] = {}
    for entry in read_array(file):
        by_image.setdefault(entry.name("image_id"), []).append(entry)
    for name, entries in by_image.items():
        with entries[0].guarded():
            yield _evaluated(folders.find(entries[0], name), entries)


def _evaluated(image: Path, entries: list[Entry]) -> Annotation:
    kinds = [entry.text("type").lower() for entry in entries]
    places = [entry for entry, kind in zip(entries, kinds, strict=True) if kind == "ref"]
    told = [entry for entry, kind in zip(entries, kinds, strict=True) if kind == "caption"]
    asked = [entry for entry in entries if entry not in places and entry not in told]
    size = image_size(image) if places else UNKNOWN
    return Annotation(
        (image,),
        captions=tuple(entry.text("ground_truth") for entry in told),
        phrases=tuple((entry.text("question"), _place(entry, size)) for entry in places),
        questions=tuple((each.text("question"), each.name("ground_truth")) for each in asked),
        question_types=tuple(entry.text("type").lower() for entry in asked),
    )


def _place(entry: Entry, size: Size) -> XYXY:
    boxes = read_boxed_text(entry.text("ground_truth"), size, entry).boxes
    if len(boxes) != 1:
        entry.fail(f'"ground_truth" has {len(boxes)} boxes, not one')
    return boxes[0].hull
