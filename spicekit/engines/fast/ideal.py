"""Ideal tiles: a read's code is its number of ON cells.

A sum of counts needs no count of each read. So short reads share words of 64 bits, and what a layer is asked for is one
product of two arrays of bits, counted in the processor's registers: some columns for some vectors, so that a word that
was loaded is used for all of them.

A read counts negatively where only its column or only its vector is inverted. With m a word of ones where that is so,

    ones(x & w) where m = 0, -ones(x & w) where m = 1    add up to    ones((x & w) ^ m) - ones(m)

and how many reads count negatively is a product of bits again: those of the two inversions.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from spicekit.compiled import compiled, run_ranges
from spicekit.engines.lanes import INT64, Lanes, register_bits
from spicekit.engines.words import Applied, Stored

Words = NDArray[np.uint64]

LANES, VECTORS = (32, 4) if register_bits() == 512 else (8, 4)
"""Columns and vectors that are counted at once: their sums fill half of the registers."""
_AT_ONCE = 1024  # vectors whose words are joined at a time
_BITS = 8, 16, 32, 64  # of a word that a read may take

_kernel: Any = compiled(error_model="numpy", nogil=True)


@dataclass(frozen=True)
class IdealCodes:
    """Codes of ideal tiles: a read's number of ON cells, exactly."""

    step: float = 1.0
    """Partial sum that one code stands for."""

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        """(p, c_out) signed codes of all reads of each dot product, added."""
        layer = _layer(stored)
        images, _, _, pixels, q = applied.words.shape
        # by word, as all else
        inverted = np.repeat(applied.inverted.reshape(images, -1, 1, pixels), q, axis=2).reshape(images, -1, pixels)
        words = applied.words.reshape(images, -1, pixels, q).swapaxes(2, 3).reshape(images, -1, pixels)
        flips = layer.flips or bool(inverted.any())
        sums = np.empty((images * pixels, stored.words.shape[-1]), np.float32)

        each = max(1, _AT_ONCE // pixels)
        bits, held = layer.bits, (layer.cells, layer.signs, layer.turned, layer.turns)

        def task(first: int, last: int) -> None:
            room = np.empty((2, VECTORS, LANES), np.int64)
            for start in range(first, last, each):
                some = slice(start, min(start + each, last))
                part = sums[some.start * pixels : some.stop * pixels]
                given, turns, turned = (_room(words.shape[1], len(part), each) for each in (bits, bits, 1))
                _join(words[some], bits, given)
                if not flips:
                    _count(given, layer.cells, part, room[0])
                else:
                    ones = np.zeros(len(part), np.int64)
                    _join_turns(inverted[some], bits, turns, turned, ones)
                    _count_signed(given, turns, turned, ones, *held, bits, part, *room)

        run_ranges(task, images)
        return sums


@dataclass(frozen=True, eq=False)
class _Layer:
    """What a layer stores, as `count_ones` takes it."""

    bits: int
    """Places of a word that a read takes."""
    cells: Words
    signs: Words
    """Ones where a column is inverted."""
    turned: Words
    """The same, a bit for each word."""
    turns: NDArray[np.int64]
    """(c,) words in which a column is inverted."""

    @property
    def flips(self) -> bool:
        return bool(self.turns.any())


@lru_cache(maxsize=64)
def _layer(stored: Stored) -> _Layer:
    most, q, columns = stored.words.shape[1:]
    read = (np.arange(most) < stored.tiles[:, None])[..., None, None]
    held = np.where(read, stored.words, np.uint64(0)).reshape(-1, columns)
    bits = next(bits for bits in _BITS if int(held.max(initial=0)) >> (bits - 1) <= 1)
    turned = np.repeat(stored.inverted, q, axis=1).reshape(-1, columns)
    signs = _columns(np.where(turned, ~np.uint64(0), np.uint64(0)), bits)
    return _Layer(bits, _columns(held, bits), signs, _columns(turned.astype(np.uint64), 1), turned.sum(axis=0))


def _room(reads: int, vectors: int, bits: int) -> Words:
    """For the lowest bits of words (reads, n), as whole ones (words, n)."""
    return np.zeros((-(-reads * bits // 64), vectors), np.uint64)


@_kernel
def _join(words, bits, joined):  # type: ignore[no-untyped-def]
    """Put the lowest bits of words (images, reads, pixels) together, the first at the lowest places of `joined`."""
    images, reads, pixels = words.shape
    mask = ~np.uint64(0) >> np.uint64(64 - bits)
    for read in range(reads):
        whole, place = read * bits // 64, np.uint64(read * bits % 64)
        for image in range(images):
            for pixel in range(pixels):
                joined[whole, image * pixels + pixel] |= (np.uint64(words[image, read, pixel]) & mask) << place


@_kernel
def _join_turns(inverted, bits, turns, turned, ones):  # type: ignore[no-untyped-def]
    """`_join` words of ones where `inverted` is 1, as `turns`, and bits, as `turned`; count them, (images pixels,)."""
    images, reads, pixels = inverted.shape
    mask = ~np.uint64(0) >> np.uint64(64 - bits)
    for read in range(reads):
        whole, place = read * bits // 64, np.uint64(read * bits % 64)
        word, bit = read // 64, np.uint64(read % 64)
        for image in range(images):
            for pixel in range(pixels):
                turn, vector = np.uint64(inverted[image, read, pixel]), image * pixels + pixel
                turns[whole, vector] |= (turn * mask) << place
                turned[word, vector] |= turn << bit
                ones[vector] += inverted[image, read, pixel]


def _columns(words: Words, bits: int) -> Words:
    """The lowest bits of words (reads, c) as whole ones, (chunks of columns, words, LANES)."""
    each = 64 // bits
    padded = np.pad(words, ((0, -len(words) % each), (0, -words.shape[1] % LANES)))
    padded &= ~np.uint64(0) >> np.uint64(64 - bits)
    places = np.arange(0, 64, bits, dtype=np.uint64)[:, None]
    whole = np.bitwise_or.reduce(padded.reshape(-1, each, padded.shape[1]) << places, axis=1)
    return np.ascontiguousarray(whole.reshape(len(whole), -1, LANES).swapaxes(0, 1))


@_kernel
def _count(words, cells, sums, room):  # type: ignore[no-untyped-def]
    """Set `sums` (n, c) to the ones that `words` (k, n) and `cells` share; `room` is for some of them."""
    vectors, columns = sums.shape
    for start in range(0, vectors, VECTORS):
        for chunk in range(len(cells)):
            count_ones(words, None, start, cells, None, chunk, room)
            for k in range(min(VECTORS, vectors - start)):
                for lane in range(min(LANES, columns - chunk * LANES)):
                    sums[start + k, chunk * LANES + lane] = room[k, lane]


@_kernel
def _count_signed(  # type: ignore[no-untyped-def]
    words, turns, turned, of_vector, cells, flips, flipped, of_column, bits, sums, room, both
):
    """`_count` with signs: `turns` and `flips` invert words, `turned` and `flipped` are the same by reads, as bits.

    `of_vector` (n,) and `of_column` (c,) are how many reads these invert; `bits` is how many bits a read has.
    """
    vectors, columns = sums.shape
    for start in range(0, vectors, VECTORS):
        for chunk in range(len(cells)):
            count_ones(words, turns, start, cells, flips, chunk, room)
            count_ones(turned, None, start, flipped, None, chunk, both)
            for k in range(min(VECTORS, vectors - start)):
                for lane in range(min(LANES, columns - chunk * LANES)):
                    column = chunk * LANES + lane
                    negative = of_vector[start + k] + of_column[column] - 2 * both[k, lane]
                    sums[start + k, column] = room[k, lane] - bits * negative


@intrinsic
def count_ones(context, words, turns, start, cells, flips, chunk, found):  # type: ignore[no-untyped-def]
    """Set `found` (VECTORS, LANES) to the ones of (words & cells) ^ flips ^ turns, added over the words of a vector.

    Of the vectors from `start` on and a chunk of columns; `turns` and `flips` are None where nothing is inverted.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def array(place: int) -> Any:
            return context.make_array(signature.args[place])(context, builder, arguments[place])

        given, held, out = array(0), array(3), array(6)
        length, vectors = (builder.extract_value(given.shape, k) for k in range(2))
        kind = ir.VectorType(INT64, LANES)
        block = builder.mul(builder.mul(arguments[5], length), INT64(LANES))
        # fewer vectors than are counted at once: the last one again
        last = builder.sub(vectors, INT64(1))
        rows = []
        for k in range(VECTORS):
            wanted = builder.add(arguments[2], INT64(k))
            row = builder.select(builder.icmp_signed("<", wanted, last), wanted, last)
            rows.append(row)
        totals = [cgutils.alloca_once_value(builder, ir.Constant(kind, None)) for _ in rows]
        inverted = signature.args[1] is not types.none
        with cgutils.for_range(builder, length) as loop:
            place = builder.add(block, builder.mul(loop.index, INT64(LANES)))
            cell = Lanes.load(builder, builder.gep(held.data, [place]), kind)
            flip = Lanes.load(builder, builder.gep(array(4).data, [place]), kind) if inverted else None
            for row, total in zip(rows, totals, strict=True):
                here = builder.add(builder.mul(loop.index, vectors), row)
                word = builder.load(builder.gep(given.data, [here]))
                on = Lanes.splat(builder, word, LANES) & cell
                if flip is not None:
                    turn = builder.load(builder.gep(array(1).data, [here]))
                    on = on ^ flip ^ Lanes.splat(builder, turn, LANES)
                builder.store((Lanes(builder, builder.load(total)) + on.ones()).value, total)
        for k, total in enumerate(totals):
            Lanes(builder, builder.load(total)).store(builder.gep(out.data, [INT64(k * LANES)]))
        return context.get_dummy_value()

    return types.void(words, turns, start, cells, flips, chunk, found), generate
