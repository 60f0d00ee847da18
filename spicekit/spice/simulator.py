"""ngspice in worker processes: a deck and analysis commands in, waves out.

Each worker has a pipe of its own, so that it is known which job a hang or a crash costs: each job has a time limit
and, if its worker dies, a second one. Workers are replaced now and then, so that memory stays bounded.
"""

import contextlib
import ctypes.util
import functools
import itertools
import os
import pickle
import queue
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from multiprocessing.connection import Connection
from typing import Any

from spicekit.errors import MissingTool, SpiceFailed
from spicekit.spice.job import FALLBACKS, Failure, Job, Outcome, Run, Step, Waves
from spicekit.spice.server import Process, fork

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
    todo: queue.SimpleQueue[tuple[int, Job] | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Outcome | Failure | Exception]] = queue.SimpleQueue()

    def work(worker: _Worker) -> None:
        with contextlib.suppress(Exception):  # the first job meets it again
            worker.version()  # it gets ready while the first job is drawn
        task = todo.get()
        while task:
            (index, job), task = task, None
            if todo.qsize() >= len(crew):  # the last ones are for whoever is free first
                with contextlib.suppress(queue.Empty):
                    task = todo.get_nowait()
            try:
                done.put((index, worker.run(job, timeout, following=task[1] if task else None)))
            except CancelledError:
                return
            except Exception as error:
                done.put((index, error))
            task = task or todo.get()

    coming = enumerate(jobs)
    pending = 0
    try:
        for worker in crew:
            threading.Thread(target=work, args=(worker,), daemon=True).start()
        while True:
            for task in itertools.islice(coming, _QUEUED * len(crew) - pending):
                todo.put(task)
                pending += 1
            if not pending:
                return
            index, outcome = done.get()
            pending -= 1
            if isinstance(outcome, Exception):
                raise outcome
            yield index, outcome
    finally:
        for worker in crew:
            worker.dismiss()
            todo.put(None)


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


_QUEUED = 3  # jobs per worker: one runs, one is with its process, one waits for whoever is free first
_AHEAD = 1 << 16  # bytes of a job that may be sent ahead; a pipe holds more, so that to send it never blocks
_JOBS_PER_WORKER = 1000  # bounds what ngspice leaks, up to 10 kB a job (with fallbacks)
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
        self._process: Process | None = None
        self._pipe: Connection[Any, Any]
        self._ngspice = ""
        self._served = 0
        self._sent = 0  # jobs that it has not answered
        self._dismissed = False

    def start(self) -> None:
        """Start the process and return before it is ready."""
        with self._lock:
            if self._dismissed:
                raise CancelledError
            self._process = fork(self._library)
            self._pipe, self._ngspice, self._served = self._process.pipe, "", 0

    def version(self) -> str:
        """Version of its ngspice.

        Raises
        ------
        MissingTool
            If libngspice or PySpice is not there.
        EOFError, ConnectionError
            If the process died.
        """
        if self._process is None or self._process.ended():
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

    def run(self, job: Job, timeout: float, *, following: Job | None) -> Outcome | Failure:
        """Run a job; what it does to the process, costs no other job.

        The one that will be `following` is sent ahead, so that the process need not wait for it.
        """
        limit = timeout + _GRACE
        for _ in range(_LIVES):
            try:
                if not self._sent:
                    self.version()
                    self._pipe.send((job, limit))
                    self._sent = 1
                if following and len(message := pickle.dumps((following, limit))) <= _AHEAD:
                    self._pipe.send_bytes(message)
                    self._sent = 2
                if not self._pipe.poll(timeout):
                    self._end()
                    return Failure(f"ngspice took longer than {timeout:g} s and was stopped")
                answer: Outcome | Failure | Exception = self._pipe.recv()
            except (EOFError, ConnectionError):
                self._end()
                continue
            self._served += 1
            self._sent -= 1
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
                self._process, self._sent = None, 0
