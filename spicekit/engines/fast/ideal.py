"""Ideal tiles: a read's code is its number of ON cells.

A sum of counts needs no count of each read. So short reads share words of 64 bits, and what a layer is asked for is one
product of two arrays of bits, counted in the processor's registers: some columns for some vectors, so that a word that
was loaded is used for all of them.

A read counts negatively where only its column or only its vector is inverted. With m a word of ones where that is so,

    ones(x & w) where m = 0, -ones(x & w) where m = 1    add up to    ones((x & w) ^ m) - ones(m)

and how many reads count negatively is a product of bits again: those of the two inversions.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple, Self

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from spicekit.compiled import compiled, run_ranges
from spicekit.engines.lanes import INT32, INT64, Lanes, register_bits
from spicekit.engines.words import Applied, Stored

Words = NDArray[np.uint64]

VECTORS, COLUMNS = (32, 4) if register_bits() == 512 else (8, 4)
"""Vectors, as lanes, and columns that are counted at once: their sums fill half of the registers."""
_AT_ONCE = 1024  # vectors whose words are joined at a time
_BITS = 8, 16, 32, 64  # of a word that a read may take

_kernel: Any = compiled(error_model="numpy", nogil=True)


@dataclass(frozen=True)
class IdealCodes:
    """Codes of ideal tiles: a read's number of ON cells, exactly."""

    step: float = 1.0
    """Partial sum that one code stands for."""

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        """(p, c_out) signed codes of all reads of each dot product, added; those of a column lie side by side."""
        layer = _layer(stored)
        images, _, _, pixels, q = applied.words.shape
        inverted = applied.inverted.reshape(images, -1, pixels)
        if q > 1:  # by word, as all else
            inverted = np.repeat(inverted, q, axis=1)
        words = applied.words.reshape(images, -1, pixels, q).swapaxes(2, 3).reshape(images, -1, pixels)
        flips = layer.flips or bool(inverted.any())
        held = layer.held if flips else layer.held.plain()
        sums = np.empty((stored.words.shape[-1], images * pixels), np.float32)
        each = max(1, _AT_ONCE // pixels)

        def task(first: int, last: int) -> None:
            room = np.empty((COLUMNS, VECTORS), np.float32)
            given = _Bits.room(words.shape[1], each * pixels, layer.bits)
            given = given if flips else given.plain()
            for start in range(first, last, each):
                some = slice(start, min(start + each, last))
                _join(words[some], layer.bits, given.words)
                if flips:
                    _join_turns(inverted[some], layer.bits, given.turns, given.turned)
                vectors = some.start * pixels, some.stop * pixels
                _count(given, held, layer.bits.bit_length() - 1, sums, *vectors, room)

        run_ranges(task, images)
        return sums.T


class _Bits(NamedTuple):
    """Words of some vectors, (k, n), or columns, (c, k), all reads joined; with what inverts them, if anything does."""

    words: Words
    turns: Words | None
    """Ones where a read is inverted."""
    turned: Words | None
    """The same, a bit for each read."""

    @classmethod
    def room(cls, reads: int, vectors: int, bits: int) -> Self:
        """For as many vectors and more, up to whole blocks."""
        whole = -(-vectors // VECTORS) * VECTORS
        words, turned = (np.zeros((-(-reads * each // 64), whole), np.uint64) for each in (bits, 1))
        return cls(words, np.zeros_like(words), turned)

    def plain(self) -> Self:
        """Where nothing is inverted."""
        return self._replace(turns=None, turned=None)


@dataclass(frozen=True, eq=False)
class _Layer:
    """What a layer stores, and how long its words are."""

    bits: int
    """Places of a word that a read takes."""
    held: _Bits

    @cached_property
    def flips(self) -> bool:
        """Whether a column is inverted."""
        return bool(np.any(self.held.turned))


@lru_cache(maxsize=64)
def _layer(stored: Stored) -> _Layer:
    most, q, columns = stored.words.shape[1:]
    read = (np.arange(most) < stored.tiles[:, None])[..., None, None]
    held = np.where(read, stored.words, np.uint64(0)).reshape(-1, columns)
    bits = next(bits for bits in _BITS if int(held.max(initial=0)) >> (bits - 1) <= 1)
    turned = np.repeat(stored.inverted, q, axis=1).reshape(-1, columns)
    turns = _columns(np.where(turned, ~np.uint64(0), np.uint64(0)), bits)
    return _Layer(bits, _Bits(_columns(held, bits), turns, _columns(turned.astype(np.uint64), 1)))


@_kernel
def _join(words, bits, joined):  # type: ignore[no-untyped-def]
    """Put the lowest bits of words (images, reads, pixels) together, the first at the lowest places of `joined`."""
    images, reads, pixels = words.shape
    mask = ~np.uint64(0) >> np.uint64(64 - bits)
    for read in range(reads):
        whole, place = read * bits // 64, np.uint64(read * bits % 64)
        for image in range(images):
            for pixel in range(pixels):
                vector, word = image * pixels + pixel, (np.uint64(words[image, read, pixel]) & mask) << place
                joined[whole, vector] = (joined[whole, vector] if place else np.uint64(0)) | word


@_kernel
def _join_turns(inverted, bits, turns, turned):  # type: ignore[no-untyped-def]
    """`_join` words of ones where `inverted` is 1, as `turns`, and bits, as `turned`."""
    images, reads, pixels = inverted.shape
    mask = ~np.uint64(0) >> np.uint64(64 - bits)
    for read in range(reads):
        whole, place = read * bits // 64, np.uint64(read * bits % 64)
        word, bit = read // 64, np.uint64(read % 64)
        for image in range(images):
            for pixel in range(pixels):
                turn, vector = np.uint64(inverted[image, read, pixel]), image * pixels + pixel
                ones = (np.uint64(0) - turn) & mask
                turns[whole, vector] = (turns[whole, vector] if place else np.uint64(0)) | ones << place
                turned[word, vector] = (turned[word, vector] if bit else np.uint64(0)) | turn << bit


def _columns(words: Words, bits: int) -> Words:
    """The lowest bits of words (reads, c) as whole ones, (c, words)."""
    each = 64 // bits
    padded = np.pad(words, ((0, -len(words) % each), (0, 0)))
    padded &= ~np.uint64(0) >> np.uint64(64 - bits)
    places = np.arange(0, 64, bits, dtype=np.uint64)[:, None]
    return np.ascontiguousarray(np.bitwise_or.reduce(padded.reshape(-1, each, words.shape[1]) << places, axis=1).T)


@_kernel
def _count(given, held, shift, sums, first, last, room):  # type: ignore[no-untyped-def]
    """Set `sums` (c, n) of vectors from `first` to before `last`, the first that are `given`, to their signed ones.

    A read has 2^`shift` bits. `room` (COLUMNS, VECTORS) is for blocks that are not whole.
    """
    columns = len(sums)
    for start in range(0, last - first, VECTORS):
        for column in range(0, columns, COLUMNS):
            few, some = min(VECTORS, last - first - start), min(COLUMNS, columns - column)
            if few == VECTORS and some == COLUMNS:
                count_ones(given, held, start, column, shift, sums, column, first + start)
                continue
            count_ones(given, held, start, column, shift, room, 0, 0)
            for k in range(some):
                for lane in range(few):
                    sums[column + k, first + start + lane] = room[k, lane]


@intrinsic
def count_ones(context, given, held, start, column, shift, out, row, place):  # type: ignore[no-untyped-def]
    """Set a block of `out` (c, n), from `row` and `place` on, to the signed ones of some columns and vectors.

    Vectors are those from `start` on, columns those from `column` on. The ones of (words & cells) ^ turns of both are
    added over the words of a vector, less 2^`shift` for each read that counts negatively.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def array(argument: int, which: int) -> Any:
            kind, value = signature.args[argument].types[which], arguments[argument]
            return context.make_array(kind)(context, builder, builder.extract_value(value, which))

        start, column, shift, _, row, place = arguments[2:]
        kind = ir.VectorType(INT64, VECTORS)
        last = builder.sub(builder.extract_value(array(1, 0).shape, 0), INT64(1))
        columns = []  # fewer than are counted at once: the last one again
        for k in range(COLUMNS):
            wanted = builder.add(column, INT64(k))
            columns.append(builder.select(builder.icmp_signed("<", wanted, last), wanted, last))
        totals = [cgutils.alloca_once_value(builder, ir.Constant(kind, None)) for _ in columns]

        def add(which: tuple[int, ...], ones: Any) -> None:
            """Add the ones of what `ones` makes of words of both, those of vectors first."""
            pairs = [(array(0, each), array(1, each)) for each in which]
            length, count = (builder.extract_value(pairs[0][0].shape, k) for k in range(2))
            with cgutils.for_range(builder, length) as loop:
                here = builder.add(builder.mul(loop.index, count), start)
                of_vectors = [Lanes.load(builder, builder.gep(words.data, [here]), kind) for words, _ in pairs]
                for own, total in zip(columns, totals, strict=True):
                    there = builder.add(builder.mul(own, length), loop.index)
                    of_column = [
                        Lanes.splat(builder, builder.load(builder.gep(cells.data, [there])), VECTORS)
                        for _, cells in pairs
                    ]
                    found = ones(*zip(of_vectors, of_column, strict=True)).ones()
                    builder.store((Lanes(builder, builder.load(total)) + found).value, total)

        if signature.args[0].types[1] is types.none:
            add((0,), lambda words: words[0] & words[1])
        else:
            add((2,), lambda turned: turned[0] ^ turned[1])  # reads that count negatively
            for total in totals:
                taken_off = builder.shl(builder.load(total), Lanes.splat(builder, shift, VECTORS).value)
                builder.store(builder.neg(taken_off), total)
            add((0, 1), lambda words, turns: (words[0] & words[1]) ^ turns[0] ^ turns[1])
        target = context.make_array(signature.args[5])(context, builder, arguments[5])
        width = builder.extract_value(target.shape, 1)
        for k, total in enumerate(totals):
            narrow = Lanes(builder, builder.trunc(builder.load(total), ir.VectorType(INT32, VECTORS)))
            there = builder.add(builder.mul(builder.add(row, INT64(k)), width), place)
            narrow.single().store(builder.gep(target.data, [there]))
        return context.get_dummy_value()

    return types.void(given, held, start, column, shift, out, row, place), generate
