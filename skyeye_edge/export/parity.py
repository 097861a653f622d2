"""How well a bundle agrees with its checkpoint: both answer the same questions, token by token."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import skyeye_edge
from skyeye_edge.core.boxes import Size
from skyeye_edge.core.frame import Frame
from skyeye_edge.core.preprocess import VisualTokens
from skyeye_edge.core.reply import Reply
from skyeye_edge.core.tasks import Ask, Caption, Classify, Describe, Detect, Ground, Identify, Task
from skyeye_edge.runtime import FileSource, Model, load

if TYPE_CHECKING:
    from skyeye_edge.training.predictor import CheckpointPredictor

log = logging.getLogger(__name__)

STRICT = ("fp32", "F32")  # the pair of which every token is expected to be equal
PARITY_FRAMES = 16
_END = -1  # stands for the end token, which replies do not list
_CLASSES = ("airport", "farmland", "forest", "harbour", "residential area", "road")

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tie:
    """A token that differs where the checkpoint's two best choices are closer than rounding.

    Source: DESIGN.md, Exactness: gap < min(1e-3, max(1e-4, 2 x difference)).
    """

    image: int  # index among the compared images
    task: int  # index among the tasks
    position: int  # of the token in the answer
    gap: float  # between the checkpoint's two best allowed logits
    difference: float  # largest distance of the two sides' logits before that token


@dataclass(frozen=True, slots=True)
class ReplyParity:
    """Agreement of one answer up to its first differing token."""

    tokens: int  # of the longer answer, end token included
    equal_tokens: int
    gap: float  # at the first differing token; 0 if there is none
    difference: float  # of the logits before that token

    @property
    def is_equal(self) -> bool:
        """True if no token differs."""
        return self.equal_tokens == self.tokens

    @property
    def is_tie(self) -> bool:
        """True if rounding may have chosen the first differing token."""
        return not self.is_equal and self.gap < min(1e-3, max(1e-4, 2 * self.difference))


@dataclass(frozen=True, slots=True)
class ParityRow:
    """Agreement of one (vision, language) pair with the checkpoint, over images x tasks."""

    vision: str
    language: str
    strict: bool
    answers: int
    equal: int  # answers without a differing token
    ties: tuple[Tie, ...]  # one for each answer that ends in one
    tokens: int  # of all answers, end tokens included
    equal_tokens: int  # before the first differing one of each answer
    visual_tokens: float  # largest distance of two visual tokens' entries
    logits: float  # largest distance of logits before the first differing token

    @property
    def different(self) -> int:
        """Answers that differ for another reason than a tie."""
        return self.answers - self.equal - len(self.ties)

    def to_json(self) -> dict[str, Any]:
        """Plain values; distances to one significant digit, because machines round differently."""
        values = asdict(self)
        values["ties"] = [_rounded(asdict(tie)) for tie in self.ties]
        return {**_rounded(values), "different": self.different}


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {k: float(f"{v:.0e}") if isinstance(v, float) else v for k, v in values.items()}


def parity_tasks(size: Size) -> tuple[Task, ...]:
    """One question of every kind about a frame of (width, height) pixels."""
    width, height = size
    middle = (0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height)
    return (
        Caption(),
        Describe(),
        Describe(boxes=True),
        Classify(_CLASSES),
        Ground("the red car"),
        Detect("car"),
        Identify(middle),
        Ask("How many cars are there?"),
    )


def read_demo_frames() -> list[Frame]:
    """Evenly spaced frames of the packaged clip."""
    return read_frames(Path(skyeye_edge.__file__).parent / "assets" / "demo.mp4", PARITY_FRAMES)


def read_frames(video: Path, count: int) -> list[Frame]:
    """`count` evenly spaced frames of a video, in order."""
    source = FileSource(video)
    try:
        items = source.items(every=source.facts.seconds / count)
        return [item for item in items if isinstance(item, Frame)][:count]
    finally:
        source.close()


def measure_parity(
    predictor: CheckpointPredictor,
    bundle: Path,
    frames: Sequence[Frame],
    pairs: Sequence[tuple[str, str]],
    *,
    tell: Callable[[str], None] = log.info,
) -> list[ParityRow]:
    """Compare a checkpoint with a bundle in the real runtime, on the CPU.

    Args:
        predictor: the checkpoint in float32 with eager attention.
        bundle: its export.
        frames: what to ask about; every task of `parity_tasks` is asked about each.
        pairs: (vision variant, language type) to compare; fp32 with F32 runs strictly.
        tell: hears what is being done.
    """
    tell(f"parity: the checkpoint answers about {len(frames)} images")
    expected = [_ask(predictor, frame) for frame in frames]
    rows = []
    for vision, language in pairs:
        tell(f"parity: vision {vision} with language {language}")
        strict = (vision, language) == STRICT
        with load(bundle, device="cpu", vision=vision, language=language, strict=strict) as model:
            rows.append(_row(vision, language, strict, expected, (_ask(model, f) for f in frames)))
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """What one side makes of one frame."""

    visual_tokens: VisualTokens  # (N, d)
    replies: list[Reply]


def _ask(side: CheckpointPredictor | Model, frame: Frame) -> _Asked:
    replies = side.replies(frame, parity_tasks(frame.size), keep_logits=True)
    return _Asked(side.encode(frame), list(replies))


def _row(
    vision: str, language: str, strict: bool, expected: list[_Asked], found: Iterator[_Asked]
) -> ParityRow:
    compared: list[ReplyParity] = []
    ties: list[Tie] = []
    distance = 0.0
    for image, (wanted, got) in enumerate(zip(expected, found, strict=True)):
        distance = max(distance, float(np.abs(wanted.visual_tokens - got.visual_tokens).max()))
        for task, (ours, theirs) in enumerate(zip(wanted.replies, got.replies, strict=True)):
            parity = compare_replies(ours, theirs)
            compared.append(parity)
            if parity.is_tie:
                ties.append(Tie(image, task, parity.equal_tokens, parity.gap, parity.difference))
    return ParityRow(
        vision=vision,
        language=language,
        strict=strict,
        answers=len(compared),
        equal=sum(parity.is_equal for parity in compared),
        ties=tuple(ties),
        tokens=sum(parity.tokens for parity in compared),
        equal_tokens=sum(parity.equal_tokens for parity in compared),
        visual_tokens=distance,
        logits=max((parity.difference for parity in compared), default=0.0),
    )


def compare_replies(reference: Reply, other: Reply) -> ReplyParity:
    """Agreement of two replies with logits, up to the first differing token."""
    ours, theirs = _with_end(reference), _with_end(other)
    equal = 0
    difference = 0.0
    while equal < min(len(ours), len(theirs)) and ours[equal] == theirs[equal]:
        pair = _logits(reference, equal), _logits(other, equal)
        if pair[0] is not None and pair[1] is not None:
            difference = max(difference, _distance(pair[0], pair[1]))
        equal += 1
    tokens = max(len(ours), len(theirs))
    gap = 0.0 if equal == tokens else _gap(_logits(reference, equal))
    return ReplyParity(tokens, equal, gap, difference)


def _with_end(reply: Reply) -> tuple[int, ...]:
    return (*reply.ids, _END) if reply.stopped == "end" else reply.ids


def _logits(reply: Reply, position: int) -> Logits | None:
    """None where the automaton left no choice."""
    rows = reply.logits or ()
    return rows[position] if position < len(rows) else None


def _distance(ours: Logits, theirs: Logits) -> float:
    known = np.isfinite(ours) & np.isfinite(theirs)
    return float(np.abs(ours[known] - theirs[known]).max(initial=0.0))


def _gap(logits: Logits | None) -> float:
    """Distance of the two best allowed logits; infinite if there was no choice."""
    allowed = np.sort(logits[np.isfinite(logits)]) if logits is not None else np.empty(0)
    return float(allowed[-1] - allowed[-2]) if allowed.size > 1 else float("inf")
