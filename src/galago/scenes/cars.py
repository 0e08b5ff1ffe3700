"""Cars, vans and buses of a drawn street scene: solid bodies that can be seen from any side."""

from dataclasses import dataclass

import numpy as np

from galago.scenes.canvas import CAR, Canvas, Color, circle

PAINTS = np.array(
    [
        [30, 32, 36],
        [150, 152, 156],
        [206, 206, 204],
        [30, 44, 84],
        [118, 24, 26],
        [84, 88, 94],
        [40, 66, 50],
        [58, 60, 66],
    ],
    np.float64,
)
BUS_PAINT = np.array([150, 28, 30.0])
GLASS, RUBBER = np.array([44, 50, 56.0]), np.array([22, 22, 24.0])
# Width, and the side view as (forward, up) from the lower rear to the lower front corner, in
# meters.
SHAPES: dict[str, tuple[float, tuple[tuple[float, float], ...]]] = {
    "hatchback": (
        1.66,
        (
            (-1.9, 0.24),
            (-1.95, 0.92),
            (-1.62, 1.38),
            (-1.2, 1.48),
            (0.2, 1.46),
            (1.0, 0.98),
            (1.9, 0.82),
            (2.0, 0.24),
        ),
    ),
    "saloon": (
        1.75,
        (
            (-2.2, 0.24),
            (-2.25, 0.95),
            (-1.5, 1.0),
            (-0.95, 1.42),
            (0.3, 1.42),
            (1.15, 0.96),
            (2.1, 0.8),
            (2.2, 0.24),
        ),
    ),
    "van": (
        1.9,
        (
            (-2.4, 0.24),
            (-2.45, 1.15),
            (-2.4, 2.1),
            (-2.2, 2.2),
            (1.2, 2.2),
            (1.9, 1.3),
            (2.4, 1.1),
            (2.5, 0.24),
        ),
    ),
    "bus": (
        2.5,
        (
            (-5.0, 0.24),
            (-5.05, 1.2),
            (-5.0, 3.0),
            (-4.8, 3.1),
            (4.8, 3.1),
            (5.0, 1.4),
            (5.02, 1.3),
            (5.0, 0.24),
        ),
    ),
}
SHAPE_SHARES = (0.52, 0.32, 0.12, 0.04)
CABIN_M = 1.1  # what is higher is narrower
LOW_ROOF_M, HIGH_ROOF_M = 2.0, 3.0  # cars, vans, buses


@dataclass(frozen=True, eq=False)
class Car:
    """One car on a canvas; its own coordinates are forward, up and right of its middle, in meters.

    Attributes:
        canvas: where it is painted.
        foot: (3,) world coordinates of its middle on the ground.
        heading: 0 drives away from the camera, pi towards it.
        paint: (3,) its color.
        profile: (P, 2) its side view.
        half: half its width.
    """

    canvas: Canvas
    foot: np.ndarray
    heading: float
    paint: np.ndarray
    profile: np.ndarray
    half: float

    def world(self, local: np.ndarray) -> np.ndarray:
        """Map (N, 3) own coordinates to the world."""
        forward, up, right = local.T
        sin, cos = np.sin(self.heading), np.cos(self.heading)
        return np.column_stack(
            [
                self.foot[0] + right * cos + forward * sin,
                up,
                self.foot[2] + forward * cos - right * sin,
            ]
        )

    def pixels(self, local: np.ndarray) -> np.ndarray:
        """Map (N, 3) own coordinates to (N, 2) pixels."""
        return self.canvas.camera.project(self.world(local))

    def faces(self) -> list[tuple[str, np.ndarray]]:
        """List the faces of the body: what each is, and its (N, 3) corners."""
        inset = np.where(self.profile[:, 1] > CABIN_M, self.half * 0.84, self.half)
        left, right = (
            np.column_stack([self.profile, -inset]),
            np.column_stack([self.profile, inset]),
        )
        strips = [
            np.stack([left[i], right[i], right[i + 1], left[i + 1]]) for i in range(len(left) - 1)
        ]
        kinds = ["rear", *(_kind(strip) for strip in strips[1:-1]), "front"]
        return [("side", left), ("side", right), *zip(kinds, strips, strict=True)]


