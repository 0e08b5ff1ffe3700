"""Options that several commands share: sizes, the model and how to run it, and names of before."""

import warnings
from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer
from typer.core import TyperCommand

from galago.cli._console import say
from galago.cli.models import find_published, obtain

if TYPE_CHECKING:
    from galago.runtime.segmenter import Segmenter

MODEL_HELP = (
    "Bundled or published name, model folder or .onnx file (default: b0-camvid, or the profile's)."
)
SIZE_HELP = "Size that the network sees: images are fitted into it. One number means a square."
PRECISION_HELP = "Precision to compute in; auto is float32, or the profile's."
THREADS_HELP = "CPU threads (default: the engine decides)."
ENGINE_HELP = "Engine that runs the network; auto takes the fastest that is installed."
PROFILE_HELP = (
    "Device profile that `galago bench --budget` wrote: model, engine, precision, threads and size."
)
JSON_HELP = "Print one JSON object as the last line."
SPLIT_HELP = "Split of the data set: train, val or test."

Precision = Literal["auto", "float32", "bfloat16", "float16"]

SIZE_OPTIONS = ("--imgsz", "--slide", "--stride")
ARGUMENTS = {  # what a command acts on, by the option that names it, too
    "predict": "--source",
    "classify": "--source",
    "val": "--data",
    "train": "--data",
    "check": "--data",
    "export": "--model",
    "verify": "--model",
    "bench": "--model",
}
_RUN = {"--half": ("--precision", "bfloat16"), "--setting": ("--profile",)}
RENAMED: dict[str, dict[str, tuple[str, ...]]] = {  # options of before, and what to write instead
    "predict": {**_RUN, "--save-labels": ("--frame-labels",), "--save": ()},
    "val": _RUN,
    "bench": {"--half": ("--precision", "float32,bfloat16"), "--photos": ("--max-images",)},
    "export": {"--half": ("--precision", "float16"), "--int8": ("--precision", "int8")},
}


class Command(TyperCommand):
    """A command whose sizes take one number or two, and that still knows its options of before."""

    def parse_args(self, ctx: "typer.Context", args: list[str]) -> list[str]:  # type: ignore[override]  # typer's own context
        """Parse the words of the command line.

        Raises:
            BadParameter: options of before contradict each other, or one lacks its value.
        """
        words, notes = replace_old_options(self.name or "", args)
        for note in notes:
            say(f"note: {note}", err=True)
        two_words = {name for param in self.params if param.nargs == 2 for name in param.opts}
        return super().parse_args(ctx, join_sizes(words, two_words))


def replace_old_options(command: str, words: list[str]) -> tuple[list[str], list[str]]:
    """Return the words of a command line in today's options, and a note for each other one.

    An option of `ARGUMENTS` becomes an argument without a note: both forms are fine.

    Raises:
        BadParameter: two of the words set one option, or the option of an argument has no value.
    """
    renamed, as_argument = RENAMED.get(command, {}), ARGUMENTS.get(command)
    options: list[str] = []
    named: list[str] = []  # the argument, by its option; the last one counts
    arguments: list[str] = []
    notes: dict[str, str] = {}
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--":
            arguments += rest
        elif name == as_argument:
            if (found := value if equals else next(rest, None)) is None:
                raise typer.BadParameter(f"Option {name!r} requires an argument.")
            named = [found]
        elif name in renamed and not (equals and len(renamed[name]) != 1):
            new = renamed[name]
            if name not in notes or len(new) == 1:  # a switch that occurs twice counts once
                options += [f"{new[0]}={value}"] if equals else new
            instead = " ".join(new)
            notes[name] = (
                f"{name} is now {instead}" if new else f"{name} is the default, leave it out"
            )
        else:
            options.append(word)
    _check_once(notes, options, renamed)
    arguments = [*named, *arguments]
    return [*options, *(["--", *arguments] if arguments else [])], list(notes.values())


def _check_once(
    old: dict[str, str], options: list[str], renamed: dict[str, tuple[str, ...]]
) -> None:
    """Refuse an option of before beside today's, where it stands for a value of it.

    Raises:
        BadParameter: there are both.
    """
    for name in old:
        target = renamed[name][0] if renamed[name] else None
        if target and sum(word.partition("=")[0] == target for word in options) > 1:
            raise typer.BadParameter(f"{name} is {' '.join(renamed[name])}: give one {target}.")


def join_sizes(words: list[str], two_words: Container[str] = ()) -> list[str]:
    """Return the words with `--imgsz 512 1024` as `--imgsz 512x1024`.

    The parser knows options with a fixed number of values only. Those of `two_words` always have
    two, and stay as they are.
    """
    joined: list[str] = []
    for word in words:
        option = joined[-2] if len(joined) > 1 else ""
        after_size = option in SIZE_OPTIONS and option not in two_words and joined[-1].isdecimal()
        if after_size and word.isdecimal():
            joined[-1] += f"x{word}"
        else:
            joined.append(word)
    return joined


def read_size(text: str, option: str = "--imgsz") -> tuple[int, int]:
    """Return (height, width) of the text HEIGHTxWIDTH, or of one number for a square.

    Raises:
        ConfigError: the text has another form, or a side is not positive.
    """
    from galago.errors import ConfigError

    sides = text.lower().split("x")
    if len(sides) > 2 or not all(
        side.isascii() and side.isdigit() and int(side) > 0 for side in sides
    ):
        raise ConfigError(
            f"Expected a size in pixels as height and width, for example {option} 512 1024, got "
            f"{text!r}."
        )
    return int(sides[0]), int(sides[-1])


def open_segmenter(
    model: str | None,
    *,
    engine: str,
    threads: int | None,
    precision: str,
    imgsz: str | None,
    profile: Path | None,
) -> "Segmenter":
    """Load a model as options or a device profile say.

    Standard error shows the profile, and a warning if it was measured on another device.
    """
    from galago import load
    from galago.benchmarking.profile import DeviceMismatchWarning, read_profile

    chosen = read_profile(profile) if profile else None
    if published := find_published(model):
        obtain(published)  # with a bar, where it is not here
    size = read_size(imgsz) if imgsz else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DeviceMismatchWarning)
        segmenter = load(
            model, engine=engine, threads=threads, precision=precision, imgsz=size, profile=chosen
        )
    if chosen:
        say(f"Profile: {chosen.describe()}", err=True)
    for warning in caught:
        say(f"warning: {warning.message}", err=True, style="yellow")
    return segmenter
