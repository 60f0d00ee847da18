"""Compiled loops over reads of more than 16 rows; `wire_sums` says what they compute.

Lanes are columns, 64 at a time. What a byte of a read's word line bits adds in each column is looked up: for a tile and
64 columns, a table holds for each byte, each of its 256 values and each column two numbers, which make up all the sums
that `wire_sums` names. Filling it takes as long as reading some hundred vectors, so that loops take tile by tile, and
all vectors for each. The tables of a tile fill a quarter of a level-2 cache. Then come some products of whole numbers,
in 16 bits up to 64 rows and in 32 bits above, and a polynomial in single precision, whose operations come in one order.
So results depend on neither batch nor threads nor processor.

Arrays of a batch's size are made by NumPy, which asks for large pages: to touch a small one for the first time takes as
long as some thousand additions.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from spicekit.compiled import compiled
from spicekit.engines.fast.kernels import (
    HEADROOM,
    UNIT,
    add_deviations,
    add_positions,
    place_on_scale,
    zeros_in_lines,
)
from spicekit.engines.fast.lanes import INT8, INT16, INT32, Lanes

Single = NDArray[np.float32]

COLUMNS = 64
"""Columns that a table covers."""
NARROW_ROWS = 64
"""Rows up to which running numbers fit 8 bits and sums 16."""
NARROW_RANGE = -30317, 25488
"""The least and the most that sums are, over all patterns of 64 rows: proven in tests/engines/test_sum_bounds.py."""
TERMS = 18
"""Coefficients of the polynomial; before them come two numbers, see `BlockCodes`."""

_LINE = 8  # words that fill a line of a cache
_SINGLES = 32  # of single-precision numbers at a time
_PIXELS = 2048  # vectors that share a table: their sums fit a level-2 cache beside it
_PIXELS_OF_DIE = 256

_COUNT = np.bitwise_count(np.arange(256)).astype(np.int64)
"""Ones of a byte."""
_RUNNING = ((np.arange(256)[:, None] >> np.arange(8)) & 1).cumsum(axis=1).sum(axis=1)
"""Running counts of the ones of a byte, added."""

_kernel: Any = compiled(error_model="numpy", nogil=True)
_parallel_kernel: Any = compiled(parallel=True, error_model="numpy", nogil=True)


def sum_block_codes(
    coefficients: Single,
    leak: np.float32,
    scale: Single,
    lookup: Single,
    stored: NDArray[np.uint64],
    turned: NDArray[np.int32],
    tiles: NDArray[np.int64],
    words: NDArray[np.uint64],
    inverted: NDArray[np.uint8],
    asserted: NDArray[np.int32],
    size: int,
) -> Single:
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
    pixels, groups, most, q = words.shape
    bits = np.empty((groups, most, pixels, q), np.uint64)
    apart = np.empty((groups, most, pixels, 4), np.float32)
    zeros = np.ascontiguousarray(scale[1:, 0 if len(lookup) else 1])
    _lay_side_by_side(leak, zeros, words, inverted, asserted, size, bits.reshape(-1), apart.reshape(-1))
    sums = np.empty((pixels, stored.shape[3]), np.float32)
    _sum_codes(coefficients, scale[0], lookup, stored, turned, tiles, bits, apart, size, sums)
    return sums


@_parallel_kernel
def _sum_codes(  # type: ignore[no-untyped-def]
    coefficients, line, lookup, stored, turned, tiles, bits, apart, size, sums
):
    """`sum_block_codes`, of what `_lay_side_by_side` made; `line` is the converter's."""
    flat = bits.reshape(bits.size).view(np.uint8)  # little-endian, as all processors that Numba knows
    pixels, columns = sums.shape
    chunks = (columns + COLUMNS - 1) // COLUMNS
    blocks = (pixels + _PIXELS - 1) // _PIXELS
    for task in numba.prange(blocks * chunks):
        first = task // chunks * _PIXELS
        column = task % chunks * COLUMNS
        count = min(_PIXELS, pixels - first)
        width = min(COLUMNS, columns - column)
        table = _table(size)
        turn = np.zeros(COLUMNS, np.int32)
        total = zeros_in_lines(4 * count * COLUMNS).view(np.int32).reshape((count, COLUMNS))
        current = np.empty(COLUMNS, np.float32)
        on = np.empty(COLUMNS, np.uint16)
        for group in range(len(stored)):
            numbers = coefficients[group]
            for tile in range(tiles[group]):
                _fill(stored[group, tile], column, table)
                turn[:width] = turned[group, tile, column : column + width]
                given, more = (
                    bits[group, tile, first : first + count],
                    apart[group, tile, first : first + count],
                )
                if len(lookup):
                    for pixel in range(count):
                        start = _start(bits, group, tile, first + pixel)
                        added, moment, zeros, turns = more[pixel]
                        _find_currents(table, flat, start, numbers, added, moment, current, on)
                        _add_looked_up(current, lookup, zeros, np.int32(turns), turn, total, pixel)
                elif 8 * size <= NARROW_ROWS:
                    _add_codes_narrow(table, given, more, numbers, line, turn, total)
                else:
                    _add_codes_wide(table, given, more, numbers, line, turn, total)
        for pixel in range(count):
            for lane in range(width):
                sums[first + pixel, column + lane] = total[pixel, lane]


