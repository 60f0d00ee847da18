"""Reads that repeat: what vectors have in common is computed once.

Neighbouring pixels and like images apply the same words to a tile. Of 4,096 vectors some 4 in 10 are others in a read
of 16 rows, 3 in 100 in one of 8, and nearly all in one of 64. So the loops take a block of vectors, tile by tile:
they find which reads differ, compute the codes of these, and add them up for all vectors.

Codes are added in 16 bits, and those sums to single-precision ones before they could overflow.
"""

from typing import Any, NamedTuple

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from spicekit.compiled import compiled, in_lines, run_tasks
from spicekit.engines.lanes import INT8, INT16, INT64, Lanes

COLUMNS = 64
"""Columns that a loop takes at a time."""
MOST_VECTORS = 8192
"""Of a block, at most."""
LARGEST_CODE, LARGEST_SUM = np.iinfo(np.int8).max, np.iinfo(np.int16).max
"""That codes, and sums of them, are kept in."""

_kernel: Any = compiled(error_model="numpy", nogil=True)
_LANES = 32  # of whole numbers at a time
_SHORT = 16  # bits of a word that is itself the place where it is looked up
_HASH_BITS = 14  # of a place by hash: twice as many as there are vectors
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: Knuth, TAOCP 3, 6.4
_EMPTY = np.iinfo(np.uint16).max


class Repeats(NamedTuple):
    """Which of the reads of a batch differ, block by block."""

    differ: NDArray[np.int64]
    """(blocks, groups, tiles) how many reads differ."""
    place: NDArray[np.int32]
    """(blocks, groups, tiles, vectors) where each of these is first, from the place of the block's first vector on."""
    which: NDArray[np.uint16]
    """(blocks, groups, tiles, vectors) which of these each vector applies."""


def find_repeats(
    words: NDArray[np.unsignedinteger], inverted: NDArray[np.uint8], *, block: int, worth: float
) -> Repeats:
    """Of `words` (images, groups, tiles, pixels, q) and which of them are `inverted`, as in `Applied`.

    A block has as many vectors as `block` at most: so few that their sums fit a level-2 cache beside a tile's tables.
    `worth` is how much longer all codes of a read take than to look for it. Where too few repeat in the first tile of
    a block and group, all its reads are taken as different.
    """
    images, groups, tiles, pixels, q = words.shape
    blocks = blocks_of(images, pixels, block)
    shape = blocks, groups, tiles
    most = min(images * pixels, block)
    found = Repeats(np.zeros(shape, np.int64), np.empty((*shape, most), np.int32), np.empty((*shape, most), np.uint16))
    short = words.itemsize * 8 == _SHORT

    def task(number: int) -> None:
        slots = np.full(1 << (_SHORT + 1 if short else _HASH_BITS), _EMPTY, np.uint16)
        keys = np.empty((0 if short else most, q + 1), np.uint64)
        (_find_short if short else _find_long)(number, words, inverted, block, worth, *found, slots, keys)

    run_tasks(task, blocks * groups)
    return found


