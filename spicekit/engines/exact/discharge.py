"""Reads that discharge a line: the column's current at each voltage of its line, integrated up to the sample.

A line of capacitance C, charged to `v_read` and let go, falls as its column draws: C dV/dt = -I(V). The wires are taken
to settle much faster than a line falls (assumed; docs/decisions/discharge.md has the error against transients), so that
I(V) is the column's static current with its line at V, which the ladder gives. It is solved at Chebyshev points from 0
to `v_read`; their polynomial is integrated by Runge and Kutta's method of fourth order. Points are added between those
that are there (Clenshaw and Curtis, Numer. Math. 2 (1960) 197) until what is found no longer moves.

A converter sees the drop V_read - V(t). It is given as the mean current C drop / t, so that whatever counts in cell
currents counts on: a threshold of x ampere is one of x t / C volt.
"""

from collections.abc import Callable

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.errors import NotConverged
from spicekit.tables.settling import line_capacitance

Array = NDArray[np.float64]
Indices = NDArray[np.integer]

LEVELS = 4, 8, 16, 32, 64
"""Intervals between points, each the half of those before."""
STEPS = 64
"""Of the integration: with a line that falls to a thousandth meanwhile, off by 1e-7 of the drop."""


def mean_currents(
    spec: TileSpec,
    shape: tuple[int, int],
    currents: Callable[[Indices, Indices, Array, Array], Array],
    *,
    limit: float,
) -> Array:
    """Mean currents of columns while they discharge their lines; parameters as in `rails.balance`.

    Parameters
    ----------
    limit : float
        A, by how much a mean current may move with the last points that were added.

    Returns
    -------
    (b, c) float64 array, A

    Raises
    ------
    NotConverged
        If one moves by more; as `currents` does.
    """
    discharge = spec.discharge
    assert discharge is not None
    rate = discharge.time / line_capacitance(spec)
    vector, column = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
    found = np.full(len(vector), np.nan)
    open_ = np.arange(len(vector))
    known: dict[float, Array] = {}
    moved = np.full(len(vector), np.inf)
    for level in LEVELS:
        place = np.cos(np.pi * np.arange(level + 1) / level)
        for x in place:
            if x not in known:
                line = np.full(len(open_), spec.v_read * (1 + x) / 2)
                known[x] = currents(vector[open_], column[open_], line, np.zeros(len(open_)))
        points = np.array([known[x] for x in place])
        mean = _drop(place, points, spec.v_read, rate) / rate
        moved = np.abs(mean - found[open_])
        found[open_] = mean
        still = ~(moved <= limit)
        open_ = open_[still]
        if not len(open_):
            return np.asarray(found.reshape(shape), np.float64)
        known = {x: current[still] for x, current in known.items()}
    raise NotConverged(
        f"column {column[open_[0]]} for vector {vector[open_[0]]}: its mean current still moves by "
        f"{moved[still][0]:.3g} A with {LEVELS[-1] + 1} voltages of its line, tolerance {limit:.3g} A "
        f"({len(open_)} such columns)."
    )


def _drop(place: Array, points: Array, v_read: float, rate: float) -> Array:
    """(n,) V by which lines fall, for currents `points` (k, n) at Chebyshev points; `rate` is t / C."""
    coefficients = chebyshev.chebfit(place, points, len(place) - 1)

    def fall(drop: Array) -> Array:
        current = chebyshev.chebval(1 - 2 * drop / v_read, coefficients, tensor=False)
        return np.asarray(rate * current, np.float64)

    drop = np.zeros(points.shape[1])
    h = 1 / STEPS
    for _ in range(STEPS):
        k1 = fall(drop)
        k2 = fall(drop + h / 2 * k1)
        k3 = fall(drop + h / 2 * k2)
        k4 = fall(drop + h * k3)
        drop = drop + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return np.asarray(drop, np.float64)
