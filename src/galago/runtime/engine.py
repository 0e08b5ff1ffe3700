"""Engine: the one method that every way to run a model file has, and the checks that they share."""

from typing import Protocol

import numpy as np

from galago.errors import ConfigError, choose


class Engine(Protocol):
    """Runs one model file.

    Attributes:
        name: as the user types it.
        input_size: the one (height, width) in pixels that the file takes by itself; None where it takes any multiples of 32, or
            where only the model's description knows.
    """

    name: str
    input_size: tuple[int, int] | None

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on one photo.

        Args:
            image: (1, H, W, 3) uint8 RGB, H and W multiples of 32.
        Returns:
            (1, K, H / stride, W / stride) float32 logits, or (1, H, W) uint8 labels where the file gives those; valid until the
            next call.
        """


def check_threads(threads: int | None, engine: str) -> None:
    """Refuse a number of CPU threads that is none.

    Raises:
        ConfigError: it is less than 1.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"Expected 1 or more threads, got {threads}. Leave it out to let {engine} decide.")


def check_float32(precision: str, engine: str) -> None:
    """Refuse any precision but float32, for engines that compute in the precision of their files.

    Raises:
        ConfigError: it is another.
    """
    if precision == "bfloat16":
        raise ConfigError(f"{engine} computes in float32 only. Leave --half out, or use --engine openvino.")
    choose({"float32": None}, precision, "precision")
