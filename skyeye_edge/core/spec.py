"""What a model expects: the part that `skyeye.json` and a bundle's manifest share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from skyeye_edge.core.arguments import check_text
from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.scores import ScoreSpec
from skyeye_edge.core.tasks import INSTRUCTIONS

Fit = Literal["stretch", "pad", "crop"]
Resize = Literal["pillow-bicubic", "pillow-bicubic-reduced"]
Template = Literal["minigptv2", "vicuna"]
Spaces = Literal["each", "chunks", "first"]
PromptForm = Literal["train", "infer"]
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PreprocessSpec:
    """How an image becomes pixel values; mean and std are CLIP's, in 0..1."""

    # reduced: large pictures are first averaged down to at least 1.5 times the size, which takes
    # 0.4 of the time of a 720p frame and changes it by a third of a grey level
    resize: Resize = "pillow-bicubic"
    # stretch: the aspect ratio is not kept (MiniGPT-v2); pad: to a square with the mean colour
    # (LLaVA-1.5); crop: the central square (CLIP's own processor)
    fit: Fit = "stretch"
    mean: Triple = (0.48145466, 0.4578275, 0.40821073)
    std: Triple = (0.26862954, 0.26130258, 0.27577711)

    def __post_init__(self) -> None:
        if self.resize not in get_args(Resize) or self.fit not in get_args(Fit):
            raise InputError(
                f"preprocess: resize {self.resize!r}, fit {self.fit!r} are not known, "
                f"only {', '.join(get_args(Resize))} and {', '.join(get_args(Fit))}"
            )
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise InputError("preprocess: mean and std need three numbers each, std above 0")


@dataclass(frozen=True, slots=True)
class VisionSpec:
    """The vision side as the language model sees it."""

    image_size: int  # S: pixel values are (B, 3, S, S)
    tokens: int  # N: visual tokens of one frame
    width: int  # d: width of a visual token, that of the language model
    preprocess: PreprocessSpec = field(default_factory=PreprocessSpec)

    def __post_init__(self) -> None:
        if min(self.image_size, self.tokens, self.width) < 1:
            raise InputError("vision: image_size, tokens and width must be at least 1")


@dataclass(frozen=True, slots=True)
class PromptSpec:
    """Which template, and which of its two forms at which time; in which words tasks are asked."""

    template: Template = "minigptv2"
    train_form: PromptForm = "infer"  # forms are MiniGPT-v2's; other templates have one
    infer_form: PromptForm = "infer"
    instructions: str = "minigptv2"  # a key of INSTRUCTIONS
    system: str = ""  # the line before the first question, where the template has one
    # Which texts a tokenizer that puts a space before its input puts one before. each: all; chunks:
    # the first, and those behind an image; first: the first alone. MiniGPT-v2's template: each.
    spaces: Spaces = "each"

    def __post_init__(self) -> None:
        known = {
            "template": get_args(Template),
            "train_form": get_args(PromptForm),
            "infer_form": get_args(PromptForm),
            "instructions": tuple(INSTRUCTIONS),
            "spaces": get_args(Spaces),
        }
        for name, choices in known.items():
            if getattr(self, name) not in choices:
                raise InputError(
                    f"prompt: {name} {getattr(self, name)!r} is not known, "
                    f"only {', '.join(choices)}"
                )
        check_text(self.system, "prompt: system")


_LATER = (  # values that came after the format; not written where they are the default
    ("", "frames"),
    ("prompt", "instructions"),
    ("prompt", "system"),
    ("prompt", "spaces"),
    ("boxes", "within"),
)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything that training and runtime must agree on."""

    vision: VisionSpec
    prompt: PromptSpec = field(default_factory=PromptSpec)
    boxes: BoxSpec = field(default_factory=BoxSpec)
    context: int = 2048  # positions the language model was made for
    scores: ScoreSpec = field(default_factory=ScoreSpec)
    frames: int = 0  # of the longest clip it was trained on; 0: not stated, so any number may come

    def __post_init__(self) -> None:
        if self.frames < 0:
            raise InputError(f"frames {self.frames}: give the number of frames of a clip")

    def check_frames(self, number: int) -> None:
        """Refuse a clip that is longer than those the model knows.

        Raises:
            InputError: `number` frames are more than it was trained on.
        """
        if self.frames and number > self.frames:
            known = f"clips of up to {self.frames} frames" if self.frames > 1 else "single images"
            raise InputError(
                f"a clip of {number} frames, but this model was trained on {known}, and its answer "
                f"would mean nothing; ask about {self.frames} of them, evenly spaced"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, as they stand in `skyeye.json`."""
        values = asdict(self)
        del values["scores"]  # its parts stand beside the others
        for part, name in _LATER:  # a manifest of MiniGPT-v2's family says what it always said
            owner: Any = getattr(self, part) if part else self
            where = values[part] if part else values
            if where[name] == type(owner).__dataclass_fields__[name].default:
                del where[name]
        return values | self.scores.to_json()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ModelSpec:
        """The reverse of `to_json`; unknown keys are ignored.

        Raises:
            InputError: a key is missing or has an unknown value.
        """
        try:
            vision = dict(values["vision"])
            preprocess = _known(PreprocessSpec, vision["preprocess"])
            for name in ("mean", "std"):
                if name in preprocess:
                    preprocess[name] = tuple(float(x) for x in preprocess[name])
            return cls(
                vision=VisionSpec(
                    image_size=int(vision["image_size"]),
                    tokens=int(vision["tokens"]),
                    width=int(vision["width"]),
                    preprocess=PreprocessSpec(**preprocess),
                ),
                prompt=PromptSpec(**_known(PromptSpec, values["prompt"])),
                boxes=BoxSpec(**_known(BoxSpec, values["boxes"])),
                context=int(values["context"]),
                scores=ScoreSpec.from_json(values),
                frames=int(values.get("frames", 0)),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"model specification: {error!r} is missing or wrong") from error


def _known(owner: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in owner.__dataclass_fields__}
