"""Tasks on as many threads as Numba may use, and the arrays that they work in.

Numba's own parallel loops take seconds to compile, and so does it to make or reshape an array in a compiled loop. And
they take no tuples, whose lengths tell a loop what to leave out.
"""

import functools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
from numpy.typing import DTypeLike, NDArray


def run_tasks(task: Callable[[int], object], count: int) -> None:
    """Call `task` with every number below `count`, in any order; it should let go of Python's lock."""
    threads = numba.get_num_threads()
    if min(threads, count) == 1:
        for number in range(count):
            task(number)
    else:
        list(_pool(threads).map(task, range(count)))


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="spicekit")


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not live on in a child


def zeros_in_lines(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
    """Zeros that begin at a line of a cache: no load of a line's length then takes two."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.zeros(size + 64, np.uint8)
    first = -raw.ctypes.data % 64
    return raw[first : first + size].view(dtype).reshape(shape)
