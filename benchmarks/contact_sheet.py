"""Answers as pictures: what one looks at before believing a figure.

    python benchmarks/contact_sheet.py sheet.png --synthetic 24
    python benchmarks/contact_sheet.py sheet.png --captions DATA/rsicd --number 50
    python benchmarks/contact_sheet.py sheet.png --boxes DATA/boxes --number 50

Captions stand below their image. Boxes: green is the annotation, red the answer; a phrase that was
called absent is marked with a cross.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

import skyeye_edge as sky
from skyeye_edge.core.boxes import XYXY

SIDE, WORDS = 256, 84  # pixels of an image, and of the text below it
FIRST_SEED = 1_000_000  # never trained on


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """An image, and a phrase with its true box if boxes are what is looked at."""

    image: Image.Image
    phrase: str = ""
    truth: XYXY | None = None


def synthetic(number: int) -> Iterator[Item]:
    """Scenes that no trainer draws, each with its largest phrase."""
    from skyeye_edge.training.data.synthetic import render_scene

    for seed in range(FIRST_SEED, FIRST_SEED + number):
        scene = render_scene(seed)
        if scene.phrases:
            phrase, box = scene.phrases[seed % len(scene.phrases)]
            yield Item(scene.image, phrase, box)


def captioned(folder: Path, number: int) -> Iterator[Item]:
    """Evenly spaced validation images."""
    entries = json.loads((folder / "captions.json").read_text("utf-8"))
    names = [entry["file"] for entry in entries if entry["split"] == "val"]
    for name in names[:: max(1, len(names) // number)][:number]:
        yield Item(Image.open(folder / "images" / name).convert("RGB"))


def boxed(folder: Path, number: int) -> Iterator[Item]:
    """Evenly spaced validation objects that are the only one of their class in the image."""
    items = []
    for file in sorted(folder.glob("*/annotations.json")):
        for entry in json.loads(file.read_text("utf-8")):
            counts = Counter(box["label"] for box in entry["boxes"])
            for box in entry["boxes"]:
                if entry["split"] == "val" and counts[box["label"]] == 1:
                    items.append((file.parent / "images" / entry["file"], box))
    for path, box in items[:: max(1, len(items) // number)][:number]:
        x1, y1, x2, y2 = box["bbox"]
        yield Item(Image.open(path).convert("RGB"), f"the {box['label']}", (x1, y1, x2, y2))


def tile(model: sky.Model, item: Item) -> Image.Image:
    """One image with its answers."""
    picture = Image.new("RGB", (SIDE, SIDE + WORDS), "white")
    across, down = SIDE / item.image.width, SIDE / item.image.height
    picture.paste(item.image.resize((SIDE, SIDE)))
    draw = ImageDraw.Draw(picture)
    words = model.caption(item.image).text
    if item.truth is not None:
        hit = model.ground(item.image, item.phrase)
        words = f"{item.phrase} ({hit.outcome}, {hit.score:.2f}) | {words}"
        for box, colour in [(item.truth, "lime"), *((box.xyxy, "red") for box in hit.boxes)]:
            x1, y1, x2, y2 = box
            draw.rectangle(
                (x1 * across, y1 * down, x2 * across, y2 * down), outline=colour, width=2
            )
        if hit.outcome == "absent":
            draw.line((0, 0, SIDE, SIDE), fill="red", width=2)
    draw.multiline_text((3, SIDE + 2), "\n".join(textwrap.wrap(words, 40)), fill="black")
    return picture


def main() -> None:
    """Ask, draw, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sheet", type=Path)
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--synthetic", type=int, metavar="NUMBER")
    kind.add_argument("--captions", type=Path, metavar="FOLDER")
    kind.add_argument("--boxes", type=Path, metavar="FOLDER")
    parser.add_argument("--number", type=int, default=50)
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--bundle", type=Path)
    args = parser.parse_args()
    if args.synthetic:
        items = synthetic(args.synthetic)
    elif args.captions:
        items = captioned(args.captions, args.number)
    else:
        items = boxed(args.boxes, args.number)
    with sky.load(args.bundle) as model:
        tiles = [tile(model, item) for item in items]
    rows = -(-len(tiles) // args.columns)
    sheet = Image.new("RGB", (args.columns * (SIDE + 4), rows * (SIDE + WORDS + 4)), "gray")
    for place, each in enumerate(tiles):
        row, column = divmod(place, args.columns)
        sheet.paste(each, (column * (SIDE + 4), row * (SIDE + WORDS + 4)))
    sheet.save(args.sheet)
    print(f"{len(tiles)} images in {args.sheet}")


if __name__ == "__main__":
    main()
