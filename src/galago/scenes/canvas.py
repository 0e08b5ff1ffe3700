"""The tools a street scene is drawn with: camera, light, and a canvas that keeps picture and labels
together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from galago.labels import CAMVID

SKY, BUILDING, POLE, ROAD, SIDEWALK, TREE, SIGN, FENCE, CAR, PEDESTRIAN, BICYCLIST = range(
    len(CAMVID)
)

NEAR_M = 0.8  # nothing is projected from closer than this
SUBPIXEL_BITS = 3  # of the corners of polygons
FAR_PX = 100_000  # corners are clipped to this, so that OpenCV's integers suffice

Vector = Sequence[float] | np.ndarray
Color = Vector  # red, green, blue, 0 to 255
Points = Sequence[Vector] | np.ndarray
UP = (0.0, 1.0, 0.0)


@dataclass(frozen=True, eq=False)
class Light:
    """What lights the scene.

    Attributes:
        sun: (3,) unit vector to the sun: right, up, forward.
        sun_color: (3,) how much the sun adds where it shines at a right angle.
        ambient: (3,) what comes from the whole sky.
        haze: (3,) color that far things fade to, 0 to 255.
        visibility_m: distance at which 63% of a thing's color is haze.
        is_night: lamps and headlights are on.
    """

    sun: np.ndarray
    sun_color: np.ndarray
    ambient: np.ndarray
    haze: np.ndarray
    visibility_m: float
    is_night: bool

    def shade(self, color: Color, normal: Vector = UP, distance_m: float = 0.0) -> np.ndarray:
        """Return how a matt surface of a color looks from a distance: (3,) float, 0 to 255."""
        facing = max(0.0, float(np.dot(normal, self.sun)))
        sky_share = 0.75 + 0.25 * normal[1]  # a wall sees half of the sky
        lit = np.asarray(color) * (self.ambient * sky_share + self.sun_color * facing)
        return self.fade(lit, distance_m)

    def fade(self, color: Color, distance_m: float) -> np.ndarray:
        """Mix a seen color with the haze on its way."""
        share = 1 - math.exp(-distance_m / self.visibility_m)
        faded: np.ndarray = np.minimum(np.asarray(color) * (1 - share) + self.haze * share, 255)
        return faded


@dataclass(frozen=True)
class Camera:
    """A pinhole camera that looks along the street.

    Attributes:
        focal_px: focal length.
        center_x: column that the camera looks at.
        horizon_y: row of the horizon.
        height_m: above the road.
    """

    focal_px: float
    center_x: float
    horizon_y: float
    height_m: float

    def project(self, points: Points) -> np.ndarray:
        """Return (N, 2) pixels (x, y) of (N, 3) points: right, up from the road, forward, in m."""
        world = np.asarray(points, dtype=np.float64)
        scale = self.focal_px / np.maximum(world[:, 2], NEAR_M)
        return np.column_stack(
            [
                self.center_x + world[:, 0] * scale,
                self.horizon_y + (self.height_m - world[:, 1]) * scale,
            ]
        )


class Canvas:
    """A picture and its labels, painted far things first.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) uint8 class ids.
    """

    def __init__(
        self, size: tuple[int, int], camera: Camera, light: Light, rng: np.random.Generator
    ) -> None:
        self.image = np.zeros((*size, 3), np.uint8)
        self.labels = np.full(size, SKY, np.uint8)
        self.camera, self.light, self.rng = camera, light, rng

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.labels.shape[0], self.labels.shape[1]

    def fill(self, corners: np.ndarray, color: Color, label: int | None = None) -> None:
        """Fill a polygon of (N, 2) pixels; without a label the labels below stay."""
        points = _fixed_point(corners)
        cv2.fillPoly(self.image, [points], _scalar(color), shift=SUBPIXEL_BITS)
        if label is not None:
            cv2.fillPoly(self.labels, [points], label, shift=SUBPIXEL_BITS)

    def stroke(
        self, points: np.ndarray, width_px: float, color: Color, label: int | None = None
    ) -> None:
        """Draw a line through (N, 2) pixels."""
        thickness, fixed = max(1, round(width_px)), _fixed_point(points)
        cv2.polylines(self.image, [fixed], False, _scalar(color), thickness, shift=SUBPIXEL_BITS)
        if label is not None:
            cv2.polylines(self.labels, [fixed], False, label, thickness, shift=SUBPIXEL_BITS)

    def darken(self, corners: np.ndarray, strength: float, softness_px: float = 0.0) -> None:
        """Put a shadow on what is drawn so far: strength 1 makes it black."""
        box = self._box(corners, margin=2 * softness_px)
        if box is None:
            return
        mask = self._mask(corners, box)
        if softness_px >= 1:
            side = 2 * round(softness_px) + 1
            mask = cv2.blur(cv2.blur(mask, (side, side)), (side, side))
        view = self.image[box]
        keep = cv2.merge(
            [cv2.convertScaleAbs(mask, alpha=-strength, beta=255)] * 3
        )  # |255 - strength x mask|
        cv2.multiply(view, keep, dst=view, scale=1 / 255)

    def paste(
        self, texture: np.ndarray, corners: np.ndarray, label: int, alpha: np.ndarray | None = None
    ) -> None:
        """Lay a texture into a quadrilateral, in perspective.

        Args:
            texture: (h, w, 3) uint8 RGB.
            corners: (4, 2) pixels of its upper left, upper right, lower right and lower left
                corner.
            label: of the whole quadrilateral, also where it lets something through.
            alpha: (h, w) uint8: where it is 0, what lies behind shows through; everywhere opaque
                without it.
        """
        box = self._box(corners)
        if box is None:
            return
        height, width = texture.shape[:2]
        offset = np.array([box[1].start, box[0].start])
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        matrix = cv2.getPerspectiveTransform(
            source, np.clip(corners - offset, -FAR_PX, FAR_PX).astype(np.float32)
        )
        view, mask = self.image[box], self._mask(corners, box)
        self.labels[box][mask > 0] = label
        target = (view.shape[1], view.shape[0])
        if alpha is not None:
            mask = cv2.bitwise_and(
                mask, cv2.warpPerspective(alpha, matrix, target, flags=cv2.INTER_NEAREST)
            )
        cv2.copyTo(
            cv2.warpPerspective(texture, matrix, target, borderMode=cv2.BORDER_REPLICATE),
            mask,
            view,
        )

    def stamp(
        self,
        texture: np.ndarray,
        visible: np.ndarray,
        inside: np.ndarray,
        corner: tuple[int, int],
        label: int,
    ) -> None:
        """Copy an upright texture.

        Args:
            texture: (h, w, 3) uint8 RGB.
            visible: (h, w) uint8: 0 where what lies behind shows through.
            inside: (h, w) uint8: 0 outside the object; the rest gets the label.
            corner: its upper left pixel (x, y), perhaps outside the canvas.
            label: class of the object.
        """
        x, y = corner
        left, top = max(0, -x), max(0, -y)
        right, bottom = (
            min(texture.shape[1], self.size[1] - x),
            min(texture.shape[0], self.size[0] - y),
        )
        if left >= right or top >= bottom:
            return
        source, target = (
            np.s_[top:bottom, left:right],
            np.s_[y + top : y + bottom, x + left : x + right],
        )
        cv2.copyTo(texture[source], visible[source], self.image[target])
        self.labels[target][inside[source] > 0] = label

    def _box(self, corners: np.ndarray, margin: float = 0.0) -> tuple[slice, slice] | None:
        """Return the part of the canvas around some pixels, or None where they lie outside."""
        low = np.floor(corners.min(axis=0) - margin).clip(-FAR_PX, FAR_PX).astype(int)
        high = np.ceil(corners.max(axis=0) + margin).clip(-FAR_PX, FAR_PX).astype(int) + 1
        (left, top), (right, bottom) = np.maximum(low, 0), np.minimum(high, self.size[::-1])
        return np.s_[top:bottom, left:right] if left < right and top < bottom else None

    def _mask(self, corners: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
        """Return a polygon as a mask of that part of the canvas: (h, w) uint8, 0 or 255."""
        rows, columns = box
        mask = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.uint8)
        cv2.fillPoly(
            mask, [_fixed_point(corners - (columns.start, rows.start))], 255, shift=SUBPIXEL_BITS
        )
        return mask


class Billboard:
    """Draws a flat upright thing that faces the camera, in meters: right of and above a point on
    the ground.
    """

    def __init__(self, canvas: Canvas, foot: Vector, label: int) -> None:
        self.canvas, self.label, self.distance_m = canvas, label, float(foot[2])
        self.foot = canvas.camera.project([foot])[0]
        self.px_per_m = canvas.camera.focal_px / max(self.distance_m, NEAR_M)

    def at(self, points: Points) -> np.ndarray:
        """Map (N, 2) meters (right, up) to (N, 2) pixels."""
        pixels: np.ndarray = self.foot + np.asarray(points, np.float64) * (
            self.px_per_m,
            -self.px_per_m,
        )
        return pixels

    def seen(self, color: Color) -> np.ndarray:
        """Return a color under the scene's light and haze."""
        return self.canvas.light.shade(color, (0.0, 0.3, -0.95), self.distance_m)

    def polygon(self, points: Points, color: Color) -> None:
        """Fill a polygon."""
        self.canvas.fill(self.at(points), self.seen(color), self.label)

    def ellipse(
        self, center: tuple[float, float], radii: tuple[float, float], color: Color
    ) -> None:
        """Fill an ellipse."""
        self.polygon(circle(14) * radii + center, color)

    def stroke(self, points: Points, width_m: float, color: Color) -> None:
        """Draw a line."""
        self.canvas.stroke(self.at(points), width_m * self.px_per_m, self.seen(color), self.label)


