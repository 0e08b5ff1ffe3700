"""Batches of augmented samples: the same for the same seed, however many workers read them and
wherever a run is resumed.
"""

import os
import re
import signal
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from galago.data.sample import Dataset
from galago.errors import GalagoError, TrainingError
from galago.training._compat import is_dead_worker
from galago.training.augment import augment
from galago.training.config import Config, TrainConfig

SampleKey = tuple[int, int]  # (epoch, index): names one augmented sample for good
Batch = tuple[Tensor, Tensor]  # images (N, 3, H, W) uint8 and labels, this process's part


class AugmentedDataset(Protocol):
    """A data set of augmented samples: equal keys give equal samples, whichever worker asks."""

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, Any]:
        """Read an image, augment it, and return it with its labels or class."""

    def describe(self, key: SampleKey) -> str:
        """Return the name of a sample's image without reading it."""


class AugmentedSamples(TorchDataset[tuple[Tensor, Tensor]]):
    """Augmented samples of a data set and, with a given probability, of the extra data."""

    def __init__(
        self, dataset: Dataset, config: TrainConfig, extra_data: Dataset | None = None
    ) -> None:
        self.dataset = dataset
        self.config = config
        self.extra_data = extra_data

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: SampleKey) -> tuple[Tensor, Tensor]:
        """Return the image (3, H, W) uint8 and the labels (H, W) uint8 of a sample."""
        dataset, index, rng = self._draw(key)
        sample = dataset[index]
        image, labels = augment(sample.image, sample.labels, self.config, rng)
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(labels)

    def describe(self, key: SampleKey) -> str:
        """Return the name of a sample's image without reading it."""
        dataset, index, _ = self._draw(key)
        return dataset.names[index]

    def _draw(self, key: SampleKey) -> tuple[Dataset, int, np.random.Generator]:
        """Return data set and index of a sample's image, and the generator of its augmentation."""
        epoch, index = key
        rng = np.random.default_rng((self.config.seed, epoch, index))
        if self.extra_data and rng.random() < self.config.extra_data_ratio:
            return self.extra_data, int(rng.integers(len(self.extra_data))), rng
        return self.dataset, index, rng


class BatchSampler(Sampler[list[SampleKey]]):
    """The batches of all epochs from `epoch` on, each epoch in a new order.

    The last incomplete batch of an epoch is left out. The epochs form one stream, so that workers
    do not idle where one epoch ends. Each process gets its own part of each batch.

    Attributes:
        epoch: where the stream begins; set it before the loader is read.
        rank, world_size: number of this process, and how many there are.
    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        *,
        seed: int,
        epochs: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Take the number of images, and what decides on the batches.

        Raises:
            TrainingError: there are fewer images than a batch needs, or the processes cannot share
                a batch evenly.
        """
        if length < batch_size:
            raise TrainingError(
                f"The training split has {length} images, fewer than one batch of {batch_size}. "
                f"Use --batch {length} or less."
            )
        if batch_size % world_size:
            raise TrainingError(
                f"A batch of {batch_size} cannot be shared by {world_size} processes. Choose "
                "--batch as a multiple."
            )
        self.epoch = 0
        self.rank = rank
        self.world_size = world_size
        self._length = length
        self._batch_size = batch_size
        self._seed = seed
        self._epochs = epochs

    @property
    def steps(self) -> int:
        """Batches per epoch."""
        return self._length // self._batch_size

    def __len__(self) -> int:
        return (self._epochs - self.epoch) * self.steps

    def __iter__(self) -> Iterator[list[SampleKey]]:
        for epoch in range(self.epoch, self._epochs):
            order = self._order(epoch)
            for step in range(self.steps):
                yield self._batch(order, epoch, step)

    def batch(self, epoch: int, step: int) -> list[SampleKey]:
        """Return this process's part of one batch."""
        return self._batch(self._order(epoch), epoch, step)

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self._seed, epoch)).permutation(self._length)

    def _batch(self, order: np.ndarray, epoch: int, step: int) -> list[SampleKey]:
        start = step * self._batch_size
        indices = order[start : start + self._batch_size][self.rank :: self.world_size]
        return [(epoch, int(index)) for index in indices]


def make_loader(
    samples: AugmentedDataset, sampler: BatchSampler, config: Config
) -> DataLoader[Batch]:
    """Return the loader of a training split.

    Args:
        samples: the augmented data set.
        sampler: the order of its batches.
        config: seed and number of workers.
    """
    return DataLoader(
        samples,  # type: ignore[arg-type]  # torch wants integers as keys
        batch_sampler=sampler,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        pin_memory=torch.cuda.is_available(),
        # a forked worker inherits OpenCV's locks and hangs
        multiprocessing_context="spawn" if config.workers else None,
        worker_init_fn=init_worker,
        # own random numbers: a resumed run makes one loader more, which must change nothing else
        generator=torch.Generator().manual_seed(config.seed),
    )


def iterate(loader: Iterable[Batch]) -> Generator[Batch, None, None]:
    """Yield the batches of a loader until it is closed.

    An error of the data in a worker is raised with its own message, without the worker's traceback.
    Workers ignore Ctrl-C: the process that started them ends them.
    """
    try:
        with _block_interrupts():
            stream = iter(loader)
        yield from stream
    except GalagoError as error:
        message = re.split(r"^galago\.errors\.\w+: ", str(error), flags=re.MULTILINE)[-1]
        raise type(error)(message.strip()) from error


@contextmanager
def _block_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back during the block; processes started in it never receive it."""
    if os.name == "nt":
        yield
        return
    resource_tracker.ensure_running()  # else started with the first worker, and then it undoes this
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def init_worker(worker: int) -> None:
    """Prepare a worker: one thread, as the cores belong to the network, and a quiet end."""
    import cv2

    cv2.setNumThreads(1)
    sys.excepthook = _hide_broken_pipe


def _hide_broken_pipe(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Print an unhandled error, unless it is that the run ended while a worker sent a batch."""
    if not issubclass(kind, EOFError | OSError):
        sys.__excepthook__(kind, error, trace)


@contextmanager
def explain_dead_workers() -> Iterator[None]:
    """Turn torch's error about a dead data-loader worker into one line that says what to do.

    torch notices a dead worker in a signal handler, so its error can come out of any line of the
    block.

    Raises:
        TrainingError: a worker was killed or crashed.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_dead_worker(error):
            raise
        cause = str(error).splitlines()[0].strip().rstrip(".")
        shared = " In a container, give it more shared memory." if "us error" in str(error) else ""
        raise TrainingError(
            f"A data-loader worker was killed ({cause}), most often because memory ran out. "
            "Go on from the last saved epoch with --resume and fewer --workers; --workers 0 needs "
            f"the least memory.{shared}"
        ) from error
