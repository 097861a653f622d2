"""`python -m skyeye_edge.training.pretrain RECIPE DATA -o RUN`: skyeye-tiny before LoRA."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.tasks import Caption, Classify, Describe, Detect, Ground, instruction
from skyeye_edge.training.data.builders.turns import spaced
from skyeye_edge.training.data.collate import Tokenizer
from skyeye_edge.training.pretrain.data import (
    Boxed,
    Captioned,
    Drawn,
    Views,
    build_targets,
    keep_targets,
    read_boxed,
    read_captioned,
)
from skyeye_edge.training.pretrain.heads import Heads
from skyeye_edge.training.pretrain.loop import Phase, pretrain
from skyeye_edge.training.pretrain.scenes import read_scenes
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


def sentences(
    captioned: Sequence[Captioned], boxed: Sequence[Boxed], drawn: Sequence[Drawn]
) -> Iterator[str]:
    """What the vocabulary is made from: captions, prompts, labels, phrases and questions."""
    boxes = BoxSpec(bins=BINS, absent=ABSENT)
    for item in captioned:
        yield from item.captions
        yield item.scene
        yield f"[INST] <Img> </Img> [vqa] is this a {spaced(item.scene)}? [/INST]"
        names = tuple({item.scene: 0, spaced(item.scene): 0})
        yield f"</Img> {instruction(Classify(names), (1, 1), boxes)} [/INST]"
        yield f"</Img> {instruction(Caption(), (1, 1), boxes)} [/INST]"
        yield f"</Img> {instruction(Describe(), (1, 1), boxes)} [/INST]"
    for picture in boxed:
        for label in {label for _, label in picture.objects}:
            yield f"</Img> {instruction(Ground('the largest ' + label), (1, 1), boxes)} [/INST]"
            yield f"</Img> {instruction(Detect(label), (1, 1), boxes)} [/INST]"
            yield f"<p>{label}</p> {{<delim>}}"
            yield "</Img> [identify] what object is in this location {} [/INST]"
            yield ABSENT
            yield label
    for scene in drawn:
        yield from scene.captions
        yield from (
            f"</Img> {instruction(Ground(text), (1, 1), boxes)} [/INST]"
            for text, _ in scene.phrases
        )
        for question, answer in scene.questions:
            yield f"[vqa] {question} [/INST]"
            yield answer


@dataclass(frozen=True, slots=True)
class BaseRecipe:
    """What a base checkpoint is made from."""

    boxes: tuple[str, ...]  # folders below DATA/boxes
    scenes: int  # synthetic ones
    phases: tuple[Phase, ...]
    captions: str = ""  # folder below DATA; empty: no captioned images
    batch: int = 64
    threads: int = 2
    seed: int = 0


def main() -> None:
    """Read, train, write."""
    parser = argparse.ArgumentParser(
        prog="python -m skyeye_edge.training.pretrain", description=__doc__
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("data", type=Path, help="folder with rsicd/ and boxes/")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="run folder; goes on if it exists"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run_recipe(read_as(BaseRecipe, args.recipe), args.data, args.output)


def run_recipe(recipe: BaseRecipe, data: Path, run: Path) -> Path:
    """Train as the recipe says, or go on with it; returns the folder of the base checkpoint."""
    torch.set_num_threads(recipe.threads)
    run.mkdir(parents=True, exist_ok=True)
    captioned = read_captioned(data / recipe.captions, "train") if recipe.captions else []
    boxed = [item for name in recipe.boxes for item in read_boxed(data / "boxes" / name, "train")]
    drawn = read_scenes(run / "scenes.npz", recipe.scenes)
    log.info("%d captioned, %d boxed, %d drawn", len(captioned), len(boxed), len(drawn))
    tokenizer_file = run / "tokenizer.model"
    if not tokenizer_file.exists():
        train_vocabulary(sentences(captioned, boxed, drawn), tokenizer_file, VOCABULARY, BINS)
    model = build_model(tokenizer_file, recipe.seed)
    log.info("%.2f M parameters", sum(each.numel() for each in model.parameters()) / 1e6)
    tokenizer = Tokenizer(tokenizer_file)
    targets = keep_targets(run / "targets.json", build_targets(captioned, boxed, drawn))
    heads = Heads(TOWER.width, targets, TOWER.grid)

    def views(phase: Phase, step: int) -> Views:
        return Views(
            captioned,
            boxed,
            drawn,
            targets,
            model.spec,
            tokenizer,
            shares=phase.shares,
            batch=recipe.batch,
            questions=phase.questions,
            seed=step,
        )

    pretrain(model, heads, recipe.phases, views, run, edge_ids(tokenizer))
    return model.save_checkpoint(run / "checkpoint")


if __name__ == "__main__":
    main()
