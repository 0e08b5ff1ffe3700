"""Open a model: read its description, and check that its files are unchanged since the export."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from galago._core.atomic_io import sha256
from galago._core.text_files import decode_text
from galago.errors import ConfigError, ModelError
from galago.runtime.engines.table import ENGINES, FORMATS
from galago.runtime.onnx_metadata import check_self_contained, read_metadata
from galago.spec import ModelSpec

METADATA_KEY = "galago"  # of a single .onnx file
# a graph, and the file of its weights
COMPANIONS = {"model.xml": "model.bin", "model.ncnn.param": "model.ncnn.bin"}


@dataclass(frozen=True)
class OpenedModel:
    """A model whose files are all present and unchanged.

    Attributes:
        files: those that engines run, by their names in a model folder.
        spec: its description.
    """

    files: Mapping[str, Path]
    spec: ModelSpec

    def file_for(self, engine: str) -> Path:
        """Return the file that an engine runs; `choose_engine` checks that there is one."""
        name = ENGINES[engine].select_file(self.files)
        assert name is not None
        return self.files[name]


def open_model(path: str | Path) -> OpenedModel:
    """Open a model folder, or a single .onnx file that carries its description.

    Raises:
        ConfigError: there is no such path.
        ModelError: the model is incomplete or damaged.
    """
    path = Path(path)
    if path.is_dir():
        return open_folder(path)
    if path.is_file():
        return open_file(path)
    raise ConfigError(
        f"There is no model {path}. Give a model folder or an .onnx file that galago wrote."
    )


def open_folder(folder: Path) -> OpenedModel:
    """Open a model folder after checking every file that its description lists.

    All files that an engine reads have to be listed, including the weights beside a graph. An ONNX
    file has to contain its weights.

    Raises:
        ModelError: a file is missing, changed since the export, outside the folder, or used without
            being listed.
    """
    if not (folder / "model.json").is_file():
        raise ModelError(
            f"{folder} is no model folder: it has no model.json. `galago export` writes model "
            "folders."
        )
    _check_within(folder, "model.json")
    spec = _describe(folder / "model.json", _decode(folder / "model.json"))
    for name, expected in spec.files.items():
        _check_within(folder, name)
        if not (folder / name).is_file():
            raise ModelError(
                f"{folder / name} is missing. Copy the whole model folder again, or export it "
                "again."
            )
        given = _checksum(folder / name)
        if given != expected:
            raise ModelError(
                f"{folder / name} is not the file that was exported: its SHA-256 is "
                f"{given[:12]}..., expected {expected[:12]}... "
                "Copy the model folder again, or export it again."
            )
    files = {name: folder / name for name in FORMATS if name in spec.files}
    if not files:
        raise ModelError(
            f"{folder / 'model.json'} lists no {' or '.join(FORMATS)}. Export the model again."
        )
    for name in files:
        if (companion := COMPANIONS.get(name)) and companion not in spec.files:
            raise ModelError(
                f"{folder / 'model.json'} lists {name} without {companion}, its weights, which "
                "nothing proves to be those that "
                "were exported. Export the model again."
            )
    if "model.onnx" in files:
        check_self_contained(files["model.onnx"])
    return OpenedModel(files, spec)


def _check_within(folder: Path, name: str) -> None:
    """Refuse a file that is a link to outside of the folder; a link to the whole folder is fine.

    Raises:
        ModelError: it is such a link.
    """
    try:
        inside = (folder / name).resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle
        raise ModelError(f"Cannot read {folder / name}: {error}.") from error
    if not inside:
        raise ModelError(
            f"{folder / name} is a link to a file outside of the model folder, and only what lies "
            "inside is read. "
            f"Copy the folder with the files themselves: cp -rL {folder} NEW"
        )


def open_file(file: Path) -> OpenedModel:
    """Open a single .onnx file that carries its description.

    Raises:
        ModelError: the file is damaged or was not written by galago.
    """
    if file.suffix == ".safetensors":
        raise ModelError(
            f"{file} is a checkpoint. Turn it into a model folder first: galago export {file}"
        )
    if file.name == "model.json" or file.suffix in (
        ".tflite",
        ".param",
        ".bin",
        ".xml",
        ".pte",
        ".pt2",
    ):
        raise ModelError(f"{file} is one part of a model. Give the folder that it lies in.")
    if file.stat().st_size == 0:
        raise ModelError(f"{file} is empty (0 bytes). Copy it again, or export it again.")
    description = read_metadata(file, METADATA_KEY)
    check_self_contained(file)
    if description is None:
        raise ModelError(
            f"{file} carries no description of its classes and input. Export it with `galago "
            "export`."
        )
    return OpenedModel({"model.onnx": file}, _describe(file, description))


def _describe(file: Path, text: str) -> ModelSpec:
    try:
        return ModelSpec.from_json(text)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error


def _checksum(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise ModelError(f"Cannot read {path}: {error.strerror or error}.") from error


def _decode(path: Path) -> str:
    try:
        return decode_text(path.read_bytes(), name=str(path))
    except OSError as error:
        raise ModelError(f"Cannot read {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise ModelError(f"{error} Copy the model folder again, or export it again.") from error
