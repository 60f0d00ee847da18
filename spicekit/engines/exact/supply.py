"""What gives a column its voltage where nothing holds it: rails that columns share, and lines that a read discharges.

Rails. What all columns of a rail carry lowers the supply, and raises the ground, that each one sees. A column's current
enters from the supply rail and leaves into the ground rail, so that one unknown for each rail is enough: the current T
that all its columns carry together. For a given T the columns are independent, their ends at `v_read` - `r_supply` T
and at `r_ground` T, and T must be the sum of what they then deliver,

    F(T) = sum_j I_j(T) - T = 0.

No column's current rises with T, so F falls with a slope of -1 or steeper: there is one root, between 0 and the sum at
T = 0, and never beyond the T at which both rails meet. Secant steps find it, kept inside that bracket.

Lines. A line of capacitance C, charged to `v_read` and let go, falls as its column draws: C dV/dt = -I(V). The wires
are taken to settle much faster than a line falls (assumed; docs/decisions/discharge.md has the error against
transients), so that I(V) is the column's static current with its line at V, which the ladder gives. It is solved at
Chebyshev points from 0 to `v_read`; their polynomial is integrated by Runge and Kutta's method of fourth order. Points
are added between those that are there (Clenshaw and Curtis, Numer. Math. 2 (1960) 197) until what is found no longer
moves.

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
Currents = Callable[[Indices, Indices, Array, Array], Array]
"""Currents (n,), A, for vectors (n,), columns (n,) and the voltages (n,) of their supplies and grounds."""

MAX_ITERATIONS = 50
LEVELS = 4, 8, 16, 32, 64
"""Intervals between voltages of a line, each the half of those before."""
STEPS = 64
"""Of the integration: with a line that falls to a thousandth meanwhile, off by 1e-7 of the drop."""


def rail_of(spec: TileSpec, columns: int) -> NDArray[np.int64]:
    """(c,) which rail each column is on; columns beyond a tile's are those of the tiles beside it, with own rails.

    >>> from spicekit.circuits.spec import Wires
    >>> spec = TileSpec(rows=1, columns=3, wires=Wires(r_bl=1, r_sl=1, r_supply=1, rail_columns=2))
    >>> rail_of(spec, 5).tolist()
    [0, 0, 1, 2, 2]
    """
    tile, place = np.divmod(np.arange(columns), spec.columns)
    return np.asarray(tile * -(-spec.columns // spec.rail_columns) + place // spec.rail_columns)


def carried(spec: TileSpec, current: Array) -> Array:
    """(b, c) A that the rail of each column carries, for column currents (b, c)."""
    rail = rail_of(spec, current.shape[1])
    return np.asarray(np.add.reduceat(current, _starts(rail), axis=1)[:, rail])


def ends(spec: TileSpec, load: Array) -> tuple[Array, Array]:
    """Voltages of supply and ground, V, of rails that carry `load`, A; all of one shape."""
    return spec.v_read - spec.wires.r_supply * load, spec.wires.r_ground * load


def balance(spec: TileSpec, shape: tuple[int, int], currents: Currents, *, limit: float) -> Array:
    """Currents of columns on shared rails.

    Parameters
    ----------
    shape : (int, int)
        Vectors and columns, b and c.
    currents : function
        See `Currents`.
    limit : float
        A, for each column of a rail: by how much their sum may miss what the rail carries.

    Returns
    -------
    (b, c) float64 array, A

    Raises
    ------
    NotConverged
        If a rail misses the tolerance; as `currents` does.
    """
    rail = rail_of(spec, shape[1])
    first = _starts(rail)
    tolerance = limit * np.diff(first, append=shape[1])
    wires = spec.wires
    found = np.empty(shape)
    load = np.zeros((shape[0], len(first)))
    open_ = np.ones(load.shape, bool)
    low, high = np.zeros(load.shape), np.full(load.shape, spec.v_read / (wires.r_supply + wires.r_ground))
    before, missed = np.empty((2, *load.shape))
    for step in range(MAX_ITERATIONS):
        vector, column = np.nonzero(open_[:, rail])
        found[vector, column] = currents(vector, column, *ends(spec, load[:, rail][vector, column]))
        miss = np.add.reduceat(found, first, axis=1) - load
        open_ &= ~(np.abs(miss) <= tolerance)
        if not open_.any():
            return found
        low, high = np.where(miss > 0, load, low), np.where(miss > 0, high, load)
        if step == 0:
            high = np.minimum(miss, spec.v_read / (wires.r_supply + wires.r_ground))
            proposed = high
        else:
            with np.errstate(divide="ignore", invalid="ignore"):  # of rails that are done
                proposed = load - miss * (load - before) / (miss - missed)
            proposed = np.where((low < proposed) & (proposed < high), proposed, (low + high) / 2)
        before, missed = load, miss
        load = np.where(open_, proposed, load)
    vector, k = np.argwhere(open_)[0]
    raise NotConverged(
        f"rail {k} for vector {vector}: its columns miss what it carries by {miss[vector, k]:.3g} A after "
        f"{MAX_ITERATIONS} steps, tolerance {tolerance[k]:.3g} A ({open_.sum()} such rails)."
    )


def _starts(rail: NDArray[np.int64]) -> NDArray[np.int64]:
    """First column of each rail."""
    return np.flatnonzero(np.diff(rail, prepend=-1))


def mean_currents(spec: TileSpec, shape: tuple[int, int], currents: Currents, *, limit: float) -> Array:
    """Mean currents of columns while they discharge their lines; parameters as in `balance`.

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
