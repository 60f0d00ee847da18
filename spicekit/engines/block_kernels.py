"""Compiled loops over reads of more than 16 rows; `blocks` says what they compute.

Lanes are columns, 64 at a time. What a byte of a read's word line bits adds in each column is looked up: for a tile
and 64 columns, a table holds for each byte, each of its 256 values and each column two numbers, which make up all the
sums that `blocks` names. Filling it takes as long as reading some hundred vectors, so that loops take tile by tile, and
all vectors for each. The tables of a tile fill a quarter of a level-2 cache. Then come some products of whole numbers,
in 16 bits up to 64 rows and in 32 bits above, and a polynomial in single precision, whose operations come in one order,
none of them fused. So results depend on neither batch nor threads nor processor.
"""

from collections.abc import Iterator
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
"""Rows up to which 16 bits hold every sum: the largest is 64,744."""
TERMS = 17
"""Coefficients of the polynomial; before them come three numbers, see `BlockCodes`."""

_LANES = 32  # of whole numbers at a time
_SINGLES = 16  # of single-precision numbers at a time
_PIXELS = 2048  # vectors that share a table: their sums fit a level-2 cache beside it
_PIXELS_OF_DIE = 256

_COUNT = np.bitwise_count(np.arange(256)).astype(np.int64)
"""Ones of a byte."""
_RUNNING = ((np.arange(256)[:, None] >> np.arange(8)) & 1).cumsum(axis=1).sum(axis=1)
"""Running counts of the ones of a byte, added."""

_kernel: Any = numba.njit(cache=True, error_model="numpy", nogil=True)
_parallel_kernel: Any = numba.njit(parallel=True, cache=True, error_model="numpy", nogil=True)


