"""Names of objects in words: what stands in a file is often no English."""

from __future__ import annotations

import re

_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Names of DIOR and its descendants that are written as one word.
_JOINED = {
    "baseballfield": "baseball field",
    "basketballcourt": "basketball court",
    "golffield": "golf field",
    "groundtrackfield": "ground track field",
    "storagetank": "storage tank",
    "tenniscourt": "tennis court",
    "trainstation": "train station",
    "longvehicle": "long vehicle",
    "stairtruck": "stair truck",
    "pushbacktruck": "pushback truck",
}
# Regions of which nothing is known: whatever a set boxes may be in them.
IGNORED = frozenset(("dontcare", "don't care", "dont care", "ignored", "ignored regions", "ignore"))


def in_words(label: str) -> str:
    """`Expressway-toll-station`, `OtherVehicle`, `storagetank` as people write them."""
    spaced = _HUMP.sub(" ", label.replace("-", " ").replace("_", " "))
    words = " ".join(spaced.lower().split())
    return _JOINED.get(words, words)


def is_ignored(label: str) -> bool:
    """Whether this marks a region that nobody annotated."""
    return label.lower() in IGNORED or in_words(label) in IGNORED
