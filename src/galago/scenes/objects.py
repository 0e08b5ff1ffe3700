"""What stands and moves in a drawn street scene: trees, poles, signs, people, bicycles."""

import cv2
import numpy as np

from galago.scenes.canvas import (
    BICYCLIST,
    PEDESTRIAN,
    POLE,
    SIGN,
    TREE,
    Billboard,
    Canvas,
    circle,
    fractal_noise,
)

BARK = np.array([74, 66, 56.0])
LEAVES = np.array(
    [[70, 84, 44], [88, 92, 50], [58, 72, 44], [104, 88, 52], [92, 84, 70]], np.float64
)
CLOTHES = np.array(
    [
        [30, 30, 34],
        [44, 48, 62],
        [70, 64, 58],
        [110, 36, 38],
        [140, 138, 134],
        [52, 70, 96],
        [90, 84, 50],
    ],
    np.float64,
)
SKIN = np.array([[196, 150, 124], [150, 106, 80], [96, 66, 50]], np.float64)
RUBBER = np.array([22, 22, 24.0])


def paint_tree(canvas: Canvas, foot: np.ndarray, height_m: float) -> None:
    """Paint a trunk, boughs and a ragged crown: leaves, or bare twigs that let the sky through."""
    rng, board = canvas.rng, Billboard(canvas, foot, TREE)
    bare, crown = rng.random() < 0.5, height_m * rng.uniform(0.28, 0.42)
    width = height_m * rng.uniform(0.03, 0.05)
    lean = rng.uniform(-0.05, 0.05) * height_m
    board.polygon(
        [
            (-width / 2, 0),
            (width / 2, 0),
            (lean + width / 3, height_m * 0.6),
            (lean - width / 3, height_m * 0.6),
        ],
        BARK,
    )
    _paint_crown(board, (lean, height_m - crown), crown, bare)
    for angle in rng.uniform(-1.1, 1.1, 9 if bare else 3):
        reach = rng.uniform(0.5, 0.95) * crown
        start = np.array([lean, height_m * rng.uniform(0.35, 0.6)])
        knee = start + np.array([np.sin(angle) * 0.5, np.cos(angle) * 0.6]) * reach
        tip = (
            np.array([lean, height_m - crown])
            + np.array([np.sin(angle * 1.4), np.cos(angle * 1.4)]) * reach
        )
        board.canvas.stroke(
            board.at([start, knee, tip]), width * 0.3 * board.px_per_m, board.seen(BARK * 0.9), TREE
        )


