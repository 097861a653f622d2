"""Questions about a picture with short exact answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from skyeye_edge.training.data.synthetic.observe import Seen
from skyeye_edge.training.data.synthetic.palette import CLASSES
from skyeye_edge.training.data.synthetic.phrases import CONFUSED
from skyeye_edge.training.data.synthetic.themes import THEMES

Pair = tuple[str, str]


def questions_for(
    seen: Sequence[Seen], theme: str, terrain: str, rng: random.Random, *, colours: bool = True
) -> list[Pair]:
    """Six to ten different questions; yes and no are equally likely."""
    things = [one for one in seen if not one.is_area]
    pairs = [_presence(seen, rng) for _ in range(2)]
    pairs += _area_presence({one.kind for one in seen if one.is_area} | {terrain}, rng)
    pairs += [_count(things, rng) for _ in range(2)]
    pairs += _scene(theme, terrain, rng)
    makers: list[Callable[[Sequence[Seen], random.Random], list[Pair]]] = [_side, _more, _above]
    if colours:
        makers.append(_colour)
    for make in makers:
        pairs += make(things, rng)
    different = list(dict(pairs).items())
    rng.shuffle(different)
    return different[:10]


def _presence(seen: Sequence[Seen], rng: random.Random) -> Pair:
    present = sorted({one.kind for one in seen if not one.is_area})
    missing = [kind for kind in CLASSES if kind not in present]
    is_there = bool(present) and rng.random() < 0.5
    kind = rng.choice(present if is_there else missing)
    article = "an" if kind[0] in "aeiou" else "a"
    question = rng.choice(
        (f"is there {article} {kind}?", f"are there any {CLASSES[kind].plural} in the image?")
    )
    return question, "yes" if is_there else "no"


def _area_presence(present: set[str], rng: random.Random) -> list[Pair]:
    areas = [kind for kind in CONFUSED if kind in present]
    missing = [kind for kind, near in CONFUSED.items() if not present.intersection((kind, *near))]
    if areas and rng.random() < 0.5:
        return [(f"is there a {rng.choice(areas)}?", "yes")]
    return [(f"is there a {rng.choice(missing)}?", "no")] if missing else []


def _count(things: Sequence[Seen], rng: random.Random) -> Pair:
    present = sorted({one.kind for one in things})
    kind = rng.choice(present if present and rng.random() < 0.85 else sorted(CLASSES))
    number = sum(one.kind == kind for one in things)
    return f"how many {CLASSES[kind].plural} are there?", str(number)


def _scene(theme: str, terrain: str, rng: random.Random) -> list[Pair]:
    pairs = [(rng.choice(("what kind of place is this?", "which scene is this?")), theme)]
    pairs.append(("what covers the ground?", terrain))
    if THEMES[theme].setting:
        pairs.append(("is this a rural or an urban area?", THEMES[theme].setting))
    return rng.sample(pairs, min(2, len(pairs)))


def _lone(things: Sequence[Seen]) -> list[Seen]:
    kinds = [one.kind for one in things]
    return [one for one in things if kinds.count(one.kind) == 1]


def _colour(things: Sequence[Seen], rng: random.Random) -> list[Pair]:
    lone = [one for one in _lone(things) if one.kind != "swimming pool" and one.size > 0.06]
    chosen = rng.sample(lone, min(2, len(lone)))
    return [(f"what color is the {one.kind}?", one.colour_name) for one in chosen]


def _side(things: Sequence[Seen], rng: random.Random) -> list[Pair]:
    return _compared(things, rng, 0, ("left", "right"), "{} of")


def _above(things: Sequence[Seen], rng: random.Random) -> list[Pair]:
    return _compared(things, rng, 1, ("above", "below"), "{}")


def _compared(
    things: Sequence[Seen], rng: random.Random, axis: int, words: tuple[str, str], form: str
) -> list[Pair]:
    lone = _lone(things)
    if len(lone) < 2:
        return []
    first, second = rng.sample(lone, 2)
    step = first.middle[axis] - second.middle[axis]
    if abs(step) < 0.12:
        return []
    asked = " or ".join(words)
    prefix = "to the " if axis == 0 else ""
    question = f"is the {first.kind} {prefix}{form.format(asked)} the {second.kind}?"
    return [(question, words[0] if step < 0 else words[1])]


def _more(things: Sequence[Seen], rng: random.Random) -> list[Pair]:
    counts = {kind: sum(one.kind == kind for one in things) for kind in CLASSES}
    present = [kind for kind in counts if counts[kind]]
    if not present:
        return []
    first = rng.choice(present)
    others = [kind for kind in CLASSES if counts[kind] != counts[first]]
    second = rng.choice([kind for kind in others if counts[kind]] or others)
    if rng.random() < 0.5:
        first, second = second, first
    plural = CLASSES[first].plural, CLASSES[second].plural
    answer = "yes" if counts[first] > counts[second] else "no"
    return [(f"are there more {plural[0]} than {plural[1]}?", answer)]
