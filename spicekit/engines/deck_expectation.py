"""What an engine expects of a deck, so that the deck can check itself when ngspice runs it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.render import Bits, Expected
from spicekit.circuits.spec import TileSpec
from spicekit.engines.tile import Tile, check_engine, column_currents
from spicekit.tables.store import find_table

EXACT_LIMIT = 1e-4
"""Of the largest column current: what the exact engine is held to against ngspice."""


def expected_currents(
    spec: TileSpec, weights: Bits, inputs: Bits, *, engine: str = "exact", tolerance: float | None = None
) -> Expected:
    """Column currents of one read, with the limits on them.

    Parameters
    ----------
    spec : TileSpec
    weights : (r, c) uint8 array
    inputs : (r,) uint8 array
        All that are 1 are asserted in this one read.
    engine : {"exact", "fast", "ideal", "spice"}
    tolerance : float, optional
        A; `EXACT_LIMIT` of the largest current by default.

    Raises
    ------
    BadInput, MissingTable, NotConverged
        As the engine does.
    """
    one_read = spec.replace(rows_active=spec.rows)
    tile = Tile(one_read, find_table(one_read), weights)
    (current,) = column_currents(tile, np.atleast_2d(inputs), engine=check_engine(engine))
    if tolerance is None:
        tolerance = EXACT_LIMIT * float(np.abs(current).max())
    return Expected(current, tolerance)


@dataclass(frozen=True)
class Agreement:
    """Currents of many reads held against the exact engine's."""

    off: int
    """How many differ by more than the limit."""
    vector: int
    """Of the worst."""
    column: int
    error: float
    """A, of the worst."""
    limit: float
    """A: `EXACT_LIMIT` of the largest current."""


def compare_reads(spec: TileSpec, weights: Bits, vectors: Bits, current: NDArray[np.float64]) -> Agreement:
    """Hold the currents (b, c), A, of vectors (b, r), each one read, against the exact engine's.

    Raises
    ------
    BadInput, MissingTable, NotConverged
        As the engine does.
    """
    one_read = spec.replace(rows_active=spec.rows)
    tile = Tile(one_read, find_table(one_read), weights)
    expected = column_currents(tile, vectors, engine="exact")
    error = np.abs(current - expected)
    limit = EXACT_LIMIT * float(np.abs(expected).max())
    vector, column = np.unravel_index(int(error.argmax()), error.shape)
    return Agreement(int((error > limit).sum()), int(vector), int(column), float(error.max()), limit)
