"""Write the tables of the documentation from benchmarks/results/*.json.

With --check only tell whether they are up to date.

    python benchmarks/make_tables.py [--check]

A table stands between `<!-- table NAME -->` and `<!-- end -->`.
"""

import json
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from galago.training.config import TrainConfig, upgrade_settings
from galago.training.recipes import RECIPES

REPOSITORY = Path(__file__).parent.parent
PAGES = tuple(
    REPOSITORY / page for page in ("README.md", "docs/benchmarks.md", "docs/explain/float16.md")
)
NETWORKS = {"b0": "EfficientViT-B0", "b1": "EfficientViT-B1", "segformer-b0": "SegFormer-B0"}
NOT_A_CHANGE = {
    "epochs",
    "crop_size",
    "workers",
    "variant",
    "validate_every",
}  # in columns of their own, or without effect
BLOCK = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def read(name: str) -> dict[str, Any]:
    """Read one result file."""
    result: dict[str, Any] = json.loads(
        (REPOSITORY / "benchmarks/results" / f"{name}.json").read_text()
    )
    return result


def whole_way() -> str:
    """From decoded photo to label map: galago, and what people write by hand."""
    result = read("whole_way")
    head = (
        "| photo | precision | network alone | galago | OpenVINO + OpenCV | OpenVINO + PyTorch "
        "| PyTorch |"
    )
    lines = [head, "|---|---|---|---|---|---|---|"]
    for row in result["rows"]:
        columns = [
            size_of(row),
            row["precision"],
            milliseconds(row["network"]),
            f"**{milliseconds(row['galago'])}**",
        ]
        for name in ("openvino_opencv", "openvino_pytorch", "pytorch"):
            columns.append(f"{milliseconds(row[name])} ({row[f'over_{name}']:.1f} x)")
        lines.append(row_of(columns))
    return "\n".join(
        [*lines, "", f"The rivals are float32 in every row. {_origin(result, what='Medians')}"]
    )


def segformer() -> str:
    """EfficientViT beside SegFormer-B0 in the same engines."""
    result = read("segformer")
    head = (
        "| network | parameters | GMAC | photo | OpenVINO | ONNX Runtime | PyTorch "
        "| end to end, OpenVINO |"
    )
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    rows = {(row["network"], tuple(row["size"]), row["engine"]): row for row in result["rows"]}
    for name, size in dict.fromkeys(key[:2] for key in rows):
        engines = {
            engine: rows[name, size, engine] for engine in ("openvino", "onnxruntime", "torch")
        }
        row = engines["openvino"]
        alone = [milliseconds(engine["alone"]) for engine in engines.values()]
        about = [NETWORKS[name], f"{row['parameters_m']:.1f} M", f"{row['gmac']:.1f}", size_of(row)]
        lines.append(row_of([*about, *alone, milliseconds(row["whole_way"])]))
    what = (
        f"{result['classes']} classes, random weights; the network alone in each engine, and end "
        "to end: from decoded photo to label map."
    )
    return "\n".join(
        [
            *lines,
            "",
            f"{what} {_origin(result, 'openvino', 'onnxruntime', 'torch', 'transformers')}",
        ]
    )


def head() -> str:
    """The head without bicubic Resize against the plain export."""
    result = read("head")
    lines = [
        "| network | engine | as published | rewritten | ratio | largest difference |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        times = [
            milliseconds(row["naive"]),
            milliseconds(row["rewritten"]),
            f"{row['rewritten_over_naive']:.2f}",
        ]
        lines.append(
            row_of(
                [row["variant"], row["engine"], *times, f"{row['gap']:.0e} of the largest logit"]
            )
        )
    return "\n".join(
        [
            *lines,
            "",
            f"{size_of(result['rows'][0])}. {_origin(result, 'openvino', 'onnxruntime', 'torch')}",
        ]
    )


def label_map() -> str:
    """From logits to labels: galago, and OpenCV that interpolates all."""
    result = read("label_map")
    lines = [
        "| logits | classes | labels | bilinear | bicubic | OpenCV, bilinear |",
        "|---|---|---|---|---|---|",
    ]
    for row in result["rows"]:
        times = [milliseconds(row[name]) for name in ("galago", "galago_bicubic", "opencv")]
        lines.append(row_of([row["logits"], str(row["classes"]), size_of(row), *times]))
    return "\n".join([*lines, "", _origin(result, "numpy", "opencv-python-headless")])


