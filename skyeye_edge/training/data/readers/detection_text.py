"""Detection sets with one text file per image: DOTA, YOLO, VisDrone, NWPU VHR-10."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from skyeye_edge.core.errors import DataError, needs
from skyeye_edge.training.data.labels import ANY
from skyeye_edge.training.data.readers.boxed import Boxed, hull, numbers
from skyeye_edge.training.data.readers.entries import (
    Entry,
    OfSplit,
    files_in,
    guarded,
    read_rows,
    read_text,
    split_of,
)
from skyeye_edge.training.data.readers.image_files import image_folders
from skyeye_edge.training.data.readers.names import in_words

_DOTA_HEADER = ("imagesource:", "gsd:")
_DOTA_LINE = "lines are x1 y1 x2 y2 x3 y3 x4 y4 label difficult"
_YOLO_LINE = "lines are class x y width height, or class and the corners of a polygon, 0 to 1"
_VISDRONE_LINE = "lines are left,top,width,height,score,category,truncation,occlusion"
_VISDRONE = {
    1: "pedestrian",
    2: "person",
    3: "bicycle",
    4: "car",
    5: "van",
    6: "truck",
    7: "tricycle",
    8: "awning tricycle",
    9: "bus",
    10: "motorcycle",
}  # 0: a region that was not annotated, 11: something else
_VHR10 = (
    "airplane",
    "ship",
    "storage tank",
    "baseball diamond",
    "tennis court",
    "basketball court",
    "ground track field",
    "harbor",
    "bridge",
    "vehicle",
)
_VHR10_LINE = re.compile(r"\((\d+),(\d+)\),\((\d+),(\d+)\),(\d+)")
_CLASSES = ("classes.txt", "obj.names")
_NOT_LABELS = ("train.txt", "val.txt", "test.txt", "readme.txt", *_CLASSES)


def read_dota(path: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """DOTA: a `labelTxt` folder; four corners, label, 1 if difficult; two header lines at times.

    The upright box around the corners is taken. A difficult object is not learnt, and its label is
    neither counted nor denied in that image. The split is what a folder is called.

    Raises:
        DataError: a line is wrong.
    """
    folders = image_folders(path, images)
    for file in _label_files(path):
        with guarded(file):
            lines = read_rows(file)
            rows = [each for each in lines if not each.text("line").startswith(_DOTA_HEADER)]
            boxed = Boxed(folders.find(Entry(file, 1, {}), file.stem))
            for entry in rows:
                words = entry.text("line").split()
                if len(words) not in (9, 10):
                    entry.fail(f"{len(words)} words; {_DOTA_LINE}")
                corners, label = numbers(entry, words[:8], _DOTA_LINE), in_words(words[8])
                if len(words) == 10 and words[9] != "0":
                    boxed.unsure(label)
                else:
                    boxed.add(entry, hull(corners), label)
            yield split_of(file), boxed.annotation()


def read_yolo(path: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """YOLO: a folder of labels; names in `classes.txt` or `data.yaml` in it or above it.

    Boxes are middle and size in shares of the image; of oriented boxes and polygons the upright box
    around the corners is taken. Images lie beside the labels, or in `images` where the labels lie
    in `labels`. The split is what a folder is called.

    Raises:
        DataError: a line is wrong, or the names are missing.
    """
    folders = image_folders(path, images)
    names = _yolo_names(path)
    for file in _label_files(path):
        with guarded(file):
            within = file.relative_to(path).parent if path.is_dir() else Path()
            boxed = Boxed(folders.find(Entry(file, 1, {}), str(within / file.stem), file.stem))
            for entry in read_rows(file) if boxed.readable else ():
                _add_yolo(entry, boxed, names)
            yield split_of(file), boxed.annotation()


def _add_yolo(entry: Entry, boxed: Boxed, names: Sequence[str]) -> None:
    number, *shares = numbers(entry, entry.text("line").split(), _YOLO_LINE)
    if len(shares) != 4 and (len(shares) < 6 or len(shares) % 2):
        entry.fail(f"{1 + len(shares)} numbers; {_YOLO_LINE}")
    if number not in range(len(names)):
        entry.fail(f"class {number:g} has no name; there are {len(names)}, counted from 0")
    if len(shares) == 4:
        x, y, width, height = shares
        shares = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        boxed.add(entry, boxed.scaled(shares), names[int(number)])
    else:
        boxed.add(entry, hull(boxed.scaled(shares)), names[int(number)])


def _yolo_names(path: Path) -> list[str]:
    own = path if path.is_dir() else path.parent
    for folder in (own, own.parent, own.parent.parent):
        for name in _CLASSES:
            if (folder / name).is_file():
                return [in_words(entry.text("line")) for entry in read_rows(folder / name)]
        for file in sorted(folder.glob("*.y*ml")):
            if names := _yaml_names(file):
                return [in_words(name) for name in names]
    raise DataError(f"{own}: no classes.txt and no data.yaml with `names` in it or above it")


def _yaml_names(file: Path) -> list[str]:
    """Names under `names`: a list, or by number."""
    with needs("training"):
        import yaml
    try:
        values = yaml.safe_load(read_text(file))
    except yaml.YAMLError as error:
        raise DataError(f"{file}: not YAML: {getattr(error, 'problem', error)}") from error
    names = values.get("names") if isinstance(values, dict) else None
    if isinstance(names, dict):
        if set(names) != set(range(len(names))):
            raise DataError(f"{file}: `names` are not numbered from 0 up, each number once")
        names = [names[number] for number in range(len(names))]
    return [str(name) for name in names] if isinstance(names, list) else []


def read_visdrone(path: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """VisDrone-DET: a folder `annotations`; left, top, width, height, score, category, ....

    Category 0 is a region that was not annotated: anything may be in it, so nothing is counted or
    denied in that image. A box without area or with score 0 makes only its own label unsure.
    Files of the set were not seen.

    Raises:
        DataError: a line is wrong.
    """
    folders = image_folders(path, images)
    for file in _label_files(path):
        with guarded(file):
            boxed = Boxed(folders.find(Entry(file, 1, {}), file.stem))
            for entry in read_rows(file):
                _add_visdrone(entry, boxed)
            yield split_of(file), boxed.annotation()


def _add_visdrone(entry: Entry, boxed: Boxed) -> None:
    words = [word for word in entry.text("line").split(",") if word.strip()]
    if len(words) < 6:
        entry.fail(f"{len(words)} numbers; {_VISDRONE_LINE}")
    left, top, width, height, score, category = numbers(entry, words[:6], _VISDRONE_LINE)
    if category not in range(12):
        entry.fail(f"category {category:g} is not one of 0 to 11; {_VISDRONE_LINE}")
    if category == 0:
        boxed.unsure(ANY)
    elif category in _VISDRONE:
        label = _VISDRONE[int(category)]
        if score == 0 or min(width, height) == 0:
            boxed.unsure(label)
        else:
            boxed.add(entry, (left, top, left + width, top + height), label)


def read_nwpu_vhr10(path: Path, images: Path | None = None) -> Iterator[OfSplit]:
    """NWPU VHR-10: a folder `ground truth` with lines of `(x1,y1),(x2,y2),class`, class 1 to 10.

    Vehicles are boxed in the aircraft pictures alone, harbours and bridges in parts: these are
    neither counted nor denied.

    Raises:
        DataError: a line is wrong.
    """
    folders = image_folders(path, images)
    for file in _label_files(path):
        with guarded(file):
            boxed = Boxed(folders.find(Entry(file, 1, {}), file.stem))
            for entry in read_rows(file):
                found = _VHR10_LINE.fullmatch(entry.text("line").replace(" ", ""))
                if found is None:
                    entry.fail(f'"{entry.text("line")[:40]}" is not (x1,y1),(x2,y2),class')
                *edges, number = map(int, found.groups())
                if not 1 <= number <= len(_VHR10):
                    entry.fail(f"class {number} is not one of 1 to {len(_VHR10)}")
                boxed.add(entry, edges, _VHR10[number - 1])
            boxed.unsure("vehicle", "harbor", "bridge")
            yield split_of(file), boxed.annotation()


def _label_files(path: Path) -> list[Path]:
    return [file for file in files_in(path, ".txt") if file.name.lower() not in _NOT_LABELS]
