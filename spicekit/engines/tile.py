"""One tile through any of the four engines: bits in, column currents out; and what an engine expects of a deck."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.render import Expected
from spicekit.circuits.spec import TileSpec
from spicekit.engines import spice
from spicekit.engines.cell_currents import (
    NO_VARIATION,
    Variation,
    cell_currents_of,
    cell_sensitivity,
    factors,
    require_wordline,
    stick,
)
from spicekit.engines.exact import ladder, mesh
from spicekit.engines.exact.ladder import Crossbar
from spicekit.engines.fast import mesh as fast_mesh
from spicekit.engines.fast import mismatch, model
from spicekit.errors import BadInput, no_such
from spicekit.results import Report, silent
from spicekit.tables.store import find_table, table_for
from spicekit.tables.table import IVTable

Array = NDArray[np.float64]
Bits = NDArray[np.uint8]
EngineName = Literal["spice", "exact", "fast", "ideal"]


@dataclass(frozen=True, eq=False)
class Tile:
    """Stored bits in a tile, with the I-V table of its cell."""

    spec: TileSpec
    table: IVTable
    weights: Bits
    """(r, c) 0 or 1, as written."""
    variation: Variation = NO_VARIATION
    """Of its cells; by default they are all alike, and hold what is written."""

    def __post_init__(self) -> None:
        if not isinstance(self.variation, Variation):
            raise BadInput(f"Tile: expected a Variation, got {self.variation!r}; pass Variation(mismatch=1.0).")
        table_for(self.spec, self.table)
        check_bits("weights", self.weights, (self.spec.rows, self.spec.columns))

    @cached_property
    def held(self) -> Bits:
        """(r, c) bits that the cells hold."""
        return stick(self.weights, self.variation, place=_PLACE)

    @cached_property
    def factor(self) -> Array:
        """(r, c) on the current of each cell; raises as `cell_sensitivity` does."""
        if not self.variation.mismatch:
            return np.ones(self.weights.shape)
        return factors(self.held, self.variation, cell_sensitivity(self.spec, self.table), place=_PLACE)

    @property
    def crossbar(self) -> Crossbar:
        """The tile as the exact engine takes it; raises as `factor` does."""
        return Crossbar(self.spec, self.table, self.held, self.factor)


def column_currents(tile: Tile, bits: Bits, *, engine: EngineName) -> Array:
    """Currents into the sense points.

    Parameters
    ----------
    bits : (b, r) uint8 array
        Activations, 0 or 1. With `rows_active < rows`, the groups of rows are read one after the other and
        a vector's current is the sum over its reads.
    engine : {"spice", "exact", "fast", "ideal"}
        Falling fidelity: the full deck in ngspice, the nonlinear network with the I-V table, the surrogate,
        and the sum of cells held at `v_read` and 0 V.

    Returns
    -------
    (b, c) float64 array, A

    Raises
    ------
    BadInput
        If there is no such engine; `bits` is not (b, r) or holds anything but 0 and 1; the fast engine is not accurate
        enough for the spec;
        for mismatch with the spice engine, and with the fast one of bit-line drive.
    NotConverged, SpiceFailed
        From the exact and the spice engine.
    """
    return np.asarray(read_currents(tile, bits, engine=engine).sum(axis=1))


def read_currents(tile: Tile, bits: Bits, *, engine: EngineName, report: Report = silent) -> Array:
    """(b, groups, c) A: what `column_currents` adds up, for each read; same parameters and errors.

    `report` is told how far ngspice is, which alone of the engines is slow.
    """
    spec, engine = tile.spec, check_engine(engine)
    check_bits("inputs", bits, (len(bits) if bits.ndim else 0, spec.rows))
    if engine == "fast" and spec.drive == "wordline":
        current = model.read_currents(spec, tile.table, tile.held, bits)
        if tile.variation.mismatch:
            found = mismatch.passed(spec, tile.table, tile.variation)
            current += mismatch.shifts(found, cell_currents_of(spec, tile.table), tile.held, tile.factor, bits)
        return current
    if tile.variation.mismatch and engine == "fast":
        require_wordline(spec)
    if tile.variation.mismatch and engine == "spice":
        raise BadInput("the spice engine takes all cells as alike; use the exact engine for mismatch.")
    reads = one_read_each(spec, bits)
    if engine == "ideal":
        current = _ideal(tile, reads)
    elif engine == "spice":
        current = spice.solve(spec, tile.held, reads, report=report)
    elif engine == "fast":
        current = fast_mesh.column_currents(spec, tile.table, tile.held, reads)
    else:
        solve = ladder.solve if spec.drive == "wordline" else mesh.solve
        current = solve(tile.crossbar, reads).current
    return current.reshape(len(bits), spec.groups, spec.columns)


def check_engine(name: str) -> EngineName:
    """The name as an engine's, or `BadInput`."""
    if name not in get_args(EngineName):
        raise no_such("engine", name, get_args(EngineName))
    return cast(EngineName, name)