def _kind(strip: np.ndarray) -> str:
    """Tell a window between hood and roof from sheet metal."""
    forward, up = np.abs(strip[2] - strip[1])[:2]
    return "glass" if up > 0.3 and up > 0.35 * forward else "panel"


@dataclass(frozen=True, eq=False)
class Face:
    """A visible face of a car: what it is, its corners in the car's coordinates, its normal and
    distance.
    """

    car: Car
    kind: str
    corners: np.ndarray
    normal: np.ndarray
    distance_m: float

    def draw(self, points: np.ndarray, color: Color) -> None:
        """Fill a polygon on it: (N, 3) in the car's coordinates."""
        self.car.canvas.fill(self.car.pixels(points), color, CAR)

    def matt(self, color: Color) -> np.ndarray:
        """Return how a matt color looks on it."""
        return self.car.canvas.light.shade(color, self.normal, self.distance_m)

    def glass(self) -> np.ndarray:
        """Return the color of a window: dark, with some sky in it."""
        light = self.car.canvas.light
        return light.fade(
            GLASS * light.ambient + light.haze * (0.08 + 0.22 * max(0.0, self.normal[1])),
            self.distance_m,
        )

    def body(self) -> np.ndarray:
        """Return the color of the sheet metal: what faces up mirrors the sky."""
        color: np.ndarray = (
            self.matt(self.car.paint) + self.car.canvas.light.haze * max(0.0, self.normal[1]) * 0.25
        )
        return color


def paint_car(canvas: Canvas, foot: np.ndarray, heading: float) -> None:
    """Paint a car: its shadow, then the faces that can be seen, far ones first.

    Args:
        canvas: where.
        foot: (3,) its middle on the ground, in meters.
        heading: angle in radians: 0 drives away from the camera, pi towards it.
    """
    rng, eye = canvas.rng, np.array([0, canvas.camera.height_m, 0])
    kind = str(rng.choice(list(SHAPES), p=SHAPE_SHARES))
    width, profile = SHAPES[kind]
    paint = (BUS_PAINT if kind == "bus" else PAINTS[rng.integers(len(PAINTS))]) * rng.uniform(
        0.7, 1.15
    )
    car = Car(canvas, foot, heading, paint, np.array(profile), width / 2)
    _paint_shadow(car)
    middle, visible = car.world(np.array([[0.0, 0.8, 0.0]]))[0], []
    for name, corners in car.faces():
        world = car.world(corners)
        center, normal = world.mean(axis=0), _normal(world, middle)
        if np.dot(normal, center - eye) < 0:
            visible.append(
                (
                    float(np.linalg.norm(center - eye)),
                    Face(car, name, corners, normal, float(center[2])),
                )
            )
    for _, face in sorted(visible, key=lambda item: -item[0]):
        _paint_face(face)


def _paint_shadow(car: Car) -> None:
    """Darken the road below, softly around and fully underneath."""
    long, wide = np.abs(car.profile[:, 0]).max(), car.half
    ground = np.array([[-long, 0, -wide], [long, 0, -wide], [long, 0, wide], [-long, 0, wide]])
    car.canvas.darken(
        car.pixels(ground * (1.04, 1, 1.12)),
        0.7,
        car.canvas.camera.focal_px / max(car.foot[2], 1.0) * 0.12,
    )
    car.canvas.fill(car.pixels(ground * (0.9, 1, 0.92) + np.array([0, 0.04, 0])), (10, 10, 11))