def engines() -> str:
    """All engines on one network."""
    result = read("engines")
    lines = [
        "| engine | network alone | whole way | against OpenVINO | labels as torch's |",
        "|---|---|---|---|---|",
    ]
    for name, row in result["engines"].items():
        times = [
            milliseconds(row["network"]),
            milliseconds(row["whole_way"]),
            f"{row['ratio_to_openvino']:.2f}",
        ]
        lines.append(row_of([f"{name} {row['version']}", *times, f"{row['labels_agree']:.3%}"]))
    what = f"`{result['model']}`, {size_of(result)}, {result['threads']} threads."
    return "\n".join([*lines, "", f"{what} {_origin(result, 'numpy')}"])


def attention_scaling() -> str:
    """How time and memory grow."""
    result = read("attention_scaling")
    lines = [
        "| part of b0 | attention | time, slope | memory, slope | 1024 x 2048 | 2048 x 4096 |",
        "|---|---|---|---|---|---|",
    ]
    for curve in result["curves"]:
        points = {tuple(point["size"]): point for point in curve["points"]}
        slopes = [f"{curve['slopes'][key]:.2f}" for key in ("median_ms", "memory_mb")]
        at = [
            f"{milliseconds(points[size])}, {points[size]['memory_mb']:,.0f} MB"
            if size in points
            else "does not fit"
            for size in ((1024, 2048), (2048, 4096))
        ]
        lines.append(row_of([curve["part"], curve["form"], *slopes, *at]))
    what = (
        "Slopes of the logarithms against the number of pixels, 0.25 to 8.4 megapixels: 1 is "
        "linear, 2 quadratic."
    )
    return "\n".join([*lines, "", f"{what} {_origin(result, 'torch', 'openvino')}"])


def video() -> str:
    """A whole video against its steps."""
    result = read("video")
    whole, alone = result["whole"], result["alone_per_second"]
    steps = ", ".join(f"{step} {rate:.0f}" for step, rate in alone.items())
    memory = (
        f"{whole['resident_mb_after_200']:.0f} MB after 200 frames, "
        f"{whole['resident_mb_at_the_end']:.0f} MB at the end"
    )
    text = (
        f"{whole['frames']:.0f} frames of {size_of(result)}, read, labeled and written as an "
        "overlay: "
        f"**{whole['per_second']:.1f} frames a second**, {result['whole_over_slowest_step']:.2f} "
        "of the slowest step alone "
        f"in {result['turns']} turns (frames a second: {steps}; "
        f"one after the other {result['one_after_the_other_per_second']:.1f}). Memory: {memory}."
    )
    return f"{text} {_origin(result, 'openvino', 'opencv-python-headless')}"


def size_of(row: dict[str, Any]) -> str:
    """Write a size as height x width."""
    return " x ".join(map(str, row["size"]))


def milliseconds(times: dict[str, Any]) -> str:
    """Write a median."""
    value = times["median_ms"]
    return f"{value:,.0f} ms" if value >= 10 else f"{value:.1f} ms"


def row_of(columns: list[str]) -> str:
    """Write one row of a table."""
    return f"| {' | '.join(columns)} |"


def accuracy() -> str:
    """IoU of each class on CamVid's validation split."""
    result = read("accuracy")
    names = [row["name"] for row in result["rows"][0]["classes"]]
    lines = [
        row_of(["model", "mean IoU", "pixel accuracy", *names]),
        "|---" * (3 + len(names)) + "|",
    ]
    for row in result["rows"]:
        values = [f"{one['iou']:.3f}" for one in row["classes"]]
        lines.append(
            row_of(
                [
                    f"`{row['model']}`",
                    f"**{row['mean_iou']:.4f}**",
                    f"{row['pixel_accuracy']:.4f}",
                    *values,
                ]
            )
        )
    return "\n".join(
        [
            *lines,
            "",
            f"The {result['photos']} photos of CamVid {result['split']}, 360 x 480, one scale, no "
            "flip.",
        ]
    )


