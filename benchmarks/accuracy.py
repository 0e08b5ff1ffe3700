"""How good is the bundled model on the photos of CamVid's validation split?

python benchmarks/accuracy.py --data CAMVID_FOLDER
"""

import argparse

from measure import save_result

from galago import load
from galago.data import open_dataset
from galago.evaluation import evaluate

MODEL = "b0-camvid"


def main() -> None:
    """Score the model and save results/accuracy.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of CamVid, with val.txt in it")
    segmenter, photos = load(MODEL), open_dataset(parser.parse_args().data, "val")
    summary = evaluate(lambda image: segmenter(image).labels, photos).summary()
    del summary["confusion"]
    print(save_result("accuracy", {"model": MODEL, "split": "val", "photos": len(photos), **summary}))


if __name__ == "__main__":
    main()
