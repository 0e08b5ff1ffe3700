"""The two plots of `galago bench`: latency against pixels, and mean IoU against latency."""

import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galago.benchmarking.measure import Timing

INK, FAINT, FRONT = "#333333", "#8a8a8a", "#d9b44a"
COLORS = ("#1f6fb4", "#d1603d", "#3a9a5b", "#8c5fb0", "#b0477d", "#6b6b6b")
MARKERS = ("o", "s", "D", "^", "v", "P")


def have_matplotlib() -> bool:
    """Return whether plots can be drawn."""
    from importlib.util import find_spec

    return find_spec("matplotlib") is not None


def draw_latency(timings: "list[Timing]", title: str, *, fitted: bool) -> bytes:
    """Return a plot of end-to-end latency against pixels, a line per configuration with its slope.

    Both axes are logarithmic.

    Args:
        timings: one per configuration and size.
        title: of the plot.
        fitted: whether the pixels are those of the network's input, instead of the image's.
    Returns:
        the PNG file.
    """
    from matplotlib.ticker import LogLocator

    from galago.benchmarking.measure import area, describe_config, format_size, slope

    def shown(timing: "Timing") -> tuple[int, int]:
        return timing.input_size if fitted else timing.size

    def megapixels(timing: "Timing") -> float:
        return area(shown(timing)) / 1e6

    what = "network input, megapixels" if fitted else "photo, megapixels"
    figure, axes = _new_plot((7, 5), title, what, "decoded photo to label map, ms")
    axes.set(xscale="log", yscale="log")
    for index, config in enumerate(dict.fromkeys(timing.config for timing in timings)):
        rows = sorted((timing for timing in timings if timing.config == config), key=megapixels)
        pixels = [megapixels(row) for row in rows]
        times_ms = [row.median_ms for row in rows]
        exponent = slope(pixels, times_ms)
        label = describe_config(config) + ("" if exponent is None else f", slope {exponent:.2f}")
        axes.plot(pixels, times_ms, **_style(index), label=label)
    axes.minorticks_off()
    ticks = {
        megapixels(timing): f"{megapixels(timing):.2g}\n{format_size(shown(timing))}"
        for timing in timings
    }
    axes.set_xticks(list(ticks), list(ticks.values()), fontsize=8)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(frameon=False)
    return _as_png(figure)


def draw_accuracy(
    timings: "list[Timing]", title: str, best: "Timing | None", budget_ms: float | None
) -> bytes:
    """Return a plot of mean IoU against end-to-end latency, with Pareto front, budget and choice.

    Each configuration is a line of its sizes.

    Args:
        timings: one per configuration and size, all scored.
        title: of the plot.
        best: the one to mark.
        budget_ms: where to draw the budget, if there is one.
    Returns:
        the PNG file.
    """
    from galago.benchmarking.measure import describe_config, format_ms, pareto_front

    figure, axes = _new_plot((8, 5.5), title, "decoded photo to label map, median ms", "mean IoU")
    front = pareto_front(timings)
    axes.step(
        [row.median_ms for row in front],
        [row.mean_iou for row in front],
        where="post",
        color=FRONT,
        linewidth=5,
        alpha=0.45,
        zorder=1,
        label="Pareto front",
    )
    for index, config in enumerate(dict.fromkeys(timing.config for timing in timings)):
        rows = sorted(
            (timing for timing in timings if timing.config == config),
            key=lambda row: row.input_size,
        )
        axes.plot(
            [row.median_ms for row in rows],
            [row.mean_iou for row in rows],
            **_style(index),
            label=describe_config(config),
            zorder=3,
        )
    axes.margins(x=0.1, y=0.12)
    _annotate_points(axes, timings, best)
    if budget_ms is not None:
        left, right = axes.get_xlim()
        left, right = min(left, 0.95 * budget_ms), max(right, 1.05 * budget_ms)
        axes.axvline(
            budget_ms,
            color=INK,
            linewidth=1,
            linestyle="--",
            label=f"budget {format_ms(budget_ms)} ms",
        )
        axes.axvspan(budget_ms, right, color=INK, alpha=0.06, linewidth=0)
        axes.set_xlim(left, right)
    axes.legend(frameon=False, loc="lower right")
    return _as_png(figure)


def _annotate_points(axes: Any, timings: "list[Timing]", best: "Timing | None") -> None:
    """Write the size beside the fastest of the points that share it and their mean IoU.

    Ring and name the best one in full.
    """
    from matplotlib.patheffects import withStroke

    from galago.benchmarking.measure import describe_config, format_size

    common = {
        "textcoords": "offset points",
        "zorder": 5,
        "path_effects": [withStroke(linewidth=3, foreground="white")],
    }
    middle, named = sum(axes.get_xlim()) / 2, set()
    for timing in sorted(timings, key=lambda timing: (timing is not best, timing.median_ms)):
        assert timing.mean_iou is not None
        point = (timing.median_ms, timing.mean_iou)
        size = format_size(timing.imgsz or timing.input_size)
        if timing is best:
            text = (
                f"{size}, {describe_config(timing.config)}\n{timing.median_ms:.1f} ms, mean IoU "
                f"{timing.mean_iou:.3f}"
            )
            place = (
                {"xytext": (12, -6), "ha": "left", "va": "top"}
                if point[0] < middle
                else {"xytext": (-12, 9), "ha": "right"}
            )
            axes.plot(
                *point, "o", markersize=15, markerfacecolor="none", markeredgecolor=INK, zorder=4
            )
            axes.annotate(text, point, fontsize=9, weight="bold", color=INK, **place, **common)
        elif (size, round(timing.mean_iou, 3)) not in named:
            axes.annotate(
                size, point, xytext=(-6, 6), ha="right", fontsize=8, color=FAINT, **common
            )
        named.add((size, round(timing.mean_iou, 3)))


def _new_plot(size: tuple[float, float], title: str, x: str, y: str) -> tuple[Any, Any]:
    """Return a figure of some inches and its axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot(xlabel=x, ylabel=y)
    axes.set_title(_plain(title), loc="left", fontsize=10)
    axes.grid(which="both", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _style(index: int) -> dict[str, Any]:
    """Return color and marker of the configuration of an index."""
    return {
        "color": COLORS[index % len(COLORS)],
        "marker": MARKERS[index // len(COLORS) % len(MARKERS)],
        "linewidth": 1.5,
    }


def _as_png(figure: Any) -> bytes:
    """Return a figure as a PNG file."""
    from io import BytesIO

    picture = BytesIO()
    with warnings.catch_warnings():
        # matplotlib's font lacks many scripts
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(picture, format="png", dpi=120)
    return picture.getvalue()


def _plain(text: str) -> str:
    """Return text that matplotlib draws as it is, dollar signs included: no formulas."""
    from galago._core.printable import printable_lines

    return printable_lines(text).replace("$", r"\$")