def _paint_crown(
    board: Billboard, center: tuple[float, float], radius_m: float, bare: bool
) -> None:
    """Stamp a crown: noise cut at a distance from its middle."""
    canvas, rng = board.canvas, board.canvas.rng
    radius = max(3, int(radius_m * board.px_per_m * 1.25))
    side = int(
        np.clip(radius, 8, canvas.size[0] // 2)
    )  # drawn at half size: leaves are blurred anyway
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    clumps, leaves = (
        fractal_noise(rng, (side, side), 7, 4),
        fractal_noise(rng, (side, side), max(8, side // 4), 2),
    )
    bulk = 0.62 - (x * x + y * y * rng.uniform(0.8, 1.3)) + 0.16 * clumps
    color = board.seen(
        BARK * 0.8 if bare else LEAVES[rng.integers(len(LEAVES))] * rng.uniform(0.5, 1.1)
    )
    tone = 0.85 - 0.35 * y + 0.22 * clumps + 0.2 * leaves
    texture = np.clip(tone[..., None] * color.astype(np.float32), 0, 255).astype(np.uint8)
    gaps = bulk - (0.25 if bare else 0.1) + (0.3 if bare else 0.1) * leaves
    full = (2 * radius, 2 * radius)
    texture = cv2.resize(texture, full, interpolation=cv2.INTER_LINEAR)
    visible = (cv2.resize(gaps, full, interpolation=cv2.INTER_LINEAR) > 0).astype(np.uint8)
    inside = (cv2.resize(bulk, full, interpolation=cv2.INTER_LINEAR) > 0).astype(np.uint8)
    corner = np.round(board.at([center])[0] - radius).astype(int)
    canvas.stamp(texture, visible & inside, inside, (int(corner[0]), int(corner[1])), TREE)


def paint_lamp(canvas: Canvas, foot: np.ndarray, arm_m: float) -> None:
    """Paint a street lamp; the arm reaches to the right, or to the left if negative."""
    rng, board = canvas.rng, Billboard(canvas, foot, POLE)
    height, color = rng.uniform(5, 9), np.full(3, rng.uniform(40, 130))
    board.stroke([(0, 0), (0, 1.2)], 0.15, color)
    board.stroke([(0, 0), (0, height)], 0.1, color)
    board.stroke([(0, height), (arm_m * 0.5, height + 0.3), (arm_m, height + 0.35)], 0.07, color)
    board.polygon(
        [
            (arm_m - 0.3, height + 0.3),
            (arm_m + 0.3, height + 0.3),
            (arm_m + 0.2, height + 0.48),
            (arm_m - 0.2, height + 0.48),
        ],
        color,
    )


def paint_bollard(canvas: Canvas, foot: np.ndarray) -> None:
    """Paint a bollard."""
    board = Billboard(canvas, foot, POLE)
    board.stroke([(0, 0), (0, 1.0)], 0.11, np.array([30, 30, 32]))
    board.stroke([(0, 0.8), (0, 0.88)], 0.11, np.array([190, 190, 185]))


def paint_sign(canvas: Canvas, foot: np.ndarray) -> None:
    """Paint a traffic sign: round, triangular or rectangular, on a pole."""
    rng, pole = canvas.rng, Billboard(canvas, foot, POLE)
    height, radius = rng.uniform(2.2, 3.0), rng.uniform(0.3, 0.5)
    pole.stroke([(0, 0), (0, height + radius)], 0.08, np.array([110, 112, 112]))
    board, kind, middle = Billboard(canvas, foot, SIGN), rng.integers(4), (0.0, height)
    if kind == 0:
        board.ellipse(middle, (radius, radius), (190, 34, 36))
        board.ellipse(middle, (radius * 0.7, radius * 0.7), (225, 225, 220))
    elif kind == 1:
        board.ellipse(middle, (radius, radius), (30, 70, 160))
        board.stroke(
            [(-radius * 0.4, height - radius * 0.4), (radius * 0.4, height + radius * 0.4)],
            0.12,
            (225, 225, 220),
        )
    elif kind == 2:
        triangle = np.array([(-1, -0.8), (1, -0.8), (0, 0.9)]) * radius
        board.polygon(triangle + middle, (190, 34, 36))
        board.polygon(triangle * 0.6 + middle, (225, 225, 220))
    else:
        wide, tall = rng.uniform(0.3, 1.2), rng.uniform(0.3, 0.8)
        plate = np.array([(-wide, -tall), (wide, -tall), (wide, tall), (-wide, tall)])
        board.polygon(
            plate + middle,
            ((30, 66, 140), (30, 90, 60), (215, 214, 205), (200, 160, 40))[rng.integers(4)],
        )
        for row in np.linspace(-0.6, 0.6, 3):
            board.stroke(
                [
                    (-wide * 0.7, height + row * tall),
                    (wide * rng.uniform(0, 0.7), height + row * tall),
                ],
                0.06,
                (120, 120, 124),
            )


def paint_traffic_light(canvas: Canvas, foot: np.ndarray) -> None:
    """Paint a traffic light on its pole."""
    rng, pole, board = canvas.rng, Billboard(canvas, foot, POLE), Billboard(canvas, foot, SIGN)
    pole.stroke([(0, 0), (0, 3.3)], 0.1, np.array([50, 52, 52]))
    board.polygon([(-0.24, 2.4), (0.24, 2.4), (0.24, 3.5), (-0.24, 3.5)], (18, 18, 18))
    lit = rng.integers(3)
    for place, color in enumerate([(60, 255, 150), (255, 190, 40), (255, 50, 40)]):
        lamp = np.array(color) if place == lit else np.array(color) * 0.15
        canvas.fill(board.at(circle(10) * 0.11 + (0, 2.62 + 0.32 * place)), lamp, SIGN)


def paint_person(canvas: Canvas, foot: np.ndarray) -> None:
    """Paint a pedestrian: legs, coat, arms, head, sometimes a bag."""
    rng, board = canvas.rng, Billboard(canvas, foot, PEDESTRIAN)
    size, stride, turn = rng.uniform(1.5, 1.9), rng.uniform(0.02, 0.28), rng.choice([-1, 1])
    coat, trousers = (CLOTHES[rng.integers(len(CLOTHES))] * rng.uniform(0.6, 1.2) for _ in range(2))
    wide = rng.uniform(0.17, 0.25)
    canvas.darken(board.at(circle(10) * (0.4, 0.09)), 0.5, 0.06 * board.px_per_m)
    for side in (-1, 1):
        foot_x = side * (0.08 + stride)
        board.stroke(
            [(side * 0.08, size * 0.5), (side * 0.1 + foot_x * 0.4, size * 0.26), (foot_x, 0.05)],
            0.15,
            trousers,
        )
        board.stroke([(foot_x, 0.04), (foot_x + turn * 0.12, 0.04)], 0.08, RUBBER)
    hem = size * rng.uniform(0.36, 0.48)
    torso = [
        (-wide, hem),
        (-wide * 1.05, size * 0.78),
        (-wide * 0.5, size * 0.85),
        (wide * 0.5, size * 0.85),
        (wide * 1.05, size * 0.78),
        (wide, hem),
    ]
    board.polygon(torso, coat)
    board.polygon([(0.02, hem), (0.02, size * 0.84), *torso[3:]], coat * 0.8)
    for side in (-1, 1):
        board.stroke(
            [
                (side * wide, size * 0.79),
                (side * wide * 1.4, size * 0.6),
                (side * wide * 1.3 + stride * turn, size * 0.46),
            ],
            0.1,
            coat * 0.75,
        )
    if rng.random() < 0.4:
        board.ellipse(
            (turn * wide * 1.5, size * 0.42), (0.14, 0.18), CLOTHES[rng.integers(len(CLOTHES))]
        )
    _paint_head(board, (0.0, size - 0.13))


def _paint_head(board: Billboard, center: tuple[float, float]) -> None:
    rng, (x, up) = board.canvas.rng, center
    skin = SKIN[rng.integers(len(SKIN))]
    board.stroke([(x, up), (x, up - 0.2)], 0.1, skin)
    board.ellipse((x, up + 0.03), (0.105, 0.13), np.array([50, 38, 28.0]) * rng.uniform(0.4, 2.5))
    if rng.random() < 0.6:
        board.ellipse((x + rng.uniform(-0.03, 0.03), up - 0.03), (0.08, 0.1), skin)


def paint_bicyclist(canvas: Canvas, foot: np.ndarray) -> None:
    """Paint a rider on a bicycle, from the side or from behind."""
    rng, board = canvas.rng, Billboard(canvas, foot, BICYCLIST)
    turn, seen = rng.choice([-1, 1]), rng.choice([0.12, 0.25, 1.0])  # how much of its length shows
    metal, coat, trousers = (
        rng.uniform(20, 120, 3),
        CLOTHES[rng.integers(len(CLOTHES))] * 1.2,
        CLOTHES[rng.integers(len(CLOTHES))],
    )
    if rng.random() < 0.25:
        coat = np.array([190, 200, 50.0])

    def at(*points: tuple[float, float]) -> np.ndarray:
        scaled: np.ndarray = np.array(points) * (turn * seen, 1)
        return scaled

    canvas.darken(board.at(circle(10) * (0.2 + 0.8 * seen, 0.1)), 0.5, 0.06 * board.px_per_m)
    for x in (-0.52, 0.52):
        wheel = circle(18) * (max(0.03, 0.33 * seen), 0.33) + (x * turn * seen, 0.34)
        board.stroke(np.vstack([wheel, wheel[:1]]), 0.05, RUBBER)
    board.stroke(at((-0.52, 0.34), (-0.2, 0.85), (0.4, 0.85), (0.52, 0.34)), 0.05, metal)
    board.stroke(at((0.4, 0.85), (0.0, 0.32), (-0.2, 0.85)), 0.05, metal)
    board.stroke(at((-0.2, 0.95), (0.12, 0.7), (0.05, 0.3)) + np.array([0.07, 0]), 0.15, trousers)
    board.stroke(
        at((-0.2, 0.95), (0.2, 0.78), (0.02, 0.45)) - np.array([0.07, 0]), 0.15, trousers * 0.8
    )
    wide = 0.2 - 0.06 * seen
    shoulder = 0.25 * turn * seen
    board.polygon(
        [
            (-0.2 * turn * seen - wide, 0.9),
            (shoulder - wide, 1.45),
            (shoulder, 1.52),
            (shoulder + wide, 1.45),
            (wide - 0.2 * turn * seen, 0.9),
        ],
        coat,
    )
    for side in (-1, 1):
        board.stroke(
            [(shoulder + side * wide, 1.4), (0.4 * turn * seen + side * 0.22, 1.02)],
            0.1,
            coat * 0.8,
        )
    _paint_head(board, (0.32 * turn * seen, 1.66))
