"""Batches of random views, the same for the same seed whatever the number of workers and wherever a
run resumes.
"""

import os
import re
import signal
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import TracebackType

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from galago.data.sample import Dataset
from galago.errors import GalagoError, TrainingError
from galago.training.augment import augment
from galago.training.config import TrainConfig
from galago.training.distributed import check_divides

AugmentedSample = tuple[int, int]  # (epoch, index): names one random view for good


class AugmentedSamples(TorchDataset[tuple[Tensor, Tensor]]):
    """Random views of a data set and of one that is mixed in.

    The view (epoch, index) is always the same.
    """

    def __init__(
        self, dataset: Dataset, config: TrainConfig, mixed_in: Dataset | None = None
    ) -> None:
        self.dataset = dataset
        self.config = config
        self.mixed_in = mixed_in

    def __getitem__(self, view: AugmentedSample) -> tuple[Tensor, Tensor]:
        """Return the image (3, H, W) uint8 and the labels (H, W) uint8 of a view."""
        rng, photos = self._draw(view)
        samples = [dataset[index] for dataset, index in photos]
        image, labels = augment(
            [(sample.image, sample.labels) for sample in samples], self.config, rng
        )
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(labels)

    def describe(self, view: AugmentedSample) -> str:
        """Name the photo of a view, and the one whose things are pasted into it; reads none."""
        return " + ".join(dataset.names[index] for dataset, index in self._draw(view)[1])

    def _draw(self, view: AugmentedSample) -> tuple[np.random.Generator, list[tuple[Dataset, int]]]:
        """Choose the photos of a view; further randomness comes from the generator."""
        epoch, index = view
        rng = np.random.default_rng((self.config.seed, epoch, index))
        if self.mixed_in and rng.random() < self.config.mix:
            photos = [(self.mixed_in, int(rng.integers(len(self.mixed_in))))]
        else:
            photos = [(self.dataset, index)]
        if self.config.paste and rng.random() < self.config.paste:
            photos.append((self.dataset, int(rng.integers(len(self.dataset)))))
        return rng, photos


class BatchSampler(Sampler[list[AugmentedSample]]):
    """The batches of all epochs from `epoch` on, in a new order each.

    The last incomplete batch of an epoch is left out.

    They form one stream, so that the workers do not idle where one epoch ends. Of each batch a
    process gets its own part:
    `part` is its number and how many there are.
    """

    def __init__(
        self, length: int, batch_size: int, seed: int, epochs: int, part: tuple[int, int] = (0, 1)
    ) -> None:
        if length < batch_size:
            raise TrainingError(
                f"The training split has {length} photos, fewer than one batch of {batch_size}. "
                f"Use --batch {length} or less."
            )
        check_divides(batch_size, part[1])
        self.length, self.batch_size, self.seed, self.epochs, self.part, self.epoch = (
            length,
            batch_size,
            seed,
            epochs,
            part,
            0,
        )

    @property
    def steps(self) -> int:
        """Batches in an epoch."""
        return self.length // self.batch_size

    def __len__(self) -> int:
        return (self.epochs - self.epoch) * self.steps

    def __iter__(self) -> Iterator[list[AugmentedSample]]:
        for epoch in range(self.epoch, self.epochs):
            order = self._order(epoch)
            for step in range(self.steps):
                yield self._part_of(order, epoch, step)

    def views(self, epoch: int, step: int) -> list[AugmentedSample]:
        """Return this process's part of one batch."""
        return self._part_of(self._order(epoch), epoch, step)

    def _order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((self.seed, epoch)).permutation(self.length)

    def _part_of(self, order: np.ndarray, epoch: int, step: int) -> list[AugmentedSample]:
        number, parts = self.part
        start = step * self.batch_size
        return [
            (epoch, int(index)) for index in order[start : start + self.batch_size][number::parts]
        ]


def make_loader(
    dataset: Dataset,
    config: TrainConfig,
    part: tuple[int, int] = (0, 1),
    *,
    mixed_in: Dataset | None = None,
) -> tuple[DataLoader[tuple[Tensor, Tensor]], BatchSampler]:
    """Return the loader of a training split, and its sampler, whose `epoch` says where to begin.

    Args:
        dataset: the split.
        config: epochs, batch size, augmentation, seed, workers.
        part: number of this process, and how many share each batch.
        mixed_in: what a share of `config.mix` of the views is drawn from.
    Raises:
        TrainingError: there are fewer photos than a batch needs, or a batch cannot be shared
            evenly.
    """
    shuffle = BatchSampler(len(dataset), config.batch_size, config.seed, config.epochs, part)
    loader = DataLoader(
        AugmentedSamples(dataset, config, mixed_in),
        batch_sampler=shuffle,
        num_workers=config.workers,
        prefetch_factor=4 if config.workers else None,
        pin_memory=torch.cuda.is_available(),
        multiprocessing_context="spawn"
        if config.workers
        else None,  # a fork inherits OpenCV's locks and hangs
        worker_init_fn=init_worker,
        generator=own_randomness(config.seed),
    )
    return loader, shuffle


def batches(
    loader: Iterable[tuple[Tensor, Tensor]],
) -> Generator[tuple[Tensor, Tensor], None, None]:
    """Iterate over a loader until it is closed.

    An error of the data in a worker is raised with its own message, without the worker's traceback.
    Workers do not hear Ctrl-C: the process that started them ends them.
    """
    try:
        with deaf_to_interrupts():
            stream = iter(loader)
        yield from stream
    except GalagoError as error:
        raise type(error)(
            re.split(r"^galago\.errors\.\w+: ", str(error), flags=re.MULTILINE)[-1].strip()
        ) from error


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back while the block lasts; processes that it starts never hear of it."""
    if os.name == "nt":
        yield
        return
    resource_tracker.ensure_running()  # else started with the first worker, and then it undoes this
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def own_randomness(seed: int) -> torch.Generator:
    """Return what a loader draws its workers' seeds from, so that it does not touch torch's own
    random state.

    A resumed run starts a loader once more than one that was not stopped.
    """
    return torch.Generator().manual_seed(seed)


def init_worker(worker: int) -> None:
    """Prepare a worker process: the cores belong to the network, and whoever asks for a batch may
    go away.
    """
    import cv2

    cv2.setNumThreads(1)
    sys.excepthook = _hang_up


def _hang_up(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show an error that nobody handles, but not that the run has ended while it fetched a batch."""
    if not issubclass(kind, EOFError | OSError):
        sys.__excepthook__(kind, error, trace)
