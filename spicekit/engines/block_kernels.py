"""Compiled loops over reads of more than 16 rows; `blocks` says what they compute.

Lanes are columns, 64 at a time. What a byte of a read's word line bits adds in each column is looked up: for a tile and
64 columns, a table holds for each byte, each of its 256 values and each column the three sums that `blocks` names.
Filling it takes as long as reading some hundred vectors, so that loops take tile by tile, and all vectors for each. The
tables of a tile fill half of a level-2 cache. Then come some products of whole numbers, in 16 bits up to 64 rows and in
32 bits above, and a polynomial in single precision, whose operations come in one order, none of them fused. So results
depend on neither batch nor threads nor processor.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spicekit.engines.kernels import HEADROOM, UNIT, add_deviations, add_positions, place_on_scale
from spicekit.engines.lanes import INT8, INT16, INT32, Lanes

COLUMNS = 64
"""Columns that a table covers."""
NARROW_ROWS = 64
"""Rows up to which 16 bits hold every sum: the largest is 64,240."""
TERMS = 19
"""Coefficients of the polynomial; before them come three numbers, see `BlockCodes`."""

_LANES = 32  # of whole numbers at a time
_SINGLES = 16  # of single-precision numbers at a time
_PIXELS = 2048  # vectors that share a table: their sums fit a level-2 cache beside it
_PIXELS_OF_DIE = 256

_kernel: Any = numba.njit(cache=True, error_model="numpy", nogil=True)
_parallel_kernel: Any = numba.njit(parallel=True, cache=True, error_model="numpy", nogil=True)


@_parallel_kernel
def sum_block_codes(  # type: ignore[no-untyped-def]
    coefficients, leak, scale, lookup, stored, sign, tiles, words, inverted, asserted, size
):
    """Signed codes of all reads of each dot product, added.

    Parameters
    ----------
    coefficients, leak, scale, lookup
        As in `BlockCodes`.
    stored : (groups, tiles, q, c_out) uint64 array
    sign : (groups, tiles, c_out) float32 array
        -1 where a column is stored inverted, else 1.
    tiles : (groups,) int64 array
        Tiles in which the group is read.
    words, inverted, asserted
        As from `pack_inputs`.
    size : int
        Bytes of a read.

    Returns
    -------
    (p, c_out) float32 array
    """
    pixels = words.shape[0]
    groups, _, _, columns = stored.shape
    chunks = (columns + COLUMNS - 1) // COLUMNS
    blocks = (pixels + _PIXELS - 1) // _PIXELS
    gain, highest = scale[0, 0], scale[0, 1]
    sums = np.empty((pixels, columns), np.float32)
    for task in numba.prange(blocks * chunks):
        first = task // chunks * _PIXELS
        column = task % chunks * COLUMNS
        count = min(_PIXELS, pixels - first)
        width = min(COLUMNS, columns - column)
        table = np.zeros((size, 256, 3, COLUMNS), np.uint8)
        turn = np.zeros(COLUMNS, np.float32)
        total = np.zeros((count, COLUMNS), np.float32)
        row = np.empty(size, np.uint8)
        current = np.empty(COLUMNS, np.float32)
        on = np.empty(COLUMNS, np.uint16)
        for group in range(groups):
            for tile in range(tiles[group]):
                _fill(stored[group, tile], column, table)
                turn[:width] = sign[group, tile, column : column + width]
                numbers = coefficients[group]
                for pixel in range(
                    count
                ):  # cut no arrays in here: counting their users takes longer than reading
                    ones = asserted[first + pixel, group, tile]
                    _read(table, words, first + pixel, group, tile, numbers, leak, row, current, on)
                    flip = np.float32(-1) if inverted[first + pixel, group, tile] else np.float32(1)
                    if len(lookup):
                        _add_looked_up(current, lookup, scale[1 + ones, 0], flip, turn, total, pixel)
                    else:
                        _add_codes(current, gain, scale[1 + ones, 1], highest, flip, turn, total, pixel)
        for pixel in range(count):
            for lane in range(width):
                sums[first + pixel, column + lane] = total[pixel, lane]
    return sums


@_parallel_kernel
def tally_blocks(coefficients, leak, stored, tiles, words, asserted, size, levels):  # type: ignore[no-untyped-def]
    """Reads by their number of ON cells, 0 to `levels` - 1; other parameters as in `sum_block_codes`.

    Returns
    -------
    reads, others : (levels,) int64 arrays
        Number of reads; asserted cells that were not ON, added over them.
    current : (levels,) float64 array
        LSB, added over them.
    """
    pixels = words.shape[0]
    groups, most, _, columns = stored.shape
    chunks = (columns + COLUMNS - 1) // COLUMNS
    tasks = groups * most * chunks
    reads = np.zeros((tasks, levels), np.int64)
    others = np.zeros((tasks, levels), np.int64)
    currents = np.zeros((tasks, levels))
    for task in numba.prange(tasks):
        group, tile, chunk = task // (most * chunks), task // chunks % most, task % chunks
        if tile < tiles[group]:
            table = np.zeros((size, 256, 3, COLUMNS), np.uint8)
            row = np.empty(size, np.uint8)
            current = np.empty(COLUMNS, np.float32)
            on = np.empty(COLUMNS, np.uint16)
            _fill(stored[group, tile], chunk * COLUMNS, table)
            for pixel in range(pixels):
                ones = asserted[pixel, group, tile]
                _read(table, words, pixel, group, tile, coefficients[group], leak, row, current, on)
                for lane in range(min(COLUMNS, columns - chunk * COLUMNS)):
                    reads[task, on[lane]] += 1
                    others[task, on[lane]] += ones - on[lane]
                    currents[task, on[lane]] += current[lane]
    return reads.sum(axis=0), others.sum(axis=0), currents.sum(axis=0)


@_parallel_kernel
def sum_block_codes_of_die(  # type: ignore[no-untyped-def]
    coefficients,
    leak,
    reference,
    stored,
    sign,
    tiles,
    words,
    inverted,
    asserted,
    size,
    cells,
    converters,
    images,
):
    """Signed codes of all reads of each dot product, added; cells and converters not alike.

    Parameters
    ----------
    reference : (m + 1,) float32 array
        The reference column of zeros, LSB, by number of asserted rows.
    sign : (groups, tiles, c_out) int32 array
    cells, converters : tuples
        As from `die.DieCodes`.
    images : (int, int)
        Pixels of an image, place of the first image.

    The others as in `sum_block_codes`; returns what it does.
    """
    pixels = words.shape[0]
    groups, most, _, columns = stored.shape
    per_image, first_image = images
    chunks = (columns + COLUMNS - 1) // COLUMNS
    sums = np.zeros((pixels, columns), np.float32)
    for block in numba.prange((pixels + _PIXELS_OF_DIE - 1) // _PIXELS_OF_DIE):
        first = block * _PIXELS_OF_DIE
        count = min(_PIXELS_OF_DIE, pixels - first)
        table = np.zeros((size, 256, 3, COLUMNS), np.uint8)
        row = np.empty(size, np.uint8)
        single = np.empty((count, chunks * COLUMNS), np.float32)
        on = np.empty((count, chunks * COLUMNS), np.uint16)
        current = np.empty(columns, np.int32)
        position = np.empty(columns, np.float32)
        total = np.zeros((count, columns), np.int32)
        for group in range(groups):
            for tile in range(tiles[group]):
                for chunk in range(chunks):
                    lanes = slice(chunk * COLUMNS, (chunk + 1) * COLUMNS)
                    _fill(stored[group, tile], chunk * COLUMNS, table)
                    for pixel in range(count):
                        found, met = single[pixel, lanes], on[pixel, lanes]
                        _read(
                            table,
                            words,
                            first + pixel,
                            group,
                            tile,
                            coefficients[group],
                            leak,
                            row,
                            found,
                            met,
                        )
                for pixel in range(count):
                    place = first + pixel
                    zeros = reference[asserted[place, group, tile]]
                    for column in range(columns):
                        level = np.float32(UNIT) * (single[pixel, column] - zeros)
                        current[column] = HEADROOM * UNIT + np.int32(np.floor(level + np.float32(0.5)))
                    add_deviations(
                        cells, group, tile, words[place, group, tile], on[pixel], position, current
                    )
                    read = (place % per_image * groups + group) * most + tile
                    place_on_scale(
                        converters, tile, first_image + place // per_image, read, current, position
                    )
                    add_positions(
                        position, converters, sign[group, tile], inverted[place, group, tile], total[pixel]
                    )
        for pixel in range(count):
            for column in range(columns):
                sums[first + pixel, column] = total[pixel, column]
    return sums


@_kernel
def _fill(stored, column, table):  # type: ignore[no-untyped-def]
    """Fill the table of 64 columns from `column` on, of a tile's words (q, c_out)."""
    bits = np.zeros(COLUMNS, np.uint8)
    for byte in range(len(table)):
        for lane in range(min(COLUMNS, stored.shape[1] - column)):
            bits[lane] = (stored[byte // 8, column + lane] >> np.uint64(8 * (byte % 8))) & np.uint64(255)
        for bit in range(8):
            first = 1 << bit
            for low in range(first):
                _fill_value(table[byte], bits, first + low, low, bit)


@_kernel
def _read(table, words, pixel, group, tile, coefficients, leak, row, current, on):  # type: ignore[no-untyped-def]
    """Set `current` (LSB) and `on` (ON cells) of 64 columns for one read of `words` (p, groups, tiles, q)."""
    size = len(row)
    for byte in range(size):
        row[byte] = (words[pixel, group, tile, byte // 8] >> np.uint64(8 * (byte % 8))) & np.uint64(255)
    added = np.float32(0)
    moment = np.float32(0)
    if leak:
        before = 0
        below = 0
        for byte in range(size):
            for bit in range(8):
                before += (row[byte] >> bit) & 1
                below += before
        added = leak * np.float32(before)
        moment = leak * np.float32(below)
    if 8 * size <= NARROW_ROWS:
        _currents_narrow(table, row, coefficients, added, moment, current, on)
    else:
        _currents_wide(table, row, coefficients, added, moment, current, on)


@_kernel
def _add_codes(current, gain, offset, highest, flip, turn, total, pixel):  # type: ignore[no-untyped-def]
    """Add the signed codes of 64 columns, of a converter whose thresholds are equally spaced."""
    for lane in range(COLUMNS):
        code = np.floor(current[lane] * gain + offset)
        code = min(max(code, np.float32(0)), highest)
        total[pixel, lane] += flip * turn[lane] * code


@_kernel
def _add_looked_up(current, lookup, zeros, flip, turn, total, pixel):  # type: ignore[no-untyped-def]
    """Add the signed codes of 64 columns, of any converter."""
    for lane in range(COLUMNS):
        level = np.floor(np.float32(UNIT) * (current[lane] - zeros) + np.float32(0.5))
        place = min(max(np.int64(level) + HEADROOM * UNIT, 0), len(lookup) - 1)
        total[pixel, lane] += flip * turn[lane] * lookup[place]


@intrinsic
def _fill_value(context, table, bits, value, low, bit):  # type: ignore[no-untyped-def]
    """Set the entries of `value`, the largest bit of which is `bit`, from those of `low`, which lacks it.

    Where a column stores that bit: one ON cell more; 8 - bit more for the sum of running counts; and for the sum of
    their squares, 2 c + 1 more in each of these places, c the cells counted so far.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        entries, stored = (
            context.make_array(kind)(context, builder, argument).data
            for kind, argument in zip(signature.args[:2], arguments[:2], strict=True)
        )
        value, low, bit = arguments[2:]
        kind = ir.VectorType(INT8, COLUMNS)

        def entry(value: Any, field: int) -> Any:
            start = builder.mul(value, value.type(3 * COLUMNS))
            return builder.gep(entries, [builder.add(start, value.type(field * COLUMNS))])

        place = Lanes.splat(builder, builder.trunc(bit, INT8), COLUMNS)
        one = Lanes(builder, ir.Constant(kind, [1] * COLUMNS))
        held = Lanes.load(builder, stored, kind)
        held = Lanes(builder, builder.and_(builder.lshr(held.value, place.value), one.value))
        further = held * ((one << 3) - place)
        count, running, squares = (Lanes.load(builder, entry(low, field), kind) for field in range(3))
        (count + held).store(entry(value, 0))
        (running + further).store(entry(value, 1))
        (squares + further * (count + count + one)).store(entry(value, 2))
        return context.get_dummy_value()

    return types.void(table, bits, value, low, bit), generate


def _currents(kind: ir.IntType) -> Any:
    """Intrinsic that sets the currents of 64 columns and their numbers of ON cells, with sums of type `kind`."""

    def typed(context, table, row, coefficients, added, moment, current, on):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            arrays = [
                context.make_array(signature.args[k])(context, builder, arguments[k]) for k in (0, 1, 2, 5, 6)
            ]
            entries, values, numbers, out, counts = (array.data for array in arrays)
            leak = arguments[3], arguments[4]
            size = builder.extract_value(arrays[1].shape, 0)
            pairs = builder.lshr(size, size.type(1))
            whole = ir.VectorType(kind, _LANES)
            with cgutils.for_range_slice(
                builder, size.type(0), size.type(COLUMNS), size.type(_LANES), size.type
            ) as (column, _):
                sums = [cgutils.alloca_once(builder, whole) for _ in range(5)]
                for each in sums:
                    builder.store(ir.Constant(whole, None), each)
                with cgutils.for_range(builder, pairs) as loop:
                    n, u, s, v, w = (Lanes(builder, builder.load(each)) for each in sums)
                    v, w = v + u, w + s
                    for half in range(2):
                        byte = builder.add(builder.shl(loop.index, size.type(1)), size.type(half))
                        value = builder.zext(builder.load(builder.gep(values, [byte])), size.type)
                        start = builder.mul(
                            builder.add(builder.shl(byte, size.type(8)), value), size.type(3 * COLUMNS)
                        )
                        start = builder.add(start, column)
                        count, running, squares = (
                            Lanes.load(
                                builder,
                                builder.gep(entries, [builder.add(start, size.type(field * COLUMNS))]),
                                ir.VectorType(INT8, _LANES),
                            ).widen(kind)
                            for field in range(3)
                        )
                        inside = (n << 3) + running
                        s = s + (n * (inside + running) + squares)
                        u = u + inside
                        n = n + count
                    for each, lanes in zip(sums, (n, u, s, v, w), strict=True):
                        builder.store(lanes.value, each)
                n, u, s, v, w = (Lanes(builder, builder.load(each)) for each in sums)
                d = n * u - s
                steps = builder.trunc(builder.sub(pairs, size.type(1)), kind)
                q = Lanes.splat(builder, steps, _LANES) * d - (n * v - w)
                short = (
                    n
                    if kind == INT16
                    else Lanes(builder, builder.trunc(n.value, ir.VectorType(INT16, _LANES)))
                )
                short.store(builder.gep(counts, [column]))
                for part in range(_LANES // _SINGLES):
                    singles = [x.part(part, _SINGLES).single() for x in (n, u, d, q)]
                    found = _polynomial(builder, numbers, leak, *singles)
                    found.store(builder.gep(out, [builder.add(column, size.type(part * _SINGLES))]))
            return context.get_dummy_value()

        return types.void(table, row, coefficients, added, moment, current, on), generate

    return intrinsic(typed)


def _polynomial(
    builder: ir.IRBuilder, numbers: Any, leak: Any, n: Lanes, u: Lanes, d: Lanes, q: Lanes
) -> Lanes:
    """Current in LSB of the sums of `blocks.features`; `blocks.current` is the same in numpy."""
    index = ir.IntType(64)

    def number(k: int) -> Lanes:
        return Lanes.splat(builder, builder.load(builder.gep(numbers, [index(k)])), _SINGLES)

    added, moment = (Lanes.splat(builder, scalar, _SINGLES) for scalar in leak)
    keep, even, middle = (number(k) for k in range(3))
    c = [number(3 + k) for k in range(TERMS)]
    d, q = d - even * (n * n), q - middle * d
    n, u = keep * n + added, keep * u + moment
    p = c[0] + n * (c[1] + n * (c[2] + n * (c[3] + n * c[4])))
    p = p + u * (c[5] + n * (c[6] + n * (c[7] + n * c[8])) + u * (c[9] + n * c[10]) + d * c[11] + q * c[12])
    p = p + d * (c[13] + n * (c[14] + n * c[15]) + d * c[16])
    p = p + q * (c[17] + n * c[18])
    return n * n / p


_currents_narrow = _currents(INT16)
_currents_wide = _currents(INT32)
