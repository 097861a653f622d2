"""How good skyeye-tiny is at each task, on images it has not seen.

    python benchmarks/evaluate_tiny.py DATA --checkpoint DIR      PyTorch, float32
    python benchmarks/evaluate_tiny.py DATA --bundle DIR          the runtime, as shipped

DATA holds rsicd/, scenes/ucm/, boxes/ and drone/. What a caption score means depends on how many
different references an image has: copies of one sentence are easily hit. The official test split is
like the images with four and more, so that line is the one to look at. The last line of stdout is
one JSON object.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from skyeye_edge.core.results import TaskResult
from skyeye_edge.core.tasks import Task
from skyeye_edge.evaluation import (
    CaptionItem,
    CaptionReport,
    ClassItem,
    GroundItem,
    GroundReport,
    ObjectItem,
    Picture,
    Predictor,
    Share,
    VqaItem,
    caption_all,
    evaluate_classes,
    evaluate_detect,
    evaluate_ground,
    evaluate_identify,
    evaluate_vqa,
    plot_reliability,
    score_captions,
    with_references,
)
from skyeye_edge.evaluation.reliability import Scored
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.readers import read_annotations
from skyeye_edge.training.data.synthetic import RESERVED_SEEDS, render_scene

ABSENT_PER_IMAGE = 3
OBJECTS_PER_IMAGE = 12  # detection: answers for more would not fit their limit of tokens
CLEARLY_DIFFERENT = 4  # references
PARTS = ("captions", "ucm", "boxes", "objects", "synthetic", "classes", "drone")


def main() -> None:
    """Evaluate, print a table, and one JSON object."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path, metavar="DATA")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--checkpoint", type=Path, metavar="DIR")
    which.add_argument("--bundle", type=Path, metavar="DIR", help="default: the packaged one")
    parser.add_argument("--limit", type=int, default=0, metavar="N", help="images of each kind")
    parser.add_argument("--scenes", type=int, default=300, metavar="N", help="synthetic scenes")
    parser.add_argument("--split", default="val")
    parser.add_argument(
        "--reliability", type=Path, metavar="PNG", help="draw scores of boxes against right ones"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    args = parser.parse_args()
    scored: dict[str, Sequence[Scored]] = {}
    parts: dict[str, Callable[[Predictor], dict[str, Any]]] = {
        "captions": lambda p: captions(p, few(read_rsicd(args), args.limit)),
        "ucm": lambda p: ucm(p, few(entries_of(args, "scenes/ucm"), args.limit)),
        "boxes": lambda p: boxes(p, few(list(box_items(args)), args.limit), scored),
        "objects": lambda p: objects(p, few(list(object_items(args)), args.limit)),
        "synthetic": lambda p: synthetic(p, args.limit or args.scenes, scored),
        "classes": lambda p: classes(p, read_rsicd(args), args.limit),
        "drone": lambda p: drone(p, few(entries_of(args, "drone"), args.limit)),
    }
    figures: dict[str, Any] = {}
    with open_predictor(args.checkpoint, args.bundle) as predictor:
        for name in args.only or PARTS:
            began = time.monotonic()
            figures |= parts[name](predictor)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    if args.reliability:
        plot_reliability(scored, args.reliability)
    model = args.checkpoint or args.bundle or "packaged"
    print(json.dumps({"benchmark": "evaluate_tiny", "model": Path(model).name, **figures}))


@contextmanager
def open_predictor(checkpoint: Path | None, bundle: Path | None) -> Iterator[Predictor]:
    """The checkpoint in PyTorch, or the bundle in the runtime."""
    if checkpoint:
        from skyeye_edge.training.predictor import CheckpointPredictor

        yield CheckpointPredictor(checkpoint)
        return
    import skyeye_edge as sky

    class Runtime:
        """Names of parameters differ, nothing else."""

        def run(self, image: Picture, tasks: Sequence[Task], /) -> Sequence[TaskResult]:
            return model.run(image, list(tasks))

    with sky.load(bundle) as model:
        yield Runtime()


def few(items: list[Any], limit: int) -> list[Any]:
    """At most `limit` evenly spaced items; all if it is 0."""
    if not 0 < limit < len(items):
        return items
    return [items[int(place)] for place in np.linspace(0, len(items) - 1, limit)]


def read_rsicd(args: argparse.Namespace) -> list[Annotation]:
    """Images of the split with captions and class."""
    return read_annotations(args.data / "rsicd" / "captions.json", "captions", args.split)


def captions(predictor: Predictor, found: list[Annotation]) -> dict[str, Any]:
    """All images, and those with four or more different references."""
    items = [CaptionItem(item.path, item.captions) for item in found]
    results = caption_all(predictor, items)
    places = with_references(items, CLEARLY_DIFFERENT)
    reports = {"captions_all": score_captions(results, items)}
    if places:
        chosen = [results[place] for place in places], [items[place] for place in places]
        reports["captions_4_different"] = score_captions(*chosen)
    for name, report in reports.items():
        show_captions(name, report)
    return {name: report.to_json() for name, report in reports.items()}


def entries_of(args: argparse.Namespace, folder: str) -> list[dict[str, Any]]:
    """Entries of a set's `annotations.json` in the split, with the path of each image."""
    file = args.data / folder / "annotations.json"
    return [
        entry | {"path": file.parent / "images" / entry["file"]}
        for entry in json.loads(file.read_text("utf-8"))
        if entry["split"] == args.split
    ]


def caption_items(entries: list[dict[str, Any]]) -> list[CaptionItem]:
    """Images with their sentences."""
    return [
        CaptionItem(entry["path"], tuple(text.lower() for text in entry["captions"]))
        for entry in entries
    ]


def ucm(predictor: Predictor, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """UCM-captions."""
    items = caption_items(entries)
    report = score_captions(caption_all(predictor, items), items)
    show_captions("ucm", report)
    return {"ucm": report.to_json()}


def drone(predictor: Predictor, entries: list[dict[str, Any]]) -> dict[str, Any]:
    """Oblique drone frames: sentences, questions, and what is not there."""
    items = caption_items(entries)
    report = score_captions(caption_all(predictor, items), items)
    show_captions("drone", report)
    asked = [VqaItem(e["path"], tuple((q, a) for q, a in e["questions"])) for e in entries]
    vqa = evaluate_vqa(predictor, asked)
    show("drone questions", {"all kinds": vqa.all_kinds, **vqa.by_kind})
    gone = [
        GroundItem(e["path"], (e["width"], e["height"]), (), tuple(f"the {x}" for x in e["absent"]))
        for e in entries
    ]
    absent = evaluate_ground(predictor, gone).absent_called_absent
    show("drone, called absent", {"absent": absent})
    found = {"questions": vqa.to_json(), "absent_called_absent": absent.to_json()}
    return {"drone": report.to_json() | found}


def show_captions(name: str, report: CaptionReport) -> None:
    """Print one line of caption scores."""
    print(
        f"{name:28} CIDEr-D {report.cider:6.1f}  BLEU-4 {report.bleu4:5.1f}  "
        f"n {report.number}  different {report.different}  cut {report.cut}"
    )


def box_items(args: argparse.Namespace) -> Iterator[GroundItem]:
    """`the <label>` where an image has one object of that class; other labels of its set absent."""
    for file in sorted((args.data / "boxes").glob("*/annotations.json")):
        everything = read_annotations(file, "boxes", "all")
        labels = sorted({label for item in everything for _, label in item.objects})
        entries = json.loads(file.read_text("utf-8"))
        if all(entry["split"] != args.split for entry in entries):
            continue
        for item in read_annotations(file, "boxes", args.split):
            counts = Counter(label for _, label in item.objects)
            unique = [(f"the {name}", box) for box, name in item.objects if counts[name] == 1]
            missing = [f"the {name}" for name in labels if name not in counts]
            with Image.open(item.path) as image:
                size = image.size
            yield GroundItem(item.path, size, tuple(unique), tuple(few(missing, ABSENT_PER_IMAGE)))


def boxes(
    predictor: Predictor, items: list[GroundItem], scored: dict[str, Sequence[Scored]]
) -> dict[str, Any]:
    """Real held-out boxes."""
    report = evaluate_ground(predictor, items)
    scored["real boxes"] = report.scored
    show("real boxes", {"all sizes": report.all_sizes, **report.by_size})
    absent = {"absent": report.absent_called_absent, "present": report.present_called_absent}
    show("real, called absent", absent)
    show_scores("real", report)
    return {"real_boxes": report.to_json()}


def object_items(args: argparse.Namespace) -> Iterator[ObjectItem]:
    """Images with few enough objects."""
    for file in sorted((args.data / "boxes").glob("*/annotations.json")):
        if all(entry["split"] != args.split for entry in json.loads(file.read_text("utf-8"))):
            continue
        for item in read_annotations(file, "boxes", args.split):
            if len(item.objects) <= OBJECTS_PER_IMAGE:
                with Image.open(item.path) as image:
                    yield ObjectItem(item.path, image.size, item.objects)


def objects(predictor: Predictor, items: list[ObjectItem]) -> dict[str, Any]:
    """What is in real held-out boxes, and all objects of a label."""
    named, found = evaluate_identify(predictor, items), evaluate_detect(predictor, items)
    show("real, identify", {"all sizes": named.all_sizes, **named.by_size})
    show("real, detect", {"precision": found.precision, "recall": found.recall})
    return {"real_identify": named.to_json(), "real_detect": found.to_json()}


def synthetic(
    predictor: Predictor, number: int, scored: dict[str, Sequence[Scored]]
) -> dict[str, Any]:
    """Scenes of seeds that are never trained on."""
    ground, asked = [], []
    for seed in itertools.islice(itertools.count(RESERVED_SEEDS), number):
        scene = render_scene(seed)
        rgb = np.asarray(scene.image)
        ground.append(GroundItem(rgb, scene.image.size, tuple(scene.phrases), tuple(scene.absent)))
        asked.append(VqaItem(rgb, tuple(scene.questions)))
    report, vqa = evaluate_ground(predictor, ground), evaluate_vqa(predictor, asked)
    show("synthetic boxes", {"all sizes": report.all_sizes, **report.by_size})
    absent = {"absent": report.absent_called_absent, "present": report.present_called_absent}
    show("synthetic, called absent", absent)
    show_scores("synthetic", report)
    scored["synthetic boxes"] = report.scored
    show("synthetic questions", {"all kinds": vqa.all_kinds, **vqa.by_kind})
    return {"synthetic_boxes": report.to_json(), "synthetic_vqa": vqa.to_json()}


def classes(predictor: Predictor, found: list[Annotation], limit: int) -> dict[str, Any]:
    """Scene class among all names."""
    names = sorted({item.scene for item in found})
    items = [ClassItem(item.image, item.scene) for item in few(found, limit)]
    report = evaluate_classes(predictor, items, names)
    show("scene classes", {f"{len(names)} names": report.all_classes})
    return {"scene_classes": report.to_json()}


def show_scores(what: str, report: GroundReport) -> None:
    """Print how far the scores of boxes can be believed."""
    error = report.calibration_error
    print(f"{what + ', calibration error (ECE)':34} {error:7.3f}  n {len(report.scored):5}")


def show(what: str, shares: dict[str, Share]) -> None:
    """Print one line per share, with its interval."""
    for name, found in shares.items():
        low, high = found.interval
        line = f"{what + ', ' + name:34} {100 * found.rate:5.1f} %"
        print(f"{line}  n {found.number:5}  95 % {100 * low:.1f} to {100 * high:.1f}")


if __name__ == "__main__":
    main()