@_parallel_kernel
def sum_block_codes(  # type: ignore[no-untyped-def]
    coefficients, leak, scale, lookup, stored, turned, tiles, words, inverted, asserted, size
):
    """Signed codes of all reads of each dot product, added.

    Parameters
    ----------
    coefficients, leak, scale, lookup
        As in `BlockCodes`.
    stored : (groups, tiles, q, c_out) uint64 array
    turned : (groups, tiles, c_out) int32 array
        -1 where a column is stored inverted, else 0.
    tiles : (groups,) int64 array
        Tiles in which the group is read.
    words, inverted, asserted
        As from `inputs.pack_inputs`.
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
    flat = words.reshape(words.size).view(np.uint8)  # little-endian, as all processors that Numba knows
    gain, highest = scale[0, 0], scale[0, 1]
    sums = np.empty((pixels, columns), np.float32)
    for task in numba.prange(blocks * chunks):
        first = task // chunks * _PIXELS
        column = task % chunks * COLUMNS
        count = min(_PIXELS, pixels - first)
        width = min(COLUMNS, columns - column)
        table = np.zeros((size, 256, 2, COLUMNS), np.uint8)
        turn = np.zeros(COLUMNS, np.int32)
        total = np.zeros((count, COLUMNS), np.int32)
        current = np.empty(COLUMNS, np.float32)
        on = np.empty(COLUMNS, np.uint16)
        for group in range(groups):
            numbers = coefficients[group]
            for tile in range(tiles[group]):
                _fill(stored[group, tile], column, table)
                turn[:width] = turned[group, tile, column : column + width]
                # No array is cut in this loop: counting its users takes longer than a read.
                for pixel in range(count):
                    ones = asserted[first + pixel, group, tile]
                    turns = np.int32(-inverted[first + pixel, group, tile])
                    start = _start(words, first + pixel, group, tile)
                    added, moment = _leak_sums(flat, start, size, leak)
                    if len(lookup):
                        _find_currents(table, flat, start, numbers, added, moment, current, on)
                        _add_looked_up(current, lookup, scale[1 + ones, 0], turns, turn, total, pixel)
                    else:
                        offset = scale[1 + ones, 1]
                        line = gain, offset, highest
                        read = table, flat, start, numbers, added, moment
                        if 8 * size <= NARROW_ROWS:
                            _add_codes_narrow(*read, *line, turns, turn, total, pixel)
                        else:
                            _add_codes_wide(*read, *line, turns, turn, total, pixel)
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
    flat = words.reshape(words.size).view(np.uint8)
    reads = np.zeros((tasks, levels), np.int64)
    others = np.zeros((tasks, levels), np.int64)
    currents = np.zeros((tasks, levels))
    for task in numba.prange(tasks):
        group, tile, chunk = task // (most * chunks), task // chunks % most, task % chunks
        if tile < tiles[group]:
            table = np.zeros((size, 256, 2, COLUMNS), np.uint8)
            current = np.empty(COLUMNS, np.float32)
            on = np.empty(COLUMNS, np.uint16)
            _fill(stored[group, tile], chunk * COLUMNS, table)
            for pixel in range(pixels):
                ones = asserted[pixel, group, tile]
                start = _start(words, pixel, group, tile)
                added, moment = _leak_sums(flat, start, size, leak)
                _find_currents(table, flat, start, coefficients[group], added, moment, current, on)
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
    flat = words.reshape(words.size).view(np.uint8)
    sums = np.zeros((pixels, columns), np.float32)
    for block in numba.prange((pixels + _PIXELS_OF_DIE - 1) // _PIXELS_OF_DIE):
        first = block * _PIXELS_OF_DIE
        count = min(_PIXELS_OF_DIE, pixels - first)
        table = np.zeros((size, 256, 2, COLUMNS), np.uint8)
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
                        start = _start(words, first + pixel, group, tile)
                        added, moment = _leak_sums(flat, start, size, leak)
                        _find_currents(table, flat, start, coefficients[group], added, moment, found, met)
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


@numba.njit(inline="always")
def _start(words, pixel, group, tile):  # type: ignore[no-untyped-def]
    """Place of the first byte of a read of `words` (p, groups, tiles, q) among all."""
    return ((pixel * words.shape[1] + group) * words.shape[2] + tile) * words.shape[3] * 8


@_kernel
def _leak_sums(flat, start, size, leak):  # type: ignore[no-untyped-def]
    """What asserted cells that are not ON add to n and U: a share of these sums over all asserted cells."""
    before = 0
    below = 0
    if leak:
        for byte in range(size):
            value = flat[start + byte]
            below += 8 * before + _RUNNING[value]
            before += _COUNT[value]
    return leak * np.float32(before), leak * np.float32(below)


@_kernel
def _find_currents(table, flat, start, coefficients, added, moment, current, on):  # type: ignore[no-untyped-def]
    """Set `current` (LSB) and `on` (ON cells) of 64 columns for one read."""
    if 8 * len(table) <= NARROW_ROWS:
        _currents_narrow(table, flat, start, coefficients, added, moment, current, on)
    else:
        _currents_wide(table, flat, start, coefficients, added, moment, current, on)


@_kernel
def _add_looked_up(current, lookup, zeros, turns, turn, total, pixel):  # type: ignore[no-untyped-def]
    """Add the signed codes of 64 columns, of any converter."""
    for lane in range(COLUMNS):
        level = np.floor(np.float32(UNIT) * (current[lane] - zeros) + np.float32(0.5))
        place = min(max(np.int64(level) + HEADROOM * UNIT, 0), len(lookup) - 1)
        mask = turn[lane] ^ turns
        total[pixel, lane] += (np.int32(lookup[place]) ^ mask) - mask


@intrinsic
def _fill_value(context, table, bits, value, low, bit):  # type: ignore[no-untyped-def]
    """Set the entries of `value`, the largest bit of which is `bit`, from those of `low`, which lacks it.

    Where a column stores that bit: 8 more for eight times the ON cells, 8 - bit more for the running counts.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        entries, stored = (
            context.make_array(kind)(context, builder, argument).data
            for kind, argument in zip(signature.args[:2], arguments[:2], strict=True)
        )
        value, low, bit = arguments[2:]
        kind = ir.VectorType(INT8, COLUMNS)

        def entry(value: Any, field: int) -> Any:
            start = builder.mul(value, value.type(2 * COLUMNS))
            return builder.gep(entries, [builder.add(start, value.type(field * COLUMNS))])

        place = Lanes.splat(builder, builder.trunc(bit, INT8), COLUMNS)
        one = Lanes(builder, ir.Constant(kind, [1] * COLUMNS))
        held = Lanes.load(builder, stored, kind)
        held = Lanes(builder, builder.and_(builder.lshr(held.value, place.value), one.value))
        eightfold, running = (Lanes.load(builder, entry(low, field), kind) for field in range(2))
        (eightfold + (held << 3)).store(entry(value, 0))
        (running + held * ((one << 3) - place)).store(entry(value, 1))
        return context.get_dummy_value()

    return types.void(table, bits, value, low, bit), generate


