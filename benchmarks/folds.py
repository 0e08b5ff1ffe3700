"""How good is a recipe on a drive that it has not seen? Trains without each drive of CamVid's
`train` in turn, and scores on it.

    python benchmarks/folds.py --data CAMVID_FOLDER --name NAME [--recipe RECIPE] [--set NAME=VALUE
    ...]

Writes results/folds/NAME.json. The last moving average is scored, never the best: choosing an epoch
on the drive that is left out would flatter. Needs torch and hours; `--threads 1` lets two of them
run side by side.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import torch
from measure import RESULTS, save_result

from galago.data import Dataset, open_dataset, select
from galago.data.cache import CachedDataset
from galago.data.mixture import mix
from galago.training.config import TrainConfig, parse_settings
from galago.training.cpu import tune_malloc
from galago.training.datasets import open_extras
from galago.training.recipes import RECIPES
from galago.training.train import train

DRIVES = ("0001TP", "0006R0", "0016E5")


def run_fold(
    config: TrainConfig,
    photos: Dataset,
    drive: str,
    out: Path,
    *,
    weights: Path | None,
    teacher: Path | None,
    extra_data: Dataset | None,
) -> dict[str, Any]:
    """Train without one drive and score on it."""
    rest = select(photos, lambda name: not name.startswith(drive))
    left_out = select(photos, lambda name: name.startswith(drive))
    history = train(
        config,
        rest,
        left_out,
        out,
        extra_data=extra_data,
        teacher=teacher,
        weights=weights,
        resume=(out / "state").exists(),
        description=f"CamVid train without {drive}",
    )
    print(drive, history.rows[-1], flush=True)
    return {"photos": len(rest), "left_out": len(left_out), **history.rows[-1]}


def main() -> None:
    """Train all folds of one recipe and save their scores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of CamVid")
    parser.add_argument("--name", required=True, help="of the result")
    parser.add_argument("--recipe", default="camvid")
    parser.add_argument(
        "--set", nargs="*", default=[], help="settings of the recipe to change, as epochs=40"
    )
    parser.add_argument("--weights", type=Path, help="checkpoint to start from")
    parser.add_argument(
        "--teacher",
        help="name of a run in --out with these drives: each of its networks teaches on its photos",
    )
    parser.add_argument(
        "--extra-data",
        nargs="*",
        default=[],
        help="data sets to learn from as well, as street.yaml:0.3",
    )
    parser.add_argument(
        "--cache", type=Path, help="folder that keeps decoded or drawn samples of the extra data"
    )
    parser.add_argument("--drives", nargs="*", default=DRIVES)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/folds"),
        help="folder of the runs; one that was cut off goes on",
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tune_malloc()
    config = dataclasses.replace(RECIPES[arguments.recipe](), **parse_settings(arguments.set))
    config = dataclasses.replace(config, validate_every=config.epochs)
    photos = open_dataset(arguments.data, "train")
    extra_data: Dataset | None = None
    if arguments.extra_data:
        extras = open_extras(arguments.extra_data)
        photos, extra_data, _ = mix(photos, extras)
        ratio = sum(extra.share for extra in extras)
        config = dataclasses.replace(config, extra_data_ratio=ratio)
    if extra_data and arguments.cache:
        extra_data = CachedDataset(extra_data, arguments.cache)
    folds = {}
    for drive in arguments.drives:
        teacher = (
            arguments.out / arguments.teacher / drive / "last.safetensors"
            if arguments.teacher
            else None
        )
        out = arguments.out / arguments.name / drive
        folds[drive] = run_fold(
            config,
            photos,
            drive,
            out,
            weights=arguments.weights,
            teacher=teacher,
            extra_data=extra_data,
        )
    mean = sum(fold["mean_iou"] for fold in folds.values()) / len(folds)
    (RESULTS / "folds").mkdir(exist_ok=True)
    facts = {
        "recipe": arguments.recipe,
        "set": arguments.set,
        "weights": bool(arguments.weights),
        "teacher": arguments.teacher,
        "extra_data": arguments.extra_data,
    }
    result = {
        "name": arguments.name,
        **facts,
        "config": dataclasses.asdict(config),
        "folds": folds,
        "mean_iou": mean,
    }
    print(mean, save_result(f"folds/{arguments.name}", result))


if __name__ == "__main__":
    main()
