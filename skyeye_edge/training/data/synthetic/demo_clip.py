"""Renders the clip that the package brings along.

    python -m skyeye_edge.training.data.synthetic.demo_clip

Writes skyeye_edge/assets/demo.mp4 and, beside it, its truth once per second as demo.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import skyeye_edge
from skyeye_edge.training.data.synthetic.video import FrameTruth, render_video
from skyeye_edge.training.data.synthetic.world import RESERVED_SEEDS

SEED = RESERVED_SEEDS + 7
SECONDS, FPS = 12, 20
ASSETS = Path(skyeye_edge.__file__).parent / "assets"


def main() -> int:
    """Render the packaged clip and its truth; prints what it wrote."""
    truth = render_video(SEED, ASSETS / "demo.mp4", SECONDS, FPS)
    facts = {
        "seed": SEED,
        "size": truth.size,
        "fps": FPS,
        "frames": len(truth.frames),
        "absent": truth.absent,
        "seconds": [_facts(frame) for frame in truth.frames[::FPS]],
    }
    (ASSETS / "demo.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    size_bytes = truth.path.stat().st_size
    sys.stdout.write(f"{truth.path}: {len(truth.frames)} frames, {size_bytes:,} bytes\n")
    return 0


def _facts(frame: FrameTruth) -> dict[str, object]:
    return {
        "index": frame.index,
        "time": frame.time,
        "phrases": [[text, [round(edge, 1) for edge in box]] for text, box in frame.phrases],
        "captions": frame.captions,
    }


if __name__ == "__main__":
    raise SystemExit(main())
