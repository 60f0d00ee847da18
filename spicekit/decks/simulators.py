"""Jobs on the simulator of one's choice: ngspice, or VACASK, for which decks and steps are written in its language."""

import itertools
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Literal, cast, get_args

import numpy as np

from spicekit.decks.dialects import vacask_circuit
from spicekit.decks.source import Deck, parse_deck
from spicekit.errors import BadInput, SpiceFailed, no_such
from spicekit.spice.batch import run_vacask, vacask
from spicekit.spice.simulator import (
    Failure,
    Job,
    Outcome,
    Run,
    Simulator,
    Step,
    available_cores,
    ngspice,
    simulate_all,
)

SimulatorName = Literal["ngspice", "vacask"]


def check_simulator(name: str) -> SimulatorName:
    """A name from outside as a simulator; `BadInput` if it is none."""
    if name not in get_args(SimulatorName):
        raise no_such("simulator", name, get_args(SimulatorName))
    return cast(SimulatorName, name)


def simulator_at_hand(name: SimulatorName) -> Simulator:
    """Which build of it jobs run on; `MissingTool`, with the cure, if there is none."""
    return ngspice() if name == "ngspice" else vacask()


def simulate_all_with(
    simulator: SimulatorName, jobs: Iterable[Job], *, workers: int | None = None, timeout: float = 120.0
) -> Iterator[tuple[int, Outcome | Failure]]:
    """As `simulate_all`, on a simulator.

    VACASK knows operating points and sweeps of a source, and returns the currents of sources alone; it steps gmin
    and sources by itself, and its fallbacks are shunts at the nodes.

    Raises
    ------
    BadInput
        If VACASK's language has no word for a job.
    MissingTool
        If the simulator is not there.
    """
    if simulator == "ngspice":
        yield from simulate_all(jobs, workers=workers, timeout=timeout)
        return
    build, crew = vacask(), workers or available_cores()
    coming = enumerate(jobs)
    with ThreadPoolExecutor(crew) as pool:
        pending: dict[Future[Outcome | Failure], int] = {}
        try:
            while True:
                for index, job in itertools.islice(coming, 2 * crew - len(pending)):
                    pending[pool.submit(_run, job, timeout, build)] = index
                if not pending:
                    return
                for done in wait(pending, return_when=FIRST_COMPLETED).done:
                    yield pending.pop(done), done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def vacask_job(job: Job, chosen: Iterable[int] | None = None, options: str = "") -> str:
    """A job's deck in VACASK's language, with an analysis `s0`, `s1` and so on for each step, or for the chosen ones.

    Its check of residuals is off: at 1e-16 A a compact model's rounding inside is larger, and steps of 1e-10 V between
    iterates hold currents to 1e-6 all the same (tests/decks/test_simulators.py).
    """
    deck = parse_deck(job.deck)
    circuit, tolerances = vacask_circuit(deck)
    kept = " ".join(f"i({_source(name)})" for name in job.keep or ("all",))
    lines = [f"// {deck.title}", *circuit, "control", "abort never"]
    lines += [
        f'options {tolerances} nr_residualcheck=0 strictoutput=0 rawfile="ascii" {options}',
        f"save {kept}",
    ]
    wanted = set(range(len(job.steps)) if chosen is None else chosen)
    for number, step in enumerate(job.steps):
        lines += [_alter(change, deck) for change in step.alters]
        if number in wanted:
            lines += [*_sweep(step), f"analysis s{number} op"]
    return "\n".join([*lines, "endc", ""])


# Where two transistors in series are off, currents of 1e-15 A decide the voltage between them, and a compact model's
# need not be smooth there. What shunts add at 0.7 V is 2e-9, or 2e-8, of a cell's ON current.
_FALLBACKS = ("gshunt=1e-13", "gshunt=1e-12")


def _run(job: Job, timeout: float, build: Simulator) -> Outcome | Failure:
    start = time.perf_counter()
    try:
        runs = _attempt(job, range(len(job.steps)), "", timeout)
        for fallback in _FALLBACKS:
            if stopped := [number for number, run in runs.items() if run.trouble]:
                left = timeout - (time.perf_counter() - start)
                runs |= _attempt(job, stopped, fallback, max(left, 1.0))
    except SpiceFailed as error:
        return Failure(str(error))
    return Outcome(tuple(runs.values()), time.perf_counter() - start, build)


def _attempt(job: Job, chosen: Sequence[int], options: str, timeout: float) -> dict[int, Run]:
    tables, run = run_vacask(vacask_job(job, chosen, options), timeout=timeout, compiled=job.compiled)
    stopped = set(re.findall(r"^Analysis '(s\d+)' aborted", run.output, re.MULTILINE))
    runs = {}
    for number in chosen:
        table = tables.get(f"s{number}", {})
        waves = {name: table.get(f"{_source(name)}:flow(br)", np.empty(0)) for name in job.keep or ()}
        short = f"s{number}" in stopped or not all(wave.size for wave in waves.values())
        runs[number] = Run(waves, "VACASK did not converge" if short else "", options)
    return runs


def _source(name: str) -> str:
    source, _, branch = name.partition("#")
    if branch != "branch":
        raise BadInput(f"VACASK: a job may keep currents of sources, NAME#branch; got {name!r}.")
    return source


def _alter(change: str, deck: Deck) -> str:
    if match := re.fullmatch(r"(\w+) dc (\S+)", change):
        return f'alter instance("{match[1]}") dc={match[2]}'
    if match := re.fullmatch(r"@([mn])\.(\w+)\.(\w+)\[(\w+)\]=(\S+)", change):
        kind, cell, name, parameter, value = match.groups()
        if kind == "n":  # each has a model of its own
            card = next(s.text.split()[5].lower() for s in deck.statements if s.word == name)
            return f'alter model("{card}_{name}") {parameter}={value}'
        return f'alter instance("{cell}:{name}") {"$mfactor" if parameter == "m" else parameter}={value}'
    raise BadInput(f"VACASK: has no word for the change '{change}'.")


def _sweep(step: Step) -> Iterator[str]:
    if step.analysis == "op":
        return
    match = re.fullmatch(r"dc (\w+) (\S+) (\S+) (\S+)", step.analysis)
    if match is None:
        raise BadInput(f"VACASK: jobs may be operating points and sweeps; got '{step.analysis}'.")
    first, last, each = (float(word) for word in match.groups()[1:])
    yield (
        f'sweep v instance="{match[1]}" parameter="dc" from={first!r} to={last!r} mode="lin" '
        f"points={round((last - first) / each)}"
    )
