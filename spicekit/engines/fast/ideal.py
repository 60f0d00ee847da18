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
        inverted = applied.inverted.reshape(images, -1, pixels)
        if q > 1:  # by word, as all else
            inverted = np.repeat(inverted, q, axis=1)
        words = applied.words.reshape(images, -1, pixels, q).swapaxes(2, 3).reshape(images, -1, pixels)
        flips = layer.flips or bool(inverted.any())
        sums = np.empty((images * pixels, stored.words.shape[-1]), np.float32)
        each = max(1, _AT_ONCE // pixels)

        def task(first: int, last: int) -> None:
            room, given = np.empty((VECTORS, LANES), np.float32), None
            for start in range(first, last, each):
                some = slice(start, min(start + each, last))
                part = sums[some.start * pixels : some.stop * pixels]
                if given is None or given.vectors != len(part):
                    given = _Given.room(words.shape[1], len(part), layer.bits, flips=flips)
                _join(words[some], layer.bits, given.words)
                if flips:
                    _join_turns(inverted[some], layer.bits, given.turns, given.turned, given.inverted)
                _count(given, layer.held(flips), layer.bits.bit_length() - 1, part, room)

        run_ranges(task, images)
        return sums


class _Given(NamedTuple):
    """Words of some vectors, (k, n), all reads of a vector joined; with what inverts them, if anything does."""

    words: Words
    turns: Words | None
    """Ones where a read is inverted."""
    turned: Words | None
    """The same, a bit for each read."""
    inverted: NDArray[np.int64] | None
    """(n,) how many are."""

    @classmethod
    def room(cls, reads: int, vectors: int, bits: int, *, flips: bool) -> Self:
        """Not yet filled."""
        words, turned = (np.empty((-(-reads * each // 64), vectors), np.uint64) for each in (bits, 1))
        return cls(words, *((np.empty_like(words), turned, np.empty(vectors, np.int64)) if flips else (None,) * 3))

    @property
    def vectors(self) -> int:
        """How many there are."""
        return int(self.words.shape[1])


class _Held(NamedTuple):
    """What a layer stores, (chunks of columns, k, LANES), as `_Given` has what is applied."""

    cells: Words
    turns: Words | None
    turned: Words | None
    inverted: NDArray[np.int64] | None
    """(c,), to whole chunks."""


@dataclass(frozen=True, eq=False)
class _Layer:
    """What a layer stores, and how long its words are."""

    bits: int
    """Places of a word that a read takes."""
    signed: _Held

    @property
    def flips(self) -> bool:
        """Whether a column is inverted."""
        return bool(np.any(self.signed.inverted))

    def held(self, signed: bool) -> _Held:
        """With what inverts it, or without."""
        return self.signed if signed else _Held(self.signed.cells, None, None, None)


@lru_cache(maxsize=64)
def _layer(stored: Stored) -> _Layer:
    most, q, columns = stored.words.shape[1:]
    read = (np.arange(most) < stored.tiles[:, None])[..., None, None]
    held = np.where(read, stored.words, np.uint64(0)).reshape(-1, columns)
    bits = next(bits for bits in _BITS if int(held.max(initial=0)) >> (bits - 1) <= 1)
    turned = np.repeat(stored.inverted, q, axis=1).reshape(-1, columns)
    turns = _columns(np.where(turned, ~np.uint64(0), np.uint64(0)), bits)
    inverted = np.pad(turned.sum(axis=0), (0, -columns % LANES))
    return _Layer(bits, _Held(_columns(held, bits), turns, _columns(turned.astype(np.uint64), 1), inverted))


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
def _join_turns(inverted, bits, turns, turned, count):  # type: ignore[no-untyped-def]
    """`_join` words of ones where `inverted` is 1, as `turns`, and bits, as `turned`; `count` (n,) how many are."""
    images, reads, pixels = inverted.shape
    mask = ~np.uint64(0) >> np.uint64(64 - bits)
    for read in range(reads):
        whole, place = read * bits // 64, np.uint64(read * bits % 64)
        word, bit = read // 64, np.uint64(read % 64)
        for image in range(images):
            for pixel in range(pixels):
                turn, vector = np.uint64(inverted[image, read, pixel]), image * pixels + pixel
                turns[whole, vector] = (turns[whole, vector] if place else np.uint64(0)) | (turn * mask) << place
                turned[word, vector] = (turned[word, vector] if bit else np.uint64(0)) | turn << bit
                count[vector] = (count[vector] if read else 0) + np.int64(turn)


def _columns(words: Words, bits: int) -> Words:
    """The lowest bits of words (reads, c) as whole ones, (chunks of columns, words, LANES)."""
    each = 64 // bits
    padded = np.pad(words, ((0, -len(words) % each), (0, -words.shape[1] % LANES)))
    padded &= ~np.uint64(0) >> np.uint64(64 - bits)
    places = np.arange(0, 64, bits, dtype=np.uint64)[:, None]
    whole = np.bitwise_or.reduce(padded.reshape(-1, each, padded.shape[1]) << places, axis=1)
    return np.ascontiguousarray(whole.reshape(len(whole), -1, LANES).swapaxes(0, 1))


@_kernel
def _count(given, held, shift, sums, room):  # type: ignore[no-untyped-def]
    """Set `sums` (n, c) to the signed ones of `given` words and `held` ones, 2^`shift` bits a read.

    `room` (VECTORS, LANES) is for blocks that are not whole.
    """
    vectors, columns = sums.shape
    for start in range(0, vectors, VECTORS):
        for chunk in range(len(held.cells)):
            few, some = min(VECTORS, vectors - start), min(LANES, columns - chunk * LANES)
            whole = few == VECTORS and some == LANES
            out, row, column = (sums, start, chunk * LANES) if whole else (room, 0, 0)
            count_ones(given, held, start, chunk, shift, out, row, column)
            if not whole:
                for k in range(few):
                    for lane in range(some):
                        sums[start + k, chunk * LANES + lane] = room[k, lane]


@intrinsic
def count_ones(context, given, held, start, chunk, shift, out, row, column):  # type: ignore[no-untyped-def]
    """Set a block of `out` (n, c), from `row` and `column` on, to the signed ones of some vectors and columns.

    Vectors are those from `start` on, columns those of a chunk. The ones of (words & cells) ^ turns of both are added
    over the words of a vector, less 2^`shift` for each read that counts negatively.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def array(which: int, kind: Any, value: Any) -> Any:
            return context.make_array(kind.types[which])(context, builder, builder.extract_value(value, which))

        def applied(which: int) -> Any:
            return array(which, signature.args[0], arguments[0])

        def stored(which: int) -> Any:
            return array(which, signature.args[1], arguments[1])

        signed = signature.args[0].types[1] is not types.none
        start, chunk, shift, _, row, column = arguments[2:]
        kind = ir.VectorType(INT64, LANES)
        last = builder.sub(builder.extract_value(applied(0).shape, 1), INT64(1))
        vectors = []  # fewer than are counted at once: the last one again
        for k in range(VECTORS):
            wanted = builder.add(start, INT64(k))
            vectors.append(builder.select(builder.icmp_signed("<", wanted, last), wanted, last))
        totals = [cgutils.alloca_once_value(builder, ir.Constant(kind, None)) for _ in vectors]

        def add(which: int, *turns: int) -> None:
            """The ones that words of both share to the totals, where turns do not say that they are to differ."""
            words, cells = applied(which), stored(which)
            length, count = (builder.extract_value(words.shape, k) for k in range(2))
            with cgutils.for_range(builder, length) as loop:
                place = builder.mul(builder.add(builder.mul(chunk, length), loop.index), INT64(LANES))

                def word(data: Any, vector: Any) -> Lanes:
                    here = builder.add(builder.mul(loop.index, count), vector)
                    return Lanes.splat(builder, builder.load(builder.gep(data, [here])), LANES)

                cell = Lanes.load(builder, builder.gep(cells.data, [place]), kind)
                turned = [Lanes.load(builder, builder.gep(stored(turn).data, [place]), kind) for turn in turns]
                for vector, total in zip(vectors, totals, strict=True):
                    on = word(words.data, vector) & cell
                    for turn, of_column in zip(turns, turned, strict=True):
                        on = on ^ of_column ^ word(applied(turn).data, vector)
                    builder.store((Lanes(builder, builder.load(total)) + on.ones()).value, total)

        if signed:  # reads that both invert do not count negatively: what is taken off for each is given back
            add(2)
            places = Lanes.splat(builder, builder.add(shift, INT64(1)), LANES)
            for total in totals:
                builder.store(builder.shl(builder.load(total), places.value), total)
        add(0, *([1] if signed else []))
        target = context.make_array(signature.args[5])(context, builder, arguments[5])
        width = builder.extract_value(target.shape, 1)
        for k, (vector, total) in enumerate(zip(vectors, totals, strict=True)):
            found = Lanes(builder, builder.load(total))
            if signed:
                of_columns = builder.gep(stored(3).data, [builder.mul(chunk, INT64(LANES))])
                of_vector = Lanes.splat(builder, builder.load(builder.gep(applied(3).data, [vector])), LANES)
                inverted = Lanes.load(builder, of_columns, kind) + of_vector
                places = Lanes.splat(builder, shift, LANES)
                found = found - Lanes(builder, builder.shl(inverted.value, places.value))
            narrow = Lanes(builder, builder.trunc(found.value, ir.VectorType(INT32, LANES)))
            there = builder.add(builder.mul(builder.add(row, INT64(k)), width), column)
            narrow.single().store(builder.gep(target.data, [there]))
        return context.get_dummy_value()

    return types.void(given, held, start, chunk, shift, out, row, column), generate
