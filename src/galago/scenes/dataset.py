"""Street scenes drawn by the project, with exact labels: a data set that needs no download.

The shipped `assets/sample_scene.jpg` is made by

    galago.image.save("sample_scene.jpg", render_scene(SAMPLE_SEED, SAMPLE_SIZE).image)
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np

from galago.data.sample import Sample
from galago.errors import ConfigError
from galago.labels import CAMVID, LabelSet
from galago.scenes import objects
from galago.scenes.canvas import Camera, Canvas
from galago.scenes.cars import paint_car
from galago.scenes.houses import draw_houses, paint_house, paint_skyline
from galago.scenes.street import FAR_M, Street, draw_ground, draw_street, paint_fence, shade_ground
from galago.scenes.weather import draw_light, draw_sky, photograph, roughen_ground

# daylight, cars and a bus, people, signs, a crossing; chosen among 200 because b0-camvid labels it
# well
SAMPLE_SEED = 69
SAMPLE_SIZE = (720, 960)
# the scene is drawn so much larger, then averaged: soft edges in the photo, exact ones in the
# labels
SUPERSAMPLING = 2
MIN_SIDE = 32
Painting = tuple[float, Callable[[], None]]  # its distance in meters, and what paints it


@dataclass(frozen=True)
class Scenes:
    """Drawn street scenes as a data set with CamVid's classes.

    Attributes:
        count: number of scenes.
        first_seed: of scene 0; the others follow.
        size: (height, width) in pixels.
    """

    count: int
    first_seed: int = 0
    size: tuple[int, int] = (360, 480)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"Expected a count of at least 1 scene, got {self.count}.")
        _check(self.first_seed, self.size)

    @property
    def label_set(self) -> LabelSet:
        """Names and colors of CamVid's classes."""
        return CAMVID

    @property
    def names(self) -> list[str]:
        """Name of every scene, in order: `scene_` and its seed."""
        return [_name(self.first_seed + index) for index in range(self.count)]

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        """Draw scene `index`, 0 to len - 1."""
        if not 0 <= index < self.count:
            raise IndexError(f"Scene {index} of {self.count} does not exist.")
        return render_scene(self.first_seed + index, self.size)


def render_scene(seed: int, size: tuple[int, int] = (360, 480)) -> Sample:
    """Draw a street scene; the same seed and size give the same bytes.

    Args:
        seed: chooses street, things, weather and camera; 0 or more.
        size: (height, width) in pixels.
    Returns:
        (H, W, 3) uint8 RGB with (H, W) uint8 labels in CamVid's classes.
    Raises:
        ConfigError: the seed is negative or the size too small.
    """
    _check(seed, size)
    rng = np.random.default_rng(seed)
    fine = (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING)
    light, camera, street = draw_light(rng), _draw_camera(rng, fine), draw_street(rng)
    canvas = Canvas(fine, camera, light, rng)
    draw_sky(canvas)
    draw_ground(canvas, street)
    paintings = _plan(canvas, street)
    for _, paint in sorted(paintings, key=operator.itemgetter(0), reverse=True):
        paint()
    image = cv2.resize(canvas.image, size[::-1], interpolation=cv2.INTER_AREA)
    labels = np.ascontiguousarray(canvas.labels[1::SUPERSAMPLING, 1::SUPERSAMPLING])
    coarse = Camera(
        camera.focal_px / SUPERSAMPLING,
        camera.center_x / SUPERSAMPLING,
        camera.horizon_y / SUPERSAMPLING,
        camera.height_m,
    )
    image = roughen_ground(image, labels, coarse, rng)
    return Sample(_name(seed), photograph(image, labels, light, rng), labels)


def _draw_camera(rng: np.random.Generator, size: tuple[int, int]) -> Camera:
    """Mount the camera behind a windscreen."""
    height, width = size
    focal = height * rng.uniform(1.1, 1.55)
    return Camera(
        focal,
        width * rng.uniform(0.38, 0.62),
        height * rng.uniform(0.4, 0.56),
        rng.uniform(1.15, 1.7),
    )


def _plan(canvas: Canvas, street: Street) -> list[Painting]:
    """Choose what stands and moves along the street."""
    rng, plan = canvas.rng, _plan_far_end(canvas, street)
    houses = [draw_houses(rng, side) for side in (0, 1)]
    heights = [float(np.mean([house.height for house in row])) if row else 4.0 for row in houses]
    shade_ground(canvas, street, (heights[0], heights[1]))
    plan += [
        (house.far, partial(paint_house, canvas, street, house))
        for house in (*houses[0], *houses[1])
    ]
    for side in (0, 1):
        plan += _plan_greenery(canvas, street, side, sparse=len(houses[side]) > 8)
        plan += _plan_furniture(canvas, street, side)
        plan += _plan_people(canvas, street, side)
    return plan + _plan_traffic(canvas, street)


def _plan_far_end(canvas: Canvas, street: Street) -> list[Painting]:
    """Close the view at the end of the street with houses and trees."""
    rng = canvas.rng
    plan: list[Painting] = [
        (FAR_M + 1, partial(paint_skyline, canvas, street, rng.uniform(80, FAR_M)))
    ]
    for x in np.arange(-70, 70, rng.uniform(7, 14)):
        if rng.random() < 0.8:
            plan.append(
                (
                    FAR_M,
                    partial(
                        objects.paint_tree,
                        canvas,
                        street.points(x, FAR_M * 0.98)[0],
                        rng.uniform(4, 11),
                    ),
                )
            )
    return plan


