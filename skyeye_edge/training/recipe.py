"""A recipe: everything a run is made from, read from YAML and checked before anything is loaded."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from skyeye_edge.core.errors import InputError, needs
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.core.tasks import INSTRUCTIONS
from skyeye_edge.training.data.builders.turns import Kind
from skyeye_edge.training.data.readers import READERS
from skyeye_edge.training.model.alignment import AlignerConfig

Part = Literal["lora", "aligner", "decoder", "encoder"]  # of the model, that a stage may train
DRAWN = ("synthetic", "recalled")  # formats without a file: pictures that the package draws


@dataclass(frozen=True, slots=True)
class LoraRecipe:
    """Low-rank adapters; the defaults are SkyEyeGPT's (MiniGPT-v2, minigpt_base.py)."""

    rank: int = 64
    alpha: float = 16.0  # the adapter is scaled by alpha / rank
    dropout: float = 0.05
    targets: tuple[str, ...] = ("q_proj", "v_proj")  # or "all-linear" alone
    experts: int = 1  # adapters on each layer; more than one: MoE-LoRA, with a router
    aligner: bool = False  # adapters on the aligner too; it is trained whole without

    def __post_init__(self) -> None:
        if self.experts < 1:
            raise InputError("experts is a number of adapters, from 1 up")
        if self.rank < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1 or not self.targets:
            raise InputError("rank must be at least 1, alpha above 0, dropout in 0..1")


@dataclass(frozen=True, slots=True)
class AlsoRecipe:
    """Another file about the same images."""

    format: str  # one of READERS
    path: Path
    images: Path = Path()  # the folder with the images; empty: where the format has them

    def __post_init__(self) -> None:
        if self.format not in READERS:
            raise InputError(f"format: {_unknown(self.format, list(READERS))}")


@dataclass(frozen=True, slots=True)
class DataRecipe:
    """One annotation file."""

    name: str
    format: str  # one of READERS or DRAWN
    path: Path = Path()  # the annotation file, or a folder of them
    images: Path = Path()  # the folder with the images; empty: where the format has them
    also: tuple[AlsoRecipe, ...] = ()  # files that say more about the same images
    split: str = "train"
    hold_out: float = 0.1  # share of the images that are only scored, if the file names none "val"
    ratio: float = 1.0  # how often it is drawn, relative to the others; by epochs: times in one
    cap: int = 0  # images in an epoch at most, others in each; 0: all
    tasks: Mapping[Kind, float] = field(default_factory=dict)  # how often each; empty: all alike
    conversations: float | None = None  # share of samples with several turns; None: the stage's
    augment: bool = False  # crops, flips and colours; boxes and words follow
    unsure: tuple[str, ...] = ()  # labels of which only some objects have boxes
    frames: int = 0  # of a video; 0: as many as its format says
    scenes: int = 0  # of "synthetic" and "recalled": how many pictures
    licence: str = ""

    def __post_init__(self) -> None:
        if self.ratio < 0 or min(self.tasks.values(), default=1.0) < 0:
            raise InputError("ratios of data and tasks must not be below 0")
        if self.format not in (*READERS, *DRAWN):
            raise InputError(f"format: {_unknown(self.format, [*READERS, *DRAWN])}")
        if (self.format in DRAWN) != (self.scenes > 0):
            raise InputError("scenes: say how many, for synthetic and recalled and for no other")
        if self.format not in DRAWN and self.path == Path():
            raise InputError("'path' is missing")
        if min(self.cap, self.frames) < 0:
            raise InputError("cap and frames are numbers of images, 0 for all")
        if not 0 <= (self.conversations or 0.0) <= 1:
            raise InputError("conversations is a share of the samples, 0 to 1")
        if not 0 <= self.hold_out <= 0.5:
            raise InputError("hold_out is a share of the images, 0 to 0.5")


