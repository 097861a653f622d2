"""World and camera to pixels: numpy and Pillow only, everything drawn as polygons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from skyeye_edge.training.data.synthetic.shapes import Face, shaded, shape_of, wake_of
from skyeye_edge.training.data.synthetic.world import (
    Area,
    Camera,
    Colour,
    Points,
    Tree,
    World,
    hull,
)

_TILE = 512  # edge of the periodic ground texture in texels
_WATER = ("lake", "pond", "river", "sea", "foam")
_FINER = 2  # everything is drawn this much larger and then averaged


@dataclass(frozen=True, slots=True)
class Look:
    """What air, light and sensor do to the picture."""

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    contrast: float = 1.0
    haze: float = 0.0  # 0..1 towards light grey
    blur: float = 0.0  # standard deviation, share of the image's width
    noise: float = 2.0  # grey levels
    noise_seed: int = 0
    thermal: bool = False  # one grey channel


def paint(world: World, camera: Camera, look: Look, size: tuple[int, int]) -> Image.Image:
    """The RGB picture, `size` = (width, height) in pixels; the world is the same at every size."""
    ground = _ground(world, camera, size)
    ground.alpha_composite(_objects(world, camera, size))
    return _developed(ground.convert("RGB"), look)


@lru_cache(maxsize=1)
def _texture() -> Image.Image:
    """Periodic cloud of all scales, 2 x 2 tiles, mean 128, standard deviation about 40."""
    random = np.random.default_rng(7)
    steps = np.fft.fftfreq(_TILE)
    radius = np.hypot(steps[:, None], steps[None, :])
    radius[0, 0] = 1.0
    spectrum = np.fft.fft2(random.standard_normal((_TILE, _TILE))) * radius**-0.85
    spectrum[0, 0] = 0.0
    cloud = np.fft.ifft2(spectrum).real
    grey = np.clip(128 + 40 * cloud / cloud.std(), 0, 255).astype(np.uint8)
    return Image.fromarray(np.tile(grey, (2, 2)))


@lru_cache(maxsize=1)
def _noise_bank() -> npt.NDArray[np.int8]:
    random = np.random.default_rng(8)
    return np.clip(random.normal(0, 32, (512, 512, 3)), -127, 127).astype(np.int8)


def _canvas_points(camera: Camera, corners: Points, width: int) -> Points:
    return camera.project(corners) * (width * _FINER)


def _ground(world: World, camera: Camera, size: tuple[int, int]) -> Image.Image:
    """Terrain, areas, texture and shadows, RGBA at the final size."""
    width, height = size
    large = (width * _FINER, height * _FINER)
    colours = Image.new("RGB", large, world.colour)
    rough = Image.new("L", large, round(255 * world.roughness))
    _draw_areas(_with_wakes(world), camera, width, ImageDraw.Draw(colours), ImageDraw.Draw(rough))
    pixels = np.asarray(colours.reduce(_FINER)).astype(np.float32)
    texture = np.asarray(_seen_texture(world, camera, size)).astype(np.float32) - 128
    weight = np.asarray(rough.reduce(_FINER)).astype(np.float32) / 255
    light = 1 + texture * weight * (1 / 128)
    if world.shadow > 0:
        shade = np.asarray(_shadows(world, camera, size).reduce(_FINER)).astype(np.float32)
        light *= 1 - shade * (world.shadow / 255)
    pixels *= light[:, :, None]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).convert("RGBA")


def _with_wakes(world: World) -> list[Area]:
    """All areas in painting order: foam lies on the water but under a bridge."""
    wakes = [strip for thing in world.things for strip in wake_of(thing)]
    wet = [number for number, area in enumerate(world.areas) if area.kind in _WATER]
    first = wet[-1] + 1 if wet else 0
    return [*world.areas[:first], *wakes, *world.areas[first:]]


def _draw_areas(
    areas: Sequence[Area],
    camera: Camera,
    width: int,
    colours: ImageDraw.ImageDraw,
    rough: ImageDraw.ImageDraw,
) -> None:
    outlines = [area.outline for area in areas]
    corners = np.array([(x, y, 0.0) for outline in outlines for x, y in outline]).reshape(-1, 3)
    placed = _canvas_points(camera, corners, width)
    start = 0
    for area in areas:
        points = placed[start : start + len(area.outline)]
        start += len(area.outline)
        if not _is_near(points, width):
            continue
        flat = points.ravel().tolist()
        colours.polygon(flat, fill=area.colour)
        rough.polygon(flat, fill=round(255 * area.roughness))
        if area.stripes:
            _draw_furrows(area, points, colours)


def _is_near(points: Points, width: int) -> bool:
    edge = width * _FINER * 1.8  # images are not higher than they are wide, by much
    return bool(points.max() > 0 and points.min() < edge)


def _draw_furrows(area: Area, points: Points, draw: ImageDraw.ImageDraw) -> None:
    a, b, c, d = points
    steps = np.arange(area.stripes * 2 + 1)[:, None] / (area.stripes * 2 + 1)
    near, far = a + (b - a) * steps, d + (c - d) * steps
    dark = shaded(area.colour, 0.84)
    for index in range(0, 2 * area.stripes, 2):
        quad = (near[index], near[index + 1], far[index + 1], far[index])
        draw.polygon([float(value) for point in quad for value in point], fill=dark)


def _seen_texture(world: World, camera: Camera, size: tuple[int, int]) -> Image.Image:
    left, top, metres = world.texture
    to_pixels = np.diag([size[0], size[0], 1.0]) @ camera.ground_matrix()
    to_texels = np.array([[1 / metres, 0, left], [0, 1 / metres, top], [0, 0, 1]])
    back = to_texels @ np.linalg.inv(to_pixels)
    back /= back[2, 2]
    return _texture().transform(
        size, Image.Transform.PERSPECTIVE, back.ravel()[:8].tolist(), Image.Resampling.BILINEAR
    )


def _shadows(world: World, camera: Camera, size: tuple[int, int]) -> Image.Image:
    width, height = size
    mask = Image.new("L", (width * _FINER, height * _FINER))
    draw = ImageDraw.Draw(mask)
    east, south = world.sun
    hulls: list[list[tuple[float, float]]] = []
    for thing in world.things:
        for outline, low, high in shape_of(thing).casters:
            bottom = [(x + east * low, y + south * low) for x, y in outline]
            if high > low:
                bottom = hull(bottom + [(x + east * high, y + south * high) for x, y in outline])
            hulls.append(bottom)
    corners = np.array([(x, y, 0.0) for placed in hulls for x, y in placed]).reshape(-1, 3)
    flat = _canvas_points(camera, corners, width).ravel().tolist()
    start = 0
    for placed in hulls:
        draw.polygon(flat[start : start + 2 * len(placed)], fill=255)
        start += 2 * len(placed)
    if world.trees:
        middles = [(t.x + east * t.radius, t.y + south * t.radius, 0.0) for t in world.trees]
        for ellipse in _circles(np.array(middles), world.trees, camera, width):
            draw.ellipse(ellipse, fill=255)
    return mask


def _circles(
    middles: Points, trees: Sequence[Tree], camera: Camera, width: int
) -> list[tuple[float, float, float, float]]:
    """Bounding squares on the canvas of crowns around given middles."""
    radii = np.array([tree.radius for tree in trees])
    right = np.stack(
        [np.cos(camera.heading) * radii, np.sin(camera.heading) * radii, 0 * radii], axis=1
    )
    middle = _canvas_points(camera, middles, width)
    radius = _canvas_points(camera, middles + right, width)[:, 0] - middle[:, 0]
    squares = np.concatenate([middle - radius[:, None], middle + radius[:, None]], axis=1)
    return [tuple(square) for square in squares.tolist()]


def _objects(world: World, camera: Camera, size: tuple[int, int]) -> Image.Image:
    """Things and trees without ground, RGBA at the final size, the far ones first."""
    width, height = size
    canvas = Image.new("RGBA", (width * _FINER, height * _FINER))
    draw = ImageDraw.Draw(canvas)
    feet = np.array(
        [(t.x, t.y, 0.0) for t in world.things] + [(t.x, t.y, 0.0) for t in world.trees]
    ).reshape(-1, 3)
    depth = camera.project(feet)[:, 1]
    crowns = _circles(
        np.array([(t.x, t.y, t.radius) for t in world.trees]).reshape(-1, 3),
        world.trees,
        camera,
        width,
    )
    faces = [shape_of(thing).faces for thing in world.things]
    placed = _placed_faces(faces, camera, width)
    for index in np.argsort(depth, kind="stable").tolist():
        if index < len(world.things):
            for face, flat in zip(faces[index], placed[index], strict=True):
                if not face.one_sided or _turns_left(flat):
                    draw.polygon(flat, fill=face.colour)
        else:
            number = index - len(world.things)
            _draw_tree(draw, crowns[number], world.tree_colour, world.trees[number])
    return canvas.reduce(_FINER)


def _placed_faces(
    faces: Sequence[tuple[Face, ...]], camera: Camera, width: int
) -> list[list[list[float]]]:
    corners = [corner for shape in faces for face in shape for corner in face.corners]
    flat = _canvas_points(camera, np.array(corners).reshape(-1, 3), width).ravel().tolist()
    placed: list[list[list[float]]] = []
    start = 0
    for shape in faces:
        polygons = []
        for face in shape:
            polygons.append(flat[start : start + 2 * len(face.corners)])
            start += 2 * len(face.corners)
        placed.append(polygons)
    return placed


def _turns_left(flat: Sequence[float]) -> bool:
    """Whether a wall's corners run as they do when it is seen from outside."""
    x, y = flat[0::2], flat[1::2]
    area = sum(x[i - 1] * y[i] - x[i] * y[i - 1] for i in range(len(x)))
    return area < 0


