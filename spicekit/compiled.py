"""Kernels that Numba compiles, where their machine code is kept, and the threads that they run on.

Numba's cache holds pickles, and whoever can write a pickle that we read can run code as us. So compiled code is kept in
a folder of ours, which nobody else may enter; where there is none, in a fresh one that goes with the process.

Numba's own parallel loops take seconds to compile, and so does it to make or reshape an array in a compiled loop. And
they take no tuples, whose lengths tell a loop what to leave out.
"""

import atexit
import contextlib
import ctypes
import functools
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import DTypeLike, NDArray

from spicekit.provenance import code_hash_of

ENVIRONMENT = "NUMBA_CACHE_DIR"


@dataclass(frozen=True)
class CodeFolder:
    """Where compiled code is kept."""

    path: Path
    fault: str | None = None
    """Why it is a fresh folder, deleted when the process ends; None if it is the lasting one."""


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: `numba.njit` with these options, its machine code kept in `code_folder`.

    Numba asks whether the function's own file has changed, not those of what it calls, and keeps code by the file's
    path. Ours is kept by the sources: of a module and of all that it imports from this package. So other code has other
    files, and checkouts, installations and processes of the same code share theirs.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        import numba

        dispatcher = numba.njit(**options)(function)
        if not numba.config.DISABLE_JIT:  # else the function itself: for debuggers, and for scripts/mutate.py
            dispatcher._cache = _function_cache()(function)  # what its enable_caching does
        return dispatcher

    return decorate


@functools.cache
def _function_cache() -> Any:
    from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator

    class Locator(UserProvidedCacheLocator):  # type: ignore[misc]
        def __init__(self, function: Callable[..., Any], file: str) -> None:
            super().__init__(function, file)
            self._sources = code_hash_of(function.__module__)
            self._cache_path = str(code_folder().path / self._sources[:16])

        def get_source_stamp(self) -> Any:
            return self._sources, super().get_source_stamp()

        @classmethod
        def from_function(cls, function: Callable[..., Any], file: str) -> "Locator":
            found = cls(function, file)
            found.ensure_cache_path()
            return found

    class Files(CompileResultCacheImpl):  # type: ignore[misc]
        _locator_classes = (Locator,)

    class Cache(FunctionCache):  # type: ignore[misc]
        _impl_class = Files

    return Cache


@functools.cache
def code_folder() -> CodeFolder:
    """The user's lasting folder if it is safe, else a fresh one for this process alone.

    `NUMBA_CACHE_DIR` names another lasting folder, `SPICEKIT_CACHE` the one in which it lies.
    """
    path = _lasting()
    if (fault := refusal(path)) is None:
        return CodeFolder(path)
    return CodeFolder(fresh_folder(), fault)


@functools.cache
def fresh_folder() -> Path:
    """A folder that nobody else may enter, deleted when this process ends."""
    fresh = Path(tempfile.mkdtemp(prefix="spicekit-"))  # 0700, by its documentation
    atexit.register(_remove, fresh, os.getpid())
    return fresh


def _lasting() -> Path:
    if given := os.environ.get(ENVIRONMENT):
        return Path(given)
    given = os.environ.get("SPICEKIT_CACHE")
    return Path(given or platformdirs.user_cache_dir("spicekit")) / "compiled"


def refusal(path: Path) -> str | None:
    """Why a folder, made if it is not there, is not one for compiled code; None if it is.

    It must be the user's own with access for nobody else, and every folder above must be out of others' reach: whoever
    may rename one can put another in its place.
    """
    try:
        path = path.absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        own = path.lstat()
        if not stat.S_ISDIR(own.st_mode):
            return f"{path}: is a link or no folder; remove it."
        if own.st_uid != os.geteuid():
            return f"{path}: is another user's; set {ENVIRONMENT} to a folder of your own."
        if own.st_mode & 0o077:
            return f"{path}: others have access; run: chmod 700 {path}"
        for above in path.resolve().parents:
            status = above.stat()
            loose = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
            if loose or status.st_uid not in (0, os.geteuid()):
                return f"{above}: others could replace what is in it; set {ENVIRONMENT} to a folder of your own."
        with tempfile.TemporaryFile(dir=path):
            return None
    except OSError as error:
        return f"{path}: cannot be written ({error.strerror}); set {ENVIRONMENT} to a folder that can."


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # a process forked off would take it away from the one that made it
        shutil.rmtree(path, ignore_errors=True)


def run_tasks(task: Callable[[int], object], count: int) -> None:
    """Call `task` with every number below `count`, in any order; it should let go of Python's lock."""
    import numba

    threads = numba.get_num_threads()
    if min(threads, count) == 1:
        for number in range(count):
            task(number)
    else:
        list(_pool(threads).map(task, range(count)))


def run_ranges(task: Callable[[int, int], object], count: int) -> None:
    """Call `task` with ranges, from the first to before the last number, that make up all below `count`.

    They are as few as keep all threads at work: a call takes as long as thousands of additions, with Python's lock.
    """
    import numba

    threads = numba.get_num_threads()
    parts = 1 if threads == 1 else min(count, _PARTS * threads)
    run_tasks(lambda part: task(part * count // parts, (part + 1) * count // parts), parts)


_PARTS = 4  # for each thread: who begins late, or has another processor, takes fewer


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="spicekit")


os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not live on in a child


def in_lines(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[np.generic]:
    """An array, not yet filled, that begins at a line of a cache: no load of a line's length then takes two."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    raw = np.empty(size + 64, np.uint8)
    first = -raw.ctypes.data % 64
    return raw[first : first + size].view(dtype).reshape(shape)


def keep_memory() -> None:
    """Have this process keep the memory that arrays give back, in place of asking the system for new pages each time.

    For processes of our own. A layer's new pages take up to a third of its time, and threads wait for one another to
    get them. Another C library than glibc is left as it is.
    """
    with contextlib.suppress(OSError, AttributeError):
        change = ctypes.CDLL(None).mallopt
        for option, value in _KEPT.values():
            change(option, value)


_KEPT = {
    "MALLOC_TRIM_THRESHOLD_": (-1, 1 << 30),
    "MALLOC_MMAP_THRESHOLD_": (-3, 1 << 30),
    "MALLOC_ARENA_MAX": (-8, 1),
}
"""Thresholds above any array of a layer, and one pool that threads share: names and numbers of glibc's options, from
mallopt(3) and malloc.h."""
MEMORY_ENVIRONMENT = {name: str(value) for name, (_, value) in _KEPT.items()}
"""The same for a process that is to be started. In one that runs, each thread may have a pool of its own by now, which
keeps no array above 64 MB (HEAP_MAX_SIZE of glibc's malloc/arena.c)."""
