"""Phrases that mean exactly one object of a picture, and phrases that mean none."""

from __future__ import annotations

import random
from collections.abc import Sequence

from skyeye_edge.training.data.synthetic.observe import Seen
from skyeye_edge.training.data.synthetic.palette import CLASSES

_SURE = 0.07  # two middles nearer than this are never told apart by position
CONFUSED = {
    "lake": ("pond", "river", "sea"),
    "pond": ("lake", "river", "sea"),
    "river": ("lake", "pond", "sea"),
    "sea": ("lake", "pond", "river"),
    "road": ("runway", "bridge", "parking lot", "crossing"),
    "runway": ("road",),
    "bridge": ("road", "crossing"),
    "crossing": ("bridge",),
    "parking lot": ("road", "apron"),
    "beach": ("sand", "lake", "pond", "river"),
}
_AREAS = tuple(CONFUSED)


def phrases_for(
    seen: Sequence[Seen],
    aspect: float,
    rng: random.Random,
    *,
    colours: bool = True,
    smallest: float = 0.04,
) -> list[tuple[str, Seen]]:
    """At most two unambiguous phrases for each object that can be told from the others.

    Args:
        seen: everything in the picture, also what is too small or too cut to be asked for.
        aspect: height / width of the picture.
        rng: chooses between the forms that fit.
        colours: False where the picture shows none (thermal).
        smallest: objects below this size are never the answer.
    """
    found = []
    for target in seen:
        if not _can_be_asked(target, smallest):
            continue
        forms = _forms(target, seen, aspect, colours)
        rng.shuffle(forms)
        for form in forms[: rng.choice((1, 1, 2))]:
            found.append((_with_article(form, rng), target))
    rng.shuffle(found)
    return found


def all_phrases(
    seen: Sequence[Seen], aspect: float, *, smallest: float = 0.04
) -> list[tuple[str, Seen]]:
    """Every unambiguous phrase with its article, for every object that `phrases_for` would ask."""
    return [
        (f"the {form}", target)
        for target in seen
        if _can_be_asked(target, smallest)
        for form in _forms(target, seen, aspect, True)
    ]


def _can_be_asked(target: Seen, smallest: float) -> bool:
    return target.size >= smallest and target.whole >= 0.6 and target.size <= 0.97


def _with_article(form: str, rng: random.Random) -> str:
    return f"the {form}" if rng.random() < 0.7 else form


def _forms(target: Seen, seen: Sequence[Seen], aspect: float, colours: bool) -> list[str]:
    forms: list[str] = []
    same = [other for other in seen if other.kind == target.kind and other is not target]
    if not same:
        forms.append(target.kind)
    if target.is_area:
        return forms
    groups = [(target.kind, same)]
    if colours and target.kind != "swimming pool":
        name = f"{target.colour_name} {target.kind}"
        alike = [other for other in same if other.colour_name == target.colour_name]
        groups.append((name, alike))
        if not alike:
            forms.append(name)
    for name, others in groups:
        if others:
            forms += _by_position(name, target, others, aspect)
            forms += _by_size(name, target, others)
    if same and not any(other.on == target.on for other in same) and target.on in _AREAS:
        forms.append(f"{target.kind} on the {target.on}")
    return forms


def _by_position(name: str, target: Seen, others: Sequence[Seen], aspect: float) -> list[str]:
    u, v = target.middle
    us, vs = [other.middle[0] for other in others], [other.middle[1] for other in others]
    third, two = 0.42, 0.58
    forms = []
    if u < min(us) - _SURE:
        forms.append(f"leftmost {name}")
        forms += [f"{name} on the left"] if u < third and min(us) > 0.5 else []
    if u > max(us) + _SURE:
        forms.append(f"rightmost {name}")
        forms += [f"{name} on the right"] if u > two and max(us) < 0.5 else []
    if v < min(vs) - _SURE:
        forms.append(f"topmost {name}")
        forms += [f"{name} at the top"] if v < third * aspect and min(vs) > aspect / 2 else []
    if v > max(vs) + _SURE:
        forms.append(f"bottommost {name}")
        forms += [f"{name} at the bottom"] if v > two * aspect and max(vs) < aspect / 2 else []
    corner = _corner(target, aspect)
    if corner and not any(_may_be_in(corner, other, aspect) for other in others):
        forms.append(f"{name} at the {corner}")
    return forms


def _corner(target: Seen, aspect: float) -> str:
    u, v = target.middle
    if min(abs(u - 0.5), abs(v - aspect / 2)) < 0.1:
        return ""
    return f"{'top' if v < aspect / 2 else 'bottom'} {'left' if u < 0.5 else 'right'}"


def _may_be_in(corner: str, other: Seen, aspect: float) -> bool:
    """Whether somebody could call this the place of another object."""
    row, column = corner.split()
    u, v = other.middle
    in_row = v < aspect / 2 + 0.06 if row == "top" else v > aspect / 2 - 0.06
    in_column = u < 0.56 if column == "left" else u > 0.44
    return in_row and in_column


def _by_size(name: str, target: Seen, others: Sequence[Seen]) -> list[str]:
    if any(other.whole < 0.99 for other in (*others, target)):
        return []
    forms = []
    if target.size > 1.25 * max(other.size for other in others):
        forms.append(f"largest {name}")
    if target.size < 0.8 * min(other.size for other in others):
        forms.append(f"smallest {name}")
    return forms


def absent_phrases(
    seen: Sequence[Seen], terrain: str, rng: random.Random, *, colours: bool = True
) -> list[str]:
    """Two to four phrases of which nothing in the picture is meant."""
    present = {one.kind for one in seen} | {terrain}
    missing = [kind for kind in CLASSES if kind not in present]
    missing += [
        area for area in _AREAS if area not in present and not present.intersection(CONFUSED[area])
    ]
    absent: list[str] = []
    wrong = _wrong_colours(seen) if colours else []
    number = rng.randint(2, 4)
    while len(absent) < number:
        if wrong and rng.random() < 0.35:
            form = wrong.pop(rng.randrange(len(wrong)))
        else:
            form = _decorated(missing.pop(rng.randrange(len(missing))), rng, colours)
        absent.append(_with_article(form, rng))
    return absent


def _wrong_colours(seen: Sequence[Seen]) -> list[str]:
    wrong = []
    for kind in sorted({one.kind for one in seen if not one.is_area} - {"swimming pool"}):
        shown = {one.colour_name for one in seen if one.kind == kind}
        wrong += [
            f"{colour} {kind}"
            for colour in sorted(set(CLASSES[kind].colours))
            if colour not in shown and not _near_colour(colour, shown)
        ]
    return wrong


def _near_colour(colour: str, shown: set[str]) -> bool:
    """White and gray, red and brown are not sure enough for somebody to be told 'not there'."""
    pairs = ({"white", "gray"}, {"red", "brown"})
    return any(colour in pair and pair & shown for pair in pairs)


def _decorated(kind: str, rng: random.Random, colours: bool) -> str:
    """An absent class in one of the forms that present ones have, so that no form tells."""
    if kind not in CLASSES:
        return kind
    choice = rng.random()
    if choice < 0.3 and colours and kind != "swimming pool":
        return f"{rng.choice(CLASSES[kind].colours)} {kind}"
    if choice < 0.45:
        return f"{rng.choice(('leftmost', 'rightmost', 'topmost', 'bottommost'))} {kind}"
    if choice < 0.6:
        return f"{kind} on the {rng.choice(('left', 'right'))}"
    return kind
