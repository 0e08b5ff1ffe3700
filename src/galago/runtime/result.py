"""Segmentation: the labels of one image, and ways to show, save and convert them."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from galago import image as images
from galago.errors import ConfigError, ImageError
from galago.labels import Color
from galago.runtime.labelmap.confidence import confidence_map, margin_map


def written_files(folder: Path, name: str) -> tuple[Path, Path]:
    """Return where `Segmentation.save` puts the labels and the overlay."""
    return folder / f"{name}.png", folder / f"{name}_overlay.jpg"


def confidence_file(folder: Path, name: str) -> Path:
    """Return where `Segmentation.save_confidence` puts its picture."""
    return folder / f"{name}_confidence.png"


def shares_by_name(counts: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Return the share of each class that occurs, 0 to 1, the largest first.

    Args:
        counts: (K,) pixels of each class.
        names: one per class.
    """
    shares = counts / counts.sum()
    order = np.argsort(-shares, kind="stable")
    return {names[index]: float(shares[index]) for index in order if shares[index] > 0}


@dataclass(frozen=True, eq=False)
class Logits:
    """The output of the network for an image.

    Attributes:
        values: (K, h, w) float32.
        scale: logits per pixel of the image, along height and width.
    """

    values: np.ndarray
    scale: tuple[float, float]


