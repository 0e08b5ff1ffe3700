"""The HTML page of a verification: one file, pictures inside."""

import cv2
import numpy as np

from galago import image as images
from galago._core.html_report import document, escape, picture, table
from galago.labels import Color
from galago.verification.compare import borders
from galago.verification.report import FileReport, Report

STYLE = """
img { image-rendering: pixelated } li.bad { background: none; color: #a40e26 }
"""
LONGEST_SIDE = 1024  # pixels of a picture's longer side
WRONG, WRONG_AT_BORDER = (214, 39, 40), (240, 173, 78)


def draw_page(report: Report, palette: tuple[Color, ...]) -> str:
    """Return the page of a report; colors are those of the model's classes."""
    verdict, kind = (
        ("Everything is within tolerance.", "ok")
        if report.ok
        else ("Something is out of tolerance.", "bad")
    )
    allowed = report.tolerance
    bounds = (
        f"{escape(report.precision)} may cost: logits {allowed.relative_error:.0e} (relative L2), "
        f"labels {allowed.labels:.2%} equal, mean IoU {100 * allowed.mean_iou_drop:.2f} points."
    )
    parts = [
        f'<p class="verdict {kind}">{verdict}</p>',
        f"<p>Compared with {escape(report.against)}. {bounds}</p>",
        _table(report),
    ]
    parts += [_failures("Description", report.description)] if report.description else []
    parts += [_failures("Not checked", report.skipped)] if report.skipped else []
    parts += [_file(file, palette) for file in report.files]
    if report.scores:
        parts.append(_classes(report))
    return document(f"galago verify: {report.name}", parts, STYLE)


def _table(report: Report) -> str:
    rows = []
    for file in report.files:
        for check in file.checks:
            difference = check.difference
            error = (
                "labels only"
                if difference.relative_error is None
                else f"{difference.relative_error:.1e}"
            )
            inside = "-" if difference.inside is None else f"{difference.inside:.3%}"
            cells = (
                file.file,
                file.engine,
                check.image,
                error,
                f"{difference.labels:.3%}",
                inside,
                "no" if check.failures else "yes",
            )
            rows.append([escape(cell) for cell in cells])
    heads = (
        "file",
        "engine",
        "image",
        "relative error",
        "labels equal",
        "away from borders",
        "within tolerance",
    )
    return table(heads, rows)


def _failures(title: str, failures: list[str]) -> str:
    return (
        f"<h2>{escape(title)}</h2><ul>"
        + "".join(f'<li class="bad">{escape(failure)}</li>' for failure in failures)
        + "</ul>"
    )


def _file(file: FileReport, palette: tuple[Color, ...]) -> str:
    title = f"{file.file} in {file.engine}"
    text = (
        _failures(title, file.failures)
        if file.failures
        else f"<h2>{escape(title)}</h2><p>Within tolerance.</p>"
    )
    if file.layer:
        rows = [[escape(name), f"{error:.1e}"] for name, error in file.layer_errors.items()]
        errors = table((), rows)
        text += f"<details><summary>Error of each layer</summary>{errors}</details>"
    if file.pictures is None:
        return text
    image, expected, given = file.pictures
    shown = (
        (image, "image"),
        (images.colorize(expected, palette), "labels of the trained network"),
        (images.colorize(given, palette), "labels of the file"),
        (
            difference_map(image, expected, given),
            "where they differ: red, at borders between classes orange",
        ),
    )
    return (
        text
        + '<div class="pictures">'
        + "".join(_figure(image, caption) for image, caption in shown)
        + "</div>"
    )


def difference_map(image: np.ndarray, expected: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Return where two (H, W) label maps differ, in color on a pale image: (H, W, 3) uint8 RGB."""
    picture = np.broadcast_to(
        (160 + image.mean(axis=2, keepdims=True) * 0.37).astype(np.uint8), image.shape
    ).copy()
    wrong, near = expected != given, borders(expected)
    picture[wrong & ~near] = WRONG
    picture[wrong & near] = WRONG_AT_BORDER
    return picture


def _figure(image: np.ndarray, caption: str) -> str:
    scale = LONGEST_SIDE / max(image.shape[:2])
    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    _, png = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))
    content = picture(png.tobytes(), "png", caption)
    return f"<figure>{content}<figcaption>{escape(caption)}</figcaption></figure>"


def _classes(report: Report) -> str:
    assert report.scores is not None
    scored = [file for file in report.files if file.scores]
    heads = "".join(f"<th>{escape(file.file)}, {escape(file.engine)}</th>" for file in scored)
    rows = []
    for index, (name, value) in enumerate(zip(report.scores.names, report.scores.iou, strict=True)):
        cells = "".join(f"<td>{_change(file, index)}</td>" for file in scored if file.scores)
        iou = "n/a" if value is None else f"{value:.4f}"
        rows.append(f"<tr><td>{escape(name)}</td><td>{iou}</td>{cells}</tr>")
    drops = "".join(f"<td>{-100 * (file.mean_iou_drop or 0):+.2f} points</td>" for file in scored)
    rows.append(f"<tr><th>mean IoU</th><td>{report.scores.mean_iou:.4f}</td>{drops}</tr>")
    head = f"<tr><th>class</th><th>trained</th>{heads}</tr>"
    return f"<h2>IoU on the labeled photos</h2><table>{head}{''.join(rows)}</table>"


def _change(file: FileReport, index: int) -> str:
    """Return by how many points a class's IoU changes from the trained network in the file's place
    to the file.
    """
    given, expected = (
        scores.iou[index] if scores else None for scores in (file.scores, file.expected)
    )
    return "n/a" if given is None or expected is None else f"{100 * (given - expected):+.2f}"
