"""How good are the bundled model, in its engine, and b1-camvid, in torch, on the photos of CamVid's
validation split?

python benchmarks/accuracy.py --data CAMVID_FOLDER
"""

import argparse
from pathlib import Path
from typing import Any

from measure import save_result

from galago import Segmenter, load
from galago.data import Dataset, open_dataset
from galago.evaluation import evaluate
from galago.export.reference import load_reference

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"


def score(segmenter: Segmenter, photos: Dataset) -> dict[str, Any]:
    """Return all scores of one model but the confusion matrix."""
    summary = evaluate(lambda image: segmenter(image).labels, photos).summary()
    del summary["confusion"]
    return summary


def main() -> None:
    """Score the models and save results/accuracy.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of CamVid, with val.txt in it")
    photos = open_dataset(parser.parse_args().data, "val")
    models = {
        "b0-camvid": load("b0-camvid"),
        "b1-camvid": load_reference(CHECKPOINTS / "b1-camvid.safetensors"),
    }
    rows = []
    for name, segmenter in models.items():
        rows.append({"model": name, **score(segmenter, photos)})
        print(name, rows[-1]["mean_iou"])
    print(save_result("accuracy", {"split": "val", "photos": len(photos), "rows": rows}))


if __name__ == "__main__":
    main()