def one_read_each(spec: TileSpec, bits: Bits) -> Bits:
    """(b * groups, r): each vector once per read, with zeros where that read asserts no row."""
    masks = np.repeat(np.eye(spec.groups, dtype=np.uint8), spec.rows_active, axis=1)
    return (bits[:, None, :] * masks).reshape(-1, spec.rows)


def partial_sums(tile: Tile, current: Array, bits: Bits) -> Array:
    """Number of ON cells that currents stand for: (current - that of a column of zeros) / LSB.

    Parameters
    ----------
    current : (b, c) float64 array, A
    bits : (b, r) uint8 array
    """
    cells = cell_currents_of(tile.spec, tile.table)
    zeros = cells.zeros(bits.sum(axis=1, dtype=np.int64), reads=tile.spec.groups)
    return np.asarray((current - zeros[:, None]) / cells.lsb)


def check_bits(name: str, bits: NDArray[np.generic], shape: tuple[int, int]) -> None:
    """`BadInput` unless `bits` is a uint8 array of that shape with nothing but 0 and 1."""
    if bits.shape != shape:
        raise BadInput(f"{name}: expected bits shaped {shape}, got {bits.shape}.")
    if bits.dtype != np.uint8 or bits.max(initial=0) > 1:
        raise BadInput(f"{name}: expected uint8 bits, 0 or 1, got {bits.dtype} up to {bits.max(initial=0)}.")


_PLACE = "tile"  # of the cells that a variation is drawn for


def _ideal(tile: Tile, reads: Bits) -> Array:
    state = cell_currents_of(tile.spec, tile.table).state
    a = np.stack([1 - reads, reads]).astype(float)
    w = np.stack([1 - tile.held, tile.held]) * tile.factor
    return np.asarray(np.einsum("wa,abr,wrc->bc", state, a, w, optimize=True))


EXACT_LIMIT = 1e-4
"""Of the largest column current: what the exact engine is held to against ngspice."""


def expected_currents(
    spec: TileSpec, weights: Bits, inputs: Bits, *, engine: str = "exact", tolerance: float | None = None
) -> Expected:
    """Column currents of one read, with the limits on them.

    Parameters
    ----------
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
    (current,) = column_currents(_at_once(spec, weights), np.atleast_2d(inputs), engine=check_engine(engine))
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

    `BadInput` or `MissingTable` or `NotConverged` as the engine does.
    """
    expected = column_currents(_at_once(spec, weights), vectors, engine="exact")
    error = np.abs(current - expected)
    limit = EXACT_LIMIT * float(np.abs(expected).max())
    vector, column = np.unravel_index(int(error.argmax()), error.shape)
    return Agreement(int((error > limit).sum()), int(vector), int(column), float(error.max()), limit)


def _at_once(spec: TileSpec, weights: Bits) -> Tile:
    """The tile that reads all its rows at once."""
    one_read = spec.replace(rows_active=spec.rows)
    return Tile(one_read, find_table(one_read), weights)
