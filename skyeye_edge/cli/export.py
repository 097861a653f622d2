"""`skyeye-edge export`: a checkpoint into a bundle."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.cli.options import Commands, add_command

if TYPE_CHECKING:
    from skyeye_edge.evaluation import CalibrationReport

EXAMPLES = (
    "skyeye-edge export my-checkpoint -o my-bundle",
    "skyeye-edge export my-checkpoint -o my-bundle "
    "--vision fp32,int8 --language F32,Q8_0 --replace",
)


def add_parser(commands: Commands) -> None:
    """Options of `export`."""
    summary = "Export a checkpoint as a bundle, and measure how well the two agree."
    parser = add_command(commands, "export", summary, EXAMPLES)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument(
        "--vision",
        type=names,
        default=("int8",),
        metavar="LIST",
        help="of fp32,fp16,int8; default int8",
    )
    parser.add_argument(
        "--language",
        type=names,
        default=("Q8_0",),
        metavar="LIST",
        help="GGUF types, such as Q8_0,F32; default Q8_0",
    )
    parser.add_argument(
        "--calibrate",
        type=Path,
        nargs="+",
        action="extend",
        metavar="FILE",
        help="annotated boxes that were not trained on (JSON Lines or a JSON list; of split val, "
        "if there is one): scores of boxes and the operating point are fitted on them",
    )
    parser.add_argument(
        "--parity",
        choices=("auto", "always", "never"),
        default="auto",
        help="measure agreement with the checkpoint, which needs all of it in memory in float32; "
        "auto: where it fits",
    )
    parser.add_argument(
        "--replace", action="store_true", help="put it in the place of an existing bundle"
    )
    parser.set_defaults(run=run)


def names(text: str) -> tuple[str, ...]:
    """A list with commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge export`."""
    from skyeye_edge.export import export_bundle
    from skyeye_edge.training.data.ground_items import read_ground_items

    labelled = read_ground_items(args.calibrate) if args.calibrate else None
    report = export_bundle(
        args.checkpoint,
        args.output,
        vision=args.vision,
        language=args.language,
        replace=args.replace,
        parity=args.parity,
        labelled=labelled,
        tell=(lambda text: None) if args.quiet else (lambda text: print(text, file=sys.stderr)),
    )
    for warning in report.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for file in report.files:
        print(f"{file.name:<24} {file.size_bytes:>13,} bytes  {file.content}")
    if report.parity:
        title = f"{'vision':<8}{'language':<10}{'answers':>8}{'equal':>8}{'ties':>6}"
        print(f"{title}  largest difference")
    for row in report.parity:
        print(
            f"{row.vision:<8}{row.language:<10}{row.answers:>8}{row.equal:>8}{len(row.ties):>6}"
            f"  {row.visual_tokens:.1e} (visual tokens)"
        )
    if report.calibration is not None:
        print_calibration(report.calibration)
    return 0


def print_calibration(found: CalibrationReport) -> None:
    """What scores are worth, and who is called absent."""
    print(f"calibration: {found.images} images, {found.boxes} boxes, {found.right} of them right")
    print(f"  expected calibration error   {found.ece_before:.3f} before, {found.ece:.3f} after")
    print(f"  present phrases found        {100 * found.present_found.rate:.1f} %")
    print(f"  absent ones called absent    {100 * found.absent_called_absent.rate:.1f} %")
