"""Houses of a drawn street scene: walls, windows, shops, roofs."""

from dataclasses import dataclass

import cv2
import numpy as np

from galago.scenes.canvas import BUILDING, Canvas, Color, fractal_noise
from galago.scenes.street import FAR_M, Street

WALLS = np.array(
    [
        [150, 88, 66],
        [128, 72, 56],
        [168, 120, 88],
        [188, 164, 122],
        [176, 170, 156],
        [214, 208, 194],
        [226, 222, 214],
        [150, 146, 138],
        [118, 112, 106],
        [196, 178, 140],
        [140, 104, 84],
        [205, 190, 160],
    ],
    np.float64,
)
SHOP_COLORS = np.array(
    [
        [120, 30, 34],
        [28, 56, 46],
        [30, 40, 78],
        [40, 40, 42],
        [170, 160, 140],
        [96, 60, 38],
        [20, 70, 110],
    ],
    np.float64,
)
ROOFS = np.array([[84, 78, 78], [112, 70, 58], [92, 86, 80], [70, 72, 78]], np.float64)
TEXTURE_PX = 512  # largest side of a facade's texture, in a canvas of 720 rows


@dataclass(frozen=True)
class House:
    """A house along the street, in meters; side 0 is left, 1 is right."""

    side: int
    near: float
    far: float
    height: float
    setback: float
    has_open_end: bool  # its near end can be seen


def draw_houses(rng: np.random.Generator, side: int) -> list[House]:
    """Line a side of the street with houses and gaps."""
    houses, z, free = [], rng.uniform(-12.0, 6.0), True
    height, density, setback = (
        rng.uniform(5, 14),
        rng.choice([0.35, 0.85, 0.95]),
        rng.choice([0.0, 0.0, 2.5, 6.0]),
    )
    while z < FAR_M:
        length = rng.uniform(5, 18)
        if rng.random() < density:
            tall = float(np.clip(height + rng.normal(0, 2.2), 3.5, 24))
            houses.append(
                House(side, z, z + length, tall, max(0.0, setback + rng.normal(0, 0.3)), free)
            )
            free = False
        else:
            free = True
        z += length
        if rng.random() < 0.2:
            z, free = z + rng.uniform(1.5, 9), True
    return houses


def paint_house(canvas: Canvas, street: Street, house: House) -> None:
    """Paint roof, gable and facade of a house."""
    rng, light, outward = canvas.rng, canvas.light, (-1, 1)[house.side]
    x = street.wall(house.side) + outward * house.setback
    near, far = max(house.near, 1.2), house.far
    if far < 2.0 or not _in_view(canvas, street, house):
        return
    wall = WALLS[rng.integers(len(WALLS))] * rng.uniform(0.75, 1.1)
    pitch = rng.uniform(1.0, 3.5) if rng.random() < 0.6 else 0.0
    base, top = street.points(x, np.array([near, far])), house.height
    inward = np.array([-outward, 0.0, 0.0])
    if pitch:
        ridge = base + np.array([outward * 4.0, top + pitch, 0])
        roof = np.array([ridge[0], ridge[1], base[1] + (0, top, 0), base[0] + (0, top, 0)])
        color = light.shade(
            ROOFS[rng.integers(len(ROOFS))], (-0.6 * outward, 0.8, 0), (near + far) / 2
        )
        canvas.fill(canvas.camera.project(roof), color, BUILDING)
        if rng.random() < 0.6:
            _paint_box(
                canvas, ridge[0] + (0, -0.4, rng.uniform(0, far - near)), (0.7, 1.8), wall * 0.7
            )
    gable = (
        np.array(
            [
                [0, top, 0],
                [outward * 4, top + pitch, 0],
                [outward * 8, top, 0],
                [outward * 8, 0, 0],
                [0, 0, 0],
            ]
        )
        + base[0]
    )
    canvas.fill(canvas.camera.project(gable), light.shade(wall * 0.9, (0, 0, -1), near), BUILDING)
    if house.has_open_end:
        paint_front(canvas, base[0], (outward * 8.0, top), wall * 0.9)
    corners = np.array([base[0] + (0, top, 0), base[1] + (0, top, 0), base[1], base[0]])
    pixels = canvas.camera.project(corners)
    start = (near - house.near) / (far - house.near)
    texture = facade(canvas, (far - house.near, top), wall, pixels)
    texture = texture[:, int(start * texture.shape[1]) :]
    lit = light.shade(np.full(3, 255.0), inward, 0.0) / 255
    haze = 1 - np.exp(-((near + far) / 2) / light.visibility_m)
    if (
        rng.random() < 0.75 and light.sun_color.mean() > 0.3
    ):  # the house across the street takes the sun
        lit = np.minimum(lit, light.ambient * rng.uniform(0.6, 0.8))
    canvas.paste(cv2.LUT(texture, _lighting(lit * (1 - haze), light.haze * haze)), pixels, BUILDING)


