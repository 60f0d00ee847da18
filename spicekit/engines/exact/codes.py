"""Codes of whole networks' reads by the exact engine: a thousand times slower than the fast one, which it checks.

A converter asks which code a current has, not for its seventh digit. Most currents take one step of Newton's method. It
starts from voltages that are nearly right for the number of ON cells in the column: those of a column whose cells all
carry the same part of an ON cell's current. Rows that a read does not assert are taken as wires alone. What all this
leaves is bounded, so that a code far enough from a threshold is the exact one; the others are for `ladder.solve`.

The bound. After the step the wires are satisfied exactly, and each cell misses its table current by what the tangent
leaves: at most H (|db| + |ds|)^2 / 2, where db and ds are how far its terminals moved from the starting point, and H is
the largest second derivative of the table's spline on the way; in a row that is not asserted, by its leak. So the
voltages are those of a column with as many small current sources beside its cells. As a cell's current rises with b and
falls with s, the nodes' conductances, taken between both solutions, are an M-matrix whose columns add up to 0 or more:
of the current that enters at a node, parts between 0 and 1 leave at driver and sink. A source that takes current from
one node to another therefore changes the sensed current by no more than its own.

Derivatives of a B-spline lie between the smallest and the largest difference of its coefficients, of first or second
order (de Boor, A Practical Guide to Splines, 1978). The first ones tell where currents rise with b and fall with s.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.compiled import compiled, run_tasks
from spicekit.engines.cell_currents import cell_currents_of
from spicekit.engines.converter import Thresholds, convert
from spicekit.engines.exact.ladder import Crossbar, lanes, linearise, residual_limit, solve, solve_reads, up
from spicekit.engines.lanes import FLOAT, INT64, Lanes, transposed
from spicekit.engines.words import Applied, Stored, layout_of, unpack
from spicekit.errors import BadInput
from spicekit.tables.table import IVTable, interpolate


@dataclass(frozen=True, eq=False)
class ExactCodes:
    """A converter behind columns that are solved one by one."""

    spec: TileSpec
    table: IVTable
    thresholds: Thresholds

    @property
    def step(self) -> float:
        """Partial sum that one code stands for."""
        return self.thresholds.step

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        """(p, c_out) signed codes of all reads of each dot product, added. `NotConverged` as in `ladder.solve`."""
        sums = np.zeros((applied.vectors, stored.words.shape[-1]), np.float32)
        for group, tiles in enumerate(stored.tiles):
            for tile in range(tiles):
                sums += self.signed_codes(stored, applied, group=group, tile=tile)
        return sums

    def signed_codes(self, stored: Stored, applied: Applied, *, group: int, tile: int) -> NDArray[np.int32]:
        """(p, c_out) codes of one read of one tile; negative where only weights, or only inputs, are inverted."""
        layout, m = layout_of(self.spec.rows_active), self.spec.rows_active
        given, turned = (
            part[:, group, tile].reshape(applied.vectors, -1) for part in (applied.words, applied.inverted)
        )
        words, place = np.unique(given, axis=0, return_inverse=True)
        bits = np.zeros((len(words), self.spec.rows), np.uint8)
        bits[:, group * m : (group + 1) * m] = unpack(words, layout)
        # (groups, c_out, m) bits of the whole tile: cells of the groups that are not asserted leak
        cells = unpack(stored.words[:, tile].transpose(0, 2, 1), layout)
        weights = cells.transpose(0, 2, 1).reshape(self.spec.rows, -1)
        codes = self._codes(weights, bits, group)[place.ravel()]
        flipped = stored.inverted[group, tile] ^ turned.astype(bool)
        return np.asarray(np.negative(codes, out=codes, where=flipped))

    def _codes(self, weights: NDArray[np.uint8], bits: NDArray[np.uint8], group: int) -> NDArray[np.int32]:
        """(b, c) codes; columns are solved to the last digit where one step leaves more than one code possible."""
        outputs, railed = weights.shape[1], self.spec.wires.railed
        slow = self.spec.sense_end == "near" or railed or self.spec.discharge
        if railed:  # a tile's columns without outputs leak into its rails
            weights = np.pad(weights, ((0, 0), (0, -outputs % self.spec.columns)))
        columns = Crossbar(self.spec, self.table, weights)
        zeros = cell_currents_of(self.spec, self.table).zeros(bits.sum(axis=1, dtype=np.int64))
        if slow:
            exact = solve(columns, bits).current[:, :outputs]
            return convert(self.thresholds, exact - zeros[:, None]).astype(np.int32)
        current, bound = first_step(start_of(self.spec, self.table, group), weights, bits)
        codes, open_ = np.empty(current.shape, np.int32), np.empty(current.shape, np.bool_)
        shared = self.thresholds.current, zeros, current, bound, codes, open_
        run_tasks(lambda task: _decide(task, *shared), -(-len(bits) // _VECTORS))
        vector, column = np.nonzero(open_)
        exact = solve_reads(columns, bits, vector, column).current
        codes[vector, column] = convert(self.thresholds, exact - zeros[vector])
        return codes


Array = NDArray[np.float64]
Bits = NDArray[np.uint8]

# Fixed-point steps towards the starting voltages, each half of the way. Any voltages inside the table will do: nearer
# ones leave fewer columns open.
_STEPS = 30
ROUNDING, ROUNDED_V = 5e-7, 1e-5
"""What single precision takes from the step: a share of the current for each row, and V. Ten and four times the most by
which it is off double precision, over both cells, 16 to 256 rows and 0 to 100 ohm (5e-8 and 2.6e-6 V). Rounding errors
of the elimination are as small as those of its conductances, all positive, to which a current has sensitivities that
add up to 1."""


@dataclass(frozen=True, eq=False)
class Start:
    """Where columns of one tile start when the rows of one group are read."""

    spec: TileSpec
    table: IVTable
    cells: NDArray[np.float32]
    """(r, m + 1, 8) by row and number of ON cells: c, p and q of an asserted cell's current c + p b + q s where it is
    OFF, then where it is ON, and b and s there, V."""
    curvature: Array
    """(2, k - 1, k - 1) A/V^2, largest second derivative of an asserted cell by stored bit, from an interval of b on up
    to `v_read` and up to an interval of s; infinite where currents do not rise with b and fall with s throughout."""
    leak: float
    """A, most that a cell carries whose row is not asserted."""


@lru_cache(maxsize=16)
def start_of(spec: TileSpec, table: IVTable, group: int) -> Start:
    """Starting voltages and what belongs to them; `BadInput` for tiles that the step is not for."""
    if spec.drive != "wordline" or spec.sense_end != "far" or spec.wires.railed or spec.discharge:
        raise BadInput(
            "start_of: only columns with word-line drive, sensed at their far end, without shared rails or discharge."
        )
    b, s = _mean_voltages(spec, table, group)
    axis = (float(table.voltage[0]), table.step)
    tangent, nothing = np.empty((2, 1, 3 * b.size)), np.zeros((2, 1, b.size))
    for weight in (0, 1):
        alike = np.full((1, b.size), 2 * weight + 1, np.uint8), np.ones((1, b.size))
        voltages = b.reshape(1, -1), s.reshape(1, -1)
        linearise(*alike, table.patches, axis, *voltages, nothing[0], tangent[weight], nothing[1, 0], 0)
    cells = np.stack([*tangent.reshape(6, *b.shape), b, s]).T.astype(np.float32, order="C")
    leak = float(abs(cell_currents_of(spec, table).state[:, 0]).max())
    return Start(spec, table, cells, _curvature(table, spec.v_read), leak)


def first_step(start: Start, weights: Bits, bits: Bits) -> tuple[Array, Array]:
    """Currents after one step, and bounds on their errors.

    Parameters
    ----------
    weights : (r, c) uint8 array
        Stored bits.
    bits : (b, r) uint8 array
        Activations; 0 in rows of other groups.

    Returns
    -------
    current, bound : (b, c) float64 arrays, A
        The exact engine's current is within the bound, its own tolerance included; infinite where nothing is known.
    """
    spec, table, found = start.spec, start.table, one_step(start, weights, bits)
    axis = float(table.voltage[0]), float(table.voltage[-1]), table.step
    missed = spec.rows * (start.leak + residual_limit(table))
    bound = np.empty(found.shape[1:])
    run_tasks(
        lambda task: _bound(task, found, start.curvature, axis, missed, ROUNDING * spec.rows, bound),
        -(-len(bits) // _VECTORS),
    )
    return found[0], bound


def one_step(start: Start, weights: Bits, bits: Bits) -> Array:
    """(5, b, c), of `first_step`'s parameters: what the step finds, and how far it went.

    The current, A; (|db| + |ds|)^2 added over the asserted cells that are OFF, and that are ON, V^2; the lowest b and
    the highest s, V, before or after the step.
    """
    spec, wires = start.spec, start.spec.wires
    resistances = wires.r_driver, wires.r_sink, wires.segment("r_bl"), wires.segment("r_sl")
    found = np.empty((5, len(bits), weights.shape[1]))
    single = np.float32(spec.v_read), tuple(np.float32(each) for each in resistances)
    shared = bits, weights, start.cells, *single, found

    def task(number: int) -> None:
        whole = np.empty(spec.rows, np.int64), np.empty(LANES, np.int64)
        _step(
            number,
            *shared,
            *whole,
            np.zeros((spec.rows, 12 * LANES), np.float32),
            np.empty(6 * LANES, np.float32),
        )

    run_tasks(task, -(-len(bits) // _VECTORS))
    return found


def _mean_voltages(spec: TileSpec, table: IVTable, group: int) -> tuple[Array, Array]:
    """(m + 1, r) V of both lines, if n = 0..m ON cells were spread evenly over the m rows of a read."""
    m, wires = spec.rows_active, spec.wires
    asserted = np.arange(spec.rows) // m == group
    share = np.arange(m + 1)[:, None] / m * asserted
    above = np.full(spec.rows, wires.segment("r_bl"))
    below = np.full(spec.rows, wires.segment("r_sl"))
    above[0], below[-1] = wires.r_driver, wires.r_sink
    on = np.full(share.size, 3)
    current = np.zeros(share.shape)
    for _ in range(_STEPS):
        b = spec.v_read - (above * current[:, ::-1].cumsum(axis=1)[:, ::-1]).cumsum(axis=1)
        s = (below * current.cumsum(axis=1))[:, ::-1].cumsum(axis=1)[:, ::-1]
        b, s = (np.clip(v, 0, spec.v_read) for v in (b, s))
        cells = interpolate(table, on, b.ravel(), s.ravel()).reshape(share.shape)
        current = (current + share * cells) / 2
    return b, s


def _curvature(table: IVTable, v_read: float) -> Array:
    asserted = table.spline[1::2]
    largest = np.full((2, len(table.voltage) - 1, len(table.voltage) - 1), np.inf)
    seconds = (
        (np.diff(asserted, 2, axis=1), (2, 4)),
        (np.diff(asserted, 2, axis=2), (4, 2)),
        (np.diff(np.diff(asserted, axis=1), axis=2), (3, 3)),
    )
    per_interval = [sliding_window_view(abs(d), window, (1, 2)).max(axis=(3, 4)) for d, window in seconds]
    rising = sliding_window_view(np.diff(asserted, axis=1), (3, 4), (1, 2)).min(axis=(3, 4)) >= 0
    falling = sliding_window_view(np.diff(asserted, axis=2), (4, 3), (1, 2)).max(axis=(3, 4)) <= 0
    second = np.where(rising & falling, np.max(per_interval, axis=0) / table.step**2, np.inf)
    # intervals of b, the one that begins at `v_read` included
    used = int((v_read - table.voltage[0]) / table.step) + 1
    from_b_on = np.maximum.accumulate(second[:, :used][:, ::-1], axis=1)[:, ::-1]
    largest[:, :used] = np.maximum.accumulate(from_b_on, axis=2)
    return largest


_kernel: Any = compiled(error_model="numpy", nogil=True, fastmath={"contract", "nsz"})
_VECTORS = 32  # that a thread takes at a time
LANES = 32
"""Columns side by side: `lanes` of single precision."""


@_kernel
def _step(task, bits, weights, cells, v_read, wires, found, asserted, n, lines, now):  # type: ignore[no-untyped-def]
    """`one_step` of some vectors: the two sweeps of `ladder`, for columns side by side.

    The last four are its room: asserted rows (r,), ON cells (LANES,), twelve numbers for each row (r, 12 LANES), of
    which the last three are b and s before the step and whether the cell is ON, and what goes along the column.
    """
    rows, columns = weights.shape
    r_driver, r_sink, r_bl, r_sl = wires
    last = 11 * LANES
    for vector in range(task * _VECTORS, min((task + 1) * _VECTORS, len(bits))):
        few = 0
        for row in range(rows):
            if bits[vector, row]:
                asserted[few] = row
                few += 1
        for start in range(0, columns, LANES):
            width = min(LANES, columns - start)
            n[:] = 0
            for place in range(few):
                for k in range(width):
                    held = weights[asserted[place], start + k]
                    lines[place, last + k] = np.float32(held)
                    n[k] += held
            now[:] = np.float32(0)  # f, g, h, f2, g2, h2
            now[5 * LANES :] = r_sink
            for place in range(few - 1, -1, -1):
                row = asserted[place]
                _set_cells(cells, row * cells.shape[1], n, lines, place)
                segments = np.float32((asserted[place + 1] if place + 1 < few else rows - 1) - row)
                up(lines, place, now, segments * r_bl, segments * r_sl)
            now[:] = np.float32(0)  # b, K, lowest b, highest s, way^2 of all cells, of ON cells
            for k in range(LANES):
                now[k] = now[2 * LANES + k] = v_read
            for place in range(few):
                above = np.float32(asserted[place] - asserted[place - 1] if place else asserted[place])
                _down(lines[place], now, r_bl * above if place else r_driver + r_bl * above)
            for k in range(width):
                found[0, vector, start + k] = now[LANES + k]
                found[1, vector, start + k] = now[4 * LANES + k] - now[5 * LANES + k]
                found[2, vector, start + k] = now[5 * LANES + k]
                found[3, vector, start + k] = now[2 * LANES + k]
                found[4, vector, start + k] = now[3 * LANES + k]


@intrinsic
def _set_cells(context, cells, first, n, lines, place):  # type: ignore[no-untyped-def]
    """Set c, p, q and b, s of line `place`, of the `cells` at `first` + `n`, by whether each is ON.

    A cell's eight numbers are one load, and eight columns are turned round at a time.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        table, counts, out = (
            context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in (0, 2, 3)
        )
        kind = ir.VectorType(FLOAT, 8)
        start = builder.mul(arguments[4], INT64(12 * LANES))

        def line(part: int, lane: int) -> Any:
            return builder.gep(out, [builder.add(start, INT64(part * LANES + lane))])

        for lane in range(0, LANES, 8):
            taken = []
            for k in range(8):
                count = builder.load(builder.gep(counts, [INT64(lane + k)]))
                cell = builder.shl(builder.add(arguments[1], count), INT64(3))
                taken.append(Lanes.load(builder, builder.gep(table, [cell]), kind).value)
            off, on, ends = (lambda t: (t[:3], t[3:6], t[6:]))(transposed(builder, taken))
            stored = Lanes.load(builder, line(11, lane), kind).value
            is_on = builder.fcmp_ordered("!=", stored, ir.Constant(kind, [0.0] * 8))
            chosen = [builder.select(is_on, *pair) for pair in zip(on, off, strict=True)]
            for part, value in zip((0, 1, 2, 9, 10), (*chosen, *ends), strict=True):
                Lanes(builder, value).store(line(part, lane))
        return context.get_dummy_value()

    return types.void(cells, first, n, lines, place), generate


