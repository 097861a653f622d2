"""From pictures to a merged checkpoint: data, model, recipes and trainer."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from skyeye_edge.core.errors import needs

if TYPE_CHECKING:
    from skyeye_edge.training.importing.llava import Llava, LlavaReport, import_llava
    from skyeye_edge.training.importing.minigptv2 import ImportReport, MiniGptV2, import_minigptv2
    from skyeye_edge.training.merger import MergeReport, merge
    from skyeye_edge.training.model.skyeye import SkyEyeModel
    from skyeye_edge.training.predictor import CheckpointPredictor
    from skyeye_edge.training.recipe import Recipe, read_recipe, show_recipe
    from skyeye_edge.training.scoring import Change, Scores, read_scores
    from skyeye_edge.training.trainer import TrainingEvent, train

__all__ = [
    "Change",
    "CheckpointPredictor",
    "ImportReport",
    "Llava",
    "LlavaReport",
    "MergeReport",
    "MiniGptV2",
    "Recipe",
    "Scores",
    "SkyEyeModel",
    "TrainingEvent",
    "import_llava",
    "import_minigptv2",
    "merge",
    "read_recipe",
    "read_scores",
    "show_recipe",
    "train",
]

_HOMES = {
    "Change": "scoring",
    "CheckpointPredictor": "predictor",
    "ImportReport": "importing.minigptv2",
    "Llava": "importing.llava",
    "LlavaReport": "importing.llava",
    "MergeReport": "merger",
    "MiniGptV2": "importing.minigptv2",
    "Recipe": "recipe",
    "Scores": "scoring",
    "SkyEyeModel": "model.skyeye",
    "TrainingEvent": "trainer",
    "import_llava": "importing.llava",
    "import_minigptv2": "importing.minigptv2",
    "merge": "merger",
    "read_recipe": "recipe",
    "read_scores": "scoring",
    "show_recipe": "recipe",
    "train": "trainer",
}


def __getattr__(name: str) -> Any:
    # Fetched when asked for: importing the synthetic world or a reader must not load torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with needs("training"):
        module = import_module(f"{__name__}.{_HOMES[name]}")
    value = getattr(module, name)
    globals()[name] = value
    return value
