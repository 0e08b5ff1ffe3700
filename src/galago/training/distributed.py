"""One run in several processes, as `torchrun` or `accelerate launch` start them.

Batch, loss and gradient are those of one process. Each process gets a part of the batch; what one
process would sum over the whole batch, the statistics of BatchNorm and the terms of the loss, is
summed over all processes, and gradients pass through these sums.
"""

from collections.abc import Callable

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from torch import Tensor, nn
from torch import distributed as dist

from galago.errors import GalagoError
from galago.training._compat import change_class


class _AllReduceSum(torch.autograd.Function):
    """The sum of a tensor over all processes; the gradient of a sum is summed as well.

    That of torch.distributed.nn is deprecated since torch 2.13, and its successor is private.
    """

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

    A loss made of such sums is the same number in every process, so each process gets its share of
    the gradient times the number of processes; the mean of DistributedDataParallel divides by it.
    """
    if distributed_state().num_processes == 1:
        return values
    total: Tensor = _AllReduceSum.apply(values)  # type: ignore[no-untyped-call]
    return total


class SyncedBatchNorm(nn.BatchNorm2d):
    """BatchNorm with the statistics of the batch of all processes.

    torch's own SyncBatchNorm does not run on a CPU.
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


def convert_sync_batchnorm(model: nn.Module, num_processes: int, device: torch.device) -> nn.Module:
    """Return the model with BatchNorms whose statistics are those of all processes.

    It is converted in place; with one process it stays as it is.
    """
    if num_processes == 1:
        return model
    if device.type != "cpu":
        synced: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        return synced
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            change_class(module, SyncedBatchNorm)
    return model


def is_main_process() -> bool:
    """Return whether this is the process that writes files and prints."""
    return bool(distributed_state().is_main_process)


def broadcast_from_rank0(answer: bool) -> bool:
    """Return the answer of the main process in every process; each has to call this."""
    if distributed_state().num_processes == 1:
        return answer
    answers = [answer]
    broadcast_object_list(answers)
    return answers[0]


def run_on_rank0(function: Callable[[], object]) -> None:
    """Call a function in the main process only; the others wait, and all raise what it raises.

    Raises:
        GalagoError: as `function` does.
    """
    failure: GalagoError | None = None
    if is_main_process():
        try:
            function()
        except GalagoError as error:
            failure = error
    if distributed_state().num_processes > 1:
        shared = [failure if failure is None else (type(failure), str(failure))]
        broadcast_object_list(shared)
        if failure is None and shared[0] is not None:
            kind, text = shared[0]
            failure = kind(text)
    if failure is not None:
        raise failure


def distributed_state() -> PartialState:
    """Return rank, number of processes and device, after joining the other processes, if any.

    Accelerate finds the other processes of a CPU only if told to use it.
    """
    return PartialState(cpu=not torch.accelerator.is_available())
