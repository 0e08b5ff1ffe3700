"""The `galago` commands of the pages, and small drawn data on which they run.

A command is a line of a code block that begins with `galago`, or `$ galago`. A page says why one
is not run: `<!-- not run: REASON -->` above a block, or `<!-- not run (WORDS): REASON -->` for the
block's lines that hold WORDS.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from galago import image as images

BLOCK = re.compile(r"((?:^<!-- not run.*-->\n)*)^```\w*\n(.*?)^```", re.DOTALL | re.MULTILINE)
MARK = re.compile(r"<!-- not run(?: \((.+)\))?: (.+) -->")
INLINE = re.compile(r"`(galago [a-z][^`]*)`")
CLASSES = ("background", "leaf", "stem")
PALETTE = ((0, 0, 0), (0, 200, 0), (200, 100, 0))

# What a page writes -> what stands in its place, so that it takes seconds.
SMALLER = {
    "PHOTO_OR_FOLDER": "photos",
    "KIND": "colors",
    "SOURCE": "colored",
    "FOLDER": "converted",
    "512 1024": "64 96",
    "2048 4096": "64 96",
    "30ms": "1000s",
    "onnx,openvino,litert,ncnn,executorch": "onnx,openvino",
}
QUICK = {  # options that end a command with
    "train": "--epochs 1 --batch 2 --workers 0 --threads 1",
    "export": "--imgsz 64 96",
    "bench": "--imgsz 64 96 --runs 1 --warmup 0 --engine openvino",
    "verify": "--engine openvino",
}


@dataclass(frozen=True)
class Documented:
    """A command of a page.

    Attributes:
        page: the file.
        text: the command as it is written, without the comment at its end.
        reason: why it is not run; None where it is.
    """

    page: Path
    text: str
    reason: str | None = None

    @property
    def name(self) -> str:
        """The command after `galago`: `predict`, `data check` ..."""
        words = shlex.split(self.text)[1:]
        if words[0] not in ("data", "models") or len(words) == 1:
            return words[0]
        return " ".join(words[:2])

    @property
    def needs_torch(self) -> bool:
        """Whether it trains, exports, or reads what was trained."""
        words = ("train", "export", "classify", ".safetensors", "leaves", "--profile")
        return self.name != "data check" and any(word in self.text for word in words)

    def words(self) -> list[str]:
        """Return the words to run it with, in a workspace."""
        text = self.text
        for written, smaller in SMALLER.items():
            text = re.sub(rf"(?<!\S){re.escape(written)}(?!\S)", smaller, text)
        if self.name in ("train", "val", "data check"):  # the data set; else the model
            text = re.sub(rf"({self.name}) +leaves\b", r"\1 dataset", text)
        words = shlex.split(text)[1:] + QUICK.get(self.name, "").split()
        if self.name == "train":
            classifies = "imagenet" in words
            words += ["--set", "sizes=64"] if classifies else ["--crop", "64", "64"]
        if "--against" in words and "--imgsz" not in words:
            words += ["--imgsz", "64x96"]
        return words


def commands_in(page: Path) -> Iterator[Documented]:
    """Yield the commands of a page's code blocks, from the top."""
    for marks, block in BLOCK.findall(page.read_text(encoding="utf-8")):
        reasons = MARK.findall(marks)
        before = ""
        for line in block.splitlines():
            found = re.match(r"\s*(?:\$ )?(galago .*)", line)
            if found and not before.endswith("\\"):
                text = re.split(r"\s+#", found[1])[0].strip()
                reason = next((why for words, why in reasons if words in text), None)
                yield Documented(page, text, reason)
            before = line


def inline_commands(page: Path) -> list[str]:
    """Return the commands between backticks in a page's text."""
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    return [found.replace("\n", " ") for found in INLINE.findall(text)]


def draw_workspace(folder: Path) -> None:
    """Draw the data sets, photos and the video that the pages name."""
    for root in (folder, folder / "dataset"):
        for index in range(4):
            split = "train" if index < 2 else "val"
            photo, labels = _draw_leaf(index)
            _save_labeled(root, f"{split}/{index}", photo, labels)
        (root / "data.yaml").write_text(f"names: [{', '.join(CLASSES)}]\n", encoding="utf-8")
    photo, labels = _draw_leaf(9)
    images.save(folder / "colored/images/train/a.png", photo)
    images.save(folder / "colored/masks/train/a.png", images.colorize(labels, PALETTE))
    rows = [f"{name}: {list(color)}" for name, color in zip(CLASSES, PALETTE, strict=True)]
    (folder / "colored/palette.yaml").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for name in ("a", "b", "train/cat/1", "train/dog/2", "val/cat/3", "val/dog/4"):
        images.save(folder / f"photos/{name}.jpg", photo)
    for name in ("mon/1", "tue/2"):
        images.save(folder / f"days/{name}.jpg", photo)


def _draw_leaf(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a (64, 96, 3) image and (64, 96) labels of a leaf on its stem."""
    rows, columns = np.mgrid[:64, :96]
    labels = np.zeros((64, 96), np.uint8)
    labels[(rows - 30) ** 2 + (columns - 40 - 5 * seed) ** 2 < 300] = 1
    labels[rows > 50 - seed] = 2
    noise = np.random.default_rng(seed).integers(0, 30, (64, 96, 3))
    return (images.colorize(labels, PALETTE) + noise).clip(0, 255).astype(np.uint8), labels


def _save_labeled(root: Path, name: str, photo: np.ndarray, labels: np.ndarray) -> None:
    images.save(root / f"images/{name}.png", photo)
    (root / f"masks/{name}.png").parent.mkdir(parents=True, exist_ok=True)
    images.save_labels(root / f"masks/{name}.png", labels, PALETTE)