def _draw_tree(
    draw: ImageDraw.ImageDraw,
    square: tuple[float, float, float, float],
    colour: Colour,
    tree: Tree,
) -> None:
    left, top, right, bottom = square
    radius = (right - left) / 2
    if radius < 0.8:
        return
    light = 0.7 + 0.45 * tree.shade
    draw.ellipse(square, fill=shaded(colour, 0.72 * light))
    if radius > 2:
        inner = (
            left + 0.1 * radius,
            top + 0.1 * radius,
            right - 0.5 * radius,
            bottom - 0.5 * radius,
        )
        draw.ellipse(inner, fill=shaded(colour, light))


def _developed(image: Image.Image, look: Look) -> Image.Image:
    if look.blur > 0:
        image = image.filter(ImageFilter.GaussianBlur(look.blur * image.width))
    pixels = np.asarray(image).astype(np.float32)
    if look.thermal:
        pixels[:] = (pixels @ np.array([0.3, 0.5, 0.2], dtype=np.float32))[:, :, None]
    pixels = (pixels - 110) * look.contrast + 110
    pixels *= np.array(look.gain, dtype=np.float32)
    pixels += (205 - pixels) * look.haze
    pixels += _noise(image.size, look)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _noise(size: tuple[int, int], look: Look) -> npt.NDArray[np.float32]:
    """Sensor noise in grey levels; the same seed at the same size gives the same noise."""
    width, height = size
    bank = _noise_bank()
    top, left = look.noise_seed % 211, look.noise_seed // 211 % 211
    rows, columns = np.arange(top, top + height) % 512, np.arange(left, left + width) % 512
    noise = bank[rows][:, columns].astype(np.float32)
    if look.thermal:
        noise = noise[:, :, :1]
    noise *= look.noise / 32
    return noise