def _lighting(scale: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Return a table that lights and hazes a texture: (256, 1, 3) uint8."""
    table: np.ndarray = np.clip(np.arange(256)[:, None] * scale + offset, 0, 255).astype(np.uint8)[
        :, None
    ]
    return table


def paint_front(
    canvas: Canvas, foot: np.ndarray, size_m: tuple[float, float], wall: np.ndarray
) -> None:
    """Paint a wall that faces the camera, from a point on the ground.

    A negative width goes to the left.
    """
    width, top = size_m
    left = foot + np.array([min(width, 0.0), 0, 0])
    corners = left + np.array([[0, top, 0], [abs(width), top, 0], [abs(width), 0, 0], [0, 0, 0]])
    pixels = canvas.camera.project(corners)
    if pixels[1, 0] < 0 or pixels[0, 0] > canvas.size[1]:
        return
    lit = canvas.light.shade(np.full(3, 255.0), (0, 0, -1)) / 255
    haze = 1 - np.exp(-foot[2] / canvas.light.visibility_m)
    texture = facade(canvas, (abs(width), top), wall, pixels)
    canvas.paste(
        cv2.LUT(texture, _lighting(lit * (1 - haze), canvas.light.haze * haze)), pixels, BUILDING
    )


def paint_skyline(canvas: Canvas, street: Street, far_m: float) -> None:
    """Close the view with a row of houses across the street."""
    rng, x = canvas.rng, -90.0
    while x < 90:
        wide = rng.uniform(6, 16)
        if rng.random() < 0.8:
            paint_front(
                canvas,
                street.points(x, far_m)[0],
                (wide, rng.uniform(4, 11)),
                WALLS[rng.integers(len(WALLS))],
            )
        x += wide


def _in_view(canvas: Canvas, street: Street, house: House) -> bool:
    """Tell whether a house reaches into the picture."""
    outward, x = (-1, 1)[house.side], street.wall(house.side)
    ends = street.points(
        x + np.array([0.0, 0, 9 * outward]), np.array([max(house.near, 1.2), house.far, house.far])
    )
    columns = canvas.camera.project(ends)[:, 0]
    return bool(columns.max() > 0 and columns.min() < canvas.size[1])


def _paint_box(
    canvas: Canvas, foot: np.ndarray, size: tuple[float, float], color: np.ndarray
) -> None:
    """Paint a chimney."""
    width, height = size
    corners = foot + np.array([[0, 0, 0], [width, 0, 0], [width, height, 0], [0, height, 0]])
    canvas.fill(
        canvas.camera.project(corners), canvas.light.shade(color, (0, 0, -1), foot[2]), BUILDING
    )


def facade(
    canvas: Canvas, size_m: tuple[float, float], wall: np.ndarray, pixels: np.ndarray
) -> np.ndarray:
    """Draw a wall with windows, doors and a shop, as seen at a right angle.

    Args:
        canvas: where it will hang.
        size_m: length and height.
        wall: (3,) its color.
        pixels: (4, 2) corners on the canvas, which tell how fine it needs to be.
    Returns:
        (h, w, 3) uint8 RGB, before light and haze.
    """
    rng, limit = canvas.rng, TEXTURE_PX * canvas.size[0] // 720
    seen = np.abs(pixels[1] - pixels[0])[0], np.abs(pixels[:2] - pixels[3:1:-1])[:, 1].max()
    width, height = (int(np.clip(side * 1.1, 16, limit)) for side in seen)
    stains = fractal_noise(
        rng, (max(4, height // 4), max(4, width // 4)), cells=5, octaves=3
    ) * rng.uniform(0.03, 0.1)
    stains += rng.standard_normal(stains.shape, dtype=np.float32) * rng.uniform(
        0.02, 0.06
    )  # bricks
    stains -= (
        np.linspace(-0.05, rng.uniform(0.05, 0.3), len(stains), dtype=np.float32)[:, None] ** 2
    )  # dirt below
    factor = cv2.resize(1 + stains, (width, height), interpolation=cv2.INTER_LINEAR)
    texture: np.ndarray = cv2.merge(
        [cv2.convertScaleAbs(factor, alpha=float(channel)) for channel in wall]
    )
    scale = np.array([width / size_m[0], height / size_m[1]])
    shop = rng.random() < 0.5
    floor_m, ground_m = rng.uniform(2.7, 3.3), rng.uniform(3.0, 4.0)
    _draw_windows(texture, scale, (floor_m, ground_m, 0.0 if shop else 1.0), rng)
    if shop:
        _draw_shop(texture, scale, ground_m, rng)
    eaves = max(1, int(0.25 * scale[1]))
    texture[:eaves] = (texture[:eaves] * rng.choice([0.5, 1.15])).clip(0, 255)
    return texture


def _draw_windows(
    texture: np.ndarray,
    scale: np.ndarray,
    floors: tuple[float, float, float],
    rng: np.random.Generator,
) -> None:
    """Draw rows of windows: frame, glass that mirrors the sky or shows a dark room, sill."""
    height, width = texture.shape[:2]
    length_m, height_m = width / scale[0], height / scale[1]
    floor_m, ground_m, ground_share = floors
    wide, tall = rng.uniform(0.8, 1.6), rng.uniform(1.3, 1.9)
    step = wide + rng.uniform(0.7, 2.2)
    frame = np.array([225, 222, 215.0]) * rng.choice([1.0, 0.9, 0.35])
    lintel = rng.choice([0.0, 1.3, 0.75])
    ups = [
        *np.arange(ground_m + 0.7, height_m - tall * 0.8, floor_m),
        *([0.9] if ground_share else []),
    ]
    for up in ups:
        for index, x in enumerate(np.arange(step / 2, length_m - wide, step)):
            if up < 1 and index % 4 == 1:  # a door
                _box(texture, scale, (x, 0, wide, 2.2), SHOP_COLORS[rng.integers(len(SHOP_COLORS))])
                continue
            if lintel:
                _box(
                    texture,
                    scale,
                    (x - 0.12, up - 0.15, wide + 0.24, tall + 0.4),
                    texture[height // 2, width // 2] * lintel,
                )
            _box(texture, scale, (x - 0.05, up - 0.05, wide + 0.1, tall + 0.1), frame)
            glass = (
                np.array([40, 46, 52.0]) * rng.uniform(0.5, 1.5)
                if rng.random() < 0.75
                else np.array([130, 142, 152.0])
            )
            if wide * scale[0] < 5:  # too far away for details
                _box(texture, scale, (x, up, wide, tall), glass)
                continue
            for pane in (0, 1):
                _box(
                    texture,
                    scale,
                    (x + 0.04 + pane * wide / 2, up + 0.04, wide / 2 - 0.08, tall - 0.08),
                    glass * (1 + 0.15 * pane),
                )
            _box(texture, scale, (x + 0.04, up + tall / 2 - 0.03, wide - 0.08, 0.06), frame)


def _draw_shop(
    texture: np.ndarray, scale: np.ndarray, ground_m: float, rng: np.random.Generator
) -> None:
    """Draw shop windows on the ground floor, with name boards above."""
    length_m, x = texture.shape[1] / scale[0], 0.0
    while x < length_m:
        wide = rng.uniform(3.5, 7.0)
        color = SHOP_COLORS[rng.integers(len(SHOP_COLORS))] * rng.uniform(0.6, 1.2)
        _box(texture, scale, (x, 0, wide - 0.2, ground_m), color)
        for place in np.arange(x + 0.3, x + wide - 1.2, 1.6):
            _box(
                texture,
                scale,
                (place, 0.5, 1.4, 1.9),
                np.array([46, 46, 44]) * rng.uniform(0.5, 1.4),
            )
            for _ in range(rng.integers(0, 3)):  # goods and posters
                goods = (
                    place + rng.uniform(0, 0.9),
                    rng.uniform(0.5, 1.5),
                    rng.uniform(0.2, 0.5),
                    rng.uniform(0.2, 0.8),
                )
                _box(texture, scale, goods, rng.uniform(30, 190, 3))
        letters, letter = (
            np.arange(x + 0.6, x + wide - 0.9, 0.32),
            rng.choice([215, 190, 60]) * np.ones(3),
        )
        for place in letters[rng.random(len(letters)) < 0.8]:
            _box(texture, scale, (place, ground_m - 0.65, 0.16, 0.3), letter)
        x += wide


def _box(
    texture: np.ndarray, scale: np.ndarray, box: tuple[float, float, float, float], color: Color
) -> None:
    """Fill a rectangle of a facade: x and height above ground of its lower left corner, width and
    height in meters.
    """
    x, up, wide, tall = box
    bottom = texture.shape[0] - round(up * scale[1])
    top, left = texture.shape[0] - round((up + tall) * scale[1]), round(x * scale[0])
    right = round((x + wide) * scale[0])
    if left < right and top < bottom:
        cv2.rectangle(
            texture,
            (left, top),
            (right - 1, bottom - 1),
            (float(color[0]), float(color[1]), float(color[2])),
            cv2.FILLED,
        )