@dataclass(frozen=True, slots=True)
class StageRecipe:
    """A stretch of training with its own optimiser and learning rate."""

    name: str
    steps: int = 0  # optimiser steps
    epochs: float = 0.0  # instead: how often all data sets are gone through, without replacement
    batch: int = 1  # samples per forward pass
    accumulate: int = 1  # forward passes per step
    learning_rate: float = 1e-5
    last_learning_rate: float = 1e-6  # the cosine ends here
    first_learning_rate: float | None = None  # the warm-up begins here; None: a tenth of the full
    warm_up: int = 0  # steps
    weight_decay: float = 0.05
    train: tuple[Part, ...] = ("lora", "aligner")
    conversations: float = 0.0  # share of samples with several turns
    turns: tuple[int, int] = (2, 5)  # of a conversation: fewest, most
    ratios: Mapping[str, float] = field(default_factory=dict)  # by data set; missing: its own
    one_set_per_batch: bool = False  # no batch mixes data sets

    def __post_init__(self) -> None:
        if min(self.steps, self.epochs) < 0 or max(self.steps, self.epochs) <= 0:
            raise InputError("say how long: steps, or epochs above 0")
        if min(self.batch, self.accumulate) < 1:
            raise InputError("batch and accumulate must be at least 1")
        if not 0 <= self.last_learning_rate <= self.learning_rate:
            raise InputError("learning_rate must not be below last_learning_rate")
        if not 0 < (self.first_learning_rate or 1e-9) <= self.learning_rate:
            raise InputError("first_learning_rate is above 0 and at most learning_rate")
        if not self.train or {"lora", "decoder"} <= set(self.train):
            raise InputError("train names parts of the model, either lora or decoder of the two")
        if not 0 <= self.conversations <= 1 or not 1 <= self.turns[0] <= self.turns[1]:
            raise InputError("conversations is a share (0..1), turns the fewest and the most")

    def learning_rate_at(self, step: int) -> float:
        """Of the step number `step`, counted from 0: a straight warm-up, then a cosine.

        The cosine runs over all steps, those of the warm-up too (MiniGPT-v2, common/optims.py).
        """
        if step < self.warm_up:
            first = self.first_learning_rate
            first = self.learning_rate / 10 if first is None else first
            return first + (self.learning_rate - first) * step / self.warm_up
        above = self.learning_rate - self.last_learning_rate
        return self.last_learning_rate + above / 2 * (1 + math.cos(math.pi * step / self.steps))


@dataclass(frozen=True, slots=True)
class Recipe:
    """What `train` needs to know."""

    name: str  # of the model that comes out
    base: Path  # checkpoint folder to start from
    run: Path  # folder for checkpoints, log and curves
    data: tuple[DataRecipe, ...]
    stages: tuple[StageRecipe, ...]
    lora: LoraRecipe = field(default_factory=LoraRecipe)
    aligner: AlignerConfig | None = None  # a fresh one instead of the base's
    version: str = "1.0.0"
    commercial_use: bool = False
    instructions: str = ""  # in whose words tasks are asked, see INSTRUCTIONS; empty: the base's
    seed: int = 42
    length: int = 512  # positions of a sample; the end of longer ones is cut
    precision: Literal["float32", "bfloat16"] = "float32"
    frozen: Literal["float32", "bfloat16", "float16", "nf4"] = "float32"  # nf4: QLoRA, on a GPU
    recompute: bool = False  # of the decoder only layer inputs are kept: less memory, more time
    skip_unreadable: bool = False  # entries and images that cannot be read are left out, and told
    sharded: bool = False  # frozen weights are spread over all processes (FSDP)
    threads: int = 0  # of the CPU; 0: all cores
    workers: int = 0  # processes that read images; 0: the training process itself
    scored: int = 20  # images of each kind that are asked before and after; 0: none
    save_every: int = 100  # steps
    log_every: int = 10  # steps

    def __post_init__(self) -> None:
        names = [source.name for source in self.data]
        if not self.data or not self.stages or len(set(names)) != len(names):
            raise InputError("give at least one data set and one stage, and each name once")
        if self.instructions not in ("", *INSTRUCTIONS):
            raise InputError(f"instructions: {_unknown(self.instructions, [*INSTRUCTIONS])}")
        if self.scored < 0:
            raise InputError("scored is a number of images, from 0 up")
        if self.sharded and self.scored:
            raise InputError("scored must be 0 where sharded is true: no process has a whole model")
        if self.aligner and ("aligner" not in self.parts or self.lora.aligner):
            raise InputError("a fresh aligner has to be trained, and whole: train: [aligner, ...]")
        if len({stage.name for stage in self.stages}) != len(self.stages):
            raise InputError("two stages have the same name")
        for stage in self.stages:
            if stage.steps and stage.epochs:
                raise InputError(f"stages: {stage.name}: give steps or epochs, not both")
            for name in stage.ratios:
                if name not in names:
                    raise InputError(f"stages: ratios: {_unknown(name, names)}")
            ratios = [stage.ratios.get(source.name, source.ratio) for source in self.data]
            if max(ratios) <= 0 or min(ratios) < 0:
                raise InputError(f"stages: {stage.name}: no data set has a ratio above 0")
            if stage.steps and any(source.cap for source in self.data):
                raise InputError(f"stages: {stage.name}: cap is of an epoch; give epochs, no steps")

    @property
    def parts(self) -> frozenset[Part]:
        """What any of its stages trains."""
        return frozenset(part for stage in self.stages for part in stage.train)

    def adapt(self, spec: ModelSpec, grid: int) -> ModelSpec:
        """What the model that comes out expects, from what a base of grid x grid patches does."""
        if self.instructions:
            prompt = dataclasses.replace(spec.prompt, instructions=self.instructions)
            spec = dataclasses.replace(spec, prompt=prompt)
        if self.aligner:
            vision = dataclasses.replace(spec.vision, tokens=self.aligner.tokens(grid))
            spec = dataclasses.replace(spec, vision=vision)
        return spec


