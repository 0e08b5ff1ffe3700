"""One run in several processes, as `torchrun` or `accelerate launch` start them: same batch, same
loss, same gradient.

Each process sees its part of a batch. What one process would sum over the whole batch, the
statistics of the norms and the parts of the loss, is summed over all of them, and gradients pass
through these sums.
"""

from collections.abc import Callable

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from torch import distributed as dist

from galago.errors import GalagoError, TrainingError


class SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; the gradient of a sum is summed as well."""

    @staticmethod
    def forward(context: object, values: Tensor) -> Tensor:
        """Return the sum."""
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: object, *gradients: Tensor) -> Tensor:
        """Return the sum of the gradients that reach the sum in each process."""
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


def all_reduce_sum(values: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, the tensor itself where there is one.

    A loss made of such sums is the same number everywhere, so that each process gets as many times
    its share of the gradient as there are processes, which DistributedDataParallel's mean takes
    back.
    """
    if join().num_processes == 1:
        return values
    total: Tensor = SumOverProcesses.apply(values)  # type: ignore[no-untyped-call]
    return total


class SyncedBatchNorm(nn.BatchNorm2d):
    """BatchNorm whose statistics are those of the batch of all processes.

    Torch's own SyncBatchNorm refuses a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        if not self.training:
            return super().forward(x)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        axes = (0, 2, 3)
        pixels = all_reduce_sum(torch.tensor(x.numel() / x.shape[1], device=x.device))
        mean = all_reduce_sum(x.sum(axes)) / pixels
        centered = x - mean[:, None, None]
        variance = all_reduce_sum(centered.square().sum(axes)) / pixels
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * pixels / (pixels - 1), self.momentum)
        scale = self.weight * (variance + self.eps).rsqrt()
        return centered * scale[:, None, None] + self.bias[:, None, None]


def convert_sync_batchnorm(network: nn.Module, processes: int, device: torch.device) -> nn.Module:
    """Let all BatchNorms of a network take their statistics from all processes, where there are
    several.
    """
    if processes == 1:
        return network
    if device.type != "cpu":
        synced: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return synced
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = SyncedBatchNorm  # same parameters, buffers and names
    return network


def is_main_process() -> bool:
    """Tell whether this process is the one that writes and speaks."""
    return bool(join().is_main_process)


def broadcast_from_rank0(answer: bool) -> bool:
    """Return the first process's answer in all of them; each has to call this."""
    if join().num_processes == 1:
        return answer
    answers = [answer]
    broadcast_object_list(answers)
    return answers[0]


def let_first_process(act: Callable[[], object]) -> None:
    """Do something in the first process only; what it raises is raised in all, which wait for it.

    Raises:
        GalagoError: as `act` does.
    """
    failure: GalagoError | None = None
    if is_main_process():
        try:
            act()
        except GalagoError as error:
            failure = error
    if join().num_processes > 1:
        shared = [failure if failure is None else (type(failure), str(failure))]
        broadcast_object_list(shared)
        if failure is None and shared[0] is not None:
            kind, text = shared[0]
            failure = kind(text)
    if failure is not None:
        raise failure


def join() -> PartialState:
    """Join the other processes, if there are any.

    Accelerate finds those of a CPU only when told that it is one.
    """
    return PartialState(cpu=not torch.accelerator.is_available())


def check_divides(batch_size: int, processes: int) -> None:
    """Refuse a batch that the processes cannot share evenly.

    Raises:
        TrainingError: it leaves a rest.
    """
    if batch_size % processes:
        raise TrainingError(
            f"A batch of {batch_size} cannot be shared by {processes} processes. Choose --batch as "
            "a multiple."
        )
