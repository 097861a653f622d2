"""Boxes for others: the list of detections that COCO's tools read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skyeye_edge.core.arguments import as_tuple
from skyeye_edge.core.boxes import Box
from skyeye_edge.core.errors import InputError
from skyeye_edge.core.results import TaskResult

Categories = Mapping[str, int] | Sequence[str] | Sequence[Mapping[str, Any]]


def to_coco(
    items: Iterable[tuple[int, TaskResult]], categories: Categories
) -> list[dict[str, Any]]:
    """COCO detections: `image_id`, `category_id`, `bbox` (left, top, width, height), `score`.

    Of a turned box `bbox` is the smallest upright one around it, and `segmentation` its outline.

    Args:
        items: (image id, result); results without boxes add nothing.
        categories: category ids by name; or the `categories` entry of a COCO file; or names, which
            are numbered from 1.

    Raises:
        InputError: a result has boxes of a name or phrase that is not among the categories.
    """
    ids = _ids(categories)
    rows = []
    for image_id, result in _pairs(items):
        for name, boxes in result.named_boxes():
            if boxes and name not in ids:
                raise InputError(f"{name!r} is not among the categories {sorted(ids)}; add it")
            rows += [_row(image_id, ids[name], box) for box in boxes]
    return rows


def _pairs(items: Iterable[tuple[int, TaskResult]]) -> Iterable[tuple[int, TaskResult]]:
    for item in as_tuple(items, "items", "[(1, result)]"):
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise InputError(f"{item!r} is no pair of image id and result; write [(1, result)]")
        image_id, result = item
        if not isinstance(result, TaskResult):
            raise InputError(f"{result!r} is no result; write [(1, result)]")
        yield image_id, result


def _row(image_id: int, category_id: int, box: Box) -> dict[str, Any]:
    x1, y1, x2, y2 = box.hull
    bbox = [x1, y1, x2 - x1, y2 - y1]
    row = {"image_id": image_id, "category_id": category_id, "bbox": bbox, "score": box.score}
    outline = [edge for corner in box.corners for edge in corner]
    return row | {"segmentation": [outline]} if box.angle else row


def _ids(categories: Categories) -> dict[str, int]:
    if isinstance(categories, Mapping):
        return dict(categories)
    ids: dict[str, int] = {}
    for number, entry in enumerate(as_tuple(categories, "categories", '["car", "boat"]'), start=1):
        if isinstance(entry, Mapping):
            if not {"name", "id"} <= set(entry):
                raise InputError(f"category {entry!r}: it needs a name and an id")
            ids[str(entry["name"])] = int(entry["id"])
        else:
            ids[str(entry)] = number
    return ids
