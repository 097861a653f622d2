"""Which tokens may come next where the shape of an answer is known: boxes and class names.

    Ground:   [space] ( box | absent ) end
    Detect:   [space] <p>name</p> ' ' box ( <delim> box )* end   |   [space] absent end
              (marks as the model's box language has them, box_languages.py)
    Classify: [space] name end            (answering a question, a name may begin with a capital)

The automaton works on the bytes of the pieces, so any tokenizer will do: digits one by one, whole
`<57>`, or `><` in one. Both language models (llama.cpp and PyTorch) decode under it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from skyeye_edge.core.box_languages import CORNERS, LANGUAGES, LARGEST_ANGLE
from skyeye_edge.core.boxes import BoxSpec
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.core.tasks import Classify, Detect, Ground, Task

TokenIds = npt.NDArray[np.int64]
BINARY = 2  # names between which an answer decides as between a box and absent
EVEN = 0.5  # and then the likelier one is answered, however its probability is spread over tokens
_NUMBER = re.compile(rb"([^0-9]*)([0-9]+)([^0-9]*)")
_Memo = dict[tuple[object, ...], TokenIds]


@dataclass(frozen=True, eq=False)  # eq=False: a vocabulary is itself, not its 32,000 pieces
class Vocabulary:
    """A tokenizer as the automaton sees it; each side makes one from its own, once per model."""

    pieces: tuple[bytes | None, ...]  # text of each token; None: a control token, never allowed
    end: int
    encode: Callable[[str], list[int]]  # text to ids, without control tokens

    @cached_property
    def dummy_prefix(self) -> bool:
        """True if the tokenizer puts a space before every text (LLaMA's does)."""
        return (self.pieces[self.encode("a")[0]] or b"").startswith(b" ")

    @cached_property
    def sorted_pieces(self) -> tuple[list[bytes], list[int]]:
        """Each text once, in order, and its token."""
        tokens: dict[bytes, int] = {}
        for token, piece in enumerate(self.pieces):
            if piece and token != self.end:
                known = tokens.get(piece)
                tokens[piece] = token if known is None else self._spelling(piece, known, token)
        texts = sorted(tokens)
        return texts, [tokens[text] for text in texts]

    def _spelling(self, piece: bytes, first: int, second: int) -> int:
        # A character and its fallback byte have one text; a choice between them is none, and the
        # byte token is one that the model never saw. Bytes come first in sentencepiece's order.
        return first if first in self.encode(piece.decode("utf-8", "replace")) else second

    @cached_property
    def _token_of(self) -> dict[bytes, int]:
        return dict(zip(*self.sorted_pieces, strict=True))

    @cached_property
    def _neighbours(self) -> dict[int, TokenIds]:
        return {}

    def neighbours(self, token: int) -> TokenIds:
        """`token` and those that write its number one higher or one lower, all else being equal.

        The token alone where its text has no number, or more than one.
        """
        found = self._neighbours.get(token)
        if found is None:
            found = self._neighbours[token] = np.array(self._near(token), dtype=np.int64)
        return found

    def _near(self, token: int) -> list[int]:
        number = _NUMBER.fullmatch(self.pieces[token] or b"")
        if number is None:
            return [token]
        head, digits, tail = number.groups()
        texts = [b"%b%d%b" % (head, int(digits) + step, tail) for step in (-1, 1)]
        known = [self._token_of[text] for text in texts if text in self._token_of]
        return sorted({token, *known})

    @cached_property
    def spans_coordinates(self) -> bool:
        """True if some piece ends one coordinate and begins the next, as `><4` would."""
        inner = {mark for language in LANGUAGES.values() for mark in language.marks[1:-1]}
        spanning = re.compile(
            "|".join(f"{re.escape(mark)}[0-9]" for mark in sorted(inner)).encode()
        )
        return any(piece and spanning.search(piece) for piece in self.pieces)

    @cached_property
    def _box_memo(self) -> _Memo:
        return {}

    @cached_property
    def _automaton_of(self) -> Callable[..., Automaton]:
        # Bounded, because a chat may name a new object in every question.
        return lru_cache(maxsize=64)(lambda *values: Automaton(self, *values))


def task_automaton(task: Task, vocabulary: Vocabulary, spec: ModelSpec) -> Automaton | None:
    """The automaton of a task's answer, shared between questions; None where it is free text."""
    make = vocabulary._automaton_of
    boxes, absent, found_from = spec.boxes, spec.boxes.absent, spec.scores.found_from
    language = boxes.language
    opening, again = language.marks[0], language.again + language.marks[0]
    match task:
        case Ground():
            return make((opening,), (absent,) if absent else (), "", "", boxes, found_from)
        case Detect(name=name):
            heading = language.heading.format(name)
            if absent:
                return make((heading + opening,), (absent,), "", again, boxes, found_from)
            prefix = heading.rstrip()
            return make((heading[len(prefix) :] + opening,), (), prefix, again, boxes)
        case Classify(names=names, question=""):
            return make((), names, "", "", boxes)
        case Classify(names=names):
            first = _spellings(names[:1]) if len(names) == BINARY else ()
            return make((), _spellings(names), "", "", boxes, EVEN, first)
        case _:
            return None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in an answer we are, character by character."""

    part: str  # "opening", "box" or "again" (after a box)
    read: bytes = b""  # of the opening or repetition; in a box since the last complete number
    corners: tuple[int, ...] = ()  # complete numbers of this box: edges, then the angle


class Automaton:
    """All answers of one shape, over one vocabulary; memoised, safe to share between threads."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        box_words: tuple[str, ...],
        last_words: tuple[str, ...],
        prefix: str,
        again: str,
        boxes: BoxSpec,
        found_from: float | None = None,
        chosen: tuple[str, ...] = (),
    ) -> None:
        """An automaton for: prefix, then a box word with its box, or one of the last words.

        Args:
            vocabulary: the tokens.
            box_words: what an answer may begin with so that a box follows; ends in its first mark.
            last_words: complete answers.
            prefix: written first, as the tokenizer encodes it; none of its tokens is chosen.
            again: what stands between two boxes, the first mark included; empty: one box is all.
            boxes: how they are written, and how far apart their edges are at least.
            found_from: presence from which an answer is a box; None: the best token decides.
            chosen: those of the last words whose probability is the presence, where no box is.
        """
        self._vocabulary = vocabulary
        self._prefix = tuple(vocabulary.encode(prefix)) if prefix else ()
        self._bins, self._min_size, self._numbers = boxes.bins, boxes.min_size, boxes.numbers
        self._marks = tuple(mark.encode() for mark in boxes.language.marks)
        self._kind = (boxes, again)
        spaces = ("", " ") if vocabulary.dummy_prefix and not prefix else ("",)
        begin = {space + word: True for word in box_words for space in spaces}
        begin |= {space + word: False for word in last_words for space in spaces}
        self._moves = {
            **_word_moves("opening", begin),
            **_word_moves("again", {again: True} if again else {}),
        }
        self._found_from = found_from
        spelt = {space + word for word in chosen for space in spaces}
        self._present = {word.encode(): box or word in spelt for word, box in begin.items()}
        self._final = {_Place("opening", word.encode()) for word, box in begin.items() if not box}
        self._final.add(_Place("again"))
        self._memo: _Memo = {}
        self._verdicts: dict[_Place, Verdict | None] = {}

    def start(self) -> State:
        """The state before the first token."""
        return State(self, _Place("opening"), self._prefix)

    def _next(self, place: _Place) -> Mapping[int, _Place]:
        return self._coordinate_moves(place) if place.part == "box" else self._moves.get(place, {})

    def _coordinate_moves(self, place: _Place) -> Mapping[int, _Place]:
        corners, read = place.corners, place.read
        mark = self._marks[len(corners)] if corners else b""  # the first one opened the box
        if len(read) < len(mark):
            return {mark[len(read)]: self._within(mark[: len(read) + 1], corners)}
        digits, numbers = read[len(mark) :], self._numbers[len(corners)]
        least, most = self._range(corners)
        moves = {
            byte: _Place("box", read + bytes([byte]), corners)
            for byte in b"0123456789."
            if numbers.may_begin(digits + bytes([byte]), least, most)
        }
        number = numbers.complete(digits, least, most) if digits else None
        if number is not None:
            behind = self._marks[len(corners) + 1][:1]
            moves[behind[0]] = self._within(behind, (*corners, number))
        return moves

    def _within(self, read: bytes, corners: tuple[int, ...]) -> _Place:
        """The place after `read`, all or part of the mark behind the last number."""
        closed = len(corners) == len(self._numbers) and read == self._marks[-1]
        return _Place("again") if closed else _Place("box", read, corners)

    def _range(self, corners: tuple[int, ...]) -> tuple[int, int]:
        """The next number's least and largest value: x2 follows x1, y2 follows y1."""
        match corners:
            case (first, _) | (_, first, _):
                return first + self._min_size, self._bins
            case _ if len(corners) >= CORNERS:
                return 0, LARGEST_ANGLE
            case _:
                return 0, self._bins - self._min_size

    def _walk(self, place: _Place, piece: bytes) -> _Place:
        for byte in piece:
            place = self._next(place)[byte]
        return place

    def _allowed(self, place: _Place) -> TokenIds:
        memo = self._memo
        key: tuple[object, ...] = (place,)
        if place.part != "opening":  # boxes are the same after every name
            memo, key = self._vocabulary._box_memo, (*self._kind, *self._matters(place))
        found = memo.get(key)
        if found is None:
            found = memo[key] = self._search(place)
        return found

    def _verdict(self, place: _Place) -> Verdict | None:
        if place.part != "opening":
            return None
        if place not in self._verdicts:
            self._verdicts[place] = self._judge(place)
        return self._verdicts[place]

    def _judge(self, place: _Place) -> Verdict | None:
        if len(set(self._present.values())) == 1:  # boxes only, or no boxes
            return None
        pieces, end = self._vocabulary.pieces, self._vocabulary.end
        outcomes = [
            {self._present[place.read]}
            if token == end
            else self._outcomes(self._walk(place, pieces[token] or b""))
            for token in map(int, self._allowed(place))
        ]
        found = np.array([outcome == {True} for outcome in outcomes])
        absent = np.array([outcome == {False} for outcome in outcomes])
        if not (found.any() and absent.any()):
            return None
        return Verdict(found, absent, self._found_from)

    def _outcomes(self, place: _Place) -> set[bool]:
        """Whether a box (or a chosen word) can still follow, and whether none can."""
        if place.part != "opening":
            return {True}
        return {is_it for word, is_it in self._present.items() if word.startswith(place.read)}

    def _matters(self, place: _Place) -> tuple[object, ...]:
        if self._vocabulary.spans_coordinates:
            return (place,)
        return (place.part, place.read, len(place.corners), self._range(place.corners))

    def _search(self, place: _Place) -> TokenIds:
        """Tokens whose whole text can follow, found by halving the sorted pieces byte by byte."""
        texts, tokens = self._vocabulary.sorted_pieces
        allowed = [self._vocabulary.end] if place in self._final else []
        waiting = [(place, b"", 0, len(texts))]
        while waiting:
            here, text, low, high = waiting.pop()
            for byte, there in self._next(here).items():
                longer = text + bytes([byte])
                first = bisect_left(texts, longer, low, high)
                last = bisect_left(texts, text + bytes([byte + 1]), first, high)  # UTF-8 has no 255
                if first == last:
                    continue
                if texts[first] == longer:
                    allowed.append(tokens[first])
                    first += 1
                waiting.append((there, longer, first, last))
        if not allowed:
            raise InputError(
                "the model's tokenizer cannot write this name or box; use another word for it"
            )
        ids = np.array(sorted(allowed), dtype=np.int64)
        ids.flags.writeable = False
        return ids


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """The choice between a box and absent, at the token that makes it."""

    found: npt.NDArray[np.bool_]  # (n,) of the allowed tokens: a box follows
    absent: npt.NDArray[np.bool_]  # (n,): none does; tokens that are neither leave it open
    found_from: float | None  # presence from which a box is answered; None: the best token decides

    def presence(self, logits: npt.NDArray[np.float32]) -> float:
        """Probability of a box, of the tokens that decide; (n,) logits of those allowed."""
        return float(np.exp(-np.logaddexp(0.0, self._lead(logits))))

    def shifted(self, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The logits with those of absent moved, so that the best one says what the presence says.

        Moved and not masked, because the distance of the two best ones is what parity calls a tie.
        """
        if self.found_from is None:
            return logits
        best_found, best_absent = logits[self.found].max(), logits[self.absent].max()
        with np.errstate(divide="ignore"):
            bar = np.log(self.found_from) - np.log1p(-self.found_from)
        shifted: npt.NDArray[np.float32] = logits.copy()
        shifted[self.absent] += float(self._lead(logits) + bar) - float(best_absent - best_found)
        return shifted

    def _lead(self, logits: npt.NDArray[np.float32]) -> float:
        """Logarithm of absent's odds."""
        return _log_sum(logits[self.absent]) - _log_sum(logits[self.found])


def _log_sum(logits: npt.NDArray[np.float32]) -> float:
    best = float(logits.max())
    return best + float(np.log(np.exp(logits.astype(np.float64) - best).sum()))


@dataclass(frozen=True, slots=True)
class State:
    """A point in an answer; immutable, so that one may be kept while another goes on."""

    _automaton: Automaton
    _place: _Place
    _pending: tuple[int, ...] = ()  # tokens that are written in any case

    def allowed(self) -> TokenIds:
        """Tokens that may come next, sorted, the end token included; read-only, shape (n,), n >= 1.

        Where n is 1 the token is forced: it is appended without asking the language model.

        Raises:
            InputError: the tokenizer has no token for what must come next.
        """
        if self._pending:
            return np.array(self._pending[:1], dtype=np.int64)
        return self._automaton._allowed(self._place)

    def verdict(self) -> Verdict | None:
        """How the tokens of `allowed()` decide between a box and absent; None: they do not."""
        return None if self._pending else self._automaton._verdict(self._place)

    def advance(self, token: int) -> State:
        """The state after `token`, which is one of `allowed()` and not the end token.

        Raises:
            KeyError: the token is not allowed here.
        """
        if self._pending:
            if token != self._pending[0]:
                raise KeyError(token)
            return State(self._automaton, self._place, self._pending[1:])
        piece = self._automaton._vocabulary.pieces[token]
        if not piece:
            raise KeyError(token)
        return State(self._automaton, self._automaton._walk(self._place, piece))


def _spellings(names: tuple[str, ...]) -> tuple[str, ...]:
    """Each name as it is and with a capital, as sentences begin: both are the same answer."""
    return tuple(
        dict.fromkeys(each for name in names for each in (name, name[:1].upper() + name[1:]))
    )


def _word_moves(part: str, words: Mapping[str, bool]) -> dict[_Place, dict[int, _Place]]:
    """The characters of all words as a tree; a word that is True ends where a box begins."""
    moves: dict[_Place, dict[int, _Place]] = {}
    for word, opens_box in words.items():
        text = word.encode()
        for length, byte in enumerate(text):
            after = text[: length + 1]
            ends_in_box = opens_box and after == text
            there = _Place("box") if ends_in_box else _Place(part, after)
            moves.setdefault(_Place(part, text[:length]), {})[byte] = there
    return moves
