"""Which frames are worth an encode: real flights, and still pictures in which one thing changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from skyeye_edge.core.errors import InputError
from skyeye_edge.core.frame import Frame
from skyeye_edge.runtime.gate import RENEWAL, Gate, build_cells, changed_share

Rgb = npt.NDArray[np.uint8]
WIDTH, HEIGHT = 640, 360
OBJECT = WIDTH // 20  # pixels; 5 % of the side
FAR = 1e6  # seconds; a heartbeat that never comes


@pytest.fixture(scope="module")
def views(shared: Path) -> list[Rgb]:
    """Forty drone pictures, all of one size."""
    folder = shared / "data" / "drone"
    names = [row["file"] for row in json.loads((folder / "annotations.json").read_text("utf-8"))]
    chosen = sorted(dict.fromkeys(names))[:: max(1, len(names) // 40)][:40]
    opened = (Image.open(next(folder.rglob(Path(name).name))) for name in chosen)
    return [np.asarray(image.convert("RGB").resize((WIDTH, HEIGHT))) for image in opened]


def seen(rgb: Rgb, chance: np.random.Generator, light: float = 0.05) -> Rgb:
    """What a camera with noise and automatic exposure makes of a picture."""
    gain, offset = chance.uniform(1 - light, 1 + light), chance.uniform(-100, 100) * light
    noise = chance.normal(0, 4, rgb.shape)
    return np.clip(rgb * gain + offset + noise, 0, 255).astype(np.uint8)


def asked(frames: Iterator[Rgb] | list[Rgb], seconds: float = 0.1) -> list[int]:
    """The numbers of the frames that a gate lets through."""
    gate = Gate(FAR)
    return [
        index
        for index, rgb in enumerate(frames)
        if gate.judge(Frame(rgb, index * seconds, index)).open
    ]


def clip(shared: Path, name: str) -> list[Rgb]:
    with av.open(str(shared / "data" / "clips" / name)) as container:
        return [picture.to_ndarray(format="rgb24") for picture in container.decode(video=0)]


def test_a_trembling_camera_over_a_still_scene_is_asked_about_once(views: list[Rgb]) -> None:
    chance = np.random.default_rng(0)

    numbers = []
    for view in views[::4]:
        shifts = chance.integers(-1, 2, (20, 2))
        frames = [seen(np.roll(view, tuple(by), (0, 1))[8:-8, 8:-8], chance) for by in shifts]
        numbers.append(len(asked(frames)))

    assert np.mean(numbers) <= 20 / 10  # a tenth of the frames
    assert np.median(numbers) == 1


def test_a_real_hover_needs_less_than_a_third_of_the_encodes(shared: Path) -> None:
    frames = clip(shared, "boat_hover.mp4")

    assert len(asked(frames)) < len(frames) / 3


@pytest.mark.parametrize("name", ["wakeboard_fast.mp4", "car_follow.mp4"])
def test_of_a_fast_flight_nothing_is_left_out_for_longer_than_three_frames(
    shared: Path, name: str
) -> None:
    frames = clip(shared, name)

    numbers = asked(frames)

    assert len(numbers) > 0.7 * len(frames)
    assert max(np.diff([*numbers, len(frames)])) <= 3


@pytest.mark.parametrize("step", [2, 5, 12])  # pixels a frame
def test_a_pan_is_seen_before_it_is_five_percent_of_the_width(views: list[Rgb], step: int) -> None:
    for view in views[::13]:
        wide = np.concatenate([view, view[:, ::-1]], axis=1)
        frames = [wide[:, left : left + WIDTH] for left in range(0, WIDTH, step)]

        numbers = asked(frames)

        assert max(np.diff([*numbers, len(frames)])) * step <= 0.05 * WIDTH


def test_an_object_of_five_percent_of_the_side_that_appears_is_let_through(
    views: list[Rgb],
) -> None:
    chance = np.random.default_rng(1)
    plain = []
    for number in range(80):
        view, other = views[number % 40], views[(7 * number + 3) % 40]
        top, left = chance.integers(0, HEIGHT - OBJECT), chance.integers(0, WIDTH - OBJECT)
        there = (slice(top, top + OBJECT), slice(left, left + OBJECT))
        changed = view.copy()
        changed[there] = other[there]
        contrast = np.abs(view[there].mean((0, 1)) - other[there].mean((0, 1))).max()
        before, after = build_cells(seen(view, chance)), build_cells(seen(changed, chance))
        share = changed_share(before, after)
        plain.append((contrast, share is None or share > 1.5 / before[0].size))

    clear = [was_seen for contrast, was_seen in plain if contrast > 60]
    faint = [was_seen for contrast, was_seen in plain if 30 < contrast <= 60]
    assert len(clear) > 20 and np.mean(clear) > 0.97
    assert np.mean(faint) > 0.8


@settings(max_examples=30)
@given(step=st.floats(0.05, 2.0), heartbeat=st.floats(0.5, 10.0))
def test_no_time_between_two_signs_of_life_is_longer_than_the_heartbeat(
    step: float, heartbeat: float
) -> None:
    gate, heard, still = Gate(heartbeat), [], np.full((36, 64, 3), 90, np.uint8)
    number = int(3 * heartbeat / step) + 5

    for index in range(number):
        decision = gate.judge(Frame(still, index * step, index))
        if decision.open or decision.heartbeat:
            heard.append(index * step)

    limit = max(heartbeat, step) + 1e-9  # nothing can be heard between two frames
    assert max(np.diff(heard)) <= limit
    assert (number - 1) * step - heard[-1] <= limit


def test_after_some_heartbeats_the_model_looks_anew_whatever_the_gate_says() -> None:
    gate, still = Gate(1.0), np.full((36, 64, 3), 90, np.uint8)

    decisions = [gate.judge(Frame(still, index / 2, index)) for index in range(50)]

    opened = [(index / 2, each.why) for index, each in enumerate(decisions) if each.open]
    assert opened[:2] == [(0.0, "first"), (RENEWAL + 0.5, "renewal")]


@pytest.mark.parametrize(
    ("values", "why"),
    [
        pytest.param({"epoch": 1}, "restart", id="the source began anew"),
        pytest.param({"time": 1.0}, "restart", id="time goes back"),
        pytest.param({"rgb": np.zeros((20, 20, 3), np.uint8)}, "size", id="another size"),
        pytest.param({}, "unchanged", id="nothing"),
    ],
)
def test_what_opens_the_gate_beside_the_picture(values: dict[str, Any], why: str) -> None:
    gate, still = Gate(FAR), np.zeros((36, 64, 3), np.uint8)
    gate.judge(Frame(still, 2.0, 0))

    decision = gate.judge(Frame(**{"rgb": still, "time": 3.0, "index": 1, **values}))

    assert (decision.why, decision.open) == (why, why != "unchanged")


def test_what_could_not_be_answered_is_asked_about_again() -> None:
    gate, still = Gate(FAR), np.zeros((36, 64, 3), np.uint8)
    gate.judge(Frame(still, 2.0, 0))

    gate.forget()

    assert gate.judge(Frame(still, 3.0, 1)).why == "first"


@settings(max_examples=40)
@given(width=st.integers(1, 700), height=st.integers(1, 300))
def test_pictures_of_every_size_can_be_compared(width: int, height: int) -> None:
    cells = build_cells(np.full((height, width, 3), 77, np.uint8))

    assert cells.shape[0] == 3
    assert np.allclose(cells, 77)
    assert changed_share(cells, cells) == 0


@pytest.mark.parametrize("heartbeat", [0, -1, float("nan"), "1"])
def test_a_heartbeat_that_is_no_duration_is_refused(heartbeat: Any) -> None:
    with pytest.raises(InputError, match="heartbeat"):
        Gate(heartbeat)