def read_recipe(path: str | Path, folder: Path | None = None) -> Recipe:
    """Read and check a recipe; `read_as` says how."""
    recipe: Recipe = read_as(Recipe, path, folder)
    return recipe


def show_recipe(recipe: Recipe) -> str:
    """The recipe as YAML with every default written out; reading it gives the same recipe."""
    with needs("training"):
        import yaml
    shown: str = yaml.safe_dump(_shown(asdict(recipe)), sort_keys=False, width=100)
    return shown


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shown(each) for key, each in value.items() if each != Path()}
    if isinstance(value, tuple):
        return [_shown(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def read_as(owner: type[Any], path: str | Path, folder: Path | None = None) -> Any:
    """A YAML file as an instance of the dataclass `owner`.

    Args:
        owner: a frozen dataclass; every key of the file is one of its fields.
        path: the YAML file.
        folder: what its paths are relative to; None: the folder of the file.

    Raises:
        InputError: the file is missing, no YAML, or says something that is not known.
    """
    path = Path(path)
    with needs("training"):
        import yaml
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: no readable recipe: {error}") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        raise InputError(f"{path}{where}: not YAML: {getattr(error, 'problem', error)}") from error
    try:
        return _build(owner, values, "", folder or path.absolute().parent)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _build(owner: type[Any], values: object, where: str, folder: Path) -> Any:
    if not isinstance(values, Mapping):
        raise InputError(f"{where or 'recipe'}: {values!r}; give keys and values")
    fields = {each.name: each for each in dataclasses.fields(owner)}
    for key in values:
        if key not in fields:
            raise InputError(f"{_inside(where)}{_unknown(str(key), list(fields))}")
    for name, each in fields.items():
        optional = each.default is not dataclasses.MISSING or (
            each.default_factory is not dataclasses.MISSING
        )
        if name not in values and not optional:
            raise InputError(f"{_inside(where)}'{name}' is missing")
    hints = get_type_hints(owner)
    built = {
        key: _convert(hints[key], value, f"{where}.{key}".lstrip("."), folder)
        for key, value in values.items()
    }
    try:
        return owner(**built)
    except InputError as error:
        raise InputError(f"{_inside(where)}{error}") from error


def _convert(hint: Any, value: object, where: str, folder: Path) -> Any:
    """`value` as the type that `hint` names."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:  # of something and None
        return None if value is None else _convert(inner[0], value, where, folder)
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where, folder)  # type: ignore[arg-type]  # never an instance
    if origin is Literal:
        if value not in inner:
            raise InputError(f"{where}: {_unknown(str(value), [str(each) for each in inner])}")
        return value
    if origin is tuple and isinstance(value, list):
        if inner[-1] is not Ellipsis and len(value) != len(inner):
            raise InputError(f"{where}: {value!r}; give {len(inner)} values")
        return tuple(
            _convert(inner[0], each, f"{where}[{number}]", folder)
            for number, each in enumerate(value)
        )
    if origin is not None and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return {
            _convert(inner[0], key, where, folder): _convert(
                inner[1], each, f"{where}.{key}", folder
            )
            for key, each in value.items()
        }
    if hint is Path and isinstance(value, str):
        return folder / Path(value).expanduser()
    return _plain(hint, value, where)


def _plain(hint: Any, value: object, where: str) -> Any:
    if hint is float and not isinstance(value, bool) and isinstance(value, int | float | str):
        try:
            return float(value)  # YAML 1.1 takes 1e-5 for a string
        except ValueError:
            pass
    elif hint in (int, bool, str) and type(value) is hint:
        return value
    kinds = {float: "a number", int: "a whole number", bool: "true or false", str: "words"}
    kinds[Path] = "a path"
    raise InputError(f"{where}: {value!r}; give {kinds.get(hint, 'a list or keys with values')}")


def _inside(where: str) -> str:
    return f"{where}: " if where else ""


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
    return f"{name!r} is not known; {hint}"