@_parallel_kernel
def _lay_side_by_side(leak, zeros, words, inverted, asserted, size, bits, apart):  # type: ignore[no-untyped-def]
    """Set what a tile is given, side by side for all vectors; both arrays are flat, to reckon places in them once.

    Parameters
    ----------
    zeros : (m + 1,) float32 array
        By number of asserted rows, the reference column of zeros if codes are looked up, else the code of no current.
    bits : (groups, tiles, p, q) uint64 array
        The words.
    apart : (groups, tiles, p, 4) float32 array
        What asserted cells that are not ON add to n and u; their part of `zeros`; -1 where a sub-vector is inverted,
        else 0.
    """
    pixels, groups, tiles, q = words.shape
    reads = groups * tiles
    flat, turns, ones = (
        words.reshape(words.size),
        inverted.reshape(pixels * reads),
        asserted.reshape(pixels * reads),
    )
    each_byte = flat.view(np.uint8)
    for block in numba.prange((pixels + _LINE - 1) // _LINE):
        for read in range(reads):
            for pixel in range(block * _LINE, min((block + 1) * _LINE, pixels)):
                there, here = pixel * reads + read, read * pixels + pixel
                for part in range(q):
                    bits[here * q + part] = flat[there * q + part]
                added = moment = np.float32(0)
                if leak:  # a call takes longer than all else
                    added, moment = _leak_sums(each_byte, there * q * 8, size, leak)
                apart[4 * here], apart[4 * here + 1] = added, moment
                apart[4 * here + 2] = zeros[ones[there]]
                apart[4 * here + 3] = -np.float32(turns[there])


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
            table = _table(size)
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
        table = _table(size)
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
def _table(size):  # type: ignore[no-untyped-def]
    """An empty table."""
    return zeros_in_lines(size * 256 * 2 * COLUMNS).reshape((size, 256, 2, COLUMNS))


@_kernel
def _fill(stored, column, table):  # type: ignore[no-untyped-def]
    """Fill the table of 64 columns from `column` on, of a tile's words (q, c_out).

    An ON cell adds eight to eight times the ON cells. To the running numbers of its byte it adds the rows that have it
    behind them, counted from the nearer end of the column: itself and those after it, or those before it.
    """
    more = np.zeros((2, COLUMNS), np.uint8)
    for byte in range(len(table)):
        for bit in range(8):
            behind = 8 - bit if 2 * byte < len(table) else bit
            for lane in range(min(COLUMNS, stored.shape[1] - column)):
                held = np.uint8(
                    (stored[byte // 8, column + lane] >> np.uint64(8 * (byte % 8) + bit)) & np.uint64(1)
                )
                more[0, lane], more[1, lane] = 8 * held, behind * held
            first = 1 << bit
            for low in range(first):
                _fill_value(table[byte], more, first + low, low)


@numba.njit(inline="always")
def _start(words, i, j, k):  # type: ignore[no-untyped-def]
    """Place of the first byte of a read of `words` (.., .., .., q) among all."""
    return ((i * words.shape[1] + j) * words.shape[2] + k) * words.shape[3] * 8


@_kernel
def _leak_sums(flat, start, size, leak):  # type: ignore[no-untyped-def]
    """What asserted cells that are not ON add to n and u: a share of these sums over all asserted cells."""
    before = 0
    below = 0
    for byte in range(size):
        value = flat[start + byte]
        below += 8 * before + _RUNNING[value]
        before += _COUNT[value]
    return leak * np.float32(before), leak * np.float32(below - 4 * size * before)


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
def _fill_value(context, table, more, value, low):  # type: ignore[no-untyped-def]
    """Set the entries of `value`: `more` than those of `low`, which lacks one of its bits."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        entries, added = (
            context.make_array(kind)(context, builder, argument).data
            for kind, argument in zip(signature.args[:2], arguments[:2], strict=True)
        )
        both = 2 * COLUMNS
        kind = ir.VectorType(INT8, both)
        there, here = (
            builder.gep(entries, [builder.mul(place, place.type(both))])
            for place in (arguments[3], arguments[2])
        )
        (Lanes.load(builder, there, kind) + Lanes.load(builder, added, kind)).store(here)
        return context.get_dummy_value()

    return types.void(table, more, value, low), generate


def _currents(kind: ir.IntType) -> Any:
    """Intrinsic that sets the currents of 64 columns and their numbers of ON cells, with sums of type `kind`."""

    def typed(context, table, flat, start, coefficients, added, moment, current, on):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            entries, bits, numbers, out, counts = _arrays(
                context, builder, signature, arguments, (0, 1, 3, 6, 7)
            )
            first = builder.gep(bits.data, [arguments[2]])
            narrow = ir.VectorType(INT16, _SINGLES)
            for column, twice, found in _read(builder, kind, entries, first, numbers.data, arguments[4:6]):
                on_cells = builder.lshr(twice.value, twice.value.type([1] * _SINGLES))
                Lanes(builder, builder.trunc(on_cells, narrow)).store(_at(builder, counts.data, column))
                found.store(_at(builder, out.data, column))
            return context.get_dummy_value()

        return types.void(table, flat, start, coefficients, added, moment, current, on), generate

    return intrinsic(typed)


def _codes(kind: ir.IntType) -> Any:
    """Intrinsic that adds the signed codes of 64 columns, of a converter whose thresholds are equally spaced.

    It takes all vectors that a tile is given: what they share then stays in registers.
    """

    def typed(context, table, given, apart, coefficients, line, turn, total):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            entries, bits, scalars, numbers, scale, turned, totals = _arrays(
                context, builder, signature, arguments, range(7)
            )
            slope, most = (
                Lanes.splat(builder, builder.load(_at(builder, scale.data, k)), _SINGLES) for k in range(2)
            )
            nothing = Lanes(builder, ir.Constant(slope.value.type, [0.0] * _SINGLES))
            whole = ir.VectorType(INT32, _SINGLES)
            count, length = (builder.extract_value(bits.shape, k) for k in range(2))
            with cgutils.for_range(builder, count) as loop:
                word = builder.gep(bits.data, [builder.mul(loop.index, length)])
                first = builder.bitcast(word, INT8.as_pointer())
                place = builder.gep(scalars.data, [builder.shl(loop.index, loop.index.type(2))])
                added, moment, zero, inverted = (builder.load(_at(builder, place, k)) for k in range(4))
                zero = Lanes.splat(builder, zero, _SINGLES)
                others = Lanes.splat(builder, builder.fptosi(inverted, INT32), _SINGLES)
                row = builder.gep(totals.data, [builder.mul(loop.index, loop.index.type(COLUMNS))])
                for column, _, found in _read(builder, kind, entries, first, numbers.data, (added, moment)):
                    code = found.times_plus(slope, zero).clamped(nothing, most).whole()
                    mask = Lanes.load(builder, _at(builder, turned.data, column), whole) ^ others
                    there = _at(builder, row, column)
                    (Lanes.load(builder, there, whole) + ((code ^ mask) - mask)).store(there)
            return context.get_dummy_value()

        return types.void(table, given, apart, coefficients, line, turn, total), generate

    return intrinsic(typed)


def _arrays(
    context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any, places: Iterable[int]
) -> list[Any]:
    """Some of the arguments."""
    return [context.make_array(signature.args[k])(context, builder, arguments[k]) for k in places]


def _read(
    builder: ir.IRBuilder, kind: ir.IntType, table: Any, first: Any, numbers: Any, leak: Any
) -> Iterator[tuple[int, Lanes, Lanes]]:
    """Columns, twice their ON cells and their currents, 16 at a time, of the read whose bytes begin at `first`."""
    size = builder.extract_value(table.shape, 0)
    half = builder.lshr(size, size.type(1))
    lanes = COLUMNS if kind == INT16 else _SINGLES
    for start in range(0, COLUMNS, lanes):
        sums = _sums(builder, kind, table.data, first, half, start, lanes)
        for part in range(lanes // _SINGLES):
            n, *others = (x.part(part, _SINGLES) for x in sums)
            found = _polynomial(builder, numbers, leak, *(x.single() for x in (n, *others)))
            yield start + part * _SINGLES, n, found


def _at(builder: ir.IRBuilder, pointer: Any, place: int) -> Any:
    return builder.gep(pointer, [INT32(place)])


def _sums(
    builder: ir.IRBuilder, kind: ir.IntType, table: Any, first: Any, half: Any, column: int, lanes: int
) -> tuple[Lanes, ...]:
    """2 n, u, f, b and e of columns from `column` on, for twice `half` bytes from `first` on.

    Bytes are taken from both ends of a column inwards. What exceeds a sum's bits on the way falls away again.
    """
    whole = ir.VectorType(kind, lanes)
    running = ir.VectorType(INT8 if kind == INT16 else kind, lanes)
    size, last = half.type, builder.sub(builder.shl(half, half.type(1)), half.type(1))
    ends = [[cgutils.alloca_once(builder, each) for each in (running, whole, whole)] for _ in range(2)]
    for each in itertools.chain(*ends):
        builder.store(ir.Constant(each.type.pointee, None), each)

    def take(step: Any) -> list[Lanes]:
        """Add the running numbers of a byte at each end; returns its ON cells, eightfold."""
        counts = []
        for byte, (before, linear, square) in zip((step, builder.sub(last, step)), ends, strict=True):
            value = builder.zext(builder.load(builder.gep(first, [byte])), size)
            entry = builder.mul(builder.add(builder.shl(byte, size(8)), value), size(2 * COLUMNS))
            eightfold, inside = (
                Lanes.load(
                    builder,
                    builder.gep(table, [builder.add(entry, size(field * COLUMNS + column))]),
                    ir.VectorType(INT8, lanes),
                ).widen(running.element)
                for field in range(2)
            )
            x = (Lanes(builder, builder.load(before)) + inside).widen(kind)
            for total, more in ((linear, x), (square, x * x)):
                builder.store((Lanes(builder, builder.load(total)) + more).value, total)
            counts.append(eightfold)
        return counts

    inner = builder.sub(half, size(1))
    with cgutils.for_range(builder, inner) as loop:
        for count, (before, _, _) in zip(take(loop.index), ends, strict=True):
            builder.store((Lanes(builder, builder.load(before)) + count).value, before)
    counts = take(inner)
    most = [
        count.mean(Lanes(builder, builder.load(before)))
        for count, (before, _, _) in zip(counts, ends, strict=True)
    ]
    n = most[0].mean(most[1]).widen(kind)
    (a, s), (c, t) = ((Lanes(builder, builder.load(each)) for each in end[1:]) for end in ends)
    even = builder.trunc(builder.udiv(builder.shl(half, size(3)), size(3)), kind)
    level = Lanes.splat(builder, even, lanes) * n * n
    u = a - c
    middle = (counts[0] + counts[1]).widen(kind)
    return n, u, n * ((a << 2) - u) - s - level, n * ((c << 2) + u) - t - level, middle


def _polynomial(
    builder: ir.IRBuilder, numbers: Any, leak: Any, n: Lanes, u: Lanes, f: Lanes, b: Lanes, e: Lanes
) -> Lanes:
    """Current in LSB of the sums of `wire_sums.features`, n twice; `wire_sums.current` is the same in numpy."""

    def number(k: int) -> Lanes:
        return Lanes.splat(builder, builder.load(_at(builder, numbers, k)), _SINGLES)

    added, moment = (Lanes.splat(builder, scalar, _SINGLES) for scalar in leak)
    half, keep = (number(k) for k in range(2))
    c = [number(2 + k) for k in range(TERMS)]
    n, u = n.times_plus(half, added), u.times_plus(keep, moment)
    p = n.times_plus(n.times_plus(n.times_plus(c[4], c[3]), c[2]), e.times_plus(c[16], c[1]))
    p = n.times_plus(p, c[0])
    q = n * n.times_plus(n.times_plus(c[7], c[6]), e.times_plus(c[17], c[5]))
    q = b.times_plus(c[10], u.times_plus(n.times_plus(c[9], c[8]), q))
    p = u.times_plus(q, p)
    p = f.times_plus(b.times_plus(c[13], n.times_plus(c[12], c[11])), p)
    p = b.times_plus(n.times_plus(c[15], c[14]), p)
    return n * n / p


_currents_narrow = _currents(INT16)
_currents_wide = _currents(INT32)
_add_codes_narrow = _codes(INT16)
_add_codes_wide = _codes(INT32)