def _currents(kind: ir.IntType) -> Any:
    """Intrinsic that sets the currents of 64 columns and their numbers of ON cells, with sums of type `kind`."""

    def typed(context, table, flat, start, coefficients, added, moment, current, on):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            read, out, counts = _read(context, builder, signature.args, arguments, kind, (6, 7))
            for column, count, found in read:
                count.store(_at(builder, counts, column))
                found.store(_at(builder, out, column))
            return context.get_dummy_value()

        return types.void(table, flat, start, coefficients, added, moment, current, on), generate

    return intrinsic(typed)


def _codes(kind: ir.IntType) -> Any:
    """Intrinsic that adds the signed codes of 64 columns, of a converter whose thresholds are equally spaced."""

    def typed(  # type: ignore[no-untyped-def]
        context,
        table,
        flat,
        start,
        coefficients,
        added,
        moment,
        gain,
        offset,
        highest,
        turns,
        turn,
        total,
        pixel,
    ):
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            read, turned, totals = _read(context, builder, signature.args, arguments, kind, (10, 11))
            slope, zero, most, others = (Lanes.splat(builder, x, _SINGLES) for x in arguments[6:10])
            nothing = Lanes(builder, ir.Constant(zero.value.type, [0.0] * _SINGLES))
            row = builder.mul(arguments[12], arguments[12].type(COLUMNS))
            whole = ir.VectorType(INT32, _SINGLES)
            for column, _, found in read:
                code = (found * slope + zero).clamped(nothing, most).whole()
                mask = Lanes.load(builder, _at(builder, turned, column), whole) ^ others
                place = builder.gep(totals, [builder.add(row, row.type(column))])
                (Lanes.load(builder, place, whole) + ((code ^ mask) - mask)).store(place)
            return context.get_dummy_value()

        return (
            types.void(
                table,
                flat,
                start,
                coefficients,
                added,
                moment,
                gain,
                offset,
                highest,
                turns,
                turn,
                total,
                pixel,
            ),
            generate,
        )

    return intrinsic(typed)


