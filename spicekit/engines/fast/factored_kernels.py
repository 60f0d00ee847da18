"""Compiled loops over reads of up to 16 rows in factored form; `factored` says what they compute.

Lanes are columns, 64 at a time. For a tile and 64 columns, a table holds for each byte of a read, each of its 256
values and each column the factors of the ON cells which that value leaves. They are whole numbers of 16 bits, on the
scale of the converter: some additions, products of which the upper half counts, and a shift make a code. So results
depend on neither batch nor threads nor processor. Where cells are not all alike, another table holds what the asserted
ones of each byte deviate by.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from spicekit.compiled import compiled
from spicekit.engines.fast.kernels import zeros_in_lines
from spicekit.engines.fast.lanes import INT16, INT32, INT64, Lanes

Short = NDArray[np.int16]

COLUMNS = 64
"""Columns that a table covers."""
PRODUCTS = 1, 2
"""Products that a current may have, of a factor of the lower and one of the upper byte."""
LEAK_PRODUCTS = PASSED_PRODUCTS = 1
"""Products of a leak, and of what a column passes on of deviations."""
LEAK_SHIFT = 10
"""The number of asserted rows is multiplied by 2^10: 16 of them fill 15 bits."""

_ONES, _INVERTED = 16, 31  # bits of a read where these begin
_LINE = 16  # reads that fill a line of a cache
_LANES = 32  # of whole numbers at a time
_PIXELS = 2048  # vectors that share a table: their sums fit a level-2 cache beside it

_kernel: Any = compiled(error_model="numpy", nogil=True)
_parallel_kernel: Any = compiled(parallel=True, error_model="numpy", nogil=True)


def sum_factored_codes(
    factors: Short,
    offset: Short,
    shift: int,
    highest: int,
    products: int,
    leaky: bool,
    stored: NDArray[np.uint64],
    turned: NDArray[np.int32],
    deviation: Short,
    tiles: NDArray[np.int64],
    words: NDArray[np.uint64],
    inverted: NDArray[np.uint8],
    asserted: NDArray[np.int32],
) -> NDArray[np.float32]:
    """Signed codes of all reads of each dot product, added.

    Parameters
    ----------
    factors : (groups, 2, fields, 256) int16 array
        Of each value of the ON cells in the lower and in the upper byte.
    offset : (m + 1,) int16 array
        Added, by number of asserted rows.
    shift, highest : int
        Bits behind the point of a code; the highest code.
    products : int
        Of a current.
    leaky : bool
        Whether the next fields are those of a leak.
    stored : (groups, tiles, 1, c_out) uint64 array
    turned : (groups, tiles, c_out) int32 array
        -1 where a column is stored inverted, else 0.
    deviation : (groups, tiles, m, c_out) int16 array
        Of each cell; those of a read add up to 16 bits. No rows if all cells are alike; else the last fields are those
        of what a column passes on.
    tiles : (groups,) int64 array
        Tiles in which the group is read.
    words, inverted, asserted
        As from `inputs.pack_inputs`.

    Returns
    -------
    (p, c_out) float32 array
    """
    pixels, groups, most, _ = words.shape
    reads = np.empty((groups, most, pixels), np.uint32)
    _lay_side_by_side(words, inverted, asserted, reads)
    sums = np.empty((pixels, stored.shape[3]), np.float32)
    _sum_codes(
        factors, offset, shift, highest, products, leaky, stored, turned, deviation, tiles, reads, sums
    )
    return sums


@_parallel_kernel
def _sum_codes(  # type: ignore[no-untyped-def]
    factors, offset, shift, highest, products, leaky, stored, turned, deviation, tiles, reads, sums
):
    """`sum_factored_codes`, of what `_lay_side_by_side` made."""
    pixels, columns = sums.shape
    chunks = (columns + COLUMNS - 1) // COLUMNS
    blocks = (pixels + _PIXELS - 1) // _PIXELS
    shift, highest = np.int16(shift), np.int16(highest)
    for task in numba.prange(blocks * chunks):
        first = task // chunks * _PIXELS
        column = task % chunks * COLUMNS
        count = min(_PIXELS, pixels - first)
        width = min(COLUMNS, columns - column)
        fields = factors.shape[2]
        table = zeros_in_lines(4 * fields * 256 * COLUMNS).view(np.int16).reshape((2, fields, 256, COLUMNS))
        bits = np.zeros((8, COLUMNS), np.int16)
        alike = deviation.shape[2] == 0
        moved = zeros_in_lines(0 if alike else 4 * 256 * COLUMNS).view(np.int16).reshape((-1, 256, COLUMNS))
        turn = np.zeros(COLUMNS, np.int32)
        total = zeros_in_lines(4 * count * COLUMNS).view(np.int32).reshape((count, COLUMNS))
        for group in range(len(stored)):
            for tile in range(tiles[group]):
                _fill(factors[group], stored[group, tile, 0, column : column + width], bits, table)
                if not alike:
                    _add_up(deviation[group, tile, :, column : column + width], moved)
                turn[:width] = turned[group, tile, column : column + width]
                # No array is cut in this loop: counting its users takes longer than a read.
                for pixel in range(count):
                    read = np.int64(reads[group, tile, first + pixel])
                    low, high = read & 255, read >> 8 & 255
                    ones, turns = read >> _ONES & 31, np.int32(-(read >> _INVERTED))
                    scaled = np.int16(ones << LEAK_SHIFT)
                    found = table, moved, low, high, offset[ones], scaled
                    added = shift, highest, turns, turn, total, pixel
                    if alike:
                        if leaky and products == 1:
                            _add_leaky_1(*found, *added)
                        elif leaky:
                            _add_leaky_2(*found, *added)
                        elif products == 1:
                            _add_quiet_1(*found, *added)
                        else:
                            _add_quiet_2(*found, *added)
                    elif leaky and products == 1:
                        _add_moved_leaky_1(*found, *added)
                    elif leaky:
                        _add_moved_leaky_2(*found, *added)
                    elif products == 1:
                        _add_moved_quiet_1(*found, *added)
                    else:
                        _add_moved_quiet_2(*found, *added)
        for pixel in range(count):
            for lane in range(width):
                sums[first + pixel, column + lane] = total[pixel, lane]


@_parallel_kernel
def _lay_side_by_side(words, inverted, asserted, reads):  # type: ignore[no-untyped-def]
    """Set `reads` (groups, tiles, p) uint32: words, above them the number of ones and whether they are inverted."""
    pixels, groups, tiles, _ = words.shape
    for block in numba.prange((pixels + _LINE - 1) // _LINE):
        for group in range(groups):
            for tile in range(tiles):
                for pixel in range(block * _LINE, min((block + 1) * _LINE, pixels)):
                    above = (np.int64(inverted[pixel, group, tile]) << _INVERTED) | (
                        np.int64(asserted[pixel, group, tile]) << _ONES
                    )
                    reads[group, tile, pixel] = np.int64(words[pixel, group, tile, 0]) | above


@_kernel
def _fill(factors, stored, bits, table):  # type: ignore[no-untyped-def]
    """Fill the table of the columns that store the words `stored`.

    What is wanted of a value is its factor without the bits that a column does not store. They are taken away bit by
    bit: where one is not stored, a value that has it takes what the value without it has.
    """
    for byte in range(2):
        for bit in range(8):
            for lane in range(len(stored)):
                bits[bit, lane] = (stored[lane] >> np.uint64(8 * byte + bit)) & np.uint64(1)
        for field in range(factors.shape[1]):
            first = (byte * factors.shape[1] + field) * 256
            for place in range(first, first + 256):
                _spread(factors, table, place)
            for bit in range(8):
                step = 1 << bit
                for place in range(first + step, first + 256, 2 * step):
                    for value in range(step):
                        _drop(bits, bit, table, place + value, step)


@_kernel
def _add_up(deviation, moved):  # type: ignore[no-untyped-def]
    """Fill (2, 256, COLUMNS) sums of the deviations (m, columns) of the rows that each value of a byte asserts."""
    rows, columns = deviation.shape
    for row in range(rows):
        byte, first = row >> 3, 1 << (row & 7)
        for value in range(first):
            for lane in range(columns):
                moved[byte, first + value, lane] = moved[byte, value, lane] + deviation[row, lane]


@intrinsic
def _spread(context, factors, table, place):  # type: ignore[no-untyped-def]
    """Put the factor at a place into all columns."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        numbers, out = _data(context, builder, signature, arguments, 0, 1)
        number = builder.load(builder.gep(numbers, [arguments[2]]))
        row = builder.gep(out, [builder.mul(arguments[2], INT64(COLUMNS))])
        Lanes.splat(builder, number, COLUMNS).store(row)
        return context.get_dummy_value()

    return types.void(factors, table, place), generate