def _normal(corners: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the unit vector that stands on a face and points away from the inside."""
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    normal = normal / max(float(np.linalg.norm(normal)), 1e-9)
    away: np.ndarray = normal if np.dot(normal, corners.mean(axis=0) - inside) > 0 else -normal
    return away


def _paint_face(face: Face) -> None:
    """Paint a face with what is on it."""
    face.draw(face.corners, face.body())
    if face.kind == "glass":
        tall = face.car.profile[:, 1].max() > LOW_ROOF_M
        face.draw(
            _on(face.corners, (0.08, 0.92), (0.3, 0.85) if tall else (0.06, 0.92)), face.glass()
        )
    elif face.kind in ("rear", "front"):
        _paint_end(face)
    elif face.kind == "side":
        _paint_side(face)


def _on(corners: np.ndarray, across: tuple[float, float], up: tuple[float, float]) -> np.ndarray:
    """Return a part of a strip as (4, 3): shares from its left to its right and from its low to its
    high edge.
    """
    low, high = (
        (corners[:2], corners[3:1:-1])
        if corners[0, 1] < corners[2, 1]
        else (corners[3:1:-1], corners[:2])
    )
    edges = [low + (high - low) * share for share in up]
    rows = [edge[0] + (edge[1] - edge[0]) * np.array(across)[:, None] for edge in edges]
    return np.concatenate([rows[0], rows[1][::-1]])


def _paint_end(face: Face) -> None:
    """Paint bumper, lamps and number plate on the rear or the front of a car."""
    is_rear = face.kind == "rear"
    face.draw(_on(face.corners, (0, 1), (0.0, 0.28)), face.matt((38, 38, 40)))
    lamp = np.array([150, 24, 22.0]) if is_rear else np.array([200, 200, 196.0])
    for left in (0.015, 0.825):
        color = lamp * 1.2 if face.car.canvas.light.is_night else face.matt(lamp)
        face.draw(_on(face.corners, (left, left + 0.16), (0.55, 0.9)), color)
    if not is_rear:
        face.draw(_on(face.corners, (0.25, 0.75), (0.5, 0.75)), face.matt((26, 26, 28)))
    face.draw(
        _on(face.corners, (0.36, 0.64), (0.3, 0.46)),
        face.matt((200, 170, 60) if is_rear else (215, 215, 210)),
    )


def _paint_side(face: Face) -> None:
    """Paint windows, a darker sill, and wheels on the side of a car."""
    profile, side = face.car.profile, face.corners[0, 2]
    roof = profile[:, 1].max()
    belt = 0.98 if roof < LOW_ROOF_M else 1.25
    cabin = profile[profile[:, 1] > CABIN_M, 0]
    rear, front = cabin.min() + 0.1, cabin.max() - 0.05
    foot, top = front + (0.45 if roof < HIGH_ROOF_M else 0.0), roof - 0.12
    if LOW_ROOF_M < roof < HIGH_ROOF_M:  # a van has windows in front only
        rear = 0.1
    window = [
        [rear - 0.1, belt, side],
        [rear + 0.1, top, side * 0.86],
        [front - 0.1, top, side * 0.86],
        [foot, belt, side],
    ]
    face.draw(np.array(window), face.glass())
    for x in np.arange(rear + 1.0, front, 1.1):
        post = [
            [x, belt, side],
            [x, top, side * 0.86],
            [x + 0.08, top, side * 0.86],
            [x + 0.08, belt, side],
        ]
        face.draw(np.array(post), face.body())
    tail, nose = profile[:, 0].min(), profile[:, 0].max()
    sill = [[tail, 0.24, side], [tail, 0.5, side], [nose, 0.5, side], [nose, 0.24, side]]
    face.draw(np.array(sill), face.body() * 0.6)
    ring = np.column_stack([circle(16), np.zeros(16)])
    for x in (tail * 0.64, nose * 0.64):
        face.draw(ring * (0.36, 0.36, 0) + (x, 0.36, side), face.matt(RUBBER * 0.6))
        face.draw(ring * (0.19, 0.19, 0) + (x, 0.33, side), face.matt((130, 130, 134)))
