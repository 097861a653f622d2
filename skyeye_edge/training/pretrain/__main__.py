"""`python -m skyeye_edge.training.pretrain DATA -o RUN`: the base checkpoint of skyeye-tiny."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.tasks import Caption, Classify, Describe, Detect, Ground, instruction
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
    spaced,
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


def main() -> None:
    """Read, train, write."""
    parser = argparse.ArgumentParser(
        prog="python -m skyeye_edge.training.pretrain", description=__doc__
    )
    parser.add_argument("data", type=Path, help="folder with rsicd/ and boxes/")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="run folder; goes on if it exists"
    )
    parser.add_argument("--scenes", type=int, default=12000, help="synthetic scenes to draw")
    parser.add_argument("--encoder-minutes", type=float, default=18)
    parser.add_argument("--joint-minutes", type=float, default=60)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=64)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(args.threads)
    run: Path = args.output
    run.mkdir(parents=True, exist_ok=True)
    captioned = read_captioned(args.data / "rsicd", "train")
    boxed = read_boxed(args.data / "boxes", "train")
    drawn = read_scenes(run / "scenes.npz", args.scenes)
    tokenizer_file = run / "tokenizer.model"
    if not tokenizer_file.exists():
        train_vocabulary(sentences(captioned, boxed, drawn), tokenizer_file, VOCABULARY, BINS)
    model = build_model(tokenizer_file, seed=0)
    tokenizer = Tokenizer(tokenizer_file)
    targets = keep_targets(run / "targets.json", build_targets(captioned, boxed, drawn))
    heads = Heads(TOWER.width, targets, TOWER.grid)
    logging.info("%.2f M parameters", sum(p.numel() for p in model.parameters()) / 1e6)
    logging.info("%d captioned, %d boxed, %d drawn", len(captioned), len(boxed), len(drawn))

    def views(phase: Phase, step: int) -> Views:
        return Views(
            captioned,
            boxed,
            drawn,
            targets,
            model.spec,
            tokenizer,
            shares=phase.shares,
            batch=args.batch,
            questions=phase.questions,
            seed=step,
        )

    phases = [
        Phase("encoder", args.encoder_minutes, False, (0.45, 0.25, 0.3), 2e-3, 1e-3, last=0.3),
        Phase("joint", args.joint_minutes, True, (0.45, 0.22, 0.33), 2e-3, 1e-3),
    ]
    pretrain(model, heads, phases, views, run, edge_ids(tokenizer))
    model.save_checkpoint(run / "checkpoint")


if __name__ == "__main__":
    main()
