"""What is damaged: files drawn by code, or exported once from a random network."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import galago
from galago._core.png import IndexedPNG
from galago.spec import ModelSpec

BUNDLED = Path(galago.__file__).parent / "assets/b0-camvid"
SIDE = 64  # pixels of the exported network's input
SPEC = ModelSpec(
    name="tiny",
    variant="b0",
    classes=("wall", "door", "floor"),
    palette=((0, 0, 0), (255, 0, 0), (0, 0, 255)),
    input_size=(SIDE, SIDE),
)

DATA_YAML = """\
path: .
names:
  0: road
  1: car
ignore_id: 255
palette: [[1, 2, 3], [4, 5, 6]]
label_mapping: {7: 0, 26: 1, 0: ignore}
source_names: [road, car]
train: images/train
masks_dir: masks
short_side: 64
nc: 2
"""
PALETTES = {
    ".yaml": "road: [128, 64, 128]\ncar: [64, 0, 128]\n",
    ".txt": "# label:color_rgb:parts:actions\nroad:128,64,128::\ncar:64,0,128::\n",
    ".csv": "name,r,g,b\nroad,128,64,128\ncar,64,0,128\n",
}
SETTING: dict[str, Any] = {
    "model": "b0-camvid", "model_sha256": "0" * 64, "engine": "openvino", "precision": "float32",
    "threads": 2,
    "imgsz": [96, 128], "photo_size": [720, 960], "median_ms": 12.5, "mean_iou": 0.5,
    "scored_on": "CamVid", "device": "CPU",
    "galago_version": "0.1.0", "schema_version": 1,
}  # fmt: skip
COCO: dict[str, Any] = {
    "images": [
        {"id": number, "file_name": f"{name}.jpg", "height": 40, "width": 60}
        for number, name in enumerate("ab")
    ],
    "annotations": [
        {
            "id": 0,
            "image_id": 0,
            "category_id": 1,
            "segmentation": [[10, 10, 30, 10, 30, 30, 10, 30]],
            "iscrowd": 0,
        },
        {
            "id": 1,
            "image_id": 1,
            "category_id": 2,
            "segmentation": {"counts": [100, 50, 2250], "size": [40, 60]},
        },
        {
            "id": 2,
            "image_id": 1,
            "category_id": 2,
            "segmentation": {"counts": "8280", "size": [40, 60]},
        },
    ],
    "categories": [{"id": 1, "name": "leaf", "supercategory": "plant"}, {"id": 2, "name": "stem"}],
}


def draw_images() -> dict[str, bytes]:
    """Return small images of every format and depth that OpenCV writes here, by file name."""
    rng = np.random.default_rng(0)
    color = cv2.resize(
        rng.integers(0, 256, (5, 7, 3), np.uint8), (48, 36), interpolation=cv2.INTER_CUBIC
    )
    kinds = {
        "color": color, "gray": color[..., 0], "deep": color.astype(np.uint16) * 257,
        "alpha": np.dstack([color, color[..., :1]]), "ids": color[..., 0] // 64,
    }  # fmt: skip
    found = {}
    for suffix in (".png", ".jpg", ".tif", ".webp", ".bmp", ".avif", ".gif", ".jp2", ".ppm"):
        for name, image in kinds.items():
            try:
                done, data = cv2.imencode(suffix, image)
            except cv2.error:
                continue
            if done:
                found[f"{name}{suffix}"] = data.tobytes()
    place = io.BytesIO()
    png = IndexedPNG(place, (36, 48), ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)))
    png.write(kinds["ids"])
    png.close()
    return found | {"indexed.png": place.getvalue()}


def draw_videos(folder: Path) -> dict[str, bytes]:
    """Return small videos of the containers that OpenCV writes here."""
    found = {}
    for suffix, code in ((".avi", "MJPG"), (".mp4", "mp4v"), (".mkv", "mp4v")):
        place = folder / f"clip{suffix}"
        writer = cv2.VideoWriter(str(place), cv2.VideoWriter.fourcc(*code), 12.5, (64, 48))
        for number in range(6):
            writer.write(np.full((48, 64, 3), 40 * number, np.uint8))
        writer.release()
        if place.is_file() and place.stat().st_size:
            found[place.name] = place.read_bytes()
    return found


def save_tensors() -> bytes:
    """Return a checkpoint of a random b0, as training writes it."""
    import safetensors.torch
    import torch

    torch.manual_seed(0)
    from galago.models.efficientvit import build_model

    described = {
        "variant": "b0",
        "head": "b0-cityscapes",
        "num_classes": "3",
        "classes": json.dumps(SPEC.classes),
    }
    tensors = build_model("b0", 3).state_dict()
    content: bytes = safetensors.torch.save(tensors, described)
    return content


def export(folder: Path, format: str) -> Path:
    """Return the folder of a tiny network's files in a format, exported the first time."""
    place = folder / format
    if not (place / "done").is_file():
        import torch

        from galago.export.rewrite.deploy import DeployedNetwork
        from galago.export.writers.table import WRITERS
        from galago.models.efficientvit import build_model

        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        torch.manual_seed(0)
        writer, deployed = WRITERS[format], DeployedNetwork(build_model("b0", 3).eval(), SPEC)
        writer.write(deployed, SPEC, place / writer.files[0])
        (place / "done").touch()
    return place
