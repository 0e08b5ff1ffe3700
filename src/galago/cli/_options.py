"""Flags that several commands have in common: which model, how to run it, and `--setting`."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from galago.cli._sizes import read_size
from galago.cli.models import find_published, obtain

if TYPE_CHECKING:
    from galago.runtime.segmenter import Segmenter

MODEL_HELP = (
    "Bundled or published name, model folder or .onnx file; b0-camvid without it, or the setting's."
)
SIZE_HELP = "Fit photos into this height and width for the network; one number means a square."
SETTING_HELP = (
    "File that `galago bench --budget` wrote: model, engine, precision, threads and size."
)


def open_segmenter(
    model: str | None,
    *,
    engine: str,
    threads: int | None,
    half: bool,
    imgsz: str | None,
    setting: Path | None,
) -> "Segmenter":
    """Load a model as flags or a setting say.

    Standard error tells the setting, and a warning if it is from elsewhere.
    """
    from galago import load
    from galago.benchmarking.profile import DeviceMismatchWarning, read_setting
    from galago.cli._console import say

    chosen = read_setting(setting) if setting else None
    if published := find_published(model):
        obtain(published)  # with a bar, where it is not here
    size = read_size(imgsz) if imgsz else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeviceMismatchWarning)
        segmenter = load(
            model, engine=engine, threads=threads, half=half, imgsz=size, setting=chosen
        )
    if chosen:
        say(f"Setting: {chosen.describe()}", err=True)
    for warning in caught:
        say(f"warning: {warning.message}", err=True, style="yellow")
    return segmenter