@_kernel
def _bound(task, found, curvature, axis, missed, rounding, bound):  # type: ignore[no-untyped-def]
    """Set bounds (b, c), A, of some vectors' `one_step`.

    `axis` is the table's first and last voltage and its step; `missed` what rows that are not asserted may leak, and
    the exact engine's tolerance; `rounding` the share of a current that single precision may be off.
    """
    first, end, step = axis
    last = curvature.shape[1] - 1
    for vector in range(task * _VECTORS, min((task + 1) * _VECTORS, len(bound))):
        for column in range(bound.shape[1]):
            lowest, highest = found[3, vector, column] - ROUNDED_V, found[4, vector, column] + ROUNDED_V
            if lowest >= first and highest <= end and np.isfinite(found[0, vector, column]):
                i = min(max(np.int64((lowest - first) / step), 0), last)
                j = min(max(np.int64((highest - first) / step), 0), last)
                curved = curvature[0, i, j] * found[1, vector, column]
                curved += curvature[1, i, j] * found[2, vector, column]
                # a hundredth more: voltages are rounded, too
                bound[vector, column] = 1.01 * curved / 2 + missed + rounding * abs(found[0, vector, column])
            else:
                bound[vector, column] = np.inf


@_kernel
def _decide(task, thresholds, zeros, current, bound, codes, open_):  # type: ignore[no-untyped-def]
    """Set codes (b, c) of some vectors, as `converter.convert` has them, and where another lies within the bound."""
    highest, most = len(thresholds), 1
    while 2 * most <= highest:
        most *= 2
    for vector in range(task * _VECTORS, min((task + 1) * _VECTORS, len(current))):
        for column in range(current.shape[1]):
            signal, off = current[vector, column] - zeros[vector], bound[vector, column]
            code, step = 0, most
            while step:
                if code + step <= highest and thresholds[code + step - 1] <= signal - off:
                    code += step
                step //= 2
            another = code < highest and thresholds[code] <= signal + off
            codes[vector, column], open_[vector, column] = code, another or not np.isfinite(off)


@_kernel
def _down(line, now, resistance):  # type: ignore[no-untyped-def]
    """A row's voltages, from what arrives from above, and how far they moved."""
    n, one = lanes(now), now.dtype.type(1)
    for k in range(n):
        b, K, low, high = now[k], now[n + k], now[2 * n + k], now[3 * n + k]
        f, g, h = line[3 * n + k], line[4 * n + k], line[5 * n + k]
        b -= resistance * (f + g * b + h * K) / (one + g * resistance)
        s = line[6 * n + k] + line[7 * n + k] * b + line[8 * n + k] * K
        K += line[k] + line[n + k] * b + line[2 * n + k] * K
        b0, s0 = line[9 * n + k], line[10 * n + k]
        way = abs(b - b0) + abs(s - s0)
        low = b if b < low else low
        high = s if s > high else high
        now[k], now[n + k] = b, K
        now[2 * n + k] = b0 if b0 < low else low
        now[3 * n + k] = s0 if s0 > high else high
        now[4 * n + k] += way * way
        now[5 * n + k] += way * way * line[11 * n + k]
