"""The only module that knows PySpice and libngspice: a deck and analysis commands in, waves out.

ngspice runs inside worker processes, each with a time limit and recycled after some jobs, so that a hang
or a crash costs one job and memory stays bounded. PySpice warns that it does not know ngspice 39; results
are judged by what they hold, not by that text.
"""

import contextlib
import ctypes.util
import functools
import logging
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, as_completed
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spicekit.errors import MissingTool, SpiceFailed

Waves = dict[str, NDArray[np.float64]]
"""Vectors by ngspice's lower-case names; node voltages by node, source currents as `name#branch`."""

INSTALL_HINT = "install it with: apt-get install ngspice libngspice0"


@dataclass(frozen=True)
class Step:
    """One analysis of a loaded deck, after some `alter` commands."""

    analysis: str
    """ngspice command: `op`, `dc vbl 0 0.7 0.01`, `tran 1p 1n`."""
    alters: tuple[str, ...] = ()
    """What to change first, without the word: `vwl_3 dc 0.7`. Changes stay for later steps."""


@dataclass(frozen=True)
class Job:
    """A deck (text without a `.control` section) and the analyses to run on it, in order."""

    deck: str
    steps: tuple[Step, ...]
    keep: tuple[str, ...] | None = None
    """Names of the vectors to return; None returns all."""


@dataclass(frozen=True)
class Failure:
    """A job that gave no waves, and why."""

    reason: str


def ngspice_version() -> str:
    """Version of the libngspice that jobs run on.

    Raises
    ------
    MissingTool
        If libngspice or PySpice is not there.
    """
    return _version()


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
    return outcome


def simulate_all(
    jobs: Sequence[Job], *, workers: int | None = None, timeout: float = 120.0
) -> Iterator[tuple[int, list[Waves] | Failure]]:
    """Outcomes of many jobs from a pool of worker processes, each with its job's index, as they come.

    Parameters
    ----------
    jobs : sequence of Job
    workers : int, optional
        Processes; as many as there are cores by default.
    timeout : float
        Seconds that one job may take.
    """
    from pebble import ProcessExpired, ProcessPool

    ngspice_version()
    workers = min(workers or available_cores(), max(len(jobs), 1))
    with ProcessPool(
        max_workers=workers,
        max_tasks=_JOBS_PER_WORKER,
        context=multiprocessing.get_context("spawn"),
    ) as pool:
        futures: dict[Future[list[Waves]], int] = {
            pool.schedule(_run, args=[job], timeout=timeout): index for index, job in enumerate(jobs)
        }
        try:
            for future in as_completed(futures):
                try:
                    yield futures[future], future.result()
                except TimeoutError:
                    yield futures[future], Failure(f"ngspice took longer than {timeout:g} s and was stopped")
                except (ProcessExpired, CancelledError) as error:
                    yield futures[future], Failure(f"the ngspice worker process died ({error})")
                except SpiceFailed as error:
                    yield futures[future], Failure(str(error))
        except BaseException:  # an interrupt, or a caller who has heard enough: stop what runs
            pool.stop()  # type: ignore[no-untyped-call]
            raise


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


_JOBS_PER_WORKER = 100  # recycle: bounds what ngspice leaks; starting a worker takes 0.3 s


@functools.cache
def _version() -> str:
    library = ctypes.util.find_library("ngspice")
    if library is None:
        raise MissingTool(f"libngspice was not found; {INSTALL_HINT}")
    os.environ.setdefault("NGSPICE_LIBRARY_PATH", library)
    from pebble import ProcessPool

    with ProcessPool(max_workers=1, context=multiprocessing.get_context("spawn")) as pool:
        try:
            return str(pool.schedule(_worker_version, timeout=60.0).result())
        except Exception as error:
            raise MissingTool(f"libngspice ({library}) does not start ({error}); {INSTALL_HINT}") from error


def _worker_version() -> str:
    return str(_simulator().ngspice_version)


@functools.cache
def _simulator() -> Any:
    """PySpice's handle on the shared library, one for each process."""
    logging.getLogger("PySpice").setLevel(logging.CRITICAL)
    from PySpice.Spice.NgSpice.Shared import NgSpiceShared

    NgSpiceShared.LIBRARY_PATH = os.environ["NGSPICE_LIBRARY_PATH"]
    with open(os.devnull, "w") as sink, redirect_stdout(sink), redirect_stderr(sink):
        ngspice = NgSpiceShared.new_instance()
    # ngspice evaluates BSIM4 with two OpenMP threads by default; where the cores are busy with other workers
    # they wait for one another, and a sweep takes 50 times as long.
    ngspice.exec_command("set num_threads=1")
    return ngspice


def _run(job: Job) -> list[Waves]:
    from PySpice.Spice.NgSpice.Shared import NgSpiceCircuitError, NgSpiceCommandError

    ngspice = _simulator()
    loading: list[str] = []
    try:
        ngspice.load_circuit(job.deck)
        loading = list(ngspice._stderr)  # why a deck was not parsed; the next command clears it
        return [_run_step(ngspice, step, job.keep) for step in job.steps]
    except (NgSpiceCircuitError, NgSpiceCommandError, NameError) as error:
        raise SpiceFailed(_reason(ngspice, error, loading)) from None
    finally:
        ngspice.destroy()
        with contextlib.suppress(NgSpiceCommandError, NameError):  # nothing was loaded
            ngspice.remove_circuit()


def _run_step(ngspice: Any, step: Step, keep: tuple[str, ...] | None) -> Waves:
    for change in step.alters:
        ngspice.exec_command(f"alter {change}")
    before = ngspice.last_plot
    ngspice.exec_command(step.analysis)
    name = ngspice.last_plot
    if name == before:
        raise SpiceFailed(f"ngspice: '{step.analysis}' gave no result")
    plot = ngspice.plot(None, name)
    waves = {key: np.array(plot[key]._data, float) for key in (keep or plot)}
    if not all(np.isfinite(wave).all() for wave in waves.values()):
        raise SpiceFailed(f"ngspice: '{step.analysis}' gave values that are not finite")
    ngspice.exec_command(f"destroy {name}")
    return waves


def _reason(ngspice: Any, error: Exception, loading: list[str]) -> str:
    lines = [line for line in (*loading, *ngspice._stderr, *ngspice._stdout) if line.strip()]
    return "ngspice: " + ("; ".join(lines[:4]) or str(error))
