"""FAST engine for bit-line drive: a matrix product, and what it misses as a polynomial of the load.

Were its cells linear, a tile would be a matrix. Two facts give one that is nearly right. A row driven alone, with the
columns held at 0 V, delivers currents that the exact engine knows; the cells' non-linearity, the driver and the row's
wire are in them. And how these currents spread over columns and rows, the tile of linear cells says whose conductance
is the mean of a driven row's and an idle one's. With s the product of that matrix and the bits, the current is

    I = s (1 + P(s, S, t, p)).

P is what rows do to one another through cells that conduct more in a driven row than in an idle one: a polynomial of
degree 2 of the load of the column, s, and of the tile, t (the mean of s over the columns), of the column's weights, S
(what s would be with all rows on), and of the column's place p along the rows; s, S and t in LSB for each row.

The 15 coefficients are fitted for a spec to the exact engine, and the error that is left is measured on tiles that the
fit has not seen. A spec with too large an error is refused.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.compiled import compiled, run_tasks
from spicekit.engines.cache import Arrays, fitted, key_of
from spicekit.engines.cell_currents import lsb
from spicekit.engines.exact.ladder import Crossbar
from spicekit.engines.exact.mesh import cell_currents, linear_response, linearise, solve
from spicekit.engines.fast.wire_sums import sample_patterns
from spicekit.tables.table import IVTable

Array = NDArray[np.float64]
Bits = NDArray[np.uint8]

# LSB: a third of the rms error that rounding to whole LSB makes anyway, 1 / sqrt(12).
RMS_LIMIT = 0.1
# Tiles that a build solves, a third of them for the error alone, and column currents that it takes from each: 5,000
# for each coefficient.
TILES = 36
SAMPLES = 3200
SEED = 20_241_203  # of the sampled tiles, so that a build is reproducible


@dataclass(frozen=True, eq=False)
class Correction:
    """The polynomial of a spec, and how well it does."""

    coefficients: Array
    """(15,), in the order of `_terms`."""
    error: Array
    """(2,) LSB, on tiles that the fit has not seen: rms on the worst of them, and largest."""


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A tile, ready to be read many times."""

    matrix: Array
    """(r, c) A: what each row adds to each column."""
    factors: Array
    """(6, c): 1 + P as the factors of 1, s, t, s^2, s t and t^2."""
    unit: float
    """A, of s and t: an LSB for each row."""


def column_currents(spec: TileSpec, table: IVTable, weights: Bits, bits: Bits) -> Array:
    """(b, c) A, for weights (r, c) and activation bits (b, r); raises as `prepare` does."""
    return read(prepare(spec, table, weights), bits)


def prepare(spec: TileSpec, table: IVTable, weights: Bits) -> Surrogate:
    """The surrogate of a tile that stores `weights` (r, c).

    Raises as `correction` does.
    """
    model = correction(spec, table)
    matrix = _matrix(spec, table, weights)
    unit = spec.rows * lsb(spec, table)
    c, S, p = model.coefficients, matrix.sum(axis=0) / unit, _places(spec)
    factors = [
        1 + c[0] + S * (c[1] + S * c[2] + p * c[3]) + p * (c[4] + p * c[5]),
        c[6] + S * c[7] + p * c[8],
        c[9] + S * c[10] + p * c[11],
        *np.broadcast_to(c[12:, None], (3, spec.columns)),
    ]
    return Surrogate(matrix, np.array(factors), unit)


def read(surrogate: Surrogate, bits: Bits) -> Array:
    """(b, c) column currents in A for activation bits (b, r); bit for bit the same in any batch."""
    current = np.zeros((len(bits), surrogate.matrix.shape[1]))
    shared = bits, surrogate.matrix, surrogate.factors, surrogate.unit, current
    run_tasks(lambda vector: _read(vector, *shared), len(bits))
    return current


def correction(spec: TileSpec, table: IVTable) -> Correction:
    """The polynomial of a spec; fitted at the first call, in seconds for 64 x 64 cells, then cached.

    Raises
    ------
    BadInput
        If the error found for this spec is above `RMS_LIMIT`; names it.
    """
    found = fitted(
        key_of(__name__, spec.model_dump(mode="json"), table.sha256),
        lambda: _fit(spec, table),
        limit=RMS_LIMIT,
        what="the fast engine for bit-line drive",
        instead="Use the exact engine, lighter wires, a lower v_read, a smaller tile or cells of higher resistance.",
    )
    return Correction(**found)


