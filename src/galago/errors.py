"""Every exception a caller may want to catch."""

import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import TypeVar

from galago._core.shown import shown

T = TypeVar("T")


class GalagoError(Exception):
    """Base of all errors that galago raises on purpose.

    The message says what came, what was expected, what to do.
    """

    exit_code = 1  # of the command line: 1 failed, 2 misused


class ConfigError(GalagoError):
    """A setting, a name or a flag is not one that galago knows."""

    exit_code = 2


class MissingDependencyError(GalagoError):
    """An optional package is not installed."""


class ImageError(GalagoError):
    """A photo cannot be read, written or used."""


class DataError(GalagoError):
    """A data set, a mask or its description is broken."""


class ModelError(GalagoError):
    """A model folder or model file is missing, damaged or of another kind."""


class CheckpointError(GalagoError):
    """A checkpoint does not fit the network: a tensor is missing, left over or misshapen."""


class DownloadError(GalagoError):
    """Published weights cannot be downloaded, or are not those that they should be."""


class SourceError(GalagoError):
    """A photo, folder, glob or video named by the user gives no frames."""

    exit_code = 2


class BudgetError(GalagoError):
    """No way to run a model is as fast as wanted."""


class TrainingError(GalagoError):
    """A training run cannot go on."""


class InterruptError(GalagoError):
    """The user stopped the work with Ctrl-C; the message says how to go on."""

    exit_code = 130  # 128 + SIGINT, as shells have it


def choose(table: Mapping[str, T], name: str, kind: str) -> T:
    """Look a name up in a table of values.

    Raises:
        ConfigError: the name is not in the table; the message lists those that are.
    """
    if name not in table:
        raise ConfigError(
            f"Unknown {kind} {shown(name)}. Choose one of: {', '.join(sorted(table))}."
        )
    return table[name]


def require(module: str, extra: str) -> ModuleType:
    """Import an optional package on first use.

    Args:
        module: the module's import name.
        extra: the extra of galago that installs it.
    Raises:
        MissingDependencyError: the package is not installed; a package that is installed but broken
            shows its own error.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name not in (module, package):  # installed but broken: show the real cause
            raise
        raise MissingDependencyError(
            f"{package} is missing. Run: pip install 'galago[{extra}]'"
        ) from error
