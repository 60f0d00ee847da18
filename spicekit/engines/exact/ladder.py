"""EXACT engine for word-line drive: each column is a two-rail ladder, solved by Newton's method.

With word lines driven, columns share no node but their rails, whose voltages `supply` finds: the cells of one column
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
from numba.extending import overload
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.compiled import compiled, run_tasks
from spicekit.engines.exact.supply import balance, mean_currents
from spicekit.errors import BadInput, NotConverged
from spicekit.provenance import JsonDict
from spicekit.tables.settling import line_capacitance
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
class Crossbar:
    """Cells between their lines, ready to be solved for many activation vectors."""

    spec: TileSpec
    table: IVTable
    weights: Bits
    """(r, c) stored bits; of word-line drive any number of columns."""
    scale: Array | None = None
    """(r, c) factor on each cell's current, finite and not negative; None where there is no mismatch."""

    def __post_init__(self) -> None:
        given, scale = self.weights.shape, self.factor
        expected = self.spec.rows, self.spec.columns if self.spec.drive == "bitline" else given[-1]
        if given != expected or scale.shape != expected:
            raise BadInput(f"Crossbar: weights and scale must be {expected}, got {given} and {scale.shape}.")
        if not ((scale >= 0) & np.isfinite(scale)).all():
            raise BadInput("Crossbar: scale must hold finite factors, 0 or more.")

    @property
    def factor(self) -> Array:
        """(r, c) `scale`, or ones."""
        return np.ones(self.weights.shape) if self.scale is None else self.scale


def decides(spec: TileSpec, table: IVTable) -> tuple[JsonDict, str, float | None]:
    """What a column's currents follow from, JSON-ready, for keys of caches: a capacitance is in no I-V table."""
    capacitance = line_capacitance(spec) if spec.discharge else None
    return spec.model_dump(mode="json", exclude={"columns"}), table.sha256, capacitance


@dataclass(frozen=True, eq=False)
class Solution:
    """Column currents of a batch, and how well Kirchhoff's law holds."""

    current: Array
    """(b, c) A, into the sense point; (n,) from `solve_reads`."""
    residual: Array
    """A, largest difference between a cell's linearised current and its table current."""


def solve(columns: Crossbar, bits: Bits) -> Solution:
    """Column currents of a word-line-driven tile.

    Parameters
    ----------
    bits : (b, r) uint8 array
        Activations, 0 or 1; rows that a read does not assert are 0.

    Raises
    ------
    BadInput
        If `bits` is not (b, r).
    NotConverged
        If a column misses the tolerance; names the first such column and its residual in A.
    """
    shape = len(bits), columns.weights.shape[1]
    spec, limit = columns.spec, residual_limit(columns.table)
    if not (spec.wires.railed or spec.discharge):
        found = solve_reads(columns, bits, *np.divmod(np.arange(shape[0] * shape[1]), shape[1]))
        return Solution(found.current.reshape(shape), found.residual.reshape(shape))
    residual = np.empty(shape)

    def currents(vector: Indices, column: Indices, supply: Array, ground: Array) -> Array:
        found = solve_reads(columns, bits, vector, column, ends=(supply, ground))
        residual[vector, column] = found.residual
        return found.current

    if spec.discharge:
        current = mean_currents(spec, shape, currents, limit=DISCHARGE_TOLERANCE / TOLERANCE * limit)
    else:
        current = balance(spec, shape, currents, limit=limit)
    return Solution(current, residual)


