"""Rails that columns share: what all of them carry lowers the supply, and raises the ground, that each one sees.

A column's current enters from the supply rail and leaves into the ground rail, so that one unknown for each rail is
enough: the current T that all its columns carry together. For a given T the columns are independent, their ends at
`v_read` - `r_supply` T and at `r_ground` T, and T must be the sum of what they then deliver,

    F(T) = sum_j I_j(T) - T = 0.

No column's current rises with T, so F falls with a slope of -1 or steeper: there is one root, between 0 and the sum at
T = 0, and never beyond the T at which both rails meet. Secant steps find it, kept inside that bracket.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.errors import NotConverged

Array = NDArray[np.float64]
Indices = NDArray[np.integer]

MAX_ITERATIONS = 50


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


def balance(
    spec: TileSpec,
    shape: tuple[int, int],
    currents: Callable[[Indices, Indices, Array, Array], Array],
    *,
    limit: float,
) -> Array:
    """Currents of columns on shared rails.

    Parameters
    ----------
    spec : TileSpec
    shape : (int, int)
        Vectors and columns, b and c.
    currents : function
        Currents (n,), A, for vectors (n,), columns (n,) and the voltages (n,) of their supplies and grounds.
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
