"""EXACT engine for word-line drive: each column is a two-rail ladder, solved by Newton's method.

With word lines driven, columns share no node but their rails, whose voltages `rails` finds: the cells of one column
sit between its bit line and its source line. A cell linearised at its present voltages is i = c + p b + q s
(p >= 0 >= q). What hangs below row k is then an affine two-port: one sweep from the last row to the first composes
these two-ports, a second sweep back recovers every voltage. No division by a resistance occurs, so an ideal wire is
simply r = 0, and every pivot is >= 1, so the sweep is stable for any wire.

* sense end `near`: both rails carry the same current J into the part from row k on (Kirchhoff), so that
  J = f + g b + h s.
* sense end `far`: driven from the top and sensed at the bottom; with K the source-line current that arrives
  from above, J = f + g b + h K and s = f' + g' b + h' K.

The wires are satisfied exactly in every iteration; what Newton's method drives to zero is the difference
between a cell's linearised current and its current in the table.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.compiled import compiled, run_tasks
from spicekit.engines.exact.discharge import mean_currents
from spicekit.engines.exact.rails import balance
from spicekit.errors import BadInput, NotConverged
from spicekit.tables.table import IVTable

Array = NDArray[np.float64]
Bits = NDArray[np.uint8]
Indices = NDArray[np.integer]

MAX_ITERATIONS = 50
# Kirchhoff residual that ends the iteration, as a fraction of the table's largest ON current. Newton's
# method squares the error in each step, so what is left is far below it: 1e-7 is a hundredth of what the
# interpolation of the table leaves.
TOLERANCE = 1e-7
# The same of a mean current while a line is discharged: a hundred-thousandth of an ON cell's current.
DISCHARGE_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Ladder:
    """The columns of a tile with word-line drive, ready to be solved for many activation vectors."""

    spec: TileSpec
    table: IVTable
    weights: Bits
    """(r, c) stored bits; any number of columns."""
    scale: Array
    """(r, c) factor on each cell's current, not negative; ones where there is no mismatch."""

    def __post_init__(self) -> None:
        check_cells("Ladder", self.weights, self.scale, (self.spec.rows, *self.weights.shape[1:2]))


def check_cells(name: str, weights: Bits, scale: Array, shape: tuple[int, ...]) -> None:
    """`BadInput` unless stored bits and factors are (r, c) of that shape, and the factors finite and not negative."""
    if len(shape) != 2 or weights.shape != shape or scale.shape != shape:
        raise BadInput(f"{name}: weights and scale must be {shape}, got {weights.shape} and {scale.shape}.")
    if not ((scale >= 0) & np.isfinite(scale)).all():
        raise BadInput(f"{name}: scale must hold finite factors, 0 or more.")


def ladder_of(spec: TileSpec, table: IVTable, weights: Bits) -> Ladder:
    """The columns that store `weights` (r, c), without mismatch."""
    return Ladder(spec, table, weights, np.ones(weights.shape))


@dataclass(frozen=True, eq=False)
class Solution:
    """Column currents of a batch, and how well Kirchhoff's law holds."""

    current: Array
    """(b, c) A, into the sense point; (n,) from `solve_reads`."""
    residual: Array
    """A, largest difference between a cell's linearised current and its table current."""


def solve(ladder: Ladder, bits: Bits) -> Solution:
    """Column currents of a word-line-driven tile.

    Parameters
    ----------
    ladder : Ladder
    bits : (b, r) uint8 array
        Activations, 0 or 1; rows that a read does not assert are 0.

    Raises
    ------
    BadInput
        If `bits` is not (b, r).
    NotConverged
        If a column misses the tolerance; names the first such column and its residual in A.
    """
    shape = len(bits), ladder.weights.shape[1]
    spec, limit = ladder.spec, residual_limit(ladder.table)
    if not (spec.wires.railed or spec.discharge):
        found = solve_reads(ladder, bits, *np.divmod(np.arange(shape[0] * shape[1]), shape[1]))
        return Solution(found.current.reshape(shape), found.residual.reshape(shape))
    residual = np.empty(shape)

    def currents(vector: Indices, column: Indices, supply: Array, ground: Array) -> Array:
        found = solve_reads(ladder, bits, vector, column, ends=(supply, ground))
        residual[vector, column] = found.residual
        return found.current

    if spec.discharge:
        current = mean_currents(spec, shape, currents, limit=DISCHARGE_TOLERANCE / TOLERANCE * limit)
    else:
        current = balance(spec, shape, currents, limit=limit)
    return Solution(current, residual)


