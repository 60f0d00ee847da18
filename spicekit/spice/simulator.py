"""ngspice in worker processes: a deck and analysis commands in, waves out.

Each worker has a pipe of its own, so that it is known which job a hang or a crash costs: each job has a time limit
and, if its worker dies, a second one. Workers are replaced now and then, so that memory stays bounded.
"""

import ctypes.util
import functools
import itertools
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any, TypeVar

from spicekit.errors import MissingTool, SpiceFailed
from spicekit.spice.job import FALLBACKS, Failure, Job, Outcome, Run, Step, Waves
from spicekit.spice.server import CONTEXT, prepare
from spicekit.spice.worker import serve

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
    "simulate",
    "simulate_all",
]

T = TypeVar("T")

INSTALL_HINT = "install it with: apt-get install ngspice libngspice0"


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
    library = _library()
    crew = [_Worker(library) for _ in range(workers or available_cores())]
    free: queue.SimpleQueue[_Worker] = queue.SimpleQueue()

    def lent(action: Callable[[_Worker], T]) -> T:
        worker = free.get()
        try:
            return action(worker)
        finally:
            free.put(worker)

    coming = enumerate(jobs)
    running: dict[Future[Outcome | Failure], int] = {}
    with ThreadPoolExecutor(len(crew)) as threads:  # each waits for one worker
        try:
            for worker in crew:
                worker.start()  # it gets ready while the first job is drawn
                free.put(worker)
            while True:
                for index, job in itertools.islice(coming, _QUEUED * len(crew) - len(running)):
                    run = functools.partial(_Worker.run, job=job, timeout=timeout)
                    running[threads.submit(lent, run)] = index
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            for worker in crew:
                worker.dismiss()


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


_QUEUED = 3  # jobs per worker, one of them running, so that none waits for its next
_JOBS_PER_WORKER = 100  # bounds what ngspice leaks, about 50 kB a sweep
_LIVES = 2  # workers that a job may cost
_START = 60.0  # s that a worker may take to start, on a machine that has much else to do
_GRACE = 5.0  # s, after which a worker that nobody stopped stops itself


@functools.cache
def _library() -> str:
    library = ctypes.util.find_library("ngspice")
    if library is None:
        raise MissingTool(f"libngspice was not found; {INSTALL_HINT}")
    return library


@functools.cache
def _version(library: str) -> str:
    worker = _Worker(library)
    try:
        return worker.version()
    except (EOFError, ConnectionError):
        raise MissingTool(f"libngspice ({library}) crashes when it starts; re{INSTALL_HINT}") from None
    finally:
        worker.dismiss()


class _Worker:
    """A process that runs one job after the other; if it has ended, the next job starts another."""

    def __init__(self, library: str) -> None:
        self._library = library
        self._lock = threading.Lock()
        self._process: ForkServerProcess | None = None
        self._pipe: Connection[Any, Any]
        self._ngspice = ""
        self._served = 0
        self._dismissed = False

    def start(self) -> None:
        """Start the process and return before it is ready."""
        with self._lock:
            if self._dismissed:
                raise CancelledError
            prepare()
            pipe, theirs = CONTEXT.Pipe()
            process = CONTEXT.Process(target=serve, args=(theirs, self._library), daemon=True)
            process.start()
            theirs.close()
            self._process, self._pipe, self._ngspice, self._served = process, pipe, "", 0

    def version(self) -> str:
        """Version of its ngspice.

        Raises
        ------
        MissingTool
            If libngspice or PySpice is not there.
        EOFError, ConnectionError
            If the process died.
        """
        if self._process is None or not self._process.is_alive():
            self.start()
        if self._ngspice:
            return self._ngspice
        version = self._pipe.recv() if self._pipe.poll(_START) else TimeoutError("it takes too long")
        if not isinstance(version, Exception):
            self._ngspice = str(version)
            return self._ngspice
        self._end()
        if isinstance(version, ImportError):
            raise MissingTool(f"PySpice does not start ({version}); install it with: pip install PySpice")
        raise MissingTool(f"libngspice ({self._library}) does not start ({version}); {INSTALL_HINT}")

    def run(self, job: Job, timeout: float) -> Outcome | Failure:
        """Run a job; what it does to the process, costs no other job."""
        for _ in range(_LIVES):
            try:
                self.version()
                self._pipe.send((job, timeout + _GRACE))
                if not self._pipe.poll(timeout):
                    self._end()
                    return Failure(f"ngspice took longer than {timeout:g} s and was stopped")
                answer: Outcome | Failure | Exception = self._pipe.recv()
            except (EOFError, ConnectionError):
                self._end()
                continue
            self._served += 1
            if not isinstance(answer, Outcome) or self._served == _JOBS_PER_WORKER:
                self._end()
            if isinstance(answer, Exception):
                raise answer
            return answer
        return Failure("the ngspice worker process died, twice")

    def dismiss(self) -> None:
        """Stop the process, whatever it does, for good."""
        self._dismissed = True
        self._end()

    def _end(self) -> None:
        with self._lock:
            if self._process:
                self._process.kill()
                self._process.join()
                self._process = None
