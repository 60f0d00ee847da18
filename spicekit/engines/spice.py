"""SPICE engine: the full deck of a tile in ngspice, one operating point for each activation vector."""

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.render import tile_deck
from spicekit.circuits.spec import TileSpec
from spicekit.spice.simulator import Job, Step, Waves, simulate


def solve(
    spec: TileSpec, weights: NDArray[np.uint8], bits: NDArray[np.uint8], *, timeout: float = 600.0
) -> NDArray[np.float64]:
    """Column currents of a tile from ngspice.

    Parameters
    ----------
    spec : TileSpec
    weights : (r, c) uint8 array
    bits : (b, r) uint8 array
        Levels of the word lines (word-line drive) or of the rows (bit-line drive).
    timeout : float
        Seconds for the whole batch.

    Returns
    -------
    (b, c) float64 array, A

    Raises
    ------
    SpiceFailed
        If ngspice refuses the deck, does not converge, crashes or exceeds the time limit.
    """
    if not len(bits):
        return np.empty((0, spec.columns))
    waves = simulate(tile_job(spec, weights, bits), timeout=timeout)
    return np.array([sensed(wave, spec.columns) for wave in waves])


def tile_job(spec: TileSpec, weights: NDArray[np.uint8], bits: NDArray[np.uint8]) -> Job:
    """The deck of a tile, with an operating point for each vector; parameters as in `solve`."""
    level = spec.v_wl if spec.drive == "wordline" else spec.v_read
    source = "vwl" if spec.drive == "wordline" else "vin"
    steps = []
    previous = bits[0]
    for vector in bits:
        changed = np.flatnonzero(vector != previous)
        alters = tuple(f"{source}_{row} dc {level * int(vector[row])!r}" for row in changed.tolist())
        steps.append(Step("op", alters))
        previous = vector
    deck = tile_deck(spec, weights, bits[0], detail="read-port", batch=False)
    return Job(deck, tuple(steps), keep=_senses(spec.columns))


def sensed(waves: Waves, columns: int) -> NDArray[np.float64]:
    """(c,) A, into the sense points at one operating point of a `tile_job`."""
    return np.array([waves[name][0] for name in _senses(columns)])


def _senses(columns: int) -> tuple[str, ...]:
    return tuple(f"vsense_{column}#branch" for column in range(columns))
