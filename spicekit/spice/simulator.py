"""ngspice in worker processes: a deck and analysis commands in, waves out.

Each job has a time limit and workers are recycled, so that a hang or a crash costs one job and memory stays bounded.
Workers are forked by a server process that has imported what they need: one starts in hundredths of a second, and
none inherits the threads of the caller.
"""

import collections
import ctypes.util
import functools
import itertools
import multiprocessing
import multiprocessing.forkserver
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TYPE_CHECKING

from spicekit.errors import MissingTool, SpiceFailed
from spicekit.spice.job import FALLBACKS, Failure, Job, Outcome, Run, Step, Waves
from spicekit.spice.worker import LOST, run_job, version

if TYPE_CHECKING:
    from pebble import ProcessPool

__all__ = [
    "FALLBACKS",
    "Failure",
    "Job",
    "Outcome",
    "Run",
    "Step",
    "Waves",
    "available_cores",
    "ngspice_version",
    "prepare",
    "simulate",
    "simulate_all",
]

INSTALL_HINT = "install it with: apt-get install ngspice libngspice0"


def prepare() -> None:
    """Start the server that forks workers and return at once; whoever waits for none saves half a second."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(_PRELOAD)
    multiprocessing.forkserver.ensure_running()


def ngspice_version() -> str:
    """Version of the libngspice that jobs run on.

    Raises
    ------
    MissingTool
        If libngspice or PySpice is not there.
    """
    return _version(_library())


def simulate(job: Job, *, timeout: float = 120.0) -> list[Waves]:
    """Waves of one job, one entry for each step.

    Raises
    ------
    SpiceFailed
        If ngspice refuses the deck, crashes, does not converge or exceeds `timeout` seconds.
    """
    ((_, outcome),) = simulate_all([job], workers=1, timeout=timeout)
    if isinstance(outcome, Failure):
        raise SpiceFailed(outcome.reason)
    for run in outcome.runs:
        if run.trouble:
            raise SpiceFailed(run.trouble)
    return [run.waves for run in outcome.runs]


def simulate_all(
    jobs: Iterable[Job], *, workers: int | None = None, timeout: float = 120.0
) -> Iterator[tuple[int, Outcome | Failure]]:
    """Outcomes of many jobs from a pool of worker processes, each with its job's index, as they come.

    A job whose worker died gets a second one.

    Parameters
    ----------
    jobs : iterable of Job
        Drawn from as workers become free.
    workers : int, optional
        Processes; as many as there are cores by default.
    timeout : float
        Seconds that one job may take.

    Raises
    ------
    MissingTool
        If libngspice or PySpice is not there.
    """
    from pebble import ProcessExpired

    library = _library()
    workers = workers or available_cores()
    coming = ((index, job, 2) for index, job in enumerate(jobs))
    again: collections.deque[tuple[int, Job, int]] = collections.deque()
    running: dict[Future[Outcome], tuple[int, Job, int]] = {}

    def take(count: int) -> Iterator[tuple[int, Job, int]]:
        while again and count > 0:
            count -= 1
            yield again.popleft()
        yield from itertools.islice(coming, count)

    while True:
        try:
            with _pool(workers) as pool:
                while True:
                    for index, job, lives in take(_QUEUED * workers - len(running)):
                        running[_scheduled(pool, job, library, timeout)] = index, job, lives
                    if not running:
                        return
                    done = wait(running, timeout + 2 * _GRACE, FIRST_COMPLETED).done
                    if not done:
                        raise BrokenProcessPool("a worker died between taking a job and saying so")
                    for future in done:
                        death = future.exception()
                        if isinstance(death, BrokenProcessPool):
                            raise death
                        index, job, lives = running.pop(future)
                        if isinstance(death, ProcessExpired):
                            lives -= death.exitcode != LOST
                            if lives:
                                again.append((index, job, lives))
                                continue
                        yield index, _outcome(future, timeout)
        except BrokenProcessPool:  # a worker died before it said which job it had taken
            for index, job, lives in running.values():
                if lives > 1:
                    again.append((index, job, lives - 1))
                else:
                    yield index, Failure("the ngspice worker process died, twice (before it began)")
            running.clear()


def _scheduled(pool: "ProcessPool", job: Job, library: str, timeout: float) -> Future[Outcome]:
    try:
        return pool.schedule(run_job, args=[job, library, timeout + _GRACE], timeout=timeout)
    except RuntimeError as error:
        failed: Future[Outcome] = Future()
        failed.set_exception(BrokenProcessPool(str(error)))
        return failed


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


_PRELOAD = ["__main__", "spicekit.spice.worker", "PySpice.Spice.NgSpice.Shared"]
_JOBS_PER_WORKER = 100  # recycle: bounds what ngspice leaks, about 50 kB a sweep
_QUEUED = 3  # jobs per worker, one of them running, so that none waits for its next
_GRACE = 5.0  # s, after which a worker whose pool did not stop it stops itself


@functools.cache
def _library() -> str:
    library = ctypes.util.find_library("ngspice")
    if library is None:
        raise MissingTool(f"libngspice was not found; {INSTALL_HINT}")
    return library


@functools.cache
def _version(library: str) -> str:
    with _pool(1) as pool:
        try:
            return str(pool.schedule(version, args=[library], timeout=60.0).result())
        except Exception as error:
            what = "PySpice" if isinstance(error, ImportError) else f"libngspice ({library})"
            cure = "install it with: pip install PySpice" if isinstance(error, ImportError) else INSTALL_HINT
            raise MissingTool(f"{what} does not start ({error}); {cure}") from error


@contextmanager
def _pool(workers: int) -> Iterator["ProcessPool"]:
    """Worker processes; when the caller leaves early, what they run is stopped."""
    from pebble import ProcessPool

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    with ProcessPool(max_workers=workers, max_tasks=_JOBS_PER_WORKER, context=context) as pool:
        try:
            yield pool
        except BaseException:
            pool.stop()  # type: ignore[no-untyped-call]
            raise


def _outcome(future: Future[Outcome], timeout: float) -> Outcome | Failure:
    from pebble import ProcessExpired

    try:
        return future.result()
    except TimeoutError:
        return Failure(f"ngspice took longer than {timeout:g} s and was stopped")
    except ProcessExpired as error:
        return Failure(f"the ngspice worker process died, twice ({error})")
    except SpiceFailed as error:
        return Failure(str(error))
