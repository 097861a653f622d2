"""`skyeye-edge bundle show|verify`: what a bundle is, and whether it is whole."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from skyeye_edge.cli.options import Commands, add_command, add_json

if TYPE_CHECKING:
    from skyeye_edge.core.bundle import Bundle

EXAMPLES = ("skyeye-edge bundle show", "skyeye-edge bundle verify my-bundle")


def add_parser(commands: Commands) -> None:
    """Options of `bundle`."""
    parser = add_command(commands, "bundle", "Show or verify a bundle.", EXAMPLES)
    parser.add_argument("action", choices=["show", "verify"])
    parser.add_argument(
        "path", type=Path, nargs="?", metavar="PATH", help="default: the packaged model"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """`skyeye-edge bundle`."""
    return show(args) if args.action == "show" else verify(args)


def verify(args: argparse.Namespace) -> int:
    """Read every byte; a bundle that is not whole ends in an error."""
    from skyeye_edge.core.bundle import PACKAGED, verify_bundle

    bundle = verify_bundle(args.path or PACKAGED)
    count = len(bundle.manifest.files)
    print(f"{bundle.root}: {count} files, all as the manifest says ({bundle.sha256[:12]})")
    return 0


def show(args: argparse.Namespace) -> int:
    """Everything a bundle says about itself, and what it needs."""
    import json

    from skyeye_edge.core.bundle import open_bundle

    bundle = open_bundle(args.path)
    if args.json:
        print(json.dumps(bundle.manifest.to_json(), ensure_ascii=False))
        return 0
    print_facts(bundle)
    print_files(bundle)
    return 0


def print_facts(bundle: Bundle) -> None:
    """Name, purpose, licence, variants, memory."""
    from skyeye_edge.core.memory import memory_need

    manifest, spec = bundle.manifest, bundle.spec
    vision, language = manifest.vision_variant(), manifest.language_variant()
    need = memory_need(bundle, vision, language)
    rows = {
        "bundle": f"{manifest.name} {manifest.version}, created {manifest.created}",
        "folder": str(bundle.root),
        "commercial use": "allowed" if manifest.commercial_use else "NOT ALLOWED (false)",
        "licences": "; ".join(manifest.licences) or "not stated",
        "tasks": ", ".join(manifest.tasks),
        "image": f"{spec.vision.image_size} px, {spec.vision.tokens} visual tokens",
        "prompt": f"{spec.prompt.template}, tasks in the words of {spec.prompt.instructions}, "
        f"boxes as {spec.boxes.format}",
        "frames": f"{spec.frames} at most in a clip" if spec.frames else "not stated",
        "context": f"{spec.context} tokens, vocabulary {manifest.vocabulary}",
        "vision": variants_text(list(manifest.vision_variants), vision),
        "language": variants_text(list(manifest.language_variants), language),
        "memory": f"{mib(need.total)}: vision {mib(need.vision)}, language {mib(need.language)}, "
        f"KV memory {mib(need.kv)}, repacked weights {mib(need.repacked)}, "
        f"libraries {mib(need.libraries)}, one image in the encoder {mib(need.activations)}",
        "sha256": bundle.sha256,
    }
    for name, text in rows.items():
        print(f"{name:<15} {text}")


def print_files(bundle: Bundle) -> None:
    """One line per file."""
    print("files")
    for name, entry in sorted(bundle.manifest.files.items()):
        print(f"  {name:<24} {entry.bytes:>13,} bytes  {entry.sha256[:12]}")


def variants_text(names: list[str], running: str) -> str:
    """All variants; the one that runs on this machine's CPU is named."""
    return f"{', '.join(sorted(names))} ({running} runs on a CPU)"


def mib(size_bytes: int) -> str:
    """Bytes in MiB, one digit."""
    return f"{size_bytes / 2**20:.1f} MiB"