def _plan_greenery(canvas: Canvas, street: Street, side: int, *, sparse: bool) -> list[Painting]:
    """Plant trees and set up fences on a side of the street."""
    rng, plan, outward = canvas.rng, list[Painting](), (-1, 1)[side]
    wall, kerb = street.wall(side), street.kerbs[side]
    row = rng.random() < (0.35 if sparse else 0.7)
    for z in rng.uniform(6, 110, rng.integers(3, 12) if row else rng.integers(0, 4)):
        x = (
            kerb + outward * 0.8
            if sparse and rng.random() < 0.7
            else wall + outward * rng.uniform(0.5, 8)
        )
        plan.append(
            (
                float(z),
                partial(objects.paint_tree, canvas, street.points(x, z)[0], rng.uniform(4, 11)),
            )
        )
    if rng.random() < 0.55:
        near = rng.uniform(2, 30)
        far = near + 4 * int(rng.integers(2, 8))
        plan.append((far - 2.0, partial(paint_fence, canvas, street, side, (near, far))))
    return plan


def _plan_furniture(canvas: Canvas, street: Street, side: int) -> list[Painting]:
    """Set up lamps, signs, traffic lights and bollards along a kerb."""
    rng, plan, outward = canvas.rng, list[Painting](), (-1, 1)[side]

    def add(z: float, paint: Callable[[np.ndarray], None]) -> None:
        foot = street.points(street.kerbs[side] + outward * rng.uniform(0.3, 0.7), z)[0]
        plan.append((float(z), lambda: paint(foot)))

    arm = -outward * rng.uniform(0.8, 2.0)
    if rng.random() < 0.8:
        for z in np.arange(rng.uniform(5, 25), 110, rng.uniform(18, 32)):
            add(z, lambda foot: objects.paint_lamp(canvas, foot, arm))
    for z in rng.uniform(6, 50, rng.integers(0, 5)):
        add(z, lambda foot: objects.paint_sign(canvas, foot))
    for z in rng.uniform(9, 50, rng.integers(0, 3) if rng.random() < 0.5 else 0):
        add(z, lambda foot: objects.paint_traffic_light(canvas, foot))
    if rng.random() < 0.2:
        for z in np.arange(rng.uniform(5, 12), 25, 1.8):
            add(z, lambda foot: objects.paint_bollard(canvas, foot))
    return plan


def _plan_people(canvas: Canvas, street: Street, side: int) -> list[Painting]:
    """Let people walk on a sidewalk."""
    rng, plan = canvas.rng, list[Painting]()
    inner, outer = sorted((street.kerbs[side], street.wall(side)))
    for z in rng.gamma(2.0, 11.0, rng.integers(0, 7)) + 6:
        foot = street.points(rng.uniform(inner + 0.3, outer - 0.3), z)[0]
        plan.append((float(z), partial(objects.paint_person, canvas, foot)))
    return plan


def _plan_traffic(canvas: Canvas, street: Street) -> list[Painting]:
    """Put parked and driving cars, bicycles, and people who cross onto the road."""
    rng, plan, (left, right) = canvas.rng, list[Painting](), street.kerbs
    middle = (left + right) / 2

    def add(x: float, z: float, paint: Callable[[np.ndarray], None]) -> None:
        foot = street.points(x, z)[0]
        plan.append((float(z), lambda: paint(foot)))

    def car(x: float, z: float, heading: float) -> None:
        add(x, z, lambda foot: paint_car(canvas, foot, heading))

    for side in (0, 1):
        if rng.random() < 0.45:
            for z in np.arange(rng.uniform(6, 30), rng.uniform(30, 70), 5.6):
                if rng.random() < 0.7:
                    car(street.kerbs[side] - (-1.1, 1.1)[side], z, rng.normal(side * np.pi, 0.03))
    for lane, heading in (((left + middle) / 2, 0.0), ((middle + right) / 2, np.pi)):
        z = rng.uniform(7, 30)
        for _ in range(rng.integers(0, 4)):
            car(lane + rng.normal(0, 0.3), z, heading + rng.normal(0, 0.05))
            z += rng.uniform(7, 30)
    if rng.random() < 0.12:
        car(
            rng.uniform(left, right),
            rng.uniform(14, 35),
            np.pi / 2 * rng.choice([-1, 1]) + rng.normal(0, 0.2),
        )
    for z in rng.gamma(2.0, 9.0, rng.integers(0, 3)) + 6:
        add(
            rng.choice([left + 0.8, right - 0.8, middle]),
            z,
            lambda foot: objects.paint_bicyclist(canvas, foot),
        )
    if rng.random() < 0.2:
        add(
            rng.uniform(left, right),
            rng.uniform(9, 40),
            lambda foot: objects.paint_person(canvas, foot),
        )
    return plan


def _name(seed: int) -> str:
    return f"scene_{seed:06d}"


def _check(seed: int, size: tuple[int, int]) -> None:
    """Refuse what cannot be drawn."""
    if seed < 0:
        raise ConfigError(f"Expected a seed of 0 or more, got {seed}.")
    if min(size) < MIN_SIDE:
        raise ConfigError(
            f"Expected a scene of at least {MIN_SIDE} x {MIN_SIDE} pixels as (height, width), got "
            f"{size}."
        )