def tiles() -> str:
    """Seconds and memory of large photos, in tiles and at once."""
    result = read("tiles")
    head = "| photo | in tiles | memory | at once | memory | same labels |"
    lines = [head, "|---|---|---|---|---|---|"]
    for row in result["rows"]:
        columns = [f"{row['side']:,} x {row['side']:,}"]
        for way in ("tiles", "whole"):
            if way in row:
                columns += [
                    f"{row[way]['seconds']:.1f} s",
                    f"{row[way]['peak_memory_mb'] / 1e3:.2f} GB",
                ]
            else:
                columns += ["does not fit", "-"]
        columns.append(f"{row['same_labels']:.1%}" if "same_labels" in row else "-")
        lines.append("| " + " | ".join(columns) + " |")
    tiles = f"tiles of {result['tile']} with overlap {result['overlap']}"
    what = f"From TIFF file to label and overlay files, {tiles}, a drawn scene repeated."
    return "\n".join([*lines, "", f"{what} {_origin(result, 'openvino', 'pyvips')}"])


def agreement() -> str:
    """Every format in every engine against torch."""
    result = read("agreement")
    lines = ["| network | format | engine | relative error | labels as torch's |", "|---" * 5 + "|"]
    for row in result["rows"]:
        error, labels = f"{row['relative_error']:.0e}", f"{row['labels_agree']:.3%}"
        lines.append(row_of([row["network"], row["format"], row["engine"], error, labels]))
    packages = ("torch", "openvino", "onnxruntime", "ai-edge-litert", "ncnn", "executorch")
    return "\n".join(
        [
            *lines,
            "",
            f"A drawn scene of {size_of(result)}. {_origin(result, *packages, what='float32')}",
        ]
    )


def int8() -> str:
    """What int8 costs and brings."""
    result = read("int8")
    head = (
        "| file | engine | mean IoU, float32 | int8 | lost points | size against float32 "
        "| time against float32 | float32, int8 |"
    )
    lines = [head, "|---" * 8 + "|"]
    for row in result["rows"]:
        lost = 100 * (row["mean_iou_float32"] - row["mean_iou_int8"])
        scores = [f"{row['mean_iou_float32']:.4f}", f"{row['mean_iou_int8']:.4f}", f"{lost:+.2f}"]
        times = f"{milliseconds(row['float32'])}, {milliseconds(row['int8'])}"
        columns = [
            row["format"],
            row["engine"],
            *scores,
            f"{row['size_ratio']:.2f}",
            f"{row['time_ratio']:.2f}",
            times,
        ]
        lines.append(row_of(columns))
    what = (
        f"`{result['model']}`, input {size_of(result)}, {result['photos']} photos of CamVid val; "
        "the network alone, 2 threads."
    )
    packages = ("openvino", "onnxruntime", "ai-edge-litert", "nncf")
    origin = _origin(result, *packages, what="Medians")
    return "\n".join(
        [
            *lines,
            "",
            f"{what} {origin}",
        ]
    )


def float16() -> str:
    """What float16 does to networks as trained and as exported."""
    result = read("float16")
    lines = [
        "| network | photo | room, as trained | finite | room, as exported | finite | labels as in "
        "float32 |",
        "|---" * 7 + "|",
    ]
    for row in result["rows"]:
        before, after = row["trained"], row["exported"]
        columns = [
            row["network"],
            size_of(row),
            f"{before['headroom']:.2g}",
            f"{before['finite']:.0%}",
        ]
        lines.append(
            row_of(
                [
                    *columns,
                    f"{after['headroom']:,.0f}",
                    f"{after['finite']:.0%}",
                    f"{after['labels_agree']:.2%}",
                ]
            )
        )
    return "\n".join([*lines, "", _origin(result, "torch", what="Float16 arithmetic")])


def attention_ranges() -> str:
    """The room of every attention of the bundled network in float16."""
    rows = [row for row in read("float16")["rows"] if row["network"] == "b0-camvid"]
    head = [
        "| attention | " + " | ".join(size_of(row) for row in rows) + " |",
        "|---" * (1 + len(rows)) + "|",
    ]
    lines = []
    for layers in zip(*(row["layers"] for row in rows), strict=True):
        room = [f"{layer['trained']:.2g} -> {layer['exported']:,.0f}" for layer in layers]
        lines.append(row_of([f"`{layers[0]['layer']}`", *room]))
    return "\n".join([*head, *lines])