def _read(
    context: Any,
    builder: ir.IRBuilder,
    kinds: Any,
    arguments: Any,
    kind: ir.IntType,
    further: tuple[int, int],
) -> tuple[Iterator[tuple[int, Lanes, Lanes]], Any, Any]:
    """Columns, their ON cells and their currents, 16 at a time; and where the data of two further arrays begin."""
    table, flat, numbers, *others = (
        context.make_array(kinds[k])(context, builder, arguments[k]) for k in (0, 1, 3, *further)
    )
    pairs = builder.lshr(builder.extract_value(table.shape, 0), arguments[2].type(1))
    first = builder.gep(flat.data, [arguments[2]])
    narrow = ir.VectorType(INT16, _SINGLES)

    def read() -> Iterator[tuple[int, Lanes, Lanes]]:
        for start in range(0, COLUMNS, _LANES):
            sums = _sums(builder, kind, table.data, first, pairs, start)
            for part in range(_LANES // _SINGLES):
                n, u, d, q = (x.part(part, _SINGLES) for x in sums)
                short = n if kind == INT16 else Lanes(builder, builder.trunc(n.value, narrow))
                singles = (x.single() for x in (n, u, d, q))
                found = _polynomial(builder, numbers.data, (arguments[4], arguments[5]), *singles)
                yield start + part * _SINGLES, short, found

    return read(), *(array.data for array in others)


def _at(builder: ir.IRBuilder, pointer: Any, place: int) -> Any:
    return builder.gep(pointer, [INT32(place)])


def _sums(
    builder: ir.IRBuilder, kind: ir.IntType, table: Any, first: Any, pairs: Any, column: int
) -> tuple[Lanes, Lanes, Lanes, Lanes]:
    """n, U, D and Q of 32 columns from `column` on, for `pairs` of bytes from `first` on."""
    whole, size = ir.VectorType(kind, _LANES), pairs.type
    sums = [cgutils.alloca_once(builder, whole) for _ in range(5)]
    for each in sums:
        builder.store(ir.Constant(whole, None), each)
    with cgutils.for_range(builder, pairs) as loop:
        before, u, s, v, w = (Lanes(builder, builder.load(each)) for each in sums)
        v, w = v + u, w + s
        for half in range(2):
            byte = builder.add(builder.shl(loop.index, size(1)), size(half))
            value = builder.zext(builder.load(builder.gep(first, [byte])), size)
            entry = builder.mul(builder.add(builder.shl(byte, size(8)), value), size(2 * COLUMNS))
            eightfold, running = (
                Lanes.load(
                    builder,
                    builder.gep(table, [builder.add(entry, size(field * COLUMNS + column))]),
                    ir.VectorType(INT8, _LANES),
                ).widen(kind)
                for field in range(2)
            )
            inside = before + running
            u = u + inside
            s = s + inside.eighth_of_square()
            before = before + eightfold
        for each, lanes in zip(sums, (before, u, s, v, w), strict=True):
            builder.store(lanes.value, each)
    before, u, s, v, w = (Lanes(builder, builder.load(each)) for each in sums)
    n = before.shifted_right(3)
    d = n * u - s
    steps = builder.trunc(builder.sub(pairs, size(1)), kind)
    return n, u, d, Lanes.splat(builder, steps, _LANES) * d - (n * v - w)


def _polynomial(
    builder: ir.IRBuilder, numbers: Any, leak: Any, n: Lanes, u: Lanes, d: Lanes, q: Lanes
) -> Lanes:
    """Current in LSB of the sums of `blocks.features`; `blocks.current` is the same in numpy."""

    def number(k: int) -> Lanes:
        return Lanes.splat(builder, builder.load(_at(builder, numbers, k)), _SINGLES)

    added, moment = (Lanes.splat(builder, scalar, _SINGLES) for scalar in leak)
    keep, even, middle = (number(k) for k in range(3))
    c = [number(3 + k) for k in range(TERMS)]
    d, q = d - even * (n * n), q - middle * d
    n, u = keep * n + added, keep * u + moment
    p = c[0] + n * (c[1] + n * (c[2] + n * (c[3] + n * c[4])))
    p = p + u * (c[5] + n * (c[6] + n * (c[7] + n * c[8])) + u * c[9] + d * c[10] + q * c[11])
    p = p + d * (c[12] + n * c[13] + d * c[14])
    p = p + q * (c[15] + n * c[16])
    return n * n / p


_currents_narrow = _currents(INT16)
_currents_wide = _currents(INT32)
_add_codes_narrow = _codes(INT16)
_add_codes_wide = _codes(INT32)
