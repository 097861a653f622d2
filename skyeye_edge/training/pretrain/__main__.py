"""`python -m skyeye_edge.training.pretrain RECIPE DATA -o RUN`: skyeye-tiny before LoRA."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.tasks import Caption, Classify, Describe, Ground, instruction
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.builders.turns import spaced
from skyeye_edge.training.data.builders.words import plural
from skyeye_edge.training.data.collate import Tokenizer
from skyeye_edge.training.data.drawn import draw_flight, draw_scene
from skyeye_edge.training.data.labels import throughout
from skyeye_edge.training.data.readers import READERS
from skyeye_edge.training.data.views.augment import reduced
from skyeye_edge.training.pretrain.data import Batches, Pool, build_targets, keep_targets
from skyeye_edge.training.pretrain.heads import Heads
from skyeye_edge.training.pretrain.loop import Phase, pretrain
from skyeye_edge.training.pretrain.tiny import (
    ABSENT,
    BINS,
    TOWER,
    VOCABULARY,
    build_model,
    edge_ids,
)
from skyeye_edge.training.pretrain.vocabulary import train_vocabulary
from skyeye_edge.training.recipe import read_as

log = logging.getLogger(__name__)

LONGEST = 256  # pixels: larger pictures are reduced when they are read
SHOWN = 400  # synthetic scenes whose words and labels the vocabulary and the heads know


@dataclass(frozen=True, slots=True)
class BaseRecipe:
    """What a base checkpoint is made from."""

    name: str
    phases: tuple[Phase, ...]
    captions: tuple[str, ...] = ()  # folders below DATA with captions.json and scene_classes.json
    scenes: tuple[str, ...] = ()  # with annotations.json: a class, in some sets captions
    boxes: tuple[str, ...] = ()  # with annotations.json: boxes
    flown: tuple[str, ...] = ()  # with annotations.json: drone frames
    flights: int = 0  # synthetic ones, eight frames of each; scenes are drawn as they are needed
    batch: int = 64
    threads: int = 2
    workers: int = 1
    seed: int = 0
    commercial_use: bool = False
    licences: tuple[str, ...] = ()  # of the data


def main() -> None:
    """Read, train, write."""
    parser = argparse.ArgumentParser(
        prog="python -m skyeye_edge.training.pretrain", description=__doc__
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("data", type=Path, help="folder that holds the recipe's data folders")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="run folder; goes on if it exists"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--share", type=float, default=1.0, metavar="X", help="of the length of every phase, to try"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe: BaseRecipe = read_as(BaseRecipe, args.recipe)
    phases = [replace(each, images=round(each.images * args.share)) for each in recipe.phases]
    run_recipe(replace(recipe, phases=tuple(phases)), args.data, args.output, args.device)


def run_recipe(recipe: BaseRecipe, data: Path, run: Path, device: str = "cpu") -> Path:
    """Train as the recipe says, or go on with it; returns the folder of the base checkpoint."""
    torch.set_num_threads(recipe.threads)
    run.mkdir(parents=True, exist_ok=True)
    pool = read_pool(recipe, data)
    drawn = [draw_scene(seed, 64) for seed in range(SHOWN)]
    tokenizer_file = run / "tokenizer.model"
    if not tokenizer_file.exists():
        train_vocabulary(sentences(pool, drawn), tokenizer_file, VOCABULARY, BINS)
    model = build_model(tokenizer_file, recipe.seed)
    model.to(device)
    log.info("%.2f M parameters", sum(each.numel() for each in model.parameters()) / 1e6)
    tokenizer = Tokenizer(tokenizer_file)
    targets = keep_targets(run / "targets.json", build_targets(pool, drawn))
    masked = TOWER if any("masked" in phase.objectives for phase in recipe.phases) else None
    width = model.spec.vision.width
    heads = Heads(TOWER.width, width, targets, TOWER.grid, masked).to(device)

    def batches(phase: Phase) -> Batches:
        return Batches(
            pool,
            targets,
            model.spec,
            tokenizer,
            shares=phase.shares,
            batch=recipe.batch,
            questions="answers" in phase.objectives,
            seed=f"{recipe.seed} {phase.name}",
        )

    pretrain(
        model,
        heads,
        recipe.phases,
        batches,
        run,
        edge_ids(tokenizer),
        seed=recipe.seed,
        workers=recipe.workers,
    )
    images = {phase.name: phase.images for phase in recipe.phases}
    model.info = replace(
        model.info,
        name=recipe.name,
        commercial_use=recipe.commercial_use,
        licences=recipe.licences,
        provenance={"images": images, "batch": recipe.batch, "seed": recipe.seed},
    )
    model.cpu()
    return model.save_checkpoint(run / "checkpoint", torch.float16)


def read_pool(recipe: BaseRecipe, data: Path, split: str = "train") -> Pool:
    """All pictures of a split that the recipe names."""
    told = [item for name in recipe.captions for item in _read(data / name, "captions", split)]
    scenes = [item for name in recipe.scenes for item in _read(data / name, "scenes", split)]
    pool = Pool(
        captioned=[*told, *(item for item in scenes if item.captions)],
        scenes=[item for item in scenes if not item.captions],
        boxed=_boxed([data / name for name in recipe.boxes], split),
        flown=[item for name in recipe.flown for item in _read(data / name, "flown", split)],
        flights=[frame for seed in range(recipe.flights) for frame in draw_flight(seed)],
    )
    log.info(
        "%d with captions, %d with a class, %d with boxes, %d flown",
        *map(len, (pool.captioned, pool.scenes, pool.boxed, pool.flown)),
    )
    return pool


def _read(folder: Path, kind: str, split: str) -> list[Annotation]:
    """Pictures of a split, read, and named after their folder."""
    file = folder / ("captions.json" if kind == "captions" else "annotations.json")
    found = [item for name, item in READERS[kind](file, None) if name == split]
    return [replace(reduced(item, LONGEST), origin=folder.name) for item in found]


def _boxed(folders: Sequence[Path], split: str) -> list[Annotation]:
    """Pictures with boxes, each with the labels that it shows nowhere without one."""
    own = {
        folder: {
            label
            for _, item in READERS["boxes"](folder / "annotations.json", None)
            for _, label in item.objects
        }
        for folder in folders
    }
    labels = frozenset().union(*own.values())
    return [
        replace(item, closed=throughout(folder.name, own[folder], labels))
        for folder in folders
        for item in _read(folder, "boxes", split)
    ]


def sentences(pool: Pool, drawn: Sequence[Annotation]) -> Iterator[str]:
    """What the vocabulary is made from: captions, prompts, labels, phrases and questions."""
    boxes = BoxSpec(bins=BINS, absent=ABSENT)
    for item in [*pool.captioned, *pool.scenes, *pool.boxed, *pool.flown, *pool.flights, *drawn]:
        yield from item.captions
        if item.scene:
            yield item.scene
            yield f"[INST] <Img> </Img> [vqa] is this a {spaced(item.scene)}? [/INST]"
            names = tuple({item.scene: 0, spaced(item.scene): 0})
            yield f"</Img> {instruction(Classify(names), (1, 1), boxes)} [/INST]"
            yield f"</Img> {instruction(Caption(), (1, 1), boxes)} [/INST]"
            yield f"</Img> {instruction(Describe(), (1, 1), boxes)} [/INST]"
        for label in sorted({label for _, label in item.objects}):
            yield f"</Img> {instruction(Ground('the largest ' + label), (1, 1), boxes)} [/INST]"
            yield f"<p>{label}</p> {{<delim>}}"
            yield "</Img> [identify] what object is in this location {} [/INST]"
            yield f"is there a {label}? how many {plural(label)} are there?"
            yield ABSENT
            yield label
        for text in [*(text for text, _ in item.phrases), *item.absent]:
            yield f"</Img> {instruction(Ground(text), (1, 1), boxes)} [/INST]"
        for question, answer in item.questions:
            yield f"[vqa] {question} [/INST]"
            yield answer


if __name__ == "__main__":
    main()
