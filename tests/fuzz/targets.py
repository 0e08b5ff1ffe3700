"""What is fuzzed: which files are damaged, how, and the one call that reads them."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import corpus
import cv2
import mutators
import numpy as np
from onnx_mutators import damage_onnx

from galago.runtime.engines.table import ENGINES
from galago.runtime.engines.trial import trust

Files = dict[str, bytes]  # content by relative path; the first is the one that is opened
GIB = 1 << 30


@dataclass(frozen=True)
class Target:
    """One reader of files that come from outside.

    Attributes:
        make: from a corpus folder to sets of whole files, of which one is damaged at a time.
        damage: path, content and random generator to damaged content.
        read: opens the first file of a set; raises nothing but GalagoError.
        damaged: paths end in one of these; the other files stay as they are.
        most_lines: of an error's message.
        memory: bytes of address space that reading may take.
        engine: of a model file, whose own code may crash; `galago.load` has to refuse such a file.
    """

    make: Callable[[Path], list[Files]]
    damage: Callable[[str, bytes, Random], bytes]
    read: Callable[[Path], object]
    damaged: tuple[str, ...] = ("",)
    most_lines: int = 1
    memory: int = 4 * GIB
    engine: str = ""

    def draw(self, seeds: list[Files], rng: Random) -> Files:
        """Return one set of files, one of them damaged."""
        files = rng.choice(seeds)
        name = rng.choice([name for name in files if name.endswith(self.damaged)])
        return files | {name: self.damage(name, files[name], rng)}


def damage_image(name: str, data: bytes, rng: Random) -> bytes:
    return (
        mutators.damage_png
        if name.endswith(".png") and rng.random() < 0.6
        else mutators.damage_bytes
    )(data, rng)


def damage_any(name: str, data: bytes, rng: Random) -> bytes:
    """Damage JSON by its values, pictures by their chunks, and anything as bytes."""
    if name.endswith(".json") and rng.random() < 0.8:
        return mutators.damage_json(json.loads(data), rng).encode(errors="surrogatepass")
    return damage_image(name, data, rng)


def damage_text(name: str, data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.1:
        return mutators.damage_bytes(data, rng)
    return mutators.damage_text(data.decode(), rng).encode(errors="surrogatepass")


def damage_model(name: str, data: bytes, rng: Random) -> bytes:
    return (
        damage_onnx(data, rng)
        if name.endswith(".onnx") and rng.random() < 0.7
        else mutators.damage_bytes(data, rng)
    )


def damage_checkpoint(name: str, data: bytes, rng: Random) -> bytes:
    return (mutators.damage_safetensors if rng.random() < 0.7 else mutators.damage_bytes)(data, rng)


def one_each(files: Files) -> list[Files]:
    return [{name: content} for name, content in files.items()]


def make_folder(_: Path) -> list[Files]:
    """Return a model folder whose .onnx file is empty, which its description takes."""
    described = json.loads((corpus.BUNDLED / "model.json").read_bytes())
    described["files"] = {
        name: hashlib.sha256(b"").hexdigest() for name in ("model.onnx", "CARD.md")
    }
    return [{"model.json": json.dumps(described).encode(), "model.onnx": b"", "CARD.md": b""}]


def make_golden(_: Path) -> list[Files]:
    names = ("description.json", "labels.png", "logits.npy", "photo.png", "stages.npz")
    return [{f"golden/{name}": (corpus.BUNDLED / "golden" / name).read_bytes() for name in names}]


def make_coco(_: Path) -> list[Files]:
    photo = cv2.imencode(".jpg", np.zeros((40, 60, 3), np.uint8))[1].tobytes()
    return [{"labels.json": json.dumps(corpus.COCO).encode(), "a.jpg": photo, "b.jpg": photo}]


def exported(format: str) -> Callable[[Path], list[Files]]:
    def make(folder: Path) -> list[Files]:
        place = corpus.export(folder, format)
        files = sorted(
            (path for path in place.iterdir() if path.name != "done"),
            key=lambda path: path.suffix == ".bin",
        )
        return [{path.name: path.read_bytes() for path in files}]

    return make


def read_image(path: Path) -> None:
    from galago import image

    image.load(path)


def read_rows(path: Path) -> None:
    from galago.runtime.tiling.row_reader import open_row_reader

    reader = open_row_reader(path)
    for _ in range(0, reader.size[0], 16):
        reader.read(16)


def read_mask(path: Path) -> None:
    from galago import image

    image.load_labels(path)


def read_video(path: Path) -> None:
    from galago.sources import open_source, read_frames

    for number, _ in enumerate(read_frames(open_source(str(path)))):
        if number > 100:
            break


def read_data_yaml(path: Path) -> None:
    from galago.data.folder import read_description

    read_description(path)


def read_palette(path: Path) -> None:
    from galago.data.convert.palettes import read_palette as read

    read(path)


def read_folder(path: Path) -> None:
    from galago.runtime.model_folder import open_folder

    open_folder(path.parent)


def read_golden(path: Path) -> None:
    from galago.verification.golden import read_golden as read

    read(path.parent.parent)


def read_setting(path: Path) -> None:
    from galago.benchmarking.profile import read_profile as read

    read(path)


def read_coco(path: Path) -> None:
    from galago.data.convert import Options, read
    from galago.errors import GalagoError

    try:
        for item in read("coco", path, Options(unknown="ignore")).items:
            item.read_labels()
    except GalagoError:
        for item in read("coco", path, Options()).items:
            item.read_labels()


def read_checkpoint(path: Path) -> None:
    from galago.models.checkpoint import load_checkpoint

    load_checkpoint(path)


def read_onnx_metadata(path: Path) -> None:
    from galago.runtime.engines.onnx_graph import read_operators
    from galago.runtime.model_folder import open_file
    from galago.runtime.onnx_metadata import onnx_input_size, onnx_weights

    for read in (onnx_input_size, onnx_weights, open_file, read_operators):
        read(path)


def run_engine(engine: str) -> Callable[[Path], object]:
    """Return what opens a file with an engine, without a trial, and labels one image."""

    def read(path: Path) -> None:
        trust(path)
        ENGINES[engine].open(path, 1, "float32").run(
            np.zeros((1, corpus.SIDE, corpus.SIDE, 3), np.uint8)
        )

    return read


def load_guarded(engine: str, path: Path) -> None:
    """Load a model folder around a file, with its right checksums, as a user would."""
    import dataclasses

    import galago

    sums = {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.parent.iterdir()
    }
    (path.parent / "model.json").write_text(dataclasses.replace(corpus.SPEC, files=sums).to_json())
    galago.load(path.parent, engine=engine, threads=1)(
        np.zeros((corpus.SIDE, corpus.SIDE, 3), np.uint8)
    )


def model(engine: str, format: str) -> Target:
    return Target(
        exported(format), damage_model, run_engine(engine), memory=12 * GIB, engine=engine
    )


TARGETS = {
    "image": Target(lambda _: one_each(corpus.draw_images()), damage_image, read_image),
    "rows": Target(lambda _: one_each(corpus.draw_images()), damage_image, read_rows),
    "mask": Target(lambda _: one_each(corpus.draw_images()), damage_image, read_mask),
    "video": Target(lambda folder: one_each(corpus.draw_videos(folder)), damage_image, read_video),
    "data-yaml": Target(
        lambda _: [{"data.yaml": corpus.DATA_YAML.encode()}],
        damage_text,
        read_data_yaml,
        most_lines=17,
    ),
    "palette": Target(
        lambda _: [{f"palette{suffix}": text.encode()} for suffix, text in corpus.PALETTES.items()],
        damage_text,
        read_palette,
        most_lines=3,
    ),
    "folder": Target(make_folder, damage_any, read_folder, damaged=("model.json",)),
    "golden": Target(make_golden, damage_any, read_golden),
    "setting": Target(
        lambda _: [{"setting.json": json.dumps(corpus.SETTING).encode()}], damage_any, read_setting
    ),
    "coco": Target(make_coco, damage_any, read_coco, damaged=(".json",), most_lines=30),
    "checkpoint": Target(
        lambda _: [{"best.safetensors": corpus.save_tensors()}],
        damage_checkpoint,
        read_checkpoint,
        memory=12 * GIB,
    ),
    "onnx-metadata": Target(
        lambda _: [{"model.onnx": (corpus.BUNDLED / "model.onnx").read_bytes()}],
        damage_model,
        read_onnx_metadata,
    ),
    "openvino-onnx": model("openvino", "onnx"),
    "openvino-ir": model("openvino", "openvino"),
    "onnxruntime": model("onnxruntime", "onnx"),
    "ncnn": model("ncnn", "ncnn"),
    "litert": model("litert", "litert"),
    "executorch": model("executorch", "executorch"),
    "torch": model("torch", "torch"),
}
