"""ncnn, for phones and small boards, ARM above all."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from galago.errors import ModelError, require
from galago.runtime.engines.base import check_options, describe_input, watch_forks
from galago.spec import SIZE_MULTIPLE

LOWER_PRECISIONS = (  # that ncnn would choose automatically on CPUs that have them
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_packed",
    "use_bf16_storage",
    "use_int8_inference",
)
INPUT, OUTPUT = "in0", "out0"  # the names that pnnx gives
# The process in which ncnn may have started threads; a forked child would wait for them forever.
PROCESS = os.getpid()


class NCNNEngine:
    """Runs a pair of .ncnn.param and .ncnn.bin files with ncnn on the CPU in float32.

    In a forked child ncnn computes on one thread, because the parent's threads do not exist there.
    """

    name = "ncnn"
    input_size: tuple[int, int] | None = None

    def __init__(
        self, file: Path, *, threads: int | None = None, precision: str = "float32"
    ) -> None:
        """Read the files.

        Args:
            file: the .ncnn.param file; the .ncnn.bin file is beside it.
            threads: CPU threads (default: ncnn decides).
            precision: float32; others are refused.
        Raises:
            ConfigError: precision is not float32, or threads is less than 1.
            MissingDependencyError: ncnn is not installed.
            ModelError: ncnn cannot read the files.
        """
        check_options("ncnn", threads, precision)
        self._ncnn = require("ncnn", "ncnn")
        self._file, self._threads = file, threads
        self.net: Any = self._read()
        watch_forks(self)

    def _read(self) -> Any:
        """Return a new network of the files.

        Raises:
            ModelError: ncnn cannot read them.
        """
        file, net = self._file, self._ncnn.Net()
        for option in LOWER_PRECISIONS:
            setattr(net.opt, option, False)
        if os.getpid() != PROCESS:
            net.opt.num_threads = 1
        elif self._threads:
            net.opt.num_threads = self._threads
        weights = file.with_suffix(".bin")
        for path, read in ((file, net.load_param), (weights, net.load_model)):
            if not path.is_file():
                raise ModelError(
                    f"{path} is missing. Copy the whole model folder again, or export it again."
                )
            if read(str(path)) != 0:
                raise ModelError(f"ncnn cannot read {path}. Copy it again, or export it again.")
        try:
            known = net.input_names() == [INPUT] and net.output_names() == [OUTPUT]
        except UnicodeDecodeError:
            known = False
        if not known:
            raise ModelError(
                f"{file} is no network that galago wrote. Export it with `galago export --format "
                "ncnn`."
            )
        return net

    def after_fork(self) -> list[object]:
        """Have the files read again: the network needs threads that do not exist in the child."""
        old, self.net = self.net, None
        return [old]

    def run(self, image: np.ndarray) -> np.ndarray:
        """Run the network on one image: (1, H, W, 3) uint8 RGB in, (1, K, H / 8, W / 8) float32
        logits out.

        Raises:
            ModelError: the file takes other input, or there is too little memory.
        """
        fits = (
            image.ndim == 4
            and image.shape[0] == 1
            and image.shape[3] == 3
            and image.dtype == np.uint8
        )
        given = describe_input(image)
        if not fits or not image.size or any(side % SIZE_MULTIPLE for side in image.shape[1:3]):
            raise ModelError(
                f"ncnn cannot run {self._file} on {given}: it takes (1, H, W, 3) uint8, H and W "
                "multiples of 32."
            )
        _, height, width, _ = image.shape
        pixels = self._ncnn.Mat.PixelType.PIXEL_RGB
        net = self.net
        if net is None:  # two threads may each read it: a local name keeps it while it runs
            net = self.net = self._read()
        with net.create_extractor() as extractor:
            extractor.input(
                INPUT,
                self._ncnn.Mat.from_pixels(np.ascontiguousarray(image[0]), pixels, width, height),
            )
            failed, logits = extractor.extract(OUTPUT)
            if failed:
                raise ModelError(
                    f"ncnn cannot run {self._file} on {given}: too little memory, or a damaged "
                    "file."
                )
            return np.array(logits)[None]
