"""Compiled loops over reads of up to 16 rows in factored form; `factored` says what they compute.

Lanes are columns, 64 at a time. For a tile and 64 columns, a table holds for each byte of a read, each of its 256
values and each column the factors of the ON cells which that value leaves. They are whole numbers of 16 bits, on the
scale of the converter: some additions, products of which the upper half counts, and a shift make a code. So results
depend on neither batch nor threads nor processor. Where cells are not all alike, another table holds what the asserted
ones of each byte deviate by.

Codes are added in 16 bits as well, and those sums to single-precision ones before they could overflow. What a die, a
converter or a network does not need is left out when the loop is compiled: tuples say so by their lengths.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from spicekit.compiled import compiled, run_tasks, zeros_in_lines
from spicekit.engines.lanes import INT16, INT64, Lanes

Short = NDArray[np.int16]

COLUMNS = 64
"""Columns that a table covers."""
PRODUCTS = 1, 2
"""Products that a current may have, of a factor of the lower and one of the upper byte."""
LEAK_PRODUCTS = PASSED_PRODUCTS = 1
"""Products of a leak, and of what a column passes on of mismatch."""
LEAK_SHIFT = 10
"""The number of asserted rows is multiplied by 2^10: 16 of them fill 15 bits."""

_LANES = 32  # of whole numbers at a time
_PIXELS = 4096  # vectors that share a table: their sums fit a level-2 cache beside it
_LARGEST = np.iinfo(np.int16).max

_kernel: Any = compiled(error_model="numpy", nogil=True)


def sum_factored_codes(
    factors: Short,
    offset: Short,
    shift: int,
    highest: int,
    products: int,
    leaky: bool,
    clamped: bool,
    stored: NDArray[np.uint64],
    turned: NDArray[np.int16],
    mismatch: Short | None,
    tiles: NDArray[np.int64],
    words: NDArray[np.uint16],
    inverted: NDArray[np.uint8],
    asserted: NDArray[np.int16],
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
    clamped : bool
        Whether a position may lie outside the converter's scale.
    stored : (groups, tiles, 1, c_out) uint64 array
    turned : (groups, tiles, c_out) int16 array
        -1 where a column is stored inverted, else 0.
    mismatch : (groups, tiles, m, c_out) int16 array, or None if all cells are alike
        Of each cell; those of a read add up to 16 bits. The last fields are those of what a column passes on.
    tiles : (groups,) int64 array
        Tiles in which the group is read.
    words, inverted, asserted
        As in `Applied`.

    Returns
    -------
    (p, c_out) float32 array
    """
    images, pixels = words.shape[0], words.shape[3]
    blocks = blocks_of(images, pixels, _PIXELS)
    sums = np.zeros((images * pixels, stored.shape[3]), np.float32)
    flips = bool(turned.any() or inverted.any())
    parts = tuple((0,) * count for count in (products, leaky, mismatch is not None, clamped, flips))
    moves = np.zeros((1, 1, 0, 1), np.int16) if mismatch is None else mismatch
    scale, cells = (offset, np.int16(shift), np.int16(highest)), (stored, turned, moves, tiles)
    shared = factors, scale, parts, cells, (words, inverted, asserted), sums

    def task(number: int) -> None:
        room = (
            zeros_in_lines((2, factors.shape[2], 256, COLUMNS), np.int16),
            zeros_in_lines((2 * (mismatch is not None), 256, COLUMNS), np.int16),
            np.zeros((8, COLUMNS), np.int16),
            np.zeros(COLUMNS, np.int16),
            zeros_in_lines((min(images * pixels, _PIXELS), COLUMNS), np.int16),
        )
        _sum_codes(number, *shared, room)

    run_tasks(task, blocks * -(-sums.shape[1] // COLUMNS))
    return sums


def blocks_of(images: int, pixels: int, most: int) -> int:
    """How many blocks of at most so many vectors make up all."""
    return -(-images // max(1, most // pixels)) * -(-pixels // most)


@numba.njit(inline="always")
def block_of(block, images, pixels, most):  # type: ignore[no-untyped-def]
    """First image and pixel of a block, how many images it has, and pixels of each: whole images, or a part of one."""
    each, cuts = max(1, most // pixels), (pixels + most - 1) // most
    image, pixel = block // cuts * each, block % cuts * most
    return image, pixel, min(each, images - image), min(most, pixels - pixel)


@_kernel
def _sum_codes(task, factors, scale, parts, cells, given, sums, room):  # type: ignore[no-untyped-def]
    """`sum_factored_codes` of a block of vectors and 64 columns, and its room."""
    (offset, shift, highest), (stored, turned, mismatch, tiles) = scale, cells
    words, inverted, asserted = given
    table, moved, bits, turn, total = room
    images, groups, most, pixels, _ = words.shape
    columns = sums.shape[1]
    chunks = (columns + COLUMNS - 1) // COLUMNS
    image, pixel, few, count = block_of(task // chunks, images, pixels, _PIXELS)
    first, column = image * pixels + pixel, task % chunks * COLUMNS
    width = min(COLUMNS, columns - column)
    left = _LARGEST // highest
    for group in range(groups):
        for tile in range(tiles[group]):
            _fill(factors[group], stored[group, tile, 0], column, bits, table)
            if len(moved):
                _add_up(mismatch[group, tile], column, moved)
            for lane in range(width):
                turn[lane] = turned[group, tile, column + lane]
            start, apart = ((image * groups + group) * most + tile) * pixels + pixel, groups * most * pixels
            where = start, apart, few, count
            _add_codes(table, moved, words, inverted, asserted, where, offset, shift, highest, turn, total, parts)
            left -= 1
            if left == 0:
                _move(total, sums, first, column, few * count, width)
                left = _LARGEST // highest
    _move(total, sums, first, column, few * count, width)


@_kernel
def _move(total, sums, first, column, count, width):  # type: ignore[no-untyped-def]
    """Add what was added up to the sums, and begin again."""
    for pixel in range(count):
        for lane in range(width):
            sums[first + pixel, column + lane] += total[pixel, lane]
            total[pixel, lane] = 0


@_kernel
def _fill(factors, stored, column, bits, table):  # type: ignore[no-untyped-def]
    """Fill the table of 64 columns from `column` on, of a tile's words (c_out,).

    What is wanted of a value is its factor without the bits that a column does not store. They are taken away bit by
    bit, of the upper four and then of the lower four: where one is not stored, a value that has it takes what the value
    without it has.
    """
    for byte in range(2):
        for bit in range(8):
            for lane in range(min(COLUMNS, len(stored) - column)):
                bits[bit, lane] = (stored[column + lane] >> np.uint64(8 * byte + bit)) & np.uint64(1)
        for field in range(factors.shape[1]):
            _fill_field(factors, bits, table, (byte * factors.shape[1] + field) * 256)


@_kernel
def _add_up(mismatch, column, moved):  # type: ignore[no-untyped-def]
    """Fill (2, 256, COLUMNS) sums of the mismatch (m, c_out) of the rows that each value of a byte asserts."""
    rows, columns = mismatch.shape
    for row in range(rows):
        byte, first = row >> 3, 1 << (row & 7)
        for value in range(first):
            for lane in range(min(COLUMNS, columns - column)):
                moved[byte, first + value, lane] = moved[byte, value, lane] + mismatch[row, column + lane]


@intrinsic
def _fill_field(context, factors, bits, table, first):  # type: ignore[no-untyped-def]
    """Fill 256 places of the table from `first` on: the factors there, less the bits (8, COLUMNS) not stored."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        numbers, held, out = _data(context, builder, signature, arguments, 0, 1, 2)
        kind, start = ir.VectorType(INT16, _LANES), arguments[3]

        def at(data: Any, place: Any, column: int) -> Any:
            return builder.gep(data, [builder.add(builder.mul(place, INT64(COLUMNS)), INT64(column))])

        for column in _STARTS:
            rows = (Lanes.load(builder, at(held, INT64(bit), column), kind).value for bit in range(8))
            stored = [builder.icmp_signed("!=", row, ir.Constant(kind, None)) for row in rows]

            def without(values: list[Any], first: int, stored: list[Any] = stored) -> list[Any]:
                """Values of four bits, from bit `first` on, without those that a column does not store."""
                for bit in range(4):
                    values = [
                        builder.select(stored[first + bit], value, values[number - (1 << bit)])
                        if number >> bit & 1
                        else value
                        for number, value in enumerate(values)
                    ]
                return values

            with cgutils.for_range(builder, INT64(16)) as loop:  # values of the lower bits, then of the upper ones
                places = [builder.add(builder.add(start, loop.index), INT64(16 * upper)) for upper in range(16)]
                factors = (builder.load(builder.gep(numbers, [place])) for place in places)
                values = [Lanes.splat(builder, factor, _LANES).value for factor in factors]
                for place, value in zip(places, without(values, 4), strict=True):
                    Lanes(builder, value).store(at(out, place, column))
            with cgutils.for_range(builder, INT64(16)) as loop:
                first = builder.add(start, builder.shl(loop.index, INT64(4)))
                there = [at(out, builder.add(first, INT64(lower)), column) for lower in range(16)]
                values = [Lanes.load(builder, place, kind).value for place in there]
                for place, value in zip(there[1:], without(values, 0)[1:], strict=True):
                    Lanes(builder, value).store(place)
        return context.get_dummy_value()

    return types.void(factors, bits, table, first), generate


@intrinsic
def _add_codes(  # type: ignore[no-untyped-def]
    context, table, moved, words, inverted, asserted, where, offset, shift, highest, turn, total, parts
):
    """Add the signed codes of 64 columns to `total` (n, COLUMNS).

    Of the vectors that `where` says: place of the first, how far an image is from the next, images, vectors of each.
    """
    products, *others = (part.count for part in parts.types)
    leaky, moving, clamped, flips = map(bool, others)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        entries, mismatch, given, turns, counts, offsets, turned, totals = _data(
            context, builder, signature, arguments, 0, 1, 2, 3, 4, 6, 9, 10
        )
        fields = builder.extract_value(context.make_array(signature.args[0])(context, builder, arguments[0]).shape, 1)
        start, apart, images, count = (builder.extract_value(arguments[5], k) for k in range(4))
        behind, most = (Lanes.splat(builder, x, _LANES) for x in arguments[7:9])
        kind = most.value.type
        nothing = Lanes(builder, ir.Constant(kind, None))
        of_column = [Lanes.load(builder, builder.gep(turned, [INT64(c)]), kind) for c in _STARTS]
        with cgutils.for_range(builder, images) as outer, cgutils.for_range(builder, count) as loop:
            place = builder.add(builder.add(start, builder.mul(outer.index, apart)), loop.index)
            row = builder.add(builder.mul(outer.index, count), loop.index)
            read = builder.zext(builder.load(builder.gep(given, [place])), INT64)
            values = [builder.and_(builder.lshr(read, INT64(8 * byte)), INT64(255)) for byte in range(2)]
            ones = builder.load(builder.gep(counts, [place]))
            turn = builder.neg(builder.zext(builder.load(builder.gep(turns, [place])), INT16))
            added = builder.load(builder.gep(offsets, [builder.zext(ones, INT64)]))
            added = Lanes.splat(builder, added, _LANES)
            scaled = Lanes.splat(builder, builder.shl(ones, INT16(LEAK_SHIFT)), _LANES)
            whole = Lanes.splat(builder, turn, _LANES)

            def entry(numbers: Any, block: Any, byte: int, column: int) -> Lanes:
                value = builder.add(builder.shl(block, INT64(8)), values[byte])
                place = builder.add(builder.mul(value, INT64(COLUMNS)), INT64(column))
                return Lanes.load(builder, builder.gep(numbers, [place]), kind)

            def factor(byte: int, field: int, column: int) -> Lanes:
                block = builder.add(builder.mul(fields, INT64(byte)), INT64(field))
                return entry(entries, block, byte, column)

            def combined(first: int, number: int, column: int) -> Lanes:
                both = factor(0, first, column) + factor(1, first, column)
                for field in range(first + 1, first + 1 + number):
                    both = both + factor(0, field, column).upper_half(factor(1, field, column))
                return both

            for column, of_columns in zip(_STARTS, of_column, strict=True):
                x = combined(0, products, column) + added
                if leaky:
                    x = x + combined(1 + products, LEAK_PRODUCTS, column).upper_half(scaled)
                if moving:
                    last = 1 + products + (1 + LEAK_PRODUCTS if leaky else 0)
                    low, high = (entry(mismatch, INT64(byte), byte, column) for byte in range(2))
                    x = x + combined(last, PASSED_PRODUCTS, column).upper_half(low + high)
                code = x >> behind
                if clamped:
                    code = code.clamped(nothing, most)
                if flips:
                    mask = of_columns ^ whole
                    code = (code ^ mask) - mask
                there = builder.gep(totals, [builder.add(builder.mul(row, INT64(COLUMNS)), INT64(column))])
                (Lanes.load(builder, there, kind) + code).store(there)
        return context.get_dummy_value()

    kinds = (table, moved, words, inverted, asserted, where, offset, shift, highest, turn, total, parts)
    return types.void(*kinds), generate


_STARTS = range(0, COLUMNS, _LANES)


def _data(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any, *places: int) -> list[Any]:
    """Where the data of some of the arguments begin."""
    return [context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in places]