def solve_reads(
    ladder: Ladder, bits: Bits, vector: Indices, column: Indices, *, ends: tuple[Array, Array] | None = None
) -> Solution:
    """Some of what `solve` gives: currents and residuals (n,) of `column` (n,) for `vector` (n,), both indices.

    `ends` are the voltages (n,) of supply and ground that each column sees, V; by default `v_read` and 0 V.
    """
    spec, table, wires = ladder.spec, ladder.table, ladder.spec.wires
    if bits.ndim != 2 or bits.shape[1] != spec.rows:
        raise BadInput(f"solve: bits must be (b, {spec.rows}), got {bits.shape}.")
    limit = residual_limit(table)
    current, residual = np.empty((2, len(vector)))
    shared = (
        spec.sense_end == "near",
        bits,
        np.ascontiguousarray(ladder.weights.T),
        np.ascontiguousarray(ladder.scale.T),
        (vector, column),
        (table.spline, (float(table.voltage[0]), table.step)),
        limit,
        ends or (np.full(len(vector), spec.v_read), np.zeros(len(vector))),
        (wires.r_driver, wires.r_sink, wires.segment("r_bl"), wires.segment("r_sl")),
        (current, residual),
    )

    def task(number: int) -> None:
        states, lines = np.empty(spec.rows, np.uint8), np.empty((3, spec.rows))
        _solve(number, *shared, states, lines, np.empty((spec.rows, 3)), np.empty((spec.rows, 6)))

    run_tasks(task, -(-len(vector) // _READS))
    require_converged(residual, limit, vector, column, iterations=MAX_ITERATIONS)
    return Solution(current, residual)


def require_converged(
    residual: Array, limit: float, vector: Indices, column: Indices, *, iterations: int
) -> None:
    """`NotConverged` if one of the residuals (n,), A, is above the limit or no number; names its vector and column."""
    missed = np.flatnonzero(~(residual <= limit))
    if len(missed):
        read = missed[0]
        raise NotConverged(
            f"column {column[read]} for vector {vector[read]}: Kirchhoff residual {residual[read]:.3g} A after "
            f"{iterations} iterations, tolerance {limit:.3g} A ({len(missed)} such columns)."
        )


def residual_limit(table: IVTable) -> float:
    """Largest miss of a cell's table current that ends the iteration, A."""
    return TOLERANCE * float(abs(table.current[1, 1]).max())


_kernel: Any = compiled(error_model="numpy", nogil=True, fastmath={"contract", "nsz"})
_READS = 256  # that a thread solves at a time


@_kernel
def larger(worst, miss):  # type: ignore[no-untyped-def]
    """The larger one; NaN if either is, so that no limit is met by what is no number."""
    return miss if miss > worst or miss != miss else worst


@_kernel
def spline_at(patch, x, y):  # type: ignore[no-untyped-def]
    """36 times the value of a bicubic B-spline, and 12 times its slopes, `x` and `y` intervals from its first knot."""
    last = patch.shape[0] - 4.0
    m = int(min(x, last))
    n = int(min(y, last))
    t = x - m
    u = y - n
    t1 = 1 - t
    u1 = 1 - u
    # cubic B-splines times 6, their derivatives times 2 (de Boor 1978)
    w0, w1, w2, w3 = t1 * t1 * t1, 4 + t * t * (3 * t - 6), 1 + t * (3 + t * (3 - 3 * t)), t * t * t
    d0, d1, d2, d3 = -t1 * t1, t * (3 * t - 4), 1 + t * (2 - 3 * t), t * t
    v0, v1, v2, v3 = u1 * u1 * u1, 4 + u * u * (3 * u - 6), 1 + u * (3 + u * (3 - 3 * u)), u * u * u
    e0, e1, e2, e3 = -u1 * u1, u * (3 * u - 4), 1 + u * (2 - 3 * u), u * u
    value = 0.0
    slope_x = 0.0
    slope_y = 0.0
    for k in range(4):
        w = w0 if k == 0 else w1 if k == 1 else w2 if k == 2 else w3
        d = d0 if k == 0 else d1 if k == 1 else d2 if k == 2 else d3
        f0, f1, f2, f3 = patch[m + k, n], patch[m + k, n + 1], patch[m + k, n + 2], patch[m + k, n + 3]
        line = v0 * f0 + v1 * f1 + v2 * f2 + v3 * f3
        value += w * line
        slope_x += d * line
        slope_y += w * (e0 * f0 + e1 * f1 + e2 * f2 + e3 * f3)
    return value, slope_x, slope_y


@_kernel
def linearise(states, scale, spline, axis, b, s, i, cell):  # type: ignore[no-untyped-def]
    """Set `cell` to (c, p, q) of every row at its voltages; return the largest miss of `i`, A."""
    first, step = axis
    last = spline.shape[1] - 4.0
    worst = 0.0
    for row in range(len(b)):
        x = min(max((b[row] - first) / step, 0.0), last + 1)
        y = min(max((s[row] - first) / step, 0.0), last + 1)
        value, slope_b, slope_s = spline_at(spline[states[row]], x, y)
        value *= scale[row] / 36
        p = max(slope_b * scale[row] / (12 * step), 0.0)
        q = min(slope_s * scale[row] / (12 * step), 0.0)
        worst = larger(worst, abs(value - i[row]))
        cell[row, 0] = value - p * (first + x * step) - q * (first + y * step)
        cell[row, 1] = p
        cell[row, 2] = q
    return worst


@_kernel
def _solve(  # type: ignore[no-untyped-def]
    task, near, bits, weights, scale, reads, table, limit, ends, wires, found, states, lines, cell, below
):
    """Set `found`, current and residual, of some reads; the last four are room for a column."""
    (vectors, columns), (spline, axis), (current, residual) = reads, table, found
    b, s, i = lines
    for read in range(task * _READS, min((task + 1) * _READS, len(vectors))):
        vector, column = vectors[read], columns[read]
        supply, ground = ends[0][read], ends[1][read]
        for row in range(len(b)):
            states[row] = 2 * weights[column, row] + bits[vector, row]
            b[row], s[row], i[row] = supply, ground, 0.0
        total = 0.0
        worst = linearise(states, scale[column], spline, axis, b, s, i, cell)
        for _ in range(MAX_ITERATIONS):
            if near:
                total = _sweep_near(supply, ground, wires, b, s, i, cell, below)
            else:
                total = _sweep_far(supply, ground, wires, b, s, i, cell, below)
            worst = linearise(states, scale[column], spline, axis, b, s, i, cell)
            if worst <= limit:
                break
        current[read] = total
        residual[read] = worst


@_kernel
def _sweep_far(supply, ground, wires, b, s, i, cell, below):  # type: ignore[no-untyped-def]
    """Voltages and currents of a column of linear cells; its current."""
    r_driver, r_sink, r_bl, r_sl = wires
    # J = f + g b + h K and s = f2 + g2 b + h2 K, composed from the last row to the first
    f, g, h, f2, g2, h2 = 0.0, 0.0, 0.0, ground, 0.0, r_sink
    for row in range(len(b) - 1, -1, -1):
        if row < len(b) - 1:
            pivot = 1 / (1 + g * r_bl)
            f, g, h = f * pivot, g * pivot, h * pivot
            f2 -= g2 * r_bl * f
            h2 += r_sl - g2 * r_bl * h
            g2 -= g2 * r_bl * g
        c, p, q = cell[row, 0], cell[row, 1], cell[row, 2]
        pivot = 1 / (1 - q * h2)
        c, p, q = (c + q * f2) * pivot, (p + q * g2) * pivot, q * h2 * pivot  # i = c + p b + q K
        cell[row, 0], cell[row, 1], cell[row, 2] = c, p, q
        f, g, h = f + h * c + c, g + h * p + p, h + h * q + q
        f2, g2, h2 = f2 + h2 * c, g2 + h2 * p, h2 + h2 * q
        below[row, 0], below[row, 1], below[row, 2] = f, g, h
        below[row, 3], below[row, 4], below[row, 5] = f2, g2, h2
    K, voltage, resistance = 0.0, supply, r_driver
    for row in range(len(b)):
        f, g, h = below[row, 0], below[row, 1], below[row, 2]
        f2, g2, h2 = below[row, 3], below[row, 4], below[row, 5]
        J = (f + g * voltage + h * K) / (1 + g * resistance)
        voltage -= resistance * J
        resistance = r_bl
        b[row] = voltage
        s[row] = f2 + g2 * voltage + h2 * K
        i[row] = cell[row, 0] + cell[row, 1] * voltage + cell[row, 2] * K
        K += i[row]
    return K


@_kernel
def _sweep_near(supply, ground, wires, b, s, i, cell, below):  # type: ignore[no-untyped-def]
    """As `_sweep_far`."""
    r_driver, r_sink, r_bl, r_sl = wires
    # J = f + g b + h s, composed from the last row to the first
    f, g, h = 0.0, 0.0, 0.0
    for row in range(len(b) - 1, -1, -1):
        pivot = 1 / (1 + g * r_bl - h * r_sl)
        f, g, h = f * pivot + cell[row, 0], g * pivot + cell[row, 1], h * pivot + cell[row, 2]
        below[row, 0], below[row, 1], below[row, 2] = f, g, h
    total = (f + g * supply + h * ground) / (1 + g * r_driver - h * r_sink)
    b_above, s_above = supply, ground
    r_b, r_s = r_driver, r_sink
    for row in range(len(b)):
        f, g, h = below[row, 0], below[row, 1], below[row, 2]
        J = (f + g * b_above + h * s_above) / (1 + g * r_b - h * r_s)
        b_above -= r_b * J
        s_above += r_s * J
        r_b, r_s = r_bl, r_sl
        b[row], s[row] = b_above, s_above
        i[row] = cell[row, 0] + cell[row, 1] * b_above + cell[row, 2] * s_above
    return total
