"""Sentences in RSICD's style that state only what is in the picture."""

from __future__ import annotations

import random
from collections.abc import Sequence

from skyeye_edge.training.data.synthetic.observe import Seen
from skyeye_edge.training.data.synthetic.palette import CLASSES

_NUMBERS = ("no", "a", "two", "three", "four", "five", "six")
_PLACE = {
    "airport": "an airport",
    "coast": "the coast",
    "crossing": "a road crossing",
    "desert": "a desert",
    "farmland": "a piece of farmland",
    "forest": "a forest",
    "industrial area": "an industrial area",
    "lake": "a lake",
    "parking lot": "a parking lot",
    "residential area": "a residential area",
    "river": "a river",
    "road": "a road",
}
_AROUND = {
    "grass": "green grass",
    "dry grass": "dry grass",
    "bare soil": "bare soil",
    "sand": "sand",
    "snow": "snow",
    "pavement": "pavement",
    "forest": "a green forest",
}


def captions_for(
    seen: Sequence[Seen], theme: str, terrain: str, rng: random.Random, *, colours: bool = True
) -> list[str]:
    """Three to five different sentences, lower case, ending ' .'."""
    groups = _groups(seen, colours)
    plain = _groups(seen, False)
    places = [one.kind for one in seen if one.is_area and one.kind != theme]
    sentences = [_scene_with(groups, theme, rng), _there_are(plain, theme), _around(theme, terrain)]
    sentences += [_located(group, seen) for group in _groups_by_place(seen, colours)]
    if groups and places:
        group = rng.choice(groups)
        sentences.append(f"{_amount(group)} and the {rng.choice(places)} can be seen .")
    if len(groups) > 1:
        first, second = rng.sample(groups, 2)
        sentences.append(f"{_amount(first)} and {_amount(second)} are in the picture .")
    rng.shuffle(sentences)
    different = list(dict.fromkeys(sentences))
    spare = (f"this is {_PLACE[theme]} .", f"an aerial view of {_PLACE[theme]} .")
    return (different + list(spare))[: max(3, min(5, len(different)))]


Group = tuple[str, str, int, str]  # colour or "", kind, how many, the area it is on or ""


def _groups(seen: Sequence[Seen], colours: bool) -> list[Group]:
    counts: dict[str, list[Seen]] = {}
    for one in seen:
        if not one.is_area:
            counts.setdefault(one.kind, []).append(one)
    groups = []
    for kind, members in counts.items():
        shown = {one.colour_name for one in members}
        same = colours and len(shown) == 1 and kind != "swimming pool"
        groups.append((members[0].colour_name if same else "", kind, len(members), ""))
    return groups


def _groups_by_place(seen: Sequence[Seen], colours: bool) -> list[Group]:
    groups = []
    for place in sorted({one.on for one in seen if not one.is_area}):
        members = [one for one in seen if not one.is_area and one.on == place]
        groups += [(c, k, n, place) for c, k, n, _ in _groups(members, colours) if place]
    return groups


def _amount(group: Group) -> str:
    colour, kind, number, _ = group
    words = f"{colour} {kind}" if colour else kind
    if number == 1:
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
    many = _NUMBERS[number] if number < len(_NUMBERS) else "many"
    return f"{many} {colour} {CLASSES[kind].plural}".replace("  ", " ")


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _scene_with(groups: Sequence[Group], theme: str, rng: random.Random) -> str:
    if not groups:
        return f"there is {_PLACE[theme]} ."
    chosen = rng.sample(groups, min(len(groups), 3))
    return f"{_PLACE[theme]} with {_listed([_amount(group) for group in chosen])} ."


def _there_are(groups: Sequence[Group], theme: str) -> str:
    where = "at" if theme in ("airport", "crossing") else "in"
    if theme in ("road", "river", "lake", "coast") or not groups:
        return f"an aerial view of {_PLACE[theme]} ."
    verb = "are" if groups[0][2] > 1 else "is"
    return f"there {verb} {_listed([_amount(group) for group in groups])} {where} {_PLACE[theme]} ."


def _around(theme: str, terrain: str) -> str:
    if theme in ("forest", "desert", "farmland"):
        return f"this is {_PLACE[theme]} ."
    return f"{_PLACE[theme]} is surrounded by {_AROUND[terrain]} ."


def _located(group: Group, seen: Sequence[Seen]) -> str:
    places = sum(1 for one in seen if one.is_area and one.kind == group[3])
    verb = "is" if group[2] == 1 else "are"
    where = "in" if group[3] == "parking lot" else "on"
    place = f"the {group[3]}" if places < 2 else f"the {group[3]}s"
    return f"{_amount(group)} {verb} {where} {place} ."
