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

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from spicekit.compiled import compiled, in_lines, run_tasks
from spicekit.engines.fast.repeats import (
    COLUMNS,
    blocks_of,
    find_repeats,
    finish,
    hand_in,
    place_of,
    room_to_add,
    share_of,
)
from spicekit.engines.lanes import INT8, INT16, INT64, Lanes

Short = NDArray[np.int16]

PRODUCTS = 1, 2
"""Products that a current may have, of a factor of the lower and one of the upper byte."""
LEAK_PRODUCTS = PASSED_PRODUCTS = 1
"""Products of a leak, and of what a column passes on of mismatch."""
LEAK_SHIFT = 10
"""The number of asserted rows is multiplied by 2^10: 16 of them fill 15 bits."""

_LANES = 32  # of whole numbers at a time

_BLOCK = 8192  # vectors that share a table: their sums fit a level-2 cache beside it

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
    sums = np.empty((images * pixels, stored.shape[3]), np.float32)
    flips = bool(turned.any() or inverted.any())
    parts = tuple((0,) * count for count in (products, leaky, mismatch is not None, clamped, flips))
    moves = np.zeros((1, 1, 0, 1), np.int16) if mismatch is None else mismatch
    scale, cells = (offset, np.int16(shift), np.int16(highest)), (stored, turned, moves, tiles)
    chunks = -(-sums.shape[1] // COLUMNS)
    # codes of 64 columns take some 2.5 ns a field of the tables, a search 1.4 to 2.6 (docs/surrogate.md)
    repeats = find_repeats(words, inverted, block=_BLOCK, worth=chunks * factors.shape[2])
    shared = factors, scale, parts, cells, (words, inverted, asserted), repeats, sums
    vectors = repeats.which.shape[3]

    def task(number: int) -> None:
        room = (
            in_lines((2, factors.shape[2], len(_STARTS), 256, _LANES), np.int16),
            in_lines((2 * (mismatch is not None), len(_STARTS), 256, _LANES), np.int16),
            np.zeros((8, COLUMNS), np.int16),
            np.zeros((16, COLUMNS), np.int16),
            np.zeros(COLUMNS, np.int16),
        )
        _sum_codes(number, *shared, room, room_to_add(vectors, highest))

    run_tasks(task, blocks_of(images, pixels, _BLOCK) * chunks)
    return sums


@_kernel
def _sum_codes(task, factors, scale, parts, cells, given, repeats, sums, room, adding):  # type: ignore[no-untyped-def]
    """`sum_factored_codes` of a block of vectors and 64 columns, and its room."""
    (offset, shift, highest), (stored, turned, mismatch, tiles), words = scale, cells, given[0]
    table, moved, bits, lines, turn = room
    groups, most = words.shape[1:3]
    block, image, pixel, where = share_of(task, words, sums.shape[1], _BLOCK)
    _, column, _, width = where
    which = repeats.which[block].reshape(groups * most, -1)
    for group in range(groups):
        for tile in range(tiles[group]):
            _fill(factors[group], stored[group, tile, 0], column, bits, table)
            if len(moved):
                _fill_moved(mismatch[group, tile], column, lines, moved)
            for lane in range(width):
                turn[lane] = turned[group, tile, column + lane]
            reads = place_of(words, image, group, tile, pixel), repeats.differ[block, group, tile]
            places, codes = repeats.place[block, group, tile], adding.codes[adding.state[0]]
            _set_codes(table, moved, *given, places, reads, offset, shift, highest, turn, codes, parts)
            hand_in(adding, group * most + tile, which, where, sums)
    finish(adding, which, where, sums)


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
def _fill_moved(mismatch, column, lines, moved):  # type: ignore[no-untyped-def]
    """Fill (2, parts, 256, _LANES) sums of the mismatch (m, c_out) of the rows that each value of a byte asserts.

    `lines` (16, COLUMNS) is room, zeros at first.
    """
    for row in range(len(mismatch)):
        for lane in range(min(COLUMNS, mismatch.shape[1] - column)):
            lines[row, lane] = mismatch[row, column + lane]
    _add_lines(lines, moved)


@intrinsic
def _add_lines(context, lines, moved):  # type: ignore[no-untyped-def]
    """Fill all sums of some of the first eight lines, and of some of the others."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        given, out = _data(context, builder, signature, arguments, 0, 1)
        kind = ir.VectorType(INT16, _LANES)
        for byte in range(2):
            for part, column in enumerate(_STARTS):
                start = 256 * (byte * len(_STARTS) + part)
                Lanes(builder, ir.Constant(kind, None)).store(builder.gep(out, [INT64(start * _LANES)]))
                for bit in range(8):
                    line = Lanes.load(builder, builder.gep(given, [INT64((8 * byte + bit) * COLUMNS + column)]), kind)
                    with cgutils.for_range(builder, INT64(1 << bit)) as loop:
                        without, having = (
                            builder.gep(out, [builder.mul(builder.add(loop.index, INT64(first)), INT64(_LANES))])
                            for first in (start, start + (1 << bit))
                        )
                        (Lanes.load(builder, without, kind) + line).store(having)
        return context.get_dummy_value()

    return types.void(lines, moved), generate


@intrinsic
def _fill_field(context, factors, bits, table, first):  # type: ignore[no-untyped-def]
    """Fill 256 places of the table from `first` on: the factors there, less the bits (8, COLUMNS) not stored."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        numbers, held, out = _data(context, builder, signature, arguments, 0, 1, 2)
        kind, start = ir.VectorType(INT16, _LANES), arguments[3]

        for part, column in enumerate(_STARTS):
            rows = (
                Lanes.load(builder, builder.gep(held, [INT64(bit * COLUMNS + column)]), kind).value for bit in range(8)
            )
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

            first = builder.add(builder.mul(start, INT64(len(_STARTS))), INT64(256 * part))

            def at(value: Any, first: Any = first) -> Any:
                return builder.gep(out, [builder.mul(builder.add(first, value), INT64(_LANES))])

            with cgutils.for_range(builder, INT64(16)) as loop:  # values of the lower bits, then of the upper ones
                places = [builder.add(loop.index, INT64(16 * upper)) for upper in range(16)]
                factors = (builder.load(builder.gep(numbers, [builder.add(start, place)])) for place in places)
                values = [Lanes.splat(builder, factor, _LANES).value for factor in factors]
                for place, value in zip(places, without(values, 4), strict=True):
                    Lanes(builder, value).store(at(place))
            with cgutils.for_range(builder, INT64(16)) as loop:
                upper = builder.shl(loop.index, INT64(4))
                there = [at(builder.add(upper, INT64(lower))) for lower in range(16)]
                values = [Lanes.load(builder, place, kind).value for place in there]
                for place, value in zip(there[1:], without(values, 0)[1:], strict=True):
                    Lanes(builder, value).store(place)
        return context.get_dummy_value()

    return types.void(factors, bits, table, first), generate


@intrinsic
def _set_codes(  # type: ignore[no-untyped-def]
    context, table, moved, words, inverted, asserted, places, where, offset, shift, highest, turn, codes, parts
):
    """Set the signed `codes` (n, COLUMNS) of 64 columns.

    Of reads at `places` from a start on; `where` is that start, and how many.
    """
    products, *others = (part.count for part in parts.types)
    leaky, moving, clamped, flips = map(bool, others)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        entries, mismatch, given, turns, counts, first, offsets, turned, out = _data(
            context, builder, signature, arguments, 0, 1, 2, 3, 4, 5, 7, 10, 11
        )
        fields = builder.extract_value(context.make_array(signature.args[0])(context, builder, arguments[0]).shape, 1)
        start, count = (builder.extract_value(arguments[6], k) for k in range(2))
        behind, most = (Lanes.splat(builder, x, _LANES) for x in arguments[8:10])
        kind = most.value.type
        nothing = Lanes(builder, ir.Constant(kind, None))
        of_column = [Lanes.load(builder, builder.gep(turned, [INT64(c)]), kind) for c in _STARTS]
        with cgutils.for_range(builder, count) as loop:
            place = builder.add(start, builder.sext(builder.load(builder.gep(first, [loop.index])), INT64))
            read = builder.zext(builder.load(builder.gep(given, [place])), INT64)
            values = [builder.and_(builder.lshr(read, INT64(8 * byte)), INT64(255)) for byte in range(2)]
            ones = builder.load(builder.gep(counts, [place]))
            turn = builder.neg(builder.zext(builder.load(builder.gep(turns, [place])), INT16))
            added = builder.load(builder.gep(offsets, [builder.zext(ones, INT64)]))
            added = Lanes.splat(builder, added, _LANES)
            scaled = Lanes.splat(builder, builder.shl(ones, INT16(LEAK_SHIFT)), _LANES)
            whole = Lanes.splat(builder, turn, _LANES)

            def entry(numbers: Any, block: Any, byte: int, column: int) -> Lanes:
                part = builder.add(builder.mul(block, INT64(len(_STARTS))), INT64(column // _LANES))
                row = builder.add(builder.shl(part, INT64(8)), values[byte])
                return Lanes.load(builder, builder.gep(numbers, [builder.mul(row, INT64(_LANES))]), kind)

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
                if out.type.pointee == INT8:
                    code = Lanes(builder, builder.trunc(code.value, ir.VectorType(INT8, _LANES)))
                code.store(builder.gep(out, [builder.add(builder.mul(loop.index, INT64(COLUMNS)), INT64(column))]))
        return context.get_dummy_value()

    kinds = (table, moved, words, inverted, asserted, places, where, offset, shift, highest, turn, codes, parts)
    return types.void(*kinds), generate


_STARTS = range(0, COLUMNS, _LANES)


def _data(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any, *places: int) -> list[Any]:
    """Where the data of some of the arguments begin."""
    return [context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in places]