def folds() -> str:
    """Recipes on the drives of CamVid's training split that they have not seen."""
    results = [
        json.loads(file.read_text())
        for file in sorted((REPOSITORY / "benchmarks/results/folds").glob("*.json"))
    ]
    drives = list(results[0]["folds"])
    head = [*(f"without {drive}" for drive in drives), "mean"]
    lines = [
        f"| run | network | recipe and changes | epochs | crop | device | {' | '.join(head)} |",
        "|---" * (6 + len(head)) + "|",
    ]
    for result in sorted(results, key=lambda result: -result["mean_iou"]):
        config, parts = result["config"], result["folds"].values()
        recipe = json.loads(
            json.dumps(asdict(RECIPES[result["recipe"]]()))
        )  # with lists for tuples
        settings = asdict(TrainConfig()) | upgrade_settings(config)  # one that came later was off
        changes = [
            f"{name}={value}"
            for name, value in settings.items()
            if name not in NOT_A_CHANGE and value != recipe.get(name)
        ]
        changes += ["from pre-training on drawn scenes"] * result["weights"]
        changes += [f"taught by {result['teacher']}"] if result.get("teacher") else []
        epochs = sorted({part["epoch"] for part in parts})
        about = [result["name"], config["variant"], ", ".join([f"`{result['recipe']}`", *changes])]
        about += [
            " to ".join(str(number) for number in {epochs[0]: 0, epochs[-1]: 0}),
            "{} x {}".format(*config["crop_size"]),
        ]
        scores = [f"{part['mean_iou']:.3f}" for part in parts]
        about.append(result["made_with"]["processor"])
        lines.append(row_of([*about, *scores, f"**{result['mean_iou']:.3f}**"]))
    note = (
        "Mean IoU on the drive left out, last moving average; one seed each, 0 where no other is "
        "named. "
        "Changes are to the recipe as it is now. How a run was made stands in "
        "`results/folds/RUN.json`."
    )
    return "\n".join([*lines, "", note])


def training() -> str:
    """Steps of the training beside the loop that people write by hand, and whether the loader keeps
    up.
    """
    result = read("training")
    names = {
        "by_hand": "by hand, float32",
        "float32": "galago, float32",
        "bfloat16": "galago, bfloat16",
    }
    lines = ["| loop | a step | photos a second | |", "|---|---|---|---|"]
    for name, words in names.items():
        speed = result["images_per_s"][name]
        columns = [
            words,
            milliseconds(result["steps"][name]),
            f"{speed:.1f}",
            f"{speed / result['images_per_s']['by_hand']:.2f} x",
        ]
        lines.append(row_of(columns))
    # in the first epoch the workers start; galago 0.1 said "waited"
    waited = max(epoch.get("data_wait", epoch.get("waited")) for epoch in result["epochs"][1:])
    size = "{} x {}".format(*result["crop_size"])
    crops = f"{result['variant']}, batches of {result['batch_size']} crops of {size}"
    what = f"{crops}; of a run, {waited:.1%} of the time went into waiting for photos."
    return "\n".join([*lines, "", f"{what} {_origin(result, 'torch', what='Medians')}"])


def _origin(result: dict[str, Any], *packages: str, what: str = "Medians, float32") -> str:
    made = result["made_with"]
    used = {name: made["versions"].get(name) for name in packages or ("openvino", "torch")}
    versions = ", ".join(f"{name} {version}" for name, version in used.items() if version)
    return (
        f"{what}, {made['cores']} cores of {made['processor']}, {versions}; `{made['command']}`, "
        f"{made['date']}."
    )


TABLES = {
    table.__name__: table
    for table in (
        accuracy,
        whole_way,
        segformer,
        attention_scaling,
        engines,
        agreement,
        int8,
        head,
        label_map,
        tiles,
        video,
        float16,
        attention_ranges,
        folds,
        training,
    )
}


def main() -> None:
    """Bring every page up to date."""
    for page in PAGES:
        old = page.read_text()
        new = BLOCK.sub(lambda block: f"{block[1]}{TABLES[block[2]]()}\n{block[3]}", old)
        if "--check" in sys.argv and new != old:
            sys.exit(
                f"{page.name} does not show the newest results. Run: python "
                "benchmarks/make_tables.py"
            )
        page.write_text(new)


if __name__ == "__main__":
    main()
