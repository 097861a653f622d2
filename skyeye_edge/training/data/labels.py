"""What names of objects mean beside each other: which sets box all of them, which are alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable

ANY = "*"  # in a set of unsure labels: of every label there may be objects without a box
# Labels of which a set boxes only some objects (shared/data: crowded marinas, parked cars, crowns).
NOT_THROUGHOUT = {
    "simd": ("car", "boat", "other"),
    "nwpu_vhr10": ("vehicle", "harbour", "bridge"),
    "psu_cars": ("car",),
    "palm_trees": ("palm tree",),
}
# Names of what is nearly the same: where one of them is, the others are not denied.
ALIKE = (
    frozenset(
        (
            "airplane",
            "plane",
            "airliner",
            "helicopter",
            "chartered aircraft",
            "fighter aircraft",
            "propeller aircraft",
            "trainer aircraft",
        )
    ),
    frozenset(("ship", "boat", "merchant ship", "naval ship", "other vessel")),
    frozenset(
        (
            "car",
            "van",
            "truck",
            "bus",
            "minibus",
            "vehicle",
            "other",
            "long vehicle",
            "other vehicle",
            "stair truck",
        )
    ),
    frozenset(("tree", "palm tree")),
    frozenset(("harbour", "harbor", "dock")),
    frozenset(("tennis court", "basketball court")),
    frozenset(("person", "people", "pedestrian")),
    frozenset(("large vehicle", "small vehicle", "vehicle", "car", "van", "truck", "bus")),
    frozenset(("tricycle", "awning tricycle")),
    frozenset(("bicycle", "motorcycle")),
)
# What may stand in any picture without a box, so that no other set denies it.
EVERYWHERE = frozenset(("person", "bicycle", "storage tank", "bridge")).union(*ALIKE[1:5])
# Where nothing man-made is expected: objects pasted there are the only ones of their label.
EMPTY_SCENES = frozenset(
    (
        "farmland",
        "forest",
        "meadow",
        "desert",
        "bareland",
        "mountain",
        "grassland",
        "wetland",
        "pasture",
        "bare land",
        "annual crops",
        "herbaceous vegetation",
    )
)


def alike(labels: Iterable[str]) -> frozenset[str]:
    """The labels, and all that are nearly the same as one of them."""
    found = frozenset(labels)
    return found.union(*(names for names in ALIKE if names & found))


def is_unsure(label: str, unsure: Collection[str]) -> bool:
    """Whether there may be objects of a label without a box, by an annotation's `cut`."""
    return label in unsure or ANY in unsure


def throughout(name: str, own: Iterable[str], others: Iterable[str]) -> frozenset[str]:
    """Labels of which a picture of a set shows none without a box.

    Args:
        name: of the set.
        own: labels that it boxes.
        others: of all sets; what may stand anywhere without a box is not counted.
    """
    closed = frozenset(own) | (frozenset(others) - EVERYWHERE)
    return closed - frozenset(NOT_THROUGHOUT.get(name, ()))
