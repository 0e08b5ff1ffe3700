"""Memory for the network on a CPU: kept, not given back and asked for again at each step."""

import ctypes
import sys

# Parameters of mallopt(3) in glibc's malloc.h.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4


def keep_freed_memory() -> bool:
    """Tell the C library to keep what the process frees.

    Features of a step are tens of megabytes each. glibc returns blocks of that size to the kernel at once, and the kernel clears
    each page again when the next layer asks for one, which takes a tenth to a quarter of a step of b0. The process holds its peak
    memory instead.

    Returns:
        whether the C library took it; other libraries than glibc are left alone.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    settings = ((MMAP_MAX, 0), (TRIM_THRESHOLD, 2**31 - 1), (TOP_PAD, 2**28))
    return all(library.mallopt(parameter, value) for parameter, value in settings)
