"""Compiled loops over reads of more than 16 rows; `wire_sums` says what they compute.

Lanes are columns, 64 at a time. What a byte of a read's word line bits adds in each column is looked up: for a tile and
64 columns, a table holds for each byte, each of its 256 values and each column two numbers, which make up all the sums
that `wire_sums` names. Filling it takes as long as reading some hundred vectors, so that loops take tile by tile, and
all vectors for each. The tables of a tile fill a quarter of a level-2 cache. Then come some products of whole numbers,
in 16 bits up to 64 rows and in 32 bits above, and a polynomial in single precision, whose operations come in one order.
So results depend on neither batch nor threads nor processor.

Batch-sized arrays are allocated in NumPy: huge pages make first touches cheap.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from spicekit.compiled import compiled, in_lines, run_tasks
from spicekit.engines.fast.kernels import HEADROOM, UNIT
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
from spicekit.engines.fast.wire_sum_code import fill_values, find_currents, set_codes

Single = NDArray[np.float32]

_BLOCK = 2048  # vectors that share a table: their sums and codes fit a level-2 cache beside it
_WORTH = 4  # codes of 64 columns take 44 ns, to look for a read among others 5 to 14 (scripts/bench_code.py; trials)

_COUNT = np.bitwise_count(np.arange(256)).astype(np.int64)
"""Ones of a byte."""
_RUNNING = ((np.arange(256)[:, None] >> np.arange(8)) & 1).cumsum(axis=1).sum(axis=1)
"""Running counts of the ones of a byte, added."""

_kernel: Any = compiled(error_model="numpy", nogil=True)
_inlined: Any = numba.njit(inline="always")


def sum_codes(
    coefficients: Single,
    leak: np.float32,
    scale: Single,
    lookup: Single,
    stored: NDArray[np.uint64],
    turned: NDArray[np.int32],
    tiles: NDArray[np.int64],
    words: NDArray[np.uint64],
    inverted: NDArray[np.uint8],
    asserted: NDArray[np.int16],
    size: int,
) -> Single:
    """Signed codes of all reads of each dot product, added.

    Parameters
    ----------
    coefficients, leak, scale, lookup
        As in `WireSumCodes`.
    stored : (groups, tiles, q, c_out) uint64 array
    turned : (groups, tiles, c_out) int32 array
        -1 where a column is stored inverted, else 0.
    tiles : (groups,) int64 array
        Tiles in which the group is read.
    words, inverted, asserted
        As in `Applied`.
    size : int
        Bytes of a read.

    Returns
    -------
    (p, c_out) float32 array
    """
    images, pixels = words.shape[0], words.shape[3]
    zeros = np.ascontiguousarray(scale[1:, 0 if len(lookup) else 1])
    leaks = np.empty((words.size // words.shape[4] if leak else 0, 2), np.float32)
    if leak:
        run_tasks(lambda image: _set_leaks(image, leak, words, bytes_of(words), size, leaks), images)
    sums = np.empty((images * pixels, stored.shape[3]), np.float32)
    chunks = -(-sums.shape[1] // COLUMNS)
    repeats = find_repeats(words, inverted, block=_BLOCK, worth=_WORTH * chunks)
    parts = (0,) * (size // 2), (0,) * bool(turned.any() or inverted.any()), (0,) * bool(leak)
    looked_up = lookup.astype(np.int16) if len(lookup) else None
    highest = int(lookup.max() if len(lookup) else scale[0, 1])
    cells, given = (stored, turned, tiles), (words, inverted, asserted, leaks)
    flat = bytes_of(words), inverted.reshape(-1), asserted.reshape(-1)
    shared = coefficients, (scale[0], zeros), looked_up, cells, given, flat, repeats, parts, sums
    vectors = repeats.which.shape[3]

    def task(number: int) -> None:
        room = room_for(size), np.zeros(COLUMNS, np.int32), np.empty(COLUMNS, np.int32)
        _sum_codes(number, *shared, room, room_to_add(vectors, highest))

    run_tasks(task, blocks_of(images, pixels, _BLOCK) * chunks)
    return sums


def bytes_of(words: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """The bytes of words, one behind the other; little-endian, as all processors that Numba knows."""
    return words.reshape(-1).view(np.uint8)


def room_for(size: int) -> tuple[Any, ...]:
    """A table and what `fill` needs, currents and ON cells of a read."""
    table = in_lines((size, 256, 2, COLUMNS), np.uint8)
    more = np.zeros((-(-size // 8), COLUMNS), np.uint64), np.zeros((8, 2, COLUMNS), np.uint8)
    return table, more, np.empty(COLUMNS, np.float32), np.empty(COLUMNS, np.uint16)


@_kernel
def _sum_codes(  # type: ignore[no-untyped-def]
    task, coefficients, scale, lookup, cells, given, flat, repeats, parts, sums, room, adding
):
    """`sum_codes` of a block of vectors and 64 columns.

    `scale` is the line of the converter; then, by number of asserted rows, the column of zeros if codes are looked up,
    else the code of no current. `lookup` is None if codes are a line. The lengths of `parts` are half a read's bytes,
    whether anything is inverted and whether cells leak: what is not wanted is left out when the loop is compiled.
    `flat` are the words' bytes, and of all reads whether they are inverted and how many rows they assert.
    """
    half, _, leaky = parts
    (line, zeros), (stored, turned, tiles), (words, _, _, leaks) = scale, cells, given
    of_words, inverted, asserted = flat
    (table, more, current, on), turn, level = room
    _, groups, most, _, q = words.shape
    block, image, pixel, where = share_of(task, words, sums.shape[1], _BLOCK)
    _, column, _, width = where
    which = repeats.which[block].reshape(groups * most, -1)
    for group in range(groups):
        numbers = coefficients[group]
        for tile in range(tiles[group]):
            fill(stored[group, tile], column, table, more)
            for lane in range(width):
                turn[lane] = turned[group, tile, column + lane]
            start, count = place_of(words, image, group, tile, pixel), repeats.differ[block, group, tile]
            places, codes = repeats.place[block, group, tile], adding.codes[adding.state[0]]
            if lookup is None:
                set_codes(table, *given, places, (start, count), numbers, line, zeros, turn, codes, parts)
            else:
                for k in range(count):
                    read = start + places[k]
                    added = moment = np.float32(0)
                    if len(leaky):
                        added, moment = leaks[read, 0], leaks[read, 1]
                    ones, turns = asserted[read], -np.int32(inverted[read])
                    find_currents(table, of_words, 8 * q * read, numbers, added, moment, current, on, half)
                    _set_looked_up(current, lookup, zeros[ones], turns, turn, level, codes[k])
            hand_in(adding, group * most + tile, which, where, sums)
    finish(adding, which, where, sums)


@_kernel
def _set_leaks(image, leak, words, flat, size, leaks):  # type: ignore[no-untyped-def]
    """Set what asserted cells that are not ON add to n and u, `leaks` (reads of all vectors, 2), of one image."""
    _, groups, tiles, pixels, q = words.shape
    each = groups * tiles * pixels
    for place in range(image * each, (image + 1) * each):
        leaks[place, 0], leaks[place, 1] = leak_sums(flat, 8 * q * place, size, leak)


def tally_reads(
    coefficients: Single,
    leak: np.float32,
    stored: NDArray[np.uint64],
    tiles: NDArray[np.int64],
    words: NDArray[np.uint64],
    asserted: NDArray[np.int32],
    size: int,
    levels: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Reads by their number of ON cells, 0 to `levels` - 1; other parameters as in `sum_codes`.

    Returns
    -------
    reads, others : (levels,) int64 arrays
        Number of reads; asserted cells that were not ON, added over them.
    current, square : (levels,) float64 arrays
        LSB, and LSB^2 of their squares, added over them.
    """
    tasks = stored.shape[0] * stored.shape[1] * -(-stored.shape[3] // COLUMNS)
    reads, others = np.zeros((2, tasks, levels), np.int64)
    currents, squares = np.zeros((2, tasks, levels))
    half, counted = (0,) * (size // 2), (reads, others, currents, squares)
    shared = coefficients, leak, stored, tiles, words, bytes_of(words), asserted, half, counted
    run_tasks(lambda task: _tally(task, *shared, room_for(size)), tasks)
    return reads.sum(axis=0), others.sum(axis=0), currents.sum(axis=0), squares.sum(axis=0)


@_kernel
def _tally(task, coefficients, leak, stored, tiles, words, flat, asserted, half, counted, room):  # type: ignore[no-untyped-def]
    """`tally_reads` of one tile and 64 columns."""
    table, more, current, on = room
    reads, others, currents, squares = counted
    pixels = words.shape[0]
    most, columns = stored.shape[1], stored.shape[3]
    chunks = (columns + COLUMNS - 1) // COLUMNS
    group, tile, column = task // (most * chunks), task // chunks % most, task % chunks * COLUMNS
    if tile >= tiles[group]:
        return
    fill(stored[group, tile], column, table, more)
    for pixel in range(pixels):
        ones = asserted[pixel, group, tile]
        start = start_of(words, pixel, group, tile)
        added, moment = leak_sums(flat, start, 2 * len(half), leak)
        find_currents(table, flat, start, coefficients[group], added, moment, current, on, half)
        for lane in range(min(COLUMNS, columns - column)):
            reads[task, on[lane]] += 1
            others[task, on[lane]] += ones - on[lane]
            currents[task, on[lane]] += current[lane]
            squares[task, on[lane]] += current[lane] ** 2


def read_currents(
    coefficients: Single,
    leak: np.float32,
    stored: NDArray[np.uint64],
    words: NDArray[np.uint64],
    size: int,
) -> NDArray[np.float64]:
    """(p, c) currents, LSB, of one tile's columns that store words (q, c), given words (p, q).

    `coefficients` are those of its group of rows.
    """
    words, current = np.ascontiguousarray(words), np.empty((len(words), stored.shape[1]))
    half = (0,) * (size // 2)
    _read_currents(coefficients, leak, stored, bytes_of(words), half, current, room_for(size))
    return current


@_kernel
def _read_currents(coefficients, leak, stored, flat, half, currents, room):  # type: ignore[no-untyped-def]
    table, more, current, on = room
    pixels, columns = currents.shape
    for column in range(0, columns, COLUMNS):
        fill(stored, column, table, more)
        for pixel in range(pixels):
            start = pixel * len(stored) * 8
            added, moment = leak_sums(flat, start, 2 * len(half), leak)
            find_currents(table, flat, start, coefficients, added, moment, current, on, half)
            for lane in range(min(COLUMNS, columns - column)):
                currents[pixel, column + lane] = current[lane]


@_kernel
def fill(stored, column, table, more):  # type: ignore[no-untyped-def]
    """Fill the table of 64 columns from `column` on, of a tile's words (q, c_out).

    An ON cell adds eight to eight times the ON cells. To the running numbers of its byte it adds the rows that have it
    behind them, counted from the nearer end of the column: itself and those after it, or those before it.
    """
    words, added = more
    for part in range(len(words)):
        for lane in range(min(COLUMNS, stored.shape[1] - column)):
            words[part, lane] = stored[part, column + lane]
    for byte in range(len(table)):
        for bit in range(8):
            behind = np.uint8(8 - bit if 2 * byte < len(table) else bit)
            for lane in range(COLUMNS):
                held = np.uint8((words[byte // 8, lane] >> np.uint64(8 * (byte % 8) + bit)) & np.uint64(1))
                added[bit, 0, lane], added[bit, 1, lane] = np.uint8(8) * held, behind * held
        fill_values(table[byte], added)


@_inlined
def start_of(words, i, j, k):  # type: ignore[no-untyped-def]
    """Place of the first byte of a read of `words` (.., .., .., q) among all."""
    return ((i * words.shape[1] + j) * words.shape[2] + k) * words.shape[3] * 8


@_kernel
def leak_sums(flat, start, size, leak):  # type: ignore[no-untyped-def]
    """What asserted cells that are not ON add to n and u: a share of these sums over all asserted cells."""
    before = 0
    below = 0
    for byte in range(size):
        value = flat[start + byte]
        below += 8 * before + _RUNNING[value]
        before += _COUNT[value]
    return leak * np.float32(before), leak * np.float32(below - 4 * size * before)


@_kernel
def _set_looked_up(current, lookup, zeros, turns, turn, place, codes):  # type: ignore[no-untyped-def]
    """Set the signed `codes` of 64 columns, of any converter; `place` (COLUMNS,) int32 is room."""
    last = np.float32(len(lookup) - 1)
    for lane in range(COLUMNS):  # a loop of its own: it becomes vectors
        level = np.floor(np.float32(UNIT) * (current[lane] - zeros) + np.float32(0.5)) + np.float32(HEADROOM * UNIT)
        place[lane] = np.int32(min(max(level, np.float32(0)), last))
    for lane in range(COLUMNS):
        mask = turn[lane] ^ turns
        codes[lane] = (np.int32(lookup[place[lane]]) ^ mask) - mask
