"""A procedural aerial world: pictures and videos whose every truth is known.

Seeds from `RESERVED_SEEDS` (1,000,000) up are for evaluation; no trainer draws them.
"""

from skyeye_edge.training.data.synthetic.scene import Scene, SceneObject, render_scene
from skyeye_edge.training.data.synthetic.video import (
    FrameTruth,
    VideoObject,
    VideoTruth,
    render_video,
)
from skyeye_edge.training.data.synthetic.world import RESERVED_SEEDS

__all__ = [
    "RESERVED_SEEDS",
    "FrameTruth",
    "Scene",
    "SceneObject",
    "VideoObject",
    "VideoTruth",
    "render_scene",
    "render_video",
]
