"""Compiled loops over words: what makes whole networks run as fast as their software.

Words are ordered [.., group, tile]: the reads of one group of rows share a table and are neighbours. `words` says which
bit is which row.

Up to 16 rows, most reads are in `factored_kernels`, in factored form. Where that is not close enough, or thresholds are
not equally spaced, a read is looked up here by its pattern. One index holds all that decides its signed code: bits
0..m-1 the pattern of ON cells, bit m the sign (static flip XOR dynamic flip), the bits above the number of ones applied
where leakage makes it matter.

More rows are in `wire_sum_kernels`, ideal reads of any number in `ideal`.

Where converters are not all alike, or cells are not and the factored form does not hold, a read's current is shifted by
the mismatch of the asserted cells, placed on the converter's scale, and shifted there by offset, bow and noise. Noise
is a hash of what it belongs to. These are single-precision numbers, each computed alone and added in one order, so that
again results do not depend on the order of work.
"""

from functools import partial
from typing import Any

import numba
import numpy as np
from numba.extending import intrinsic
from numpy.typing import NDArray

from spicekit.compiled import compiled, run_tasks
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

UNIT = 256
"""Fixed-point steps of a current, per LSB: 0.004 LSB, below the error of the surrogate itself."""
LEAK_UNIT = 16384
"""Fixed-point steps of leakage and column of zeros, per LSB."""
HEADROOM = 16
"""LSB by which currents in fixed point are shifted up, so that an index into a table is never negative."""
CODE_ENTRIES = 1 << 16
"""Entries of a table over currents in fixed point."""

_kernel: Any = compiled(error_model="numpy", nogil=True)

_PIXELS = 32  # outputs that a thread works on at a time: their sums and words stay in its level-1 cache
_BLOCK = 4096  # vectors whose sums fit a level-2 cache beside a table of codes
_WORTH = 8  # at least so many times as long as to look for a read among others, to look 64 codes up takes: assumed

