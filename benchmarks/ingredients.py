"""What did each ingredient of a recipe bring on drives left out? Prints the table on the cards of
b0-camvid and b1-camvid.

    python benchmarks/ingredients.py

From results/folds. The table stands under `remarks` in the description of the run that a checkpoint
carries, from where `galago export` takes it.
"""

import json

from measure import RESULTS

SHORT, FULL = "short", "20 epochs"  # 20 epochs of crops of 192 x 256, and of 352 x 480
INGREDIENTS = (  # what, length, runs without and with it
    (
        "recipe `camvid` instead of `plain`: Dice, auxiliary heads, crops around rare classes, "
        "wider zoom",
        SHORT,
        ["plain"],
        ["camvid"],
    ),
    (
        "30% of the views from drawn scenes (two seeds)",
        SHORT,
        ["camvid", "camvid-seed1"],
        ["mix", "mix-seed1"],
    ),
    (
        "pre-training on drawn scenes, beside them (two seeds)",
        SHORT,
        ["mix", "mix-seed1"],
        ["pretrained-mix-short", "pretrained-mix-short-seed1"],
    ),
    ("color casts, uneven light, random filters", SHORT, ["camvid"], ["looks"]),
    ("MixStyle", SHORT, ["camvid"], ["style-mix"]),
    (
        "taught by a b1 that had not seen the drive either (two seeds)",
        SHORT,
        ["pretrained-mix-short", "pretrained-mix-short-seed1"],
        ["taught-mix-short", "taught-mix-short-seed1"],
    ),
    (
        "half of the views from drawn scenes instead of 30% (without: two seeds)",
        FULL,
        ["pretrained-mix-20", "pretrained-mix-20-seed1"],
        ["pretrained-mix-half-20"],
    ),
    (
        "copy-paste of small things, color casts, uneven light, random filters",
        FULL,
        ["pretrained-mix-20", "pretrained-mix-20-seed1"],
        ["pretrained-mix-paste-looks-20"],
    ),
    (
        "b1 instead of b0",
        FULL,
        ["pretrained-mix-20", "pretrained-mix-20-seed1"],
        ["b1-pretrained-mix-20"],
    ),
    (
        "all that was kept, instead of `plain`",
        "50 to 179 epochs",
        ["plain-120"],
        ["pretrained-mix-long"],
    ),
)


def scores(runs: list[str]) -> str:
    """Return the mean IoU of some runs, the mean over the drives left out."""
    return ", ".join(
        f"{json.loads((RESULTS / f'folds/{run}.json').read_text())['mean_iou']:.3f}" for run in runs
    )


def main() -> None:
    """Print the table."""
    print("| ingredient | length | without | with |", "|---|---|---|---|", sep="\n")
    for what, length, without, including in INGREDIENTS:
        print(f"| {what} | {length} | {scores(without)} | {scores(including)} |")


if __name__ == "__main__":
    main()
