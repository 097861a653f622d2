"""Some of a user's images kept from training, so that a score can say what was learnt from them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from skyeye_edge.core.errors import needs
from skyeye_edge.training.data.annotation import Annotation
from skyeye_edge.training.data.record import read_rgb

FEWEST = 5  # images; of fewer each one is worth more in training
NEAR = 4  # bits of 64 in which the difference hashes of near-duplicates differ at most
MOST_COMPARED = 2000  # images; more are not read before training, so only equal files stay together
_ONES = np.array([number.bit_count() for number in range(256)], np.uint8)


def hold_out(
    items: Sequence[Annotation], share: float, seed: int
) -> tuple[tuple[Annotation, ...], tuple[Annotation, ...]]:
    """Which images are trained on and which are held out, each in the order given.

    An image's lot hangs on the seed and its file name, not on its neighbours; near-duplicates
    (consecutive frames of a hover) go the same way.

    Args:
        items: annotated images; several may be about the same file.
        share: of the images that are held out, 0 to 1; at least one if it is above 0, none of
            fewer than `FEWEST`, and none where all look alike.
        seed: another one holds out others.

    Raises:
        MediaError: an image cannot be read.
    """
    if not share or len(items) < FEWEST:
        return tuple(items), ()
    wanted = max(1, round(share * len(items)))
    held: set[int] = set()
    for group in sorted(_alike(items), key=lambda group: _lot(items[group[0]], seed)):
        if len(held) + len(group) <= wanted:
            held.update(group)
    trained = tuple(item for place, item in enumerate(items) if place not in held)
    return trained, tuple(items[place] for place in sorted(held))


def _lot(item: Annotation, seed: int) -> bytes:
    name = "" if isinstance(item.image, np.ndarray) else item.image.name
    return hashlib.blake2b(f"{seed} {name}".encode()).digest()


def _alike(items: Sequence[Annotation]) -> list[list[int]]:
    """Places of the items, those of near-duplicates together."""
    by_file: dict[object, list[int]] = defaultdict(list)
    for place, item in enumerate(items):
        by_file[place if isinstance(item.image, np.ndarray) else item.image].append(place)
    files = list(by_file.values())
    if len(files) > MOST_COMPARED:
        return files
    hashes = np.stack([_difference_hash(items[places[0]]) for places in files])
    group_of = list(range(len(files)))
    for place, bits in enumerate(hashes):
        distances = _ONES[hashes[:place] ^ bits].sum(axis=1)
        for near in np.flatnonzero(distances <= NEAR):
            _join(group_of, place, int(near))
    groups: dict[int, list[int]] = defaultdict(list)
    for place, places in enumerate(files):
        groups[_first(group_of, place)] += places
    return list(groups.values())


def _difference_hash(item: Annotation) -> npt.NDArray[np.uint8]:
    """(8,) uint8, 64 bits that hardly change with size, light and compression."""
    with needs("training"):
        import imagehash
    bits = imagehash.dhash(Image.fromarray(read_rgb(item.image))).hash
    return np.packbits(bits)


def _first(group_of: list[int], place: int) -> int:
    while group_of[place] != place:
        place = group_of[place]
    return place


def _join(group_of: list[int], ours: int, theirs: int) -> None:
    first, other = sorted((_first(group_of, ours), _first(group_of, theirs)))
    group_of[other] = first
