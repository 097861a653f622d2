"""`skyeye-edge import FAMILY`: weights of others as a checkpoint."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.cli.options import Commands, add_command, count

if TYPE_CHECKING:
    from skyeye_edge.training import ImportReport, LlavaReport

EVA_WIDTH = 1408  # of EVA ViT-g, which has 16 heads
EXAMPLES = (
    "skyeye-edge import minigptv2 --checkpoint SkyEyeGPT.pth --vision eva_vit_g.pth "
    "--llm Llama-2-7b-chat-hf -o my-checkpoint",
    "skyeye-edge import llava --model llava-1.5-7b-hf -o my-checkpoint",
)
MINIGPTV2 = """\
Make a checkpoint from SkyEyeGPT or MiniGPT-v2 weights.

Three downloads belong together:
  --checkpoint  the trained part: LoRA adapters and `llama_proj` (SkyEyeGPT.pth, 680 MB)
  --vision      the EVA ViT-g tower (BLIP-2's eva_vit_g.pth, 2 GB)
  --llm         the LLaMA it was trained on, a Hugging Face folder with config.json,
                *.safetensors or pytorch_model*.bin, and tokenizer.model

Adapters are merged. Every tensor is used, or known to be of no use (optimizer state, buffers, the
tower's last block), or refused by its name. Files are read and written tensor by tensor, and
pickles cannot run code.
"""
MINIGPTV2_EXAMPLES = (
    "skyeye-edge import minigptv2 --checkpoint SkyEyeGPT.pth --vision eva_vit_g.pth "
    "--llm Llama-2-7b-chat-hf -o my-checkpoint --name skyeyegpt",
    "skyeye-edge export my-checkpoint -o my-bundle --language Q4_K_M",
)


LLAVA = """\
Make a checkpoint from a model of the LLaVA-1.5 family: LLaVA-1.5, GeoChat, VHM, SkySenseGPT and
others with CLIP, a projector and a LLaMA (Vicuna).

  --model   its folder, in Hugging Face's layout (LlavaForConditionalGeneration) or the original;
            or one with what was trained: adapter_model, non_lora_trainables, mm_projector
  --base    the folder that adapters or a projector were trained on, a Vicuna or a LLaVA
  --vision  the folder of the tower, such as clip-vit-large-patch14-336, if --model does not hold it

Adapters are merged. Every tensor is used, or known to be of no use, or refused by its name. Files
are read and written tensor by tensor, and pickles cannot run code.
"""
LLAVA_EXAMPLES = (
    "skyeye-edge import llava --model llava-1.5-7b-hf -o my-checkpoint",
    "skyeye-edge import llava --model geochat-lora --base vicuna-7b-v1.5 "
    "--vision clip-vit-large-patch14-336 -o my-checkpoint",
)


def add_parser(commands: Commands) -> None:
    """The families, each with its options."""
    summary = "Make a checkpoint from weights of others: SkyEyeGPT, MiniGPT-v2, LLaVA-1.5."
    parser = add_command(commands, "import", summary, EXAMPLES)
    families = parser.add_subparsers(
        title="families", dest="family", required=True, metavar="FAMILY"
    )
    add_minigptv2(families)
    add_llava(families)


def add_minigptv2(families: Commands) -> None:
    """Options of `import minigptv2`."""
    summary = "SkyEyeGPT and MiniGPT-v2: EVA ViT-g, linear projection, LLaMA-2 with LoRA."
    parser = add_command(families, "minigptv2", summary, MINIGPTV2_EXAMPLES)
    parser.description = MINIGPTV2
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="X.pth")
    parser.add_argument("--vision", type=Path, required=True, metavar="EVA.pth")
    parser.add_argument("--llm", type=Path, required=True, metavar="FOLDER")
    add_output(parser)
    parser.add_argument(
        "--lora-alpha",
        type=float,
        metavar="A",
        help="adapters count alpha / rank; default: as the file says, else 16",
    )
    parser.add_argument(
        "--image-size",
        type=count,
        metavar="S",
        help="pixels along a side; default: as the file says, else 448",
    )
    parser.add_argument(
        "--vision-heads",
        type=count,
        metavar="H",
        help="attention heads of the tower, which no tensor tells; default 16, as EVA ViT-g has",
    )
    parser.add_argument(
        "--vision-blocks",
        type=count,
        metavar="N",
        help="blocks of the tower that are used; default: all but the last, as MiniGPT-v2 does",
    )
    parser.set_defaults(run=run_minigptv2)


def add_llava(families: Commands) -> None:
    """Options of `import llava`."""
    summary = "LLaVA-1.5, GeoChat and their kin: CLIP, two-layer projection, Vicuna."
    parser = add_command(families, "llava", summary, LLAVA_EXAMPLES)
    parser.description = LLAVA
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--base", type=Path, metavar="FOLDER")
    parser.add_argument("--vision", type=Path, metavar="FOLDER")
    add_output(parser)
    parser.add_argument(
        "--image-size",
        type=count,
        metavar="S",
        help="pixels along a side; default: as the tower was made for, GeoChat's 504",
    )
    parser.add_argument(
        "--vision-heads",
        type=count,
        metavar="H",
        help="attention heads of the tower; default: as a file says, else its width / 64",
    )
    parser.add_argument(
        "--system",
        metavar="TEXT",
        help="line before the first question; default: that of LLaVA-1.5; '' for none",
    )
    parser.add_argument(
        "--boxes",
        metavar="FORMAT",
        help="how it writes boxes: minigptv2, geochat or normalised (lists of shares); default: "
        "GeoChat's own way, else normalised",
    )
    parser.add_argument(
        "--instructions",
        metavar="WORDS",
        help="in which words tasks are asked: minigptv2, geochat or llava; default: GeoChat's own, "
        "else llava",
    )
    parser.add_argument(
        "--spaces",
        choices=("each", "chunks", "first"),
        help="which texts of a prompt the tokenizer puts a space before; default: as it does",
    )
    parser.set_defaults(run=run_llava)


def run_llava(args: argparse.Namespace) -> int:
    """`skyeye-edge import llava`."""
    from skyeye_edge.cli.progress import bytes_bar
    from skyeye_edge.training import Llava, import_llava

    given = Llava(
        args.model,
        args.base,
        args.vision,
        name=args.name or args.output.name,
        licences=tuple(args.licence),
        image_size=args.image_size,
        vision_heads=args.vision_heads,
        boxes=args.boxes,
        instructions=args.instructions,
        spaces=args.spaces,
        **({} if args.system is None else {"system": args.system}),
    )
    with bytes_bar("importing", quiet=args.quiet) as tell:
        report = import_llava(given, args.output, tell)
    if not args.quiet:
        print_llava(report)
    print(report.target)
    return 0


def print_llava(report: LlavaReport) -> None:
    """What was found, for people, on stderr."""
    vision, language, spec = report.vision, report.language, report.spec
    lines = [
        f"vision    {vision.depth} blocks of {vision.width}, {vision.heads} heads, "
        f"{vision.image_size} px ({spec.vision.preprocess.fit}), {spec.vision.tokens} tokens",
        f"language  {language.layers} layers of {language.width}, {language.heads} heads, "
        f"vocabulary {language.vocabulary}, context {language.context}",
        f"prompt    {spec.prompt.template}, asked in the words of {spec.prompt.instructions}, "
        f"boxes as {spec.boxes.format}",
        f"adapters  {report.adapters} of rank {report.rank}, merged"
        if report.adapters
        else "adapters  none",
        f"written   {report.size_bytes:,} bytes",
        f"next: skyeye-edge export {report.target} -o BUNDLE",
    ]
    print("\n".join(lines), file=sys.stderr)


def add_output(parser: argparse.ArgumentParser) -> None:
    """-o, --name and --licence, which every family has."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CHECKPOINT")
    parser.add_argument(
        "--name", metavar="NAME", help="what the model is called; default: that of the folder"
    )
    parser.add_argument(
        "--licence",
        action="append",
        default=[],
        metavar="TEXT",
        help="terms of the weights, for `bundle show`; may be repeated",
    )


def run_minigptv2(args: argparse.Namespace) -> int:
    """`skyeye-edge import minigptv2`."""
    from skyeye_edge.cli.progress import bytes_bar
    from skyeye_edge.training import MiniGptV2, import_minigptv2

    given = MiniGptV2(
        args.checkpoint,
        args.vision,
        args.llm,
        name=args.name or args.output.name,
        licences=tuple(args.licence),
        lora_alpha=args.lora_alpha,
        image_size=args.image_size,
        vision_blocks=args.vision_blocks,
        **({} if args.vision_heads is None else {"vision_heads": args.vision_heads}),
    )
    with bytes_bar("importing", quiet=args.quiet) as tell:
        report = import_minigptv2(given, args.output, tell)
    if not args.quiet:
        print_report(report, heads_given=args.vision_heads is not None)
    print(report.target)
    return 0


def print_report(report: ImportReport, *, heads_given: bool) -> None:
    """What was found, for people, on stderr."""
    vision, language = report.vision, report.language.sizes
    lines = [
        f"vision    {vision.depth} blocks of {vision.width}, {vision.heads} heads, "
        f"{vision.image_size} px",
        f"language  {language.layers} layers of {language.width}, {language.heads} heads, "
        f"vocabulary {language.vocabulary}, context {language.context}",
        f"adapters  {report.adapters} of rank {report.rank}, alpha {report.alpha:g}, merged"
        if report.adapters
        else "adapters  none in the file",
        f"written   {report.size_bytes:,} bytes",
        f"next: skyeye-edge export {report.target} -o BUNDLE",
    ]
    if not heads_given and vision.width != EVA_WIDTH:
        lines.insert(1, "          16 heads are EVA ViT-g's; this tower is another: --vision-heads")
    print("\n".join(lines), file=sys.stderr)
