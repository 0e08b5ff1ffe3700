"""The HTML page of a verification: one file, pictures inside."""

from collections.abc import Sequence

import cv2
import numpy as np

from galago import image as images
from galago._core.html_report import render
from galago.labels import Color
from galago.verification.compare import borders
from galago.verification.report import FileReport, Report

LONGEST_SIDE = 1024  # pixels of a picture's longer side
WRONG, WRONG_AT_BORDER = (214, 39, 40), (240, 173, 78)


def draw_page(report: Report, palette: Sequence[Color]) -> str:
    """Return the page of a report; colors are those of the model's classes.

    Raises:
        MissingDependencyError: Jinja2 is not installed.
    """
    allowed = report.tolerance
    tolerance = (
        f"Compared with {report.against}. {report.precision} may cost: logits "
        f"{allowed.relative_error:.0e} (relative L2), labels {allowed.labels:.2%} equal, mean IoU "
        f"{100 * allowed.mean_iou_drop:.2f} points."
    )
    general = (("Description", report.description), ("Not checked", report.skipped))
    context = {
        "title": f"galago verify: {report.name}",
        "ok": report.ok,
        "tolerance": tolerance,
        "checks": _checks(report),
        "general": [(title, lines) for title, lines in general if lines],
        "files": [_file(file, palette) for file in report.files],
        "scores": _scores(report) if report.scores else None,
    }
    return render("verification.html", context)


def _checks(report: Report) -> list[list[str]]:
    """Return one row per file and image: how far the labels and logits differ."""
    rows = []
    for file in report.files:
        for check in file.checks:
            found = check.difference
            error = found.relative_error
            rows.append(
                [
                    file.file,
                    file.engine,
                    check.image,
                    "labels only" if error is None else f"{error:.1e}",
                    f"{found.labels:.3%}",
                    "-" if found.inside is None else f"{found.inside:.3%}",
                    "no" if check.failures else "yes",
                ]
            )
    return rows


def _file(file: FileReport, palette: Sequence[Color]) -> dict[str, object]:
    """Return what the template shows of a file: failures, errors of layers, four pictures."""
    errors = file.layer_errors.items() if file.layer else ()
    return {
        "title": f"{file.file} in {file.engine}",
        "failures": file.failures,
        "layer_errors": [(name, f"{error:.1e}") for name, error in errors],
        "pictures": [] if file.pictures is None else _pictures(*file.pictures, palette),
    }


def _pictures(
    image: np.ndarray, expected: np.ndarray, given: np.ndarray, palette: Sequence[Color]
) -> list[tuple[str, np.ndarray]]:
    """Return an image, both label maps and where they differ, each after its caption."""
    pictures = (
        ("image", image),
        ("labels of the trained network", images.colorize(expected, palette)),
        ("labels of the file", images.colorize(given, palette)),
        (
            "where they differ: red, at borders between classes orange",
            difference_map(image, expected, given),
        ),
    )
    return [(caption, _scaled_down(picture)) for caption, picture in pictures]


def difference_map(image: np.ndarray, expected: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Color the pixels of two (H, W) label maps that differ, on a pale image.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    pale = (160 + image.mean(axis=2, keepdims=True) * 0.37).astype(np.uint8)
    picture = np.broadcast_to(pale, image.shape).copy()
    wrong, near = expected != given, borders(expected)
    picture[wrong & ~near] = WRONG
    picture[wrong & near] = WRONG_AT_BORDER
    return picture


def _scaled_down(image: np.ndarray) -> np.ndarray:
    scale = LONGEST_SIDE / max(image.shape[:2])
    if scale >= 1:
        return image
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)


def _scores(report: Report) -> dict[str, list[object]]:
    """Return heads and rows of the table of IoUs: the trained network's and the changes to it."""
    assert report.scores is not None
    scored = [file for file in report.files if file.scores]
    rows: list[object] = []
    for index, (name, iou) in enumerate(zip(report.scores.names, report.scores.iou, strict=True)):
        value = "n/a" if iou is None else f"{iou:.4f}"
        rows.append([name, value, *(_change(file, index) for file in scored)])
    drops = (f"{-100 * (file.mean_iou_drop or 0):+.2f} points" for file in scored)
    rows.append(["mean IoU", f"{report.scores.mean_iou:.4f}", *drops])
    heads = ("class", "trained", *(f"{file.file}, {file.engine}" for file in scored))
    return {"heads": list(heads), "rows": rows}


def _change(file: FileReport, index: int) -> str:
    """Return by how many points the IoU of class `index` changes from the trained network."""
    given = file.scores.iou[index] if file.scores else None
    expected = file.expected.iou[index] if file.expected else None
    return "n/a" if given is None or expected is None else f"{100 * (given - expected):+.2f}"