_SLOPE_SHIFT = (LEAK_UNIT // UNIT).bit_length() - 1
_HALF = LEAK_UNIT // UNIT // 2  # so that a shift rounds
_1 = np.uint64(1)
_READS = np.uint64(34)  # bit of a count, above the ones of so many reads of 16 rows:
_MOST_COUNTED = 1 << 29
# SplitMix64: Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, 453, with the
# constants of Stafford's 13th variant in its mixing function.
_GOLDEN, _MIX1, _MIX2 = (np.uint64(k) for k in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_27, _30, _31, _NOISE_SHIFT = (np.uint64(k) for k in (27, 30, 31, 50))  # 64 - 14 bits: converter.NOISE_LEVELS


@intrinsic
def ones_of(context, word):  # type: ignore[no-untyped-def]
    """How many bits of a word are one."""
    return word(word), lambda context, builder, signature, arguments: builder.ctpop(arguments[0])


def sum_pattern_codes(
    table: NDArray[np.signedinteger],
    highest: int,
    stored: NDArray[np.uint64],
    turned: NDArray[np.bool_],
    tiles: NDArray[np.int64],
    words: NDArray[np.uint16],
    inverted: NDArray[np.uint8],
    asserted: NDArray[np.int16],
    m: int,
    by_ones: bool,
) -> NDArray[np.float32]:
    """Signed codes of all reads of each dot product, added; reads of up to 16 rows.

    Parameters
    ----------
    table : (groups, entries) int8 or int16 array
        Signed codes.
    highest : int
        Of them.
    stored : (groups, tiles, 1, c_out) uint64 array
    turned : (groups, tiles, c_out) bool array
        Columns stored inverted.
    tiles : (groups,) int64 array
        Tiles in which the group is read.
    words, inverted, asserted
        As in `Applied`.
    m : int
        Rows of a read.
    by_ones : bool
        Whether entries tell numbers of asserted rows apart.

    Returns
    -------
    (p, c_out) float32 array
    """
    images, pixels = words.shape[0], words.shape[3]
    sums = np.empty((images * pixels, stored.shape[3]), np.float32)
    chunks = -(-sums.shape[1] // COLUMNS)
    repeats = find_repeats(words, inverted, block=_BLOCK, worth=_WORTH * chunks)
    shared = table, (stored, turned, tiles), (words, inverted, asserted), repeats, m, by_ones, sums

    def task(number: int) -> None:
        adding = room_to_add(repeats.which.shape[3], highest)
        _sum_pattern_codes(number, *shared, np.zeros(COLUMNS, np.uint32), adding)

    run_tasks(task, blocks_of(images, pixels, _BLOCK) * chunks)
    return sums


@_kernel
def _sum_pattern_codes(task, table, cells, given, repeats, m, by_ones, sums, held, adding):  # type: ignore[no-untyped-def]
    """`sum_pattern_codes` of a block of vectors and 64 columns; `held` (COLUMNS,) is its room, zeros."""
    (stored, turned, tiles), (words, inverted, asserted) = cells, given
    groups, most = words.shape[1:3]
    block, image, pixel, where = share_of(task, words, sums.shape[1], _BLOCK)
    _, column, _, width = where
    which = repeats.which[block].reshape(groups * most, -1)
    for group in range(groups):
        signed = table[group]
        for tile in range(tiles[group]):
            for lane in range(width):
                sign = np.uint32(turned[group, tile, column + lane]) << np.uint32(m)
                held[lane] = np.uint32(stored[group, tile, 0, column + lane]) | sign
            start, places = place_of(words, image, group, tile, pixel), repeats.place[block, group, tile]
            codes = adding.codes[adding.state[0]]
            for k in range(repeats.differ[block, group, tile]):
                read = start + places[k]
                applied = np.uint32(words.flat[read]) | np.uint32(1 << m)
                ones = np.uint32(asserted.flat[read]) if by_ones else np.uint32(0)
                choice = ones << np.uint32(m + 1) | np.uint32(inverted.flat[read]) << np.uint32(m)
                for lane in range(COLUMNS):
                    codes[k, lane] = signed[(held[lane] & applied) ^ choice]
            hand_in(adding, group * most + tile, which, where, sums)
    finish(adding, which, where, sums)


def count_patterns(
    stored: NDArray[np.uint32],
    tiles: NDArray[np.int64],
    words: NDArray[np.uint32],
    asserted: NDArray[np.int32],
    m: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often each pattern of ON cells was read, and with how many other cells asserted; reads of up to 16 rows.

    Parameters
    ----------
    stored : (groups, tiles, c_out) uint32 array
    tiles, words, asserted, m
        As in `sum_pattern_codes`.

    Returns
    -------
    reads, others : (groups, 2^m) int64 arrays
        Number of reads; asserted cells that were not ON, added over these reads.
    """
    groups, most, columns = stored.shape
    reads, ones = np.zeros((2, groups, 1 << m), np.int64)
    pixels = max(1, _MOST_COUNTED // (most * columns))
    for first in range(0, len(words), pixels):
        part = slice(first, first + pixels)
        both = np.zeros((groups, 1 << m), np.uint64)
        room = np.zeros((groups, 2, 1 << m), np.uint64)
        run_tasks(partial(_count_group, stored, tiles, words[part], asserted[part], both, room), groups)
        reads += (both >> _READS).astype(np.int64)
        ones += (both & ((_1 << _READS) - _1)).astype(np.int64)
    return reads, ones - np.bitwise_count(np.arange(1 << m)).astype(np.int64) * reads


@_kernel
def _count_group(stored, tiles, words, asserted, both, room, group):  # type: ignore[no-untyped-def]
    """Add up `both` (groups, 2^m) uint64: reads from bit `_READS` on, ones applied below.

    A word that vectors share is read once for all of them, and words come in their order, so that patterns are
    neighbours. `room` (groups, 2, 2^m) is zeros.
    """
    often, met = room[group]
    for tile in range(tiles[group]):
        for pixel in range(len(words)):
            often[words[pixel, group, tile]] += (_1 << _READS) + np.uint64(asserted[pixel, group, tile])
        distinct = 0
        for word in range(len(often)):
            if often[word]:
                met[distinct], often[distinct] = word, often[word]
                distinct += 1
        for column in range(stored.shape[2]):
            held = np.uint64(stored[group, tile, column])
            for place in range(distinct):
                both[group, held & met[place]] += often[place]
        often[:] = 0


@_kernel
def pattern_currents(quiet, leak, stored, words, asserted):  # type: ignore[no-untyped-def]
    """(p, c) currents of one group's reads of one tile.

    `quiet` and `leak` (2^m,) are those of `PatternReads`, `stored` (c,) and `words` (p,) words, `asserted` (p,).
    """
    current = np.empty((len(words), len(stored)))
    for pixel in range(len(words)):
        for column in range(len(stored)):
            pattern = stored[column] & words[pixel]
            others = np.int64(asserted[pixel]) - np.int64(ones_of(pattern))
            current[pixel, column] = quiet[pattern] + others * leak[pattern]
    return current


def sum_pattern_codes_of_die(
    quiet: NDArray[np.int32],
    leak: NDArray[np.int32],
    zero_column: NDArray[np.int32],
    ones_in: NDArray[np.uint8],
    stored: NDArray[np.uint64],
    *given: Any,
) -> NDArray[np.float32]:
    """Signed codes of all reads of each dot product, added; reads of up to 16 rows, cells and converters not alike.

    Parameters
    ----------
    quiet, leak : (groups, 2^m) int32 arrays
        Current of each pattern, and what another asserted cell adds, in 1 / LEAK_UNIT LSB.
    zero_column : (m + 1,) int32 array
        The column of zeros, in 1 / LEAK_UNIT LSB, by number of asserted rows.
    ones_in : (2^m,) uint8 array
        ON cells of each pattern.
    stored : (groups, tiles, 1, c_out) uint64 array
    given
        The others as in `die.sum_codes_of_die`, without `size`; returns what it does.
    """
    sign, tiles, words, *others = given
    columns = stored.shape[3]
    sums = np.zeros((len(words), columns), np.float32)
    shared = (quiet, leak, zero_column, ones_in), (stored, sign, tiles), words, *others, sums

    def task(block: int) -> None:
        room = *np.empty((3, columns), np.int32), np.empty(columns, np.float32)
        _sum_pattern_codes_of_die(block, *shared, room)

    run_tasks(task, -(-len(words) // _PIXELS))
    return sums


@_kernel
def _sum_pattern_codes_of_die(  # type: ignore[no-untyped-def]
    block, tables, held, words, inverted, asserted, cells, converters, images, sums, room
):
    """`sum_pattern_codes_of_die` of some vectors, and its room."""
    (quiet, leak, zero_column, ones_in), (stored, sign, tiles) = tables, held
    current, on, total, position = room
    groups, most, _, columns = stored.shape
    per_image, first = images
    for pixel in range(block * _PIXELS, min((block + 1) * _PIXELS, len(words))):
        total[:] = 0
        image, place = first + pixel // per_image, pixel % per_image
        for group in range(groups):
            for tile in range(tiles[group]):
                word = words[pixel, group, tile, 0]
                ones = asserted[pixel, group, tile]
                for column in range(columns):
                    pattern = stored[group, tile, 0, column] & word
                    on[column] = ones_in[pattern]
                    fine = quiet[group, pattern] + (ones - on[column]) * leak[group, pattern] - zero_column[ones]
                    current[column] = HEADROOM * UNIT + ((fine + _HALF) >> _SLOPE_SHIFT)
                add_mismatch(cells, group, tile, words[pixel, group, tile], on, position, current)
                read = (place * groups + group) * most + tile
                place_on_scale(converters, tile, image, read, current, position)
                add_positions(position, converters, sign[group, tile], inverted[pixel, group, tile], total)
        for column in range(columns):
            sums[pixel, column] = total[column]


@_kernel
def add_mismatch(cells, group, tile, words, on, moved, current):  # type: ignore[no-untyped-def]
    """Shift currents by the mismatch of the asserted cells, times what a column passes on; clamp to the scale."""
    mismatch, passed, word, bit = cells
    columns = len(current)
    if mismatch.shape[2]:
        moved[:] = 0
        for row in range(mismatch.shape[2]):
            if (words[word[row]] >> np.uint64(bit[row])) & _1:
                cell = mismatch[group, tile, row]
                for column in range(columns):
                    moved[column] += cell[column]  # whole numbers below 2^24: exact
        for column in range(columns):
            shift = moved[column] * passed[group, on[column]]
            current[column] += np.int32(np.floor(shift + np.float32(0.5)))
    for column in range(columns):
        current[column] = min(max(current[column], 0), CODE_ENTRIES - 1)


@_kernel
def place_on_scale(converters, tile, image, read, current, position):  # type: ignore[no-untyped-def]
    """Set `position` of each column's current on the scale of its converter, LSB."""
    scale, offset, bow, noise, levels, key, highest = converters
    for column in range(len(current)):
        place = scale[current[column]]
        x = min(max(place / (highest + np.float32(1)), np.float32(0)), np.float32(1))
        position[column] = place + offset[tile, column] + np.float32(4) * bow[tile, column] * x * (np.float32(1) - x)
    if noise:
        start = _mix(_mix(key + np.uint64(image) * _GOLDEN) + np.uint64(read) * _GOLDEN)
        for column in range(len(current)):
            draw = _mix(start + np.uint64(column) * _GOLDEN)
            position[column] += noise * levels[draw >> _NOISE_SHIFT]


@_kernel
def add_positions(position, converters, sign, inverted, total):  # type: ignore[no-untyped-def]
    """Add the signed codes of one read of all columns."""
    highest = converters[6]
    turn = -1 if inverted else 1
    for column in range(len(position)):
        code = np.int32(min(max(np.floor(position[column]), np.float32(0)), highest))
        total[column] += turn * sign[column] * code


@numba.njit(inline="always")
def _mix(state):  # type: ignore[no-untyped-def]
    """64 bits from 64 bits, each of which changes all."""
    state = (state ^ (state >> _30)) * _MIX1
    state = (state ^ (state >> _27)) * _MIX2
    return state ^ (state >> _31)
