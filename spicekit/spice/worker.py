"""Runs jobs in this process; the only module that knows PySpice.

PySpice warns that it does not know ngspice 39, and takes every note on stderr, gmin stepping's too, for a failure:
whether an analysis came to its end is therefore asked of ngspice itself (`$sim_status`).
"""

import contextlib
import functools
import logging
import os
import resource
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from spicekit.errors import SpiceFailed
from spicekit.spice.job import Failure, Fallback, Job, Outcome, Run, Step


def serve(pipe: Connection, library: str) -> None:
    """Say the version of ngspice, then run what comes, until nobody asks any more.

    Parameters
    ----------
    pipe : Connection
        Brings jobs with their limits, takes outcomes, failures and, from faults of ours, exceptions. After anything
        but an outcome, ngspice may not recover, or treat the next deck as part of this one.
    library : str
        File name of libngspice.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks
    with contextlib.suppress(EOFError, ConnectionError):
        pipe.send(_tried(lambda: str(_ngspice(library).ngspice_version)))
        while True:
            job, limit = pipe.recv()
            pipe.send(_tried(functools.partial(run_job, job, library, limit)))


def run_job(job: Job, library: str, limit: float) -> Outcome:
    """Run a job on the shared library of ngspice.

    Parameters
    ----------
    job : Job
    library : str
        File name of libngspice.
    limit : float
        Seconds after which the process ends itself, should nobody be left to stop it.

    Raises
    ------
    SpiceFailed
        If ngspice refuses the deck or knows no such analysis.
    """
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        ngspice = _ngspice(library)
        start = time.perf_counter()
        runs = _attempt(ngspice, job, range(len(job.steps)))
        for fallback in job.fallbacks:
            stopped = [index for index, run in runs.items() if run.trouble]
            if not stopped:
                break
            again = _attempt(ngspice, job, stopped, fallback)
            runs |= {index: run for index, run in again.items() if _reach(run) > _reach(runs[index])}
        return Outcome(tuple(runs.values()), time.perf_counter() - start, str(ngspice.ngspice_version))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


_PATIENCE = 3  # steps
_MEMORY = 8 << 30  # bytes; a full 256 x 256 tile takes two
_BEYOND_REPAIR = "cannot recover"


def _tried(action: Callable[[], object]) -> object:
    try:
        return action()
    except SpiceFailed as error:
        return Failure(str(error))
    except Exception as error:
        error.add_note(traceback.format_exc())  # which does not cross process borders
        return error


@functools.cache
def _ngspice(library: str) -> Any:
    """PySpice's handle on the shared library, one for each process."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    logging.getLogger("PySpice").setLevel(logging.CRITICAL)
    from PySpice.Spice.NgSpice.Shared import NgSpiceShared

    NgSpiceShared.LIBRARY_PATH = library
    os.chdir(tempfile.gettempdir())  # BSIM4 writes bsim4.out where it runs, when it does not like a card
    with open(os.devnull, "w") as sink, redirect_stdout(sink), redirect_stderr(sink):
        ngspice = NgSpiceShared.new_instance()
    # ngspice evaluates BSIM4 with two OpenMP threads by default; where the cores are busy with other workers
    # they wait for one another, and a sweep takes 50 times as long.
    ngspice.exec_command("set num_threads=1")
    return ngspice


def _attempt(
    ngspice: Any, job: Job, wanted: Iterable[int], fallback: Fallback | None = None
) -> dict[int, Run]:
    """Load the deck afresh and run the wanted steps; the alters of all steps count.

    A fallback that does not help is given up after a few steps: where one point has no solution, its neighbours
    have none either, and ngspice searches long.
    """
    loading = ""
    try:
        ngspice.load_circuit(job.deck)
        loading = _words(ngspice)  # why a deck was not parsed; the next command clears it
        if fallback:
            ngspice.exec_command(f"option {fallback.options}")
        runs: dict[int, Run] = {}
        for index, step in enumerate(job.steps):
            for change in step.alters:
                ngspice.exec_command(f"alter {change}")
            if index in wanted:
                runs[index] = _run_step(ngspice, step, job.keep, fallback.name if fallback else "")
            if fallback and len(runs) == _PATIENCE and all(run.trouble for run in runs.values()):
                break
        return runs
    except (NameError, RuntimeError) as error:  # all that PySpice raises
        words = [part for part in (loading, _words(ngspice)) if part]
        raise SpiceFailed("ngspice: " + ("; ".join(words) or str(error))) from None
    finally:
        ngspice.destroy()
        with contextlib.suppress(NameError):  # nothing was loaded
            ngspice.remove_circuit()


def _run_step(ngspice: Any, step: Step, keep: tuple[str, ...] | None, fallback: str) -> Run:
    before = ngspice.last_plot
    with contextlib.suppress(NameError):
        ngspice.exec_command(step.analysis)
    words = _words(ngspice)
    if _BEYOND_REPAIR in words:  # out of memory: it goes on with what it has and says that all is well
        raise RuntimeError(words)
    name = ngspice.last_plot
    if name == before:
        raise RuntimeError(f"'{step.analysis}' gave no result")
    plot = ngspice.plot(None, name)
    waves = {key: np.array(plot[key]._data, float) for key in (keep or plot)}
    trouble = "" if ngspice.exec_command("echo $sim_status") == "0" else f"ngspice, {step.analysis}: {words}"
    if not any(wave.size for wave in waves.values()):
        trouble = f"ngspice, {step.analysis}: gave no points; {words}"
    if not all(np.isfinite(wave).all() for wave in waves.values()):
        waves, trouble = {}, f"ngspice, {step.analysis}: values that are not finite"
    ngspice.exec_command(f"destroy {name}")
    return Run(waves, trouble, fallback)


def _reach(run: Run) -> tuple[bool, int]:
    """Orders runs by how far they came."""
    return not run.trouble, max((wave.size for wave in run.waves.values()), default=0)


def _words(ngspice: Any) -> str:
    """The last that ngspice said on stderr after a command, without its notes on what went well.

    Six lines hold the cause as well as the consequence: an unknown model level takes five.
    """
    lines = [line.strip() for line in ngspice._stderr if not line.startswith(("Note:", "Trying", "Warning:"))]
    return "; ".join([line for line in lines if line][-6:])
