"""Write the tables of README.md from benchmarks/results/*.json; with --check only tell whether they are up to date.

    python benchmarks/make_tables.py [--check]

A table stands between `<!-- table NAME -->` and `<!-- end -->`.
"""

import json
import re
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
PAGES = (REPOSITORY / "README.md",)
BLOCK = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def read(name: str) -> dict:
    """Read one result file."""
    return json.loads((REPOSITORY / "benchmarks/results" / f"{name}.json").read_text())


def whole_way() -> str:
    """From decoded photo to label map: galago and plain PyTorch."""
    result = read("whole_way")
    lines = ["| photo | network alone | galago, whole way | plain PyTorch, whole way | ratio |", "|---|---|---|---|---|"]
    for row in result["rows"]:
        height, width = row["size"]
        network, ours, theirs = (row[name]["median_ms"] for name in ("network", "galago", "pytorch"))
        lines.append(f"| {height} x {width} | {network:.0f} ms | **{ours:.0f} ms** | {theirs:.0f} ms | {theirs / ours:.1f} x |")
    return "\n".join([*lines, "", _origin(result)])


def accuracy() -> str:
    """IoU of each class on CamVid's validation split."""
    result = read("accuracy")
    names = [row["name"] for row in result["classes"]]
    values = [f"{row['iou']:.3f}" for row in result["classes"]]
    head = f"`{result['model']}` on the {result['photos']} photos of CamVid {result['split']}, 360 x 480, one scale, no flip"
    figures = f"mean IoU **{result['mean_iou']:.4f}**, pixel accuracy {result['pixel_accuracy']:.4f}"
    row = "| " + " | ".join(values) + " |"
    return "\n".join([f"{head}: {figures}.", "", "| " + " | ".join(names) + " |", "|---" * len(names) + "|", row])


def tiles() -> str:
    """Seconds and memory of large photos, in tiles and at once."""
    result = read("tiles")
    head = "| photo | in tiles | memory | at once | memory | same labels |"
    lines = [head, "|---|---|---|---|---|---|"]
    for row in result["rows"]:
        columns = [f"{row['side']:,} x {row['side']:,}"]
        for way in ("tiles", "whole"):
            if way in row:
                columns += [f"{row[way]['seconds']:.1f} s", f"{row[way]['peak_memory_mb'] / 1e3:.2f} GB"]
            else:
                columns += ["does not fit", "-"]
        columns.append(f"{row['same_labels']:.1%}" if "same_labels" in row else "-")
        lines.append("| " + " | ".join(columns) + " |")
    tiles = f"tiles of {result['tile']} with overlap {result['overlap']}"
    what = f"From TIFF file to label and overlay files, {tiles}, a drawn scene repeated."
    return "\n".join([*lines, "", f"{what} {_origin(result, 'openvino', 'pyvips')}"])


def _origin(result: dict, *packages: str) -> str:
    made = result["made_with"]
    versions = ", ".join(f"{name} {made['versions'][name]}" for name in packages or ("openvino", "torch"))
    return f"Medians, float32, {made['cores']} cores of {made['processor']}, {versions}; `{made['command']}`, {made['date']}."


TABLES = {"whole_way": whole_way, "accuracy": accuracy, "tiles": tiles}


def main() -> None:
    """Bring every page up to date."""
    for page in PAGES:
        old = page.read_text()
        new = BLOCK.sub(lambda block: f"{block[1]}{TABLES[block[2]]()}\n{block[3]}", old)
        if "--check" in sys.argv and new != old:
            sys.exit(f"{page.name} does not show the newest results. Run: python benchmarks/make_tables.py")
        page.write_text(new)


if __name__ == "__main__":
    main()