def blocks_of(images: int, pixels: int, most: int) -> int:
    """How many blocks of at most so many vectors make up all."""
    return -(-images // max(1, most // pixels)) * -(-pixels // most)


@numba.njit(inline="always")
def block_of(block, images, pixels, most):  # type: ignore[no-untyped-def]
    """First image and pixel of a block, how many images it has, and pixels of each: whole images, or a part of one."""
    each, cuts = max(1, most // pixels), (pixels + most - 1) // most
    image, pixel = block // cuts * each, block % cuts * most
    return image, pixel, min(each, images - image), min(most, pixels - pixel)


@numba.njit(inline="always")
def share_of(task, words, columns, most):  # type: ignore[no-untyped-def]
    """A task's block, of at most so many vectors; its first image and pixel; and where its sums lie.

    Each block has a task for every 64 columns. Sums lie from a vector and a column on: these, and how many of each.
    """
    chunks = (columns + COLUMNS - 1) // COLUMNS
    block, column = task // chunks, task % chunks * COLUMNS
    image, pixel, few, each = block_of(block, words.shape[0], words.shape[3], most)
    where = image * words.shape[3] + pixel, column, few * each, min(COLUMNS, columns - column)
    return block, image, pixel, where


@numba.njit(inline="always")
def place_of(words, image, group, tile, pixel):  # type: ignore[no-untyped-def]
    """Place of a read among all reads of all vectors."""
    return ((image * words.shape[1] + group) * words.shape[2] + tile) * words.shape[3] + pixel


@numba.njit(inline="always")
def few_repeat(found, vectors, worth):  # type: ignore[no-untyped-def]
    """Whether to look for `found` reads among all takes longer than it spares."""
    return (vectors - found) * worth < vectors


@_kernel
def take_all(count, place, which, images, pixels, apart):  # type: ignore[no-untyped-def]
    """Have the reads of all tiles of a block and group as different."""
    count[:] = images * pixels
    for tile in range(len(count)):
        for image in range(images):
            for pixel in range(pixels):
                vector = image * pixels + pixel
                place[tile, vector], which[tile, vector] = image * apart + pixel, vector


@_kernel
def _find_short(task, words, inverted, most, worth, count, place, which, slots, keys):  # type: ignore[no-untyped-def]
    """`find_repeats` of a block and group; words of 16 bits are looked up without a branch."""
    images, groups, tiles, pixels, _ = words.shape
    block, group = task // groups, task % groups
    image, pixel, few, each = block_of(block, images, pixels, most)
    given, turned, apart = words.reshape(-1), inverted.reshape(-1), groups * tiles * pixels
    for tile in range(tiles):
        start = place_of(words, image, group, tile, pixel)
        first, found = place[block, group, tile], 0
        for k in range(few):
            at = start + k * apart
            word, turn = given[at : at + each], turned[at : at + each]
            own = which[block, group, tile, k * each : (k + 1) * each]
            for vector in range(each):
                key = np.int64(word[vector]) | np.int64(turn[vector]) << _SHORT
                slot = slots[key]
                new = slot == _EMPTY
                slot = np.uint16(found) if new else slot
                slots[key], first[found], own[vector] = slot, k * apart + vector, slot
                found += new
        count[block, group, tile] = found
        if not tile and few_repeat(found, few * each, worth):
            take_all(count[block, group], place[block, group], which[block, group], few, each, apart)
            return
        for k in range(found):
            slots[np.int64(given[start + first[k]]) | np.int64(turned[start + first[k]]) << _SHORT] = _EMPTY


@_kernel
def _find_long(task, words, inverted, most, worth, count, place, which, slots, keys):  # type: ignore[no-untyped-def]
    """`find_repeats` of a block and group; words are looked up by their hash, `keys` (vectors, q + 1) are those met."""
    images, groups, tiles, pixels, q = words.shape
    block, group = task // groups, task % groups
    image, pixel, few, each = block_of(block, images, pixels, most)
    given, turned, apart = words.reshape(-1), inverted.reshape(-1), groups * tiles * pixels
    for tile in range(tiles):
        start = place_of(words, image, group, tile, pixel)
        own, first = which[block, group, tile], place[block, group, tile]
        found = 0
        slots[:] = _EMPTY
        for k in range(few):
            for at in range(k * apart, k * apart + each):
                turn = np.uint64(turned[start + at])
                mixed = turn
                for part in range(q):
                    mixed = (mixed ^ given[(start + at) * q + part]) * _GOLDEN
                    mixed ^= mixed >> np.uint64(32)
                slot = np.int64((mixed * _GOLDEN) >> np.uint64(64 - _HASH_BITS))
                while True:
                    met = np.int64(slots[slot])
                    if met == _EMPTY:
                        for part in range(q):
                            keys[found, part] = given[(start + at) * q + part]
                        keys[found, q] = turn
                        slots[slot], first[found], met = found, at, np.int64(found)
                        found += 1
                        break
                    same = keys[met, q] == turn
                    for part in range(q):
                        same = same and keys[met, part] == given[(start + at) * q + part]
                    if same:
                        break
                    slot = (slot + 1) & ((1 << _HASH_BITS) - 1)
                own[k * each + at - k * apart] = met
        count[block, group, tile] = found
        if not tile and few_repeat(found, few * each, worth):
            take_all(count[block, group], place[block, group], which[block, group], few, each, apart)
            return


class Adding(NamedTuple):
    """Room in which codes are added up, of a block of vectors and 64 columns."""

    codes: NDArray[np.signedinteger]
    """(reads, vectors, COLUMNS): of each read that differs."""
    rows: NDArray[np.int64]
    """(reads,) place of their reads among those of a vector."""
    together: tuple[int, ...]
    """As long as there are such reads: as many as 8 bits hold the sum of."""
    total: NDArray[np.int16]
    """(vectors, COLUMNS), zeros at first."""
    state: NDArray[np.int64]
    """Reads whose codes wait; reads that `total` holds; whether sums have begun."""
    most: int
    """Reads that `total` may hold."""


def room_to_add(vectors: int, highest: int) -> Adding:
    """For so many vectors, of a converter with this highest code."""
    together = next((count for count in (4, 2) if count * highest <= LARGEST_CODE), 1)
    kind = np.int8 if highest <= LARGEST_CODE else np.int16
    total: Any = in_lines((vectors, COLUMNS), np.int16)
    total[:] = 0
    codes: Any = in_lines((together, vectors, COLUMNS), kind)
    rows, state = np.zeros(together, np.int64), np.zeros(3, np.int64)
    return Adding(codes, rows, (0,) * together, total, state, LARGEST_SUM // max(1, highest))


@_kernel
def hand_in(adding, row, which, where, sums):  # type: ignore[no-untyped-def]
    """Add up what was set in `adding.codes[adding.state[0]]`: the codes of the read in this row of `which`.

    `which` (reads, vectors) says which of its codes each vector applies; `where` is the first vector and column among
    the `sums`, and how many there are.
    """
    adding.rows[adding.state[0]] = row
    adding.state[0] += 1
    if adding.state[0] == len(adding.together):
        _make_room(adding, where, sums)
        _add_up(adding.codes, which, adding.rows, where[2], adding.total, adding.together)
        adding.state[0] = 0


@_kernel
def finish(adding, which, where, sums):  # type: ignore[no-untyped-def]
    """Set the sums, when all was handed in."""
    _make_room(adding, where, sums)
    for k in range(adding.state[0]):
        _add_up(adding.codes[k : k + 1], which, adding.rows[k : k + 1], where[2], adding.total, (0,))
    _move(adding, where, sums)


@_kernel
def _make_room(adding, where, sums):  # type: ignore[no-untyped-def]
    """Move the total to the sums before it could overflow."""
    if adding.state[1] + adding.state[0] > adding.most:
        _move(adding, where, sums)
        adding.state[1] = 0
    adding.state[1] += adding.state[0]


@_kernel
def _move(adding, where, sums):  # type: ignore[no-untyped-def]
    """Set the sums to the total, or add it to them if they have begun; and begin again."""
    (first, column, vectors, width), total, begun = where, adding.total, adding.state[2]
    for vector in range(vectors):
        for lane in range(width):
            before = sums[first + vector, column + lane] if begun else np.float32(0)
            sums[first + vector, column + lane] = before + total[vector, lane]
            total[vector, lane] = 0
    adding.state[2] = 1


@intrinsic
def _add_up(context, codes, which, rows, vectors, total, together):  # type: ignore[no-untyped-def]
    """Add to `total` (vectors, COLUMNS) the `codes` (reads, n, COLUMNS) of what each vector applies.

    `which` (.., vectors) says it in the `rows` of these reads; `together` is as long as there are reads.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        given, number, lines, out = (
            context.make_array(signature.args[k])(context, builder, arguments[k]) for k in (0, 1, 2, 4)
        )
        narrow = given.data.type.pointee
        lanes = 2 * _LANES if narrow == INT8 else _LANES
        kind = ir.VectorType(narrow, lanes)
        apart, long = (builder.extract_value(array.shape, 1) for array in (given, number))
        of_read = [
            builder.gep(number.data, [builder.mul(builder.load(builder.gep(lines.data, [INT64(k)])), long)])
            for k in range(together.count)
        ]
        with cgutils.for_range(builder, arguments[3]) as loop:
            places = [
                builder.add(
                    builder.mul(INT64(k), apart),
                    builder.zext(builder.load(builder.gep(read, [loop.index])), INT64),
                )
                for k, read in enumerate(of_read)
            ]
            for column in range(0, COLUMNS, lanes):

                def at(data: Any, row: Any, column: int = column) -> Any:
                    return builder.gep(data, [builder.add(builder.mul(row, INT64(COLUMNS)), INT64(column))])

                added = Lanes.load(builder, at(given.data, places[0]), kind)
                for place in places[1:]:
                    added = added + Lanes.load(builder, at(given.data, place), kind)
                wide = ir.VectorType(INT16, lanes)
                whole = Lanes(builder, builder.sext(added.value, wide) if narrow == INT8 else added.value)
                there = at(out.data, loop.index)
                (Lanes.load(builder, there, wide) + whole).store(there)
        return context.get_dummy_value()

    return types.void(codes, which, rows, vectors, total, together), generate
