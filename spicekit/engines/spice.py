"""SPICE engine: the full deck of a tile in ngspice, one analysis for each activation vector.

An operating point, or, where a read discharges its lines, a transient from their release to the sample."""

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.render import tile_deck
from spicekit.circuits.spec import TileSpec
from spicekit.results import Report, silent
from spicekit.spice.simulator import Job, Session, Step, Waves
from spicekit.tables.settling import line_capacitance

TIMEOUT = 600.0
"""s, for a tenth of the vectors."""


def solve(
    spec: TileSpec, weights: NDArray[np.uint8], bits: NDArray[np.uint8], *, report: Report = silent
) -> NDArray[np.float64]:
    """Column currents of a tile from ngspice.

    Parameters
    ----------
    weights : (r, c) uint8 array
    bits : (b, r) uint8 array
        Levels of the word lines (word-line drive) or of the rows (bit-line drive).
    report : Report
        Told of each tenth.

    Returns
    -------
    (b, c) float64 array, A

    Raises
    ------
    SpiceFailed
        If ngspice refuses the deck, does not converge, crashes or exceeds `TIMEOUT`.
    """
    current, share = np.empty((len(bits), spec.columns)), -(-len(bits) // 10)
    with Session() as session:
        for start in range(0, len(bits), max(share, 1)):
            report("reads in ngspice", start, len(bits))
            job = tile_job(spec, weights, bits[start : start + share])
            current[start : start + share] = [sensed(wave, spec) for wave in session.run(job, timeout=TIMEOUT)]
    return current


def tile_job(spec: TileSpec, weights: NDArray[np.uint8], bits: NDArray[np.uint8]) -> Job:
    """The deck of a tile, with an analysis for each vector; parameters as in `solve`."""
    discharge = spec.discharge
    analysis = f"tran {discharge.time / 50!r} {discharge.time!r}" if discharge else "op"
    level = spec.v_wl if spec.drive == "wordline" else spec.v_read
    source = "vwl" if spec.drive == "wordline" else "vin"
    steps = []
    previous = bits[0]
    for vector in bits:
        changed = np.flatnonzero(vector != previous)
        alters = tuple(f"{source}_{row} dc {level * int(vector[row])!r}" for row in changed.tolist())
        steps.append(Step(analysis, alters))
        previous = vector
    deck = tile_deck(spec, weights, bits[0], detail="read-port", batch=False)
    return Job(deck, tuple(steps), keep=_senses(spec))


def sensed(waves: Waves, spec: TileSpec) -> NDArray[np.float64]:
    """(c,) A, into the sense points in one analysis of a `tile_job`; the mean while lines are discharged."""
    end = np.array([waves[name][-1] for name in _senses(spec)])
    if spec.discharge is None:
        return end
    return line_capacitance(spec) * (spec.v_read - end) / spec.discharge.time


def _senses(spec: TileSpec) -> tuple[str, ...]:
    form = "line_{}" if spec.discharge else "vsense_{}#branch"
    return tuple(form.format(column) for column in range(spec.columns))