def solve_reads(
    columns: Crossbar,
    bits: Bits,
    vector: Indices,
    column: Indices,
    *,
    ends: tuple[Array, Array] | None = None,
) -> Solution:
    """Some of what `solve` gives: currents and residuals (n,) of `column` (n,) for `vector` (n,), both indices.

    `ends` are the voltages (n,) of supply and ground that each column sees, V; by default `v_read` and 0 V.
    """
    spec, table, wires = columns.spec, columns.table, columns.spec.wires
    if bits.ndim != 2 or bits.shape[1] != spec.rows:
        raise BadInput(f"solve: bits must be (b, {spec.rows}), got {bits.shape}.")
    limit = residual_limit(table)
    current, residual = np.empty((2, len(vector)))
    shared = (
        (0,) * (spec.sense_end == "far"),
        (bits, *(np.ascontiguousarray(each.T) for each in (columns.weights, columns.factor)), vector, column),
        table.patches,
        (float(table.voltage[0]), table.step),
        limit,
        ends or (np.full(len(vector), spec.v_read), np.zeros(len(vector))),
        (wires.r_driver, wires.r_sink, wires.segment("r_bl"), wires.segment("r_sl")),
        current,
        residual,
    )

    def task(number: int) -> None:
        rows = max(spec.rows, 4)  # as many as there are states, at the least
        arrays = (*np.empty((2, rows, LANES), np.uint8), *np.empty((5, rows, LANES)))
        lines = np.empty((spec.rows, 9 * LANES)), np.empty((4, 3 * LANES))
        _solve(number, *shared, (*arrays, *lines, np.empty((8, LANES))))

    run_tasks(task, -(-len(vector) // _READS))
    require_converged(residual, limit, vector, column, iterations=MAX_ITERATIONS)
    return Solution(current, residual)


def require_converged(residual: Array, limit: float, vector: Indices, column: Indices, *, iterations: int) -> None:
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
LANES = 16
"""Reads side by side in a processor's registers: one alone would wait for each of its divisions."""


def lanes(numbers: NDArray[np.floating]) -> int:
    """Reads side by side, of numbers of this type: half as many of 64 bits as of 32."""
    return LANES * 8 // numbers.itemsize


@overload(lanes)
def _lanes(numbers):  # type: ignore[no-untyped-def]
    count = LANES * 64 // numbers.dtype.bitwidth  # known when a loop is compiled
    return lambda numbers: count


@_kernel
def larger(worst, miss):  # type: ignore[no-untyped-def]
    """The larger one; NaN if either is, so that no limit is met by what is no number."""
    return miss if miss > worst or miss != miss else worst


@_kernel
def _cubic(patches, state, m, n, i, u):  # type: ignore[no-untyped-def]
    """The factor of t^i in an interval, and its slope."""
    a, b = patches[state, m, n, i], patches[state, m, n, 4 + i]
    c, d = patches[state, m, n, 8 + i], patches[state, m, n, 12 + i]
    return a + u * (b + u * (c + u * d)), b + u * (2 * c + u * (3 * d))


@_kernel
def spline_at(patches, state, x, y):  # type: ignore[no-untyped-def]
    """A bicubic spline's value and its slopes for an interval, `x` and `y` intervals from its first knot.

    `patches` (states, n, n, 16) are those of `IVTable.patches`.
    """
    last = patches.shape[1] - 1.0
    m = int(min(x, last))
    n = int(min(y, last))
    t, u = x - m, y - n
    p0, q0 = _cubic(patches, state, m, n, 0, u)
    p1, q1 = _cubic(patches, state, m, n, 1, u)
    p2, q2 = _cubic(patches, state, m, n, 2, u)
    p3, q3 = _cubic(patches, state, m, n, 3, u)
    value = p0 + t * (p1 + t * (p2 + t * p3))
    slope_x = p1 + t * (2 * p2 + t * (3 * p3))
    slope_y = q0 + t * (q1 + t * (q2 + t * q3))
    return value, slope_x, slope_y


@_kernel
def linearise(states, scale, patches, axis, b, s, i, cells, worst, row):  # type: ignore[no-untyped-def]
    """Set row `row` of `cells` (.., 3 n or more) to c of n cells at their voltages, behind them p, then q.

    `states`, `scale`, `b`, `s` and `i` are (.., n); `worst` (n,) is raised to how far `i` misses the table, A.
    """
    first, step = axis
    last = float(patches.shape[1])
    each = 1 / step
    n = b.shape[1]
    for k in range(n):
        x = min(max((b[row, k] - first) * each, 0.0), last)
        y = min(max((s[row, k] - first) * each, 0.0), last)
        value, slope_b, slope_s = spline_at(patches, states[row, k], x, y)
        value *= scale[row, k]
        p = max(slope_b * scale[row, k] * each, 0.0)
        q = min(slope_s * scale[row, k] * each, 0.0)
        worst[k] = larger(worst[k], abs(value - i[row, k]))
        cells[row, k] = value - p * (first + x * step) - q * (first + y * step)
        cells[row, n + k] = p
        cells[row, 2 * n + k] = q


@_kernel
def _solve(task, far, given, patches, axis, limit, ends, wires, current, residual, room):  # type: ignore[no-untyped-def]
    """Newton's method for some reads, side by side; `far` has a length where they are sensed there.

    A read is done when its own cells meet the limit: what stands beside it changes nothing.
    """
    bits, weights, scale, vectors, columns = given
    supply, ground = ends
    r_driver, r_sink, r_bl, r_sl = wires
    states, kinds, factor, ones, b, s, i, lines, began, few_lanes = room
    now, worst, done = few_lanes[:6].reshape(-1), few_lanes[6], few_lanes[7]
    rows = bits.shape[1]
    for first in range(task * _READS, min((task + 1) * _READS, len(vectors)), LANES):
        few = min(LANES, len(vectors) - first)
        for k in range(LANES):
            read = first + min(k, few - 1)
            vector, column = vectors[read], columns[read]
            done[k] = 0.0
            for state in range(4):
                kinds[state, k], ones[state, k] = state, 1.0
                b[state, k], s[state, k], i[state, k] = supply[read], ground[read], 0.0
            for row in range(rows):
                states[row, k] = 2 * weights[column, row] + bits[vector, row]
                factor[row, k] = scale[column, row]
        # no wire has a drop yet: cells of one state are alike
        for state in range(4):
            linearise(kinds, ones, patches, axis, b, s, i, began, worst, state)
        for row in range(rows):
            for part in range(3):
                for k in range(LANES):
                    lines[row, part * LANES + k] = factor[row, k] * began[states[row, k], part * LANES + k]
        for _ in range(MAX_ITERATIONS):
            now[:] = 0.0
            for k in range(LANES):
                now[3 * LANES + k] = ground[first + min(k, few - 1)]
                now[5 * LANES + k] = r_sink
            for row in range(rows - 1, -1, -1):
                wired = row < rows - 1
                if len(far):
                    up(lines, row, now, r_bl * wired, r_sl * wired)
                else:
                    _up_near(lines, row, now, r_bl * wired, r_sl * wired)
            for k in range(LANES):
                read = first + min(k, few - 1)
                now[k], now[LANES + k], now[2 * LANES + k] = supply[read], 0.0, ground[read]
            for row in range(rows):
                if len(far):
                    _down(lines, row, now, b, s, i, r_bl if row else r_driver)
                elif row:
                    _down_near(lines, row, now, b, s, i, r_bl, r_sl)
                else:
                    _down_near(lines, row, now, b, s, i, r_driver, r_sink)
            worst[:] = 0.0
            for row in range(rows):
                linearise(states, factor, patches, axis, b, s, i, lines, worst, row)
            left = 0
            for k in range(few):
                if done[k] == 0.0:
                    current[first + k], residual[first + k] = now[LANES + k], worst[k]
                    done[k] = worst[k] <= limit
                    left += done[k] == 0.0
            if left == 0:
                break


# One loop over lanes to a function, over a few arrays: a form in which Numba's compiler finds vector code. A row's line
# holds nine numbers for all lanes, of which the cell's c, p, q come first.


@_kernel
def up(lines, row, now, r_b, r_s):  # type: ignore[no-untyped-def]
    """Compose what hangs below a row with its wires and its cell: J = f + g b + h K and s = f2 + g2 b + h2 K."""
    n, one = lanes(now), now.dtype.type(1)
    for k in range(n):
        c, p, q = lines[row, k], lines[row, n + k], lines[row, 2 * n + k]
        f, g, h = now[k], now[n + k], now[2 * n + k]
        f2, g2, h2 = now[3 * n + k], now[4 * n + k], now[5 * n + k]
        pivot = one / (one + g * r_b)
        passed = g2 * r_b
        f, g, h = f * pivot, g * pivot, h * pivot
        f2, g2, h2 = f2 - passed * f, g2 - passed * g, h2 + r_s - passed * h
        pivot = one / (one - q * h2)
        # the cell seen from (b, K): i = c + p b + q K
        c, p, q = (c + q * f2) * pivot, (p + q * g2) * pivot, q * h2 * pivot
        f, g, h = f + h * c + c, g + h * p + p, h + h * q + q
        f2, g2, h2 = f2 + h2 * c, g2 + h2 * p, h2 + h2 * q
        lines[row, k], lines[row, n + k], lines[row, 2 * n + k] = c, p, q
        lines[row, 3 * n + k], lines[row, 4 * n + k], lines[row, 5 * n + k] = f, g, h
        lines[row, 6 * n + k], lines[row, 7 * n + k], lines[row, 8 * n + k] = f2, g2, h2
        now[k], now[n + k], now[2 * n + k] = f, g, h
        now[3 * n + k], now[4 * n + k], now[5 * n + k] = f2, g2, h2


@_kernel
def _down(lines, row, now, b, s, i, resistance):  # type: ignore[no-untyped-def]
    """A row's voltages and cell currents, from b and K that arrive from above."""
    n = LANES
    for k in range(n):
        voltage, K = now[k], now[n + k]
        f, g, h = lines[row, 3 * n + k], lines[row, 4 * n + k], lines[row, 5 * n + k]
        voltage -= resistance * ((f + g * voltage + h * K) / (1 + g * resistance))
        passed = lines[row, k] + lines[row, n + k] * voltage + lines[row, 2 * n + k] * K
        b[row, k], s[row, k], i[row, k] = (
            voltage,
            lines[row, 6 * n + k] + lines[row, 7 * n + k] * voltage + lines[row, 8 * n + k] * K,
            passed,
        )
        now[k], now[n + k] = voltage, K + passed


@_kernel
def _up_near(lines, row, now, r_b, r_s):  # type: ignore[no-untyped-def]
    """The same where both lines carry J = f + g b + h s."""
    n = LANES
    for k in range(n):
        f, g, h = now[k], now[n + k], now[2 * n + k]
        pivot = 1 / (1 + g * r_b - h * r_s)
        f, g, h = f * pivot + lines[row, k], g * pivot + lines[row, n + k], h * pivot + lines[row, 2 * n + k]
        lines[row, 3 * n + k], lines[row, 4 * n + k], lines[row, 5 * n + k] = f, g, h
        now[k], now[n + k], now[2 * n + k] = f, g, h


@_kernel
def _down_near(lines, row, now, b, s, i, r_b, r_s):  # type: ignore[no-untyped-def]
    """A row's voltages and cell currents, from b and s above; what the cells carry is added up, for the sense point."""
    n = LANES
    for k in range(n):
        above, ground = now[k], now[2 * n + k]
        f, g, h = lines[row, 3 * n + k], lines[row, 4 * n + k], lines[row, 5 * n + k]
        J = (f + g * above + h * ground) / (1 + g * r_b - h * r_s)
        above, ground = above - r_b * J, ground + r_s * J
        passed = lines[row, k] + lines[row, n + k] * above + lines[row, 2 * n + k] * ground
        b[row, k], s[row, k], i[row, k] = above, ground, passed
        now[k], now[2 * n + k] = above, ground
        now[n + k] += passed