@intrinsic
def _drop(context, bits, bit, table, place, step):  # type: ignore[no-untyped-def]
    """Where a column's bit is 0, copy what stands `step` before a place."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        held, out = _data(context, builder, signature, arguments, 0, 2)
        kind = ir.VectorType(INT16, COLUMNS)
        held = builder.gep(held, [builder.mul(arguments[1], INT64(COLUMNS))])
        row = builder.gep(out, [builder.mul(arguments[3], INT64(COLUMNS))])
        other = builder.gep(out, [builder.mul(builder.sub(arguments[3], arguments[4]), INT64(COLUMNS))])
        stored = builder.icmp_signed(
            "!=", Lanes.load(builder, held, kind).value, ir.Constant(kind, [0] * COLUMNS)
        )
        chosen = builder.select(
            stored, Lanes.load(builder, row, kind).value, Lanes.load(builder, other, kind).value
        )
        Lanes(builder, chosen).store(row)
        return context.get_dummy_value()

    return types.void(bits, bit, table, place, step), generate


def _codes(products: int, *, leaky: bool, alike: bool) -> Any:
    """Intrinsic that adds the signed codes of one read of 64 columns."""

    def typed(context, table, moved, low, high, offset, ones, shift, highest, turns, turn, total, pixel):  # type: ignore[no-untyped-def]
        def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
            entries, deviations, turned, totals = _data(context, builder, signature, arguments, 0, 1, 9, 10)
            shape = context.make_array(signature.args[0])(context, builder, arguments[0]).shape
            fields = builder.extract_value(shape, 1)
            added, scaled, behind, most = (Lanes.splat(builder, x, _LANES) for x in arguments[4:8])
            others = Lanes.splat(builder, arguments[8], _LANES)
            nothing = Lanes(builder, ir.Constant(added.value.type, None))
            row = builder.mul(arguments[11], INT64(COLUMNS))
            whole = ir.VectorType(INT32, _LANES)

            def factor(byte: int, field: int, column: int) -> Lanes:
                return entry(
                    entries, builder.add(builder.mul(fields, INT64(byte)), INT64(field)), byte, column
                )

            def entry(numbers: Any, block: Any, byte: int, column: int) -> Lanes:
                value = builder.add(builder.shl(block, INT64(8)), arguments[2 + byte])
                place = builder.add(builder.mul(value, INT64(COLUMNS)), INT64(column))
                return Lanes.load(builder, builder.gep(numbers, [place]), added.value.type)

            def combined(first: int, number: int, column: int) -> Lanes:
                both = factor(0, first, column) + factor(1, first, column)
                for field in range(first + 1, first + 1 + number):
                    both = both + factor(0, field, column).upper_half(factor(1, field, column))
                return both

            for column in range(0, COLUMNS, _LANES):
                x = combined(0, products, column) + added
                if leaky:
                    leak = combined(1 + products, LEAK_PRODUCTS, column)
                    x = x + leak.upper_half(scaled)
                if not alike:
                    last = 1 + products + (1 + LEAK_PRODUCTS if leaky else 0)
                    low, high = (entry(deviations, INT64(byte), byte, column) for byte in range(2))
                    x = x + combined(last, PASSED_PRODUCTS, column).upper_half(low + high)
                code = (x >> behind).clamped(nothing, most).widen(INT32)  # not negative
                place = builder.gep(turned, [INT64(column)])
                mask = Lanes.load(builder, place, whole) ^ others
                place = builder.gep(totals, [builder.add(row, INT64(column))])
                (Lanes.load(builder, place, whole) + ((code ^ mask) - mask)).store(place)
            return context.get_dummy_value()

        kinds = (table, moved, low, high, offset, ones, shift, highest, turns, turn, total, pixel)
        return types.void(*kinds), generate

    return intrinsic(typed)


def _data(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any, *places: int) -> list[Any]:
    """Where the data of some of the arguments begin."""
    return [context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in places]


_add_quiet_1, _add_quiet_2 = (_codes(products, leaky=False, alike=True) for products in PRODUCTS)
_add_leaky_1, _add_leaky_2 = (_codes(products, leaky=True, alike=True) for products in PRODUCTS)
_add_moved_quiet_1, _add_moved_quiet_2 = (_codes(products, leaky=False, alike=False) for products in PRODUCTS)
_add_moved_leaky_1, _add_moved_leaky_2 = (_codes(products, leaky=True, alike=False) for products in PRODUCTS)
