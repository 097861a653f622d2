"""`skyeye-edge export`: a checkpoint into a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from skyeye_edge.cli.options import Commands, add_command

EXAMPLES = (
    "skyeye-edge export my-checkpoint -o my-bundle",
    "skyeye-edge export my-checkpoint -o my-bundle --vision fp32 --language F32 --replace",
)


def add_parser(commands: Commands) -> None:
    """Options of `export`."""
    summary = "Export a checkpoint as a bundle, and measure how well the two agree."
    parser = add_command(commands, "export", summary, EXAMPLES)
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="BUNDLE")
    parser.add_argument(
        "--vision", type=names, default=("fp32", "int8"), metavar="LIST", help="of fp32,fp16,int8"
    )
    parser.add_argument(
        "--language", type=names, default=("Q8_0",), metavar="LIST", help="GGUF types: Q8_0,F32,..."
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

    report = export_bundle(
        args.checkpoint,
        args.output,
        vision=args.vision,
        language=args.language,
        replace=args.replace,
    )
    for file in report.files:
        print(f"{file.name:<24} {file.size_bytes:>13,} bytes  {file.content}")
    return 0
