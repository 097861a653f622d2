"""A flight over a procedural world as an H.264 file, with the truth of every frame."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from skyeye_edge.core.boxes import XYXY
from skyeye_edge.core.errors import InputError, needs
from skyeye_edge.training.data.synthetic.captions import captions_for
from skyeye_edge.training.data.synthetic.flight import Flight, plan_flight
from skyeye_edge.training.data.synthetic.observe import Seen, observe
from skyeye_edge.training.data.synthetic.paint import Look, paint
from skyeye_edge.training.data.synthetic.phrases import absent_phrases, all_phrases
from skyeye_edge.training.data.synthetic.world import World

_WHOLE_ENOUGH = 0.5  # what is cut more than this by the border is not counted in captions


@dataclass(frozen=True, slots=True)
class VideoObject:
    """A countable object in one frame."""

    number: int  # the same object has the same number in all frames
    kind: str
    colour: str
    xyxy: XYXY  # pixels
    whole: float  # share of its box that lies inside the picture


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """What is true about one frame."""

    index: int
    time: float  # seconds
    objects: tuple[VideoObject, ...]
    phrases: tuple[tuple[str, XYXY], ...]  # every phrase that means exactly one region
    captions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VideoTruth:
    """What is true about a rendered video."""

    path: Path
    size: tuple[int, int]  # width, height in pixels
    fps: float
    frames: tuple[FrameTruth, ...]
    absent: tuple[str, ...]  # phrases of which nothing is there in any frame


def render_video(
    seed: int,
    path: str | Path,
    seconds: float = 12.0,
    fps: float = 20.0,
    *,
    size: tuple[int, int] = (1280, 720),
) -> VideoTruth:
    """Fly along a road with a red car, a river with boats and buildings, and write the film.

    Args:
        seed: from 0; those from `RESERVED_SEEDS` (1,000,000) up are for evaluation only.
        path: the file to write, H.264 in MP4; an older one is replaced when the new one is whole.
        seconds: length, above 0.
        fps: frames per second, above 0.
        size: (width, height) in pixels, both even and at least 32; not higher than wide.

    Raises:
        InputError: one of these is out of range, or the folder of `path` does not exist.
    """
    path, count = Path(path), round(seconds * fps)
    width, height = size
    if seed < 0 or count < 1 or fps <= 0:
        raise InputError(f"video: seed {seed}, {seconds} s at {fps} frames/s; nothing to render")
    if width % 2 or height % 2 or not 32 <= height <= width:
        raise InputError(f"video: size {width}x{height}; give even numbers, 32 <= height <= width")
    if not path.parent.is_dir():
        raise InputError(f"video: {path.parent} is not a folder; make it first")
    flight = plan_flight(seed, seconds, height / width)
    _encode(flight, path, count, fps, size)
    frames = tuple(frame_truth(flight, index, index / fps, width, seed) for index in range(count))
    rng = random.Random(f"skyeye absent {seed}")  # noqa: S311 - repeatable, not secret
    absent = absent_phrases(everything_in(flight.world), flight.world.terrain, rng)
    return VideoTruth(path, size, fps, frames, tuple(absent))


def everything_in(world: World) -> list[Seen]:
    """Every thing and named area of a world, without places."""
    nowhere = (0.0, 0.0, 0.0, 0.0)
    things = [Seen(thing.kind, thing.colour_name, nowhere) for thing in world.things]
    areas = [Seen(area.kind, "", nowhere, is_area=True) for area in world.areas if area.named]
    return things + areas


def _encode(flight: Flight, path: Path, count: int, fps: float, size: tuple[int, int]) -> None:
    with needs("runtime"):
        import av
    part = path.with_name(f".{path.name}.part")
    rate = Fraction(fps).limit_denominator(1001)
    # Two threads at most: x264's output depends on their number, and so would the packaged clip.
    options = {"crf": "27", "preset": "medium", "threads": "2"}
    try:
        with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=rate, options=options)
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            stream.time_base = 1 / rate
            for index in range(count):
                picture = paint(*flight.at(index / fps), Look(noise=0.6, noise_seed=index), size)
                frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
                frame.pts, frame.time_base = index, 1 / rate
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def frame_truth(flight: Flight, index: int, time: float, width: int, seed: int) -> FrameTruth:
    """What is true about the frame at `time`; boxes in pixels of a picture `width` wide."""
    world, camera = flight.at(time)
    seen = observe(world, camera)
    clear = [one for one in seen if one.whole >= _WHOLE_ENOUGH]
    # The same words for a second at a time: a caption that changes with every frame tells nothing.
    words = random.Random(f"skyeye video {seed} {int(time)}")  # noqa: S311 - repeatable
    return FrameTruth(
        index=index,
        time=time,
        objects=_objects(seen, width),
        phrases=tuple(
            (text, _pixels(one.box, width)) for text, one in all_phrases(seen, camera.aspect)
        ),
        captions=tuple(captions_for(clear, world.theme, world.terrain, words)),
    )


def _objects(seen: Sequence[Seen], width: int) -> tuple[VideoObject, ...]:
    return tuple(
        VideoObject(one.number, one.kind, one.colour_name, _pixels(one.box, width), one.whole)
        for one in seen
        if not one.is_area
    )


def _pixels(box: XYXY, width: int) -> XYXY:
    left, top, right, bottom = box
    return left * width, top * width, right * width, bottom * width
