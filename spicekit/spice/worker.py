"""Runs jobs in this process; the only module that knows PySpice.

PySpice warns that it does not know ngspice 39, and takes every note on stderr, gmin stepping's too, for a failure:
whether an analysis came to its end is therefore asked of ngspice itself (`$sim_status`).
"""

import contextlib
import functools
import logging
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from spicekit.errors import SpiceFailed
from spicekit.provenance import content_hash
from spicekit.spice.cage import Cage, scrub
from spicekit.spice.simulator import Failure, Fallback, Job, Outcome, Run, Simulator, Step


def serve(pipe: Connection, library: str, *, folder: str, compiled: Sequence[str] = ()) -> None:
    """Start ngspice in a cage, say which it is, then run what comes, until nobody asks any more.

    Parameters
    ----------
    pipe : Connection
        Takes what ngspice is and the cage in force, brings jobs, takes outcomes, failures and, from faults of ours,
        exceptions. After anything but an outcome, ngspice may not recover, or treat the next deck as
        part of this one.
    library : str
        File name of libngspice.
    folder : str
        Where to run; made here.
    compiled : sequence of str
        Files that decks may load.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks
    with contextlib.suppress(EOFError, ConnectionError):
        started = _tried(functools.partial(_start, library, folder, compiled))
        if not isinstance(started, _Started):
            pipe.send(started)
            return
        pipe.send((started.ngspice, started.cage))
        while True:
            pipe.send(_tried(functools.partial(run_job, pipe.recv(), started)))


@dataclass(frozen=True)
class _Started:
    """The library, running in this process."""

    handle: Any
    """PySpice's."""
    ngspice: Simulator
    cage: str


def run_job(job: Job, started: _Started) -> Outcome:
    """Run a job on the shared library of ngspice; `SpiceFailed` if it refuses the deck or knows no such analysis."""
    start = time.perf_counter()
    runs = _attempt(started.handle, job, range(len(job.steps)))
    for fallback in job.fallbacks:
        stopped = [index for index, run in runs.items() if run.trouble]
        if not stopped:
            break
        again = _attempt(started.handle, job, stopped, fallback)
        runs |= {index: run for index, run in again.items() if _reach(run) > _reach(runs[index])}
    return Outcome(tuple(runs.values()), time.perf_counter() - start, started.ngspice)


_PATIENCE = 3  # steps
_BEYOND_REPAIR = "cannot recover"


def _tried(action: Callable[[], object]) -> object:
    try:
        return action()
    except SpiceFailed as error:
        return Failure(str(error))
    except Exception as error:
        error.add_note(traceback.format_exc())  # which does not cross process borders
        return error


def _start(library: str, folder: str, compiled: Sequence[str]) -> _Started:
    """Load the library, enter the cage, and only then let ngspice read its start-up files."""
    logging.getLogger("PySpice").setLevel(logging.CRITICAL)
    from PySpice.Spice.NgSpice.Shared import NgSpiceShared

    os.mkdir(folder, 0o700)
    in_force = ""

    class Caged(NgSpiceShared):  # type: ignore[misc]
        LIBRARY_PATH = library

        def _init_ngspice(self, send_data: bool) -> None:
            nonlocal in_force
            models = list(_loaded(library).parent.glob("ngspice/*.cm"))
            cage = Cage(folder, read=(*map(str, models), *compiled))
            scrub(cage.furnish(models))
            in_force = cage.enter()
            super()._init_ngspice(send_data)

    with open(os.devnull, "w") as sink, redirect_stdout(sink), redirect_stderr(sink):
        handle = Caged.new_instance()
        return _Started(handle, Simulator(str(handle.ngspice_version), _state(handle)), in_force)


def _loaded(library: str) -> Path:
    """The file that a library was loaded from."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    return Path(next(line.split(maxsplit=5)[5] for line in maps if library in line))


def _state(handle: Any) -> str:
    """SHA-256 of how ngspice was built, the variables that it has, and the options of a circuit that sets none."""
    handle.load_circuit("* no options\nr1 a 0 1\n.end\n")
    handle.exec_command("op")
    lines = []
    for question in ("version -f", "set", "option"):
        with contextlib.suppress(NameError):  # PySpice sees an error in "truncation error correction"
            handle.exec_command(question)
        lines += [line for line in handle._stdout if not line.startswith("* ")]  # which changes from plot to plot
    handle.destroy()
    handle.remove_circuit()
    return content_hash(lines)


def _attempt(ngspice: Any, job: Job, wanted: Iterable[int], fallback: Fallback | None = None) -> dict[int, Run]:
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
