"""Which tokens may come next where the shape of an answer is known: boxes and class names.

    Ground:   [space] ( box | absent ) end
    Detect:   [space] <p>name</p> ' ' box ( <delim> box )* end   |   [space] absent end
    Classify: [space] name end

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

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.spec import ModelSpec
from skyeye_edge.core.tasks import Classify, Detect, Ground, Task

TokenIds = npt.NDArray[np.int64]
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
    def spans_coordinates(self) -> bool:
        """True if some piece ends one coordinate and begins the next, as `><4` would."""
        return any(piece and re.search(rb"><\d", piece) for piece in self.pieces)

    @cached_property
    def _box_memo(self) -> _Memo:
        return {}

    @cached_property
    def _automaton_of(self) -> Callable[..., Automaton]:
        # Bounded, because a chat may name a new object in every question.
        return lru_cache(maxsize=64)(lambda *values: Automaton(self, *values))


def task_automaton(task: Task, vocabulary: Vocabulary, spec: ModelSpec) -> Automaton | None:
    """The automaton of a task's answer, shared between questions; None where it is free text."""
    boxes, absent = (spec.boxes.bins, spec.boxes.min_size), spec.boxes.absent
    match task:
        case Ground():
            return vocabulary._automaton_of(("{",), (absent,) if absent else (), "", "", boxes)
        case Detect(name=name):
            opening, head = (f"<p>{name}</p>", " {")
            if absent:
                return vocabulary._automaton_of((opening + head,), (absent,), "", "<delim>{", boxes)
            return vocabulary._automaton_of((head,), (), opening, "<delim>{", boxes)
        case Classify(names=names):
            return vocabulary._automaton_of((), names, "", "", boxes)
        case _:
            return None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in an answer we are, character by character."""

    part: str  # "opening", "box" or "again" (after a box)
    read: bytes = b""  # of the opening or repetition; in a box since the last complete coordinate
    corners: tuple[int, ...] = ()  # complete coordinates of this box


class Automaton:
    """All answers of one shape, over one vocabulary; memoised, safe to share between threads."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        box_words: tuple[str, ...],
        last_words: tuple[str, ...],
        prefix: str,
        again: str,
        boxes: tuple[int, int],
    ) -> None:
        """An automaton for: prefix, then a box word with its box, or one of the last words.

        Args:
            vocabulary: the tokens.
            box_words: what an answer may begin with so that a box follows; ends in `{`.
            last_words: complete answers.
            prefix: written first, as the tokenizer encodes it; none of its tokens is chosen.
            again: what stands between two boxes, `{` included; empty: one box is all.
            boxes: the largest coordinate, and how far apart the edges of a box are at least.
        """
        self._vocabulary = vocabulary
        self._prefix = tuple(vocabulary.encode(prefix)) if prefix else ()
        self._bins, self._min_size = boxes
        self._again = again
        spaces = ("", " ") if vocabulary.dummy_prefix and not prefix else ("",)
        begin = {space + word: True for word in box_words for space in spaces}
        begin |= {space + word: False for word in last_words for space in spaces}
        self._moves = {
            **_word_moves("opening", begin),
            **_word_moves("again", {again: True} if again else {}),
        }
        self._final = {_Place("opening", word.encode()) for word, box in begin.items() if not box}
        self._final.add(_Place("again"))
        self._memo: _Memo = {}

    def start(self) -> State:
        """The state before the first token."""
        return State(self, _Place("opening"), self._prefix)

    def _next(self, place: _Place) -> Mapping[int, _Place]:
        return self._coordinate_moves(place) if place.part == "box" else self._moves.get(place, {})

    def _coordinate_moves(self, place: _Place) -> Mapping[int, _Place]:
        corners, read = place.corners, place.read
        if not read:
            if len(corners) == 4:
                return {ord("}"): _Place("again")}
            return {ord("<"): _Place("box", b"<", corners)}
        lowest, highest = self._range(corners)
        digits = read[1:]
        moves = {
            digit: _Place("box", read + bytes([digit]), corners)
            for digit in b"0123456789"
            if _largest(digits + bytes([digit]), highest) >= lowest
        }
        if digits and int(digits) >= lowest:
            moves[ord(">")] = _Place("box", b"", (*corners, int(digits)))
        return moves

    def _range(self, corners: tuple[int, ...]) -> tuple[int, int]:
        """The next coordinate's least and largest value: x2 follows x1, y2 follows y1."""
        match corners:
            case (first, _) | (_, first, _):
                return first + self._min_size, self._bins
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
            kind = (self._bins, self._min_size, self._again)
            memo, key = self._vocabulary._box_memo, (*kind, *self._matters(place))
        found = memo.get(key)
        if found is None:
            found = memo[key] = self._search(place)
        return found

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


def _largest(digits: bytes, bins: int) -> int:
    """The largest number up to `bins` that begins with these digits; -1 if there is none."""
    least = largest = int(digits)
    if least > bins or (digits[:1] == b"0" and digits != b"0"):
        return -1
    while 0 < least * 10 <= bins:
        least, largest = least * 10, min(largest * 10 + 9, bins)
    return largest