@dataclass(frozen=True, eq=False, kw_only=True)
class Segmentation:
    """The labels of one image.

    Attributes:
        labels: (H, W) uint8 class ids at the image's own size.
        names: one per class.
        palette: one RGB color per class.
        image: (H, W, 3) uint8 RGB, the image.
        path: the image's file, if it came from one.
        speed: milliseconds spent on `read`, `pre`, `infer` and `post`.
        logits: kept for `confidence` and `margin` on request.
    """

    labels: np.ndarray
    names: tuple[str, ...]
    palette: tuple[Color, ...]
    image: np.ndarray
    path: Path | None
    speed: Mapping[str, float]
    logits: Logits | None = None

    @cached_property
    def confidence(self) -> np.ndarray:
        """The probability of each pixel's class, (H, W) float32, 0 to 1.

        It is the softmax at the network's own resolution, interpolated bilinearly.

        Raises:
            ConfigError: it was not asked for.
        """
        logits = self._require_logits()
        return confidence_map(logits.values, self.labels, logits.scale)

    @cached_property
    def margin(self) -> np.ndarray:
        """How far that probability is ahead of the next class's, (H, W) float32, 0 to 1.

        Raises:
            ConfigError: it was not asked for.
        """
        logits = self._require_logits()
        return margin_map(logits.values, self.labels, logits.scale)

    def _require_logits(self) -> Logits:
        if self.logits is None:
            raise ConfigError(
                "No logits were kept for confidence and margin. Ask for them: segmenter(photo, "
                "confidence=True)."
            )
        return self.logits

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image."""
        height, width = self.labels.shape
        return height, width

    @property
    def mask(self) -> np.ndarray:
        """Deprecated name of `labels`."""
        warnings.warn("Segmentation.mask is now labels.", DeprecationWarning, stacklevel=2)
        return self.labels

    @property
    def orig_shape(self) -> tuple[int, int]:
        """Deprecated name of `size`."""
        warnings.warn("Segmentation.orig_shape is now size.", DeprecationWarning, stacklevel=2)
        return self.size

    def areas(self) -> dict[str, float]:
        """Return the share of each class that occurs, 0 to 1, the largest first."""
        count = len(self.names)
        # twice as fast as np.bincount
        counts = cv2.calcHist([self.labels], [0], None, [count], [0, count])
        return shares_by_name(counts.ravel().astype(np.int64), self.names)

    def overlay(self, alpha: float = 0.5, *, legend: bool = True) -> np.ndarray:
        """Return the image under the colors of its classes, (H, W, 3) uint8 RGB, with a legend of
        class names under it.

        Args:
            alpha: 0 shows the image, 1 the colors.
            legend: whether to add the legend.
        """
        picture = images.overlay(self.image, self.labels, self.palette, alpha)
        colors = dict(zip(self.names, self.palette, strict=True))
        return images.draw_legend(picture, self.areas(), colors) if legend else picture

    def save(
        self, folder: str | Path, name: str | None = None, *, alpha: float = 0.5
    ) -> tuple[Path, Path]:
        """Write NAME.png, an indexed PNG of class ids, and NAME_overlay.jpg.

        Args:
            folder: made where it is missing.
            name: of the files (default: that of the image's file, or `image`).
            alpha: of the overlay.
        Raises:
            ImageError: a file cannot be written, or would replace the image.
        """
        name = name or (self.path.stem if self.path else "photo")
        labels, overlay = written_files(Path(folder), name)
        if self.path and self.path.resolve() in (labels.resolve(), overlay.resolve()):
            raise ImageError(
                f"The labels would replace the photo {self.path}. Choose another folder."
            )
        images.save_labels(labels, self.labels, self.palette)
        images.save(overlay, self.overlay(alpha))
        return labels, overlay

    def save_confidence(self, folder: str | Path, name: str | None = None) -> Path:
        """Write NAME_confidence.png, gray: a pixel's brightness is the probability of its class,
        255 for 1.

        Args:
            folder: made where it is missing.
            name: of the file, as in `save`.
        Raises:
            ConfigError: confidence was not asked for.
            ImageError: the file cannot be written.
        """
        file = confidence_file(Path(folder), name or (self.path.stem if self.path else "photo"))
        images.save_gray(file, np.rint(255 * self.confidence).astype(np.uint8))
        return file

    def to_geojson(self) -> dict[str, Any]:
        """Return the regions as polygons with holes, in pixels of the image: x to the right, y
        down, as GeoJSON's features.

        A polygon follows the edges of its pixels, so that its area is their number; pixels that
        touch at a corner belong together.
        """
        features = []
        for class_id in np.unique(self.labels):
            region = (self.labels == class_id).astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
            contours, tree = cv2.findContours(region, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
            rings: dict[int, list[list[list[int]]]] = {}
            for index, contour in enumerate(contours):
                parent = int(tree[0, index, 3])  # -1 for an outline, its outline's index for a hole
                rings.setdefault(index if parent < 0 else parent, []).append(_edges(contour[:, 0]))
            properties = {"class": self.names[class_id], "id": int(class_id)}
            for polygon in rings.values():
                geometry = {"type": "Polygon", "coordinates": polygon}
                features.append({"type": "Feature", "properties": properties, "geometry": geometry})
        return {"type": "FeatureCollection", "features": features}

    def to_rle(self) -> dict[str, dict[str, Any]]:
        """Return each class's pixels as COCO's uncompressed run lengths: down the columns, zeros
        first.
        """
        flat = self.labels.ravel(order="F")
        runs = {}
        for class_id in np.unique(flat):
            inside = np.concatenate([[False], flat == class_id, [False]])
            changes = np.flatnonzero(inside[1:] != inside[:-1])
            edges = np.concatenate(
                [[0], changes, [] if changes[-1] == flat.size else [flat.size]]
            ).astype(int)
            runs[self.names[class_id]] = {
                "size": list(self.size),
                "counts": np.diff(edges).tolist(),
            }
        return runs


def _edges(halves: np.ndarray) -> list[list[int]]:
    """Turn (L, 2) half pixels along a border into the pixels' corners there, the first one again at
    the end.

    Half pixels 2x and 2x + 1 are the left and the right one of pixel x; its edges are x and x + 1.
    """
    corners = (halves + 1) // 2
    corners = corners[(corners != np.roll(corners, 1, axis=0)).any(axis=1)]
    before = corners - np.roll(corners, 1, axis=0)
    after = np.roll(corners, -1, axis=0) - corners
    turns = corners[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]
    points: list[list[int]] = turns.tolist()
    return [*points, points[0]]
