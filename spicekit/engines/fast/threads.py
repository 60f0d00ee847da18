"""Tasks on as many threads as Numba may use.

Numba's own parallel loops take seconds to compile and no tuples, whose lengths tell a loop what to leave out.
"""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numba


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
