"""What can be asked about a frame, and the words in which a model is asked.

Identifiers and instruction texts are those that each family of models evaluates with, so that
imported weights meet the prompts they know (SkyEyeGPT 3.2; MiniGPT-v2, GeoChat, LLaVA-1.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Generic, TypeVar, get_args

from skyeye_edge.core.arguments import as_tuple, check_flag, check_whole
from skyeye_edge.core.boxes import XYXY, BoxSpec, Size, box_text, check_corners
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.results import (
    ClassifyResult,
    DetectResult,
    GroundResult,
    Result,
    TextResult,
)
from skyeye_edge.core.scores import check_min_score

_Result = TypeVar("_Result", bound=Result, covariant=True)


class TaskOf(Generic[_Result]):
    """A task and the kind of its answer, so that type checkers know what `run` gives for it."""

    __slots__ = ()


BOX_MARKS = ("<p>", "</p>", "<delim>", "{", "}")  # of the box syntax: no part of a name


@dataclass(frozen=True, slots=True)
class Caption(TaskOf[TextResult]):
    """One sentence about the frame or clip."""


@dataclass(frozen=True, slots=True)
class Describe(TaskOf[TextResult]):
    """A longer description; with `boxes`, phrases carry their places."""

    boxes: bool = False

    def __post_init__(self) -> None:
        check_flag(self.boxes, "describe: boxes")


@dataclass(frozen=True, slots=True)
class Classify(TaskOf[ClassifyResult]):
    """Which one of `names` the frame shows; with a `question`, which of them answers it."""

    names: tuple[str, ...]
    question: str = ""

    def __post_init__(self) -> None:
        # lists are welcome, values are not shared
        names = as_tuple(self.names, "classify: names", '["harbour", "farmland"]')
        object.__setattr__(self, "names", names)
        for name in self.names:
            _check_words(name, "class name")
        if len(set(self.names)) != len(self.names) or not self.names:
            raise InputError("classify: give at least one name, and each name once")
        if self.question != "":
            _check_words(self.question, "question")


@dataclass(frozen=True, slots=True)
class Ground(TaskOf[GroundResult]):
    """The one region that `phrase` means, or that it is absent."""

    phrase: str
    min_score: float | None = None  # a box below is not returned; None: as the model was loaded

    def __post_init__(self) -> None:
        _check_words(self.phrase, "phrase")
        check_min_score(self.min_score)


@dataclass(frozen=True, slots=True)
class Detect(TaskOf[DetectResult]):
    """Every object called `name`."""

    name: str
    min_score: float | None = None  # as Ground's

    def __post_init__(self) -> None:
        _check_words(self.name, "object name")
        check_min_score(self.min_score)
        if any(mark in self.name for mark in BOX_MARKS):
            raise InputError(
                f"object name {self.name!r}: marks of the box syntax cannot be part of it"
            )


@dataclass(frozen=True, slots=True)
class Identify(TaskOf[TextResult]):
    """What is inside `box`, given in pixels (left, top, right, bottom)."""

    box: XYXY

    def __post_init__(self) -> None:
        check_corners(self.box)
        x1, y1, x2, y2 = (float(edge) for edge in self.box)
        object.__setattr__(self, "box", (x1, y1, x2, y2))


@dataclass(frozen=True, slots=True)
class Ask(TaskOf[TextResult]):
    """A free question about the frame or clip."""

    question: str

    def __post_init__(self) -> None:
        _check_words(self.question, "question")


Task = Caption | Describe | Classify | Ground | Detect | Identify | Ask
ONE_FRAME_TASKS = (Ground, Detect, Identify)  # a box belongs to one frame, not to a clip


_KINDS: Mapping[str, type[Task]] = {kind.__name__.lower(): kind for kind in get_args(Task)}


def task_name(task: Task) -> str:
    """The lower-case word of a task in events."""
    return type(task).__name__.lower()


def task_entry(task: Task) -> str:
    """The word of a task in the list of what a model can do; boxes in a description are a skill."""
    if isinstance(task, Classify) and task.question:
        return "ask"
    return "describe_boxes" if task == Describe(boxes=True) else task_name(task)


def as_tasks(tasks: Iterable[Task]) -> tuple[Task, ...]:
    """The tasks of a list; raises InputError if it is none, or holds something else."""
    wanted = []
    for task in as_tuple(tasks, "tasks", "[Caption(), Ground('a boat')]"):
        if not isinstance(task, Task):
            raise InputError(f"{task!r} is no task; give Caption(), Ground('a boat'), ...")
        wanted.append(task)
    return tuple(wanted)


def task_values(task: Task) -> dict[str, Any]:
    """A task and what was said about it, as JSON: {"task": "ground", "phrase": "a boat"}."""
    said = {each.name: getattr(task, each.name) for each in fields(task)}
    said = {key: value for key, value in said.items() if value != _default(task, key)}
    lists = {key: list(value) for key, value in said.items() if isinstance(value, tuple)}
    return {"task": task_name(task)} | said | lists


def parse_task(values: object) -> Task:
    """The reverse of `task_values`; a task without values may be its name alone, as "caption".

    Raises:
        InputError: no such task, or other values than it has.
    """
    given = {"task": values} if isinstance(values, str) else values
    if not isinstance(given, Mapping) or given.get("task") not in _KINDS:
        known = ", ".join(_KINDS)
        raise InputError(f'task {values!r}: give {{"task": one of {known}, ...}}')
    kind = _KINDS[given["task"]]
    said = {str(key): value for key, value in given.items() if key != "task"}
    try:
        return kind(**said)
    except TypeError as error:
        names = ", ".join(each.name for each in fields(kind)) or "nothing"
        raise InputError(f"task {values!r}: {given['task']} takes {names}") from error


def with_min_score(task: Task, min_score: float | None) -> Task:
    """The task with `min_score`, if it asks for boxes and states none itself."""
    if isinstance(task, Ground | Detect) and task.min_score is None:
        return replace(task, min_score=min_score)
    return task


def check_tasks(tasks: Sequence[Task], clip: int = 1) -> None:
    """Refuse what no stream could answer; raises InputError."""
    if not as_tasks(tasks):
        raise InputError("there is nothing to answer: give at least one task")
    check_whole(clip, "clip (frames that are asked about as one)", 1)
    boxed = [task_name(task) for task in tasks if isinstance(task, ONE_FRAME_TASKS)]
    if clip > 1 and boxed:
        raise InputError(f"{boxed[0]} is about one frame; it cannot be asked of a clip of {clip}")


def max_tokens(task: Task) -> int:
    """How many tokens an answer may have where nobody says otherwise; forced tokens count."""
    match task:
        case Classify() | Identify():
            return 32
        case Ground():
            return 48
        case Caption() | Ask():
            return 64
        case Describe():
            return 256
        case Detect():
            return 512


def task_text(task: Task) -> str:
    """A task for people: its name, and what is asked."""
    asked = [getattr(task, name, "") for name in ("phrase", "name", "question")]
    return " ".join([task_name(task), *filter(None, asked)])


def is_in_words(task: Task) -> bool:
    """Whether the answer is a text, of which the beginning is worth something, too."""
    return isinstance(task, Caption | Describe | Ask | Identify)


@dataclass(frozen=True, slots=True)
class Wording:
    """In which words each task is asked; what is in braces is filled in."""

    caption: str
    describe: str
    describe_boxes: str
    classify: str  # {names}
    ground: str  # {phrase}
    detect: str  # {name}
    identify: str  # {box}
    ask: str  # {question}


INSTRUCTIONS: Mapping[str, Wording] = MappingProxyType(
    {
        "minigptv2": Wording(
            caption="[caption] please describe this image?",
            describe="please describe this image in details",
            describe_boxes="[grounding] please describe this image in details",
            classify="[vqa] which of these is this image: {names}?",
            ground="[refer] give me the location of {phrase}",
            detect="[detection] {name}",
            identify="[identify] what object is in this location {box}",
            ask="[vqa] {question}",
        ),
        # the same words without task identifiers, which SkyEyeGPT was compared with (4.4)
        "minigptv2-plain": Wording(
            caption="please describe this image?",
            describe="please describe this image in details",
            describe_boxes="please describe this image in details, with locations",
            classify="which of these is this image: {names}?",
            ground="give me the location of {phrase}",
            detect="give me the locations of every {name}",
            identify="what object is in this location {box}",
            ask="{question}",
        ),
        # GeoChat's evaluation and demo; questions carry no identifier there
        "geochat": Wording(
            caption="Describe the image in one sentence.",
            describe="Describe the image in detail.",
            describe_boxes="[grounding] Describe the image in detail.",
            classify="Classify the image in the following classes: {names}.",
            ground="[refer] Give me the location of <p> {phrase} </p>",
            detect="[refer] Give me the location of <p> {name} </p>",
            identify="[identify] What is the object present at {box}",
            ask="{question}",
        ),
        # what LLaVA-1.5 was tuned with: no identifiers
        "llava": Wording(
            caption="Provide a one-sentence caption for the provided image.",
            describe="Describe this image in detail.",
            describe_boxes="Describe this image in detail.",
            classify="Which of these does this image show: {names}? Answer with one of them.",
            ground="Please provide the bounding box coordinate of the region this sentence "
            "describes: {phrase}.",
            detect="Please provide the bounding box coordinates of every {name} in the image.",
            identify="Please provide a short description for this region: {box}.",
            ask="{question}",
        ),
    }
)


def instruction(task: Task, size: Size, boxes: BoxSpec, wording: str = "minigptv2") -> str:
    """What the model reads as the user's turn.

    Args:
        task: what is asked.
        size: (width, height) of the frame in pixels; Identify's box is measured in it.
        boxes: how boxes are written.
        wording: a key of INSTRUCTIONS.
    """
    words = INSTRUCTIONS[wording]
    match task:
        case Caption():
            return words.caption
        case Describe(boxes=with_boxes):
            return words.describe_boxes if with_boxes else words.describe
        case Classify(names=names, question=""):
            return words.classify.format(names=", ".join(names))
        case Ground(phrase=phrase):
            return words.ground.format(phrase=phrase)
        case Detect(name=name):
            return words.detect.format(name=name)
        case Identify(box=box):
            return words.identify.format(box=box_text(box, size, boxes))
        case Ask(question=question) | Classify(question=question):
            return words.ask.format(question=question)


def _default(task: Task, name: str) -> object:
    return next(each.default for each in fields(task) if each.name == name)


def _check_words(text: str, what: str) -> None:
    if not isinstance(text, str) or not text.strip():
        raise InputError(f"{what} {text!r}: give some words")
    try:
        text.encode()
    except UnicodeEncodeError as error:  # a command line of another encoding brings such
        raise InputError(f"{what} {text!r}: not valid text, use UTF-8") from error
