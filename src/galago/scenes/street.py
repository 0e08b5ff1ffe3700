"""The street of a synthetic scene: its course, its ground with paint and shadows, its fences."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from galago.scenes.canvas import FENCE, ROAD, SIDEWALK, TREE, Canvas, Color, fractal_noise

FAR_M = 160.0  # where the street ends
DEPTHS_M = np.concatenate([[0.8], np.geomspace(2.0, FAR_M, 28)])  # where its edges are sampled
KERB_M = 0.12
PAINT = np.array([205, 205, 198.0])
FENCE_COLORS = {
    "railing": np.array([62, 64, 64.0]),
    "planks": np.array([112, 92, 70.0]),
    "wall": np.array([126, 88, 68.0]),
    "hedge": np.array([60, 74, 42.0]),
}
FENCE_SHARES = (0.45, 0.25, 0.15, 0.15)
YELLOW_PAINT = np.array([190, 165, 80.0])


@dataclass(frozen=True)
class Street:
    """The course and the widths of a street, in meters.

    Attributes:
        yaw: sideways drift per meter of depth.
        bend: half the change of that per meter.
        kerbs: left and right edge of the road, seen from the camera.
        walks: width of the left and the right sidewalk.
    """

    yaw: float
    bend: float
    kerbs: tuple[float, float]
    walks: tuple[float, float]

    def points(
        self, across: float | np.ndarray, depths: float | np.ndarray, up: float | np.ndarray = 0.0
    ) -> np.ndarray:
        """Map a position along the street to world coordinates: (N, 3)."""
        across, depths, up = np.broadcast_arrays(np.atleast_1d(across).astype(float), depths, up)
        return np.column_stack([across + self.yaw * depths + self.bend * depths**2, up, depths])

    def wall(self, side: int) -> float:
        """Return where the houses of a side begin: side 0 is left, 1 is right."""
        return self.kerbs[side] + (-1, 1)[side] * self.walks[side]


def draw_street(rng: np.random.Generator) -> Street:
    """Choose a street."""
    lanes = rng.uniform(6.0, 10.5)
    left = -rng.uniform(0.25, 0.5) * lanes
    walks = (float(rng.uniform(1.6, 5.0)), float(rng.uniform(1.6, 5.0)))
    bend = rng.normal(0, 0.0006)
    return Street(rng.normal(0, 0.012), bend, (left, left + lanes), walks)


def draw_ground(canvas: Canvas, street: Street) -> None:
    """Fill everything below the horizon: far ground, sidewalks, kerbs, road, its markings and its
    patches.
    """
    rng, light = canvas.rng, canvas.light
    height, width = canvas.size
    paving = np.full(3, rng.uniform(95, 150)) * rng.uniform(0.95, 1.06, 3)
    asphalt = np.full(3, rng.uniform(80, 132)) * (
        rng.uniform(0.96, 1.02),
        1.0,
        rng.uniform(1.0, 1.08),
    )
    horizon = canvas.camera.horizon_y
    below = np.array([[0, horizon + 1], [width, horizon + 1], [width, height], [0, height]])
    canvas.fill(below, light.shade(paving, distance_m=12), SIDEWALK)
    for side in (0, 1):
        edge, outward = street.kerbs[side], (-1, 1)[side]
        _strip(canvas, street, (edge, edge + outward * KERB_M * 2.2), (paving * 1.1, SIDEWALK))
        _strip(
            canvas, street, (edge - outward * 0.02, edge - outward * 0.35), (asphalt * 0.7, ROAD)
        )  # the gutter
    left, right = street.kerbs
    for near, far in pairwise(DEPTHS_M):
        canvas.fill(
            _patch(canvas, street, (left, right), (near, far)),
            light.shade(asphalt, distance_m=near),
            ROAD,
        )
    for side in (0, 1):
        inner = street.kerbs[side] - (-0.3, 0.3)[side]
        _strip(canvas, street, (street.kerbs[side], inner), (asphalt * 0.78, ROAD))
    for _ in range(rng.integers(0, 6)):  # repaired pieces and manholes
        x, z = rng.uniform(left, right), rng.uniform(4, 25)
        patch = _patch(
            canvas, street, (x, min(right, x + rng.uniform(0.4, 2.5))), (z, z + rng.uniform(0.5, 6))
        )
        canvas.fill(patch, light.shade(asphalt * rng.uniform(0.75, 1.2), distance_m=z), ROAD)
    _draw_markings(canvas, street)


def _strip(
    canvas: Canvas, street: Street, edges: tuple[float, float], paint: tuple[np.ndarray, int]
) -> None:
    """Fill a band along the whole street."""
    outline = np.concatenate(
        [street.points(edges[0], DEPTHS_M), street.points(edges[1], DEPTHS_M[::-1])]
    )
    canvas.fill(
        canvas.camera.project(outline), canvas.light.shade(paint[0], distance_m=10), paint[1]
    )


def _patch(
    canvas: Canvas, street: Street, across: tuple[float, float], depths: tuple[float, float]
) -> np.ndarray:
    """Return a rectangle on the ground as (4, 2) pixels."""
    x, z = (
        np.array([across[0], across[1], across[1], across[0]]),
        np.array([depths[0], depths[0], depths[1], depths[1]]),
    )
    return canvas.camera.project(street.points(x, z))


def _draw_markings(canvas: Canvas, street: Street) -> None:
    """Paint lines: dashes in the middle, yellow or white along the kerbs, sometimes a crossing or
    an arrow.
    """
    rng, (left, right) = canvas.rng, street.kerbs
    middle, worn = (left + right) / 2 + rng.uniform(-0.4, 0.4), rng.uniform(0.6, 1.0)
    dash, gap = rng.choice([(2.0, 4.0), (4.0, 2.0), (6.0, 3.0), (90.0, 1.0)])
    depths = np.arange(rng.uniform(1.0, 4.0), 90, dash + gap)
    for start in depths:
        pieces = np.arange(start, start + dash, 4.0) if dash > 8 else [start]
        for piece in pieces:
            _paint(
                canvas,
                street,
                (middle, middle + 0.12),
                (piece, piece + min(dash, 4.0)),
                PAINT * worn,
            )
    for side in (0, 1):
        color, kind = (YELLOW_PAINT if rng.random() < 0.6 else PAINT) * worn, rng.random()
        for offset in (0.3, 0.55) if kind < 0.45 else (0.4,) if kind < 0.7 else ():
            x = street.kerbs[side] - (-1, 1)[side] * offset
            _strip(canvas, street, (x, x + 0.09), (color, ROAD))
    if rng.random() < 0.25:  # a zebra crossing or a stop line
        z, deep = rng.uniform(6, 22), rng.uniform(0.4, 3.0)
        for x in np.arange(left + 0.4, right - 0.4, 1.1):
            _paint(
                canvas, street, (x, x + (0.55 if deep > 1 else 1.1)), (z, z + deep), PAINT * worn
            )
    if rng.random() < 0.3:  # zigzag or hatching at the side
        x, zs = left + 1.2, np.arange(5, 30, 2.5)
        points = street.points(x + 0.5 * (np.arange(len(zs)) % 2), zs)
        canvas.stroke(
            canvas.camera.project(points),
            canvas.size[0] / 300,
            canvas.light.shade(PAINT * worn, distance_m=12),
            ROAD,
        )


def _paint(
    canvas: Canvas,
    street: Street,
    across: tuple[float, float],
    depths: tuple[float, float],
    color: Color,
) -> None:
    canvas.fill(
        _patch(canvas, street, across, depths),
        canvas.light.shade(color, distance_m=depths[0]),
        ROAD,
    )


def shade_ground(canvas: Canvas, street: Street, heights_m: tuple[float, float]) -> None:
    """Cast the shadow of the houses that stand between sun and road."""
    light = canvas.light
    if light.sun_color.mean() < 0.3:
        return
    side = 0 if light.sun[0] < 0 else 1
    reach = heights_m[side] * abs(light.sun[0]) / light.sun[1]
    start, sign = street.wall(side), (1, -1)[side]
    rng, depths = canvas.rng, DEPTHS_M
    ragged = (
        reach * np.repeat(rng.uniform(0.7, 1.15, len(depths)), 3)[: len(depths)]
    )  # houses differ in height
    outline = np.concatenate(
        [
            street.points(start - sign * 8, depths),
            street.points(start + sign * ragged, depths)[::-1],
        ]
    )
    ambient = light.ambient.mean() / (light.ambient.mean() + light.sun_color.mean() * light.sun[1])
    canvas.darken(canvas.camera.project(outline), float(1 - ambient) * 0.9, canvas.size[0] / 400)


def paint_fence(canvas: Canvas, street: Street, side: int, depths: tuple[float, float]) -> None:
    """Paint railings, planks, a low wall or a hedge behind the sidewalk or at the kerb."""
    rng, kind = canvas.rng, str(canvas.rng.choice(list(FENCE_COLORS), p=FENCE_SHARES))
    x = (
        street.kerbs[side] + (-0.4, 0.4)[side]
        if kind == "railing" and rng.random() < 0.4
        else street.wall(side)
    )
    height = rng.uniform(0.9, 1.3) if kind != "planks" else rng.uniform(1.2, 2.2)
    color = FENCE_COLORS[kind] * rng.uniform(0.5, 1.3)
    for near in np.arange(*depths, 4.0):
        ends = street.points(x, np.array([near, near + 4.0]))
        corners = canvas.camera.project(
            np.concatenate([ends + np.array([0, height, 0]), ends[::-1]])
        )
        seen = canvas.light.shade(color, ((1.0, -1.0)[side], 0, 0), near)
        texture = (
            (seen * (1 + 0.12 * fractal_noise(rng, (48, 96), cells=24, octaves=2)[..., None]))
            .clip(0, 255)
            .astype(np.uint8)
        )
        alpha = None
        if kind == "railing":
            alpha = np.zeros((48, 96), np.uint8)
            alpha[:, ::6], alpha[:, 1::6], alpha[2:6], alpha[42:45] = 255, 255, 255, 255
        elif kind == "planks":
            texture[:, ::8] //= 2
        canvas.paste(texture, corners, TREE if kind == "hedge" else FENCE, alpha)