def circle(corners: int) -> np.ndarray:
    """Return a circle of radius 1 as a (corners, 2) polygon."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def fractal_noise(
    rng: np.random.Generator, size: tuple[int, int], cells: int, octaves: int = 4
) -> np.ndarray:
    """Draw cloudy noise.

    Args:
        rng: where chance comes from.
        size: height and width.
        cells: blobs along the longer side in the coarsest octave; each octave has twice as many, at
            0.6 times the strength.
        octaves: how many.
    Returns:
        (height, width) float32 around 0, standard deviation about 1.
    """
    total = np.zeros(size, np.float32)
    for octave in range(octaves):
        grain = max(size) / (cells * 2**octave)
        if grain < 1 and octave:
            break
        coarse = tuple(max(2, min(side, round(side / grain))) for side in size)
        noise = rng.standard_normal(coarse, dtype=np.float32) * 0.6**octave
        total += cv2.resize(
            noise, size[::-1], interpolation=cv2.INTER_CUBIC if octave < 2 else cv2.INTER_LINEAR
        )
    return total


def _fixed_point(corners: np.ndarray) -> np.ndarray:
    fixed: np.ndarray = np.round(np.clip(corners, -FAR_PX, FAR_PX) * 2**SUBPIXEL_BITS).astype(
        np.int32
    )
    return fixed


def _scalar(color: Color) -> tuple[float, ...]:
    return tuple(float(min(255.0, max(0.0, channel))) for channel in color)