def _matrix(spec: TileSpec, table: IVTable, weights: Bits) -> Array:
    ideal_columns = spec.replace(wires=spec.wires.replace(r_sink=0.0, r_col=0.0))
    alone = cell_currents(Crossbar(ideal_columns, table, weights), np.ones(spec.rows, np.uint8))
    p, q = _conductance(spec, table)
    return linear_response(spec, alone, p[weights], q[weights])


def _conductance(spec: TileSpec, table: IVTable) -> tuple[Array, Array]:
    """(2,) S by stored bit: rise of a cell's current with its row's voltage, fall with its column's.

    The mean of what they are in an idle row and in a driven one, with the column at 0 V.
    """
    states, row = np.array([1, 1, 3, 3]), np.tile([0.0, spec.v_read], 2)
    cell = np.empty((4, 3))
    axis = float(table.voltage[0]), table.step
    linearise(states, np.ones(4), table.conductance_patches, axis, row, np.zeros(4), cell)
    _, p, q = cell.reshape(2, 2, 3).mean(axis=1).T
    return p, -q


def _places(spec: TileSpec) -> Array:
    return np.arange(spec.columns) / spec.columns


def _terms(s: Array, S: Array, t: Array, p: Array) -> Array:
    """(15, b, c) all monomials of degree up to 2, of arrays that broadcast."""
    s, S, t, p = np.broadcast_arrays(s, S, t, p)
    idle = (np.ones_like(s), S, S**2, S * p, p, p**2)
    return np.stack([*idle, s, s * S, s * p, t, t * S, t * p, s**2, s * t, t**2])


def _fit(spec: TileSpec, table: IVTable) -> Arrays:
    rng = np.random.default_rng(SEED)
    unit = lsb(spec, table)
    designs, misses = [], []
    for tile in range(TILES):
        weights = _sample_weights(spec, clustered=bool(tile % 2), rng=rng)
        bits = sample_patterns(-(-SAMPLES // spec.columns), spec.rows, rng=rng)
        matrix = _matrix(spec, table, weights) / unit
        product = bits @ matrix
        s, S = product / spec.rows, matrix.sum(axis=0) / spec.rows
        terms = product * _terms(s, S, s.mean(axis=1, keepdims=True), _places(spec))
        designs.append(terms.reshape(len(terms), -1).T)
        misses.append((solve(Crossbar(spec, table, weights), bits).current / unit - product).ravel())
    seen = TILES * 2 // 3
    design, miss = np.concatenate(designs[:seen]), np.concatenate(misses[:seen])
    coefficients = np.linalg.lstsq(design, miss, rcond=None)[0]
    errors = [design @ coefficients - miss for design, miss in zip(designs[seen:], misses[seen:], strict=True)]
    rms = np.max([np.sqrt(np.mean(error**2)) for error in errors])  # NaN if one is, unlike `max`
    return {"coefficients": coefficients, "error": np.array([rms, np.abs(errors).max()])}


def _sample_weights(spec: TileSpec, *, clustered: bool, rng: np.random.Generator) -> Bits:
    """(r, c) stored bits: every column with an on-fraction of its own, half of them clustered; or one for all."""
    if clustered:
        return rng.permutation(sample_patterns(spec.columns, spec.rows, rng=rng)).T
    return (rng.random((spec.rows, spec.columns)) < rng.random()).astype(np.uint8)


_kernel: Any = compiled(error_model="numpy", nogil=True, fastmath={"contract", "nsz"})


@_kernel
def _read(vector, bits, matrix, factors, unit, current):  # type: ignore[no-untyped-def]
    """Set the currents (c,) of one of the vectors `bits` (b, r)."""
    rows, columns = matrix.shape
    total = current[vector]
    for row in range(rows):
        for j in range(columns):
            total[j] += bits[vector, row] * matrix[row, j]
    t = 0.0
    for j in range(columns):
        t += total[j]
    t /= columns * unit
    for j in range(columns):
        s = total[j] / unit
        total[j] *= (
            factors[0, j]
            + s * (factors[1, j] + s * factors[3, j] + t * factors[4, j])
            + t * (factors[2, j] + t * factors[5, j])
        )
