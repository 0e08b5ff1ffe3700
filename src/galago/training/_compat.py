"""What training uses of torch and accelerate beyond their public interfaces, in one place.

Tried with torch 2.13.0 and accelerate 1.15.0. When one of them is updated, the tests of the
functions here fail first.
"""

import re
from collections.abc import Sequence

import torch
from accelerate.state import AcceleratorState
from torch import Tensor, nn

# What torch.utils.data raises when a worker dies, from a signal handler or from its queue.
_DEAD_WORKER = re.compile(r"DataLoader worker \(pid")


def reset_accelerator_state() -> None:
    """Forget the precision of an earlier run in this process; accelerate refuses another one."""
    AcceleratorState._reset_state()


def lerp_all(starts: Sequence[Tensor], ends: Sequence[Tensor], weight: float) -> None:
    """Move each start by `weight` of the way to its end, in place, in one call."""
    torch._foreach_lerp_(list(starts), list(ends), weight)


def cpu_has_bfloat16() -> bool:
    """Return whether this CPU has instructions for bfloat16."""
    return bool(torch.cpu._is_avx512_bf16_supported())


def change_class(module: nn.Module, subclass: type[nn.Module]) -> None:
    """Turn a module into an instance of a subclass with the same parameters, buffers and names."""
    module.__class__ = subclass


def is_dead_worker(error: BaseException) -> bool:
    """Return whether torch says that a data-loader worker was killed or crashed."""
    return isinstance(error, RuntimeError) and bool(_DEAD_WORKER.match(str(error)))
