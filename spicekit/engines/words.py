"""Bits of a read as words, the form in which whole networks run.

A read asserts m rows. They fill words of 64 bits, the first row at the lowest bit of the first word.
"""

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MAX_PATTERN_ROWS = 16
"""Up to here every pattern of ON cells has an entry of its own."""
MISMATCH_UNIT = 4096
"""Fixed-point steps of a cell's mismatch, per LSB: rounding takes or adds 0.016 LSB over 128 rows, at the very
most."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the rows of a read lie."""

    words: int
    """q, words of a read."""
    word: NDArray[np.int64]
    """(m,) word of each row."""
    bit: NDArray[np.int64]
    """(m,) its bit there."""


@dataclass(frozen=True, eq=False)
class Stored:
    """What the cells of a layer hold."""

    words: NDArray[np.uint64]
    """(groups, tiles, q, c_out)."""
    inverted: NDArray[np.bool_]
    """(groups, tiles, c_out): columns stored inverted."""
    tiles: NDArray[np.int64]
    """(groups,) tiles in which the group has rows in use; the last tile may be filled in part."""
    layer: str = ""
    """Name of the layer: which converters stand behind its tiles."""
    mismatch: NDArray[np.int16] | None = None
    """(groups, tiles, m, c_out) by how much more than nominal an asserted cell delivers, in 1 / MISMATCH_UNIT LSB; for
    an ON cell, weighted with its place in the column. None if all cells are alike."""

    @cached_property
    def most_mismatch(self) -> int:
        """How far the cells of a read deviate together, at most, either way."""
        if self.mismatch is None:
            return 0
        sides = (part(self.mismatch, 0).sum(axis=2, dtype=np.int32) for part in (np.maximum, np.minimum))
        return max(int(abs(side).max(initial=0)) for side in sides)


@dataclass(frozen=True, eq=False)
class Applied:
    """What the word lines carry for a batch of images.

    The vectors of an image, one for each of its output pixels, lie side by side for each read: loops take read by read.
    """

    words: NDArray[np.unsignedinteger]
    """(images, groups, tiles, pixels, q), after inversion: uint16 where a read has up to 16 rows, else uint64."""
    inverted: NDArray[np.uint8]
    """(images, groups, tiles, pixels): sub-vectors applied inverted, 0 or 1."""
    asserted: NDArray[np.int16]
    """(images, groups, tiles, pixels) ones applied, after inversion."""
    shape: tuple[int, ...]
    """Sides of the output, height and width for images: pixels run line by line."""
    first: int = 0
    """Place of the first image among all that run: noise is another for each."""

    @property
    def images(self) -> int:
        """In the batch."""
        return len(self.words)

    @property
    def vectors(self) -> int:
        """p, of all images."""
        return self.images * math.prod(self.shape)

    def part(self, start: int, stop: int) -> "Applied":
        """What is applied for images from `start` to before `stop`."""
        arrays = {name: getattr(self, name)[start:stop] for name in ("words", "inverted", "asserted")}
        return dataclasses.replace(self, **arrays, first=self.first + start)

    @classmethod
    def of_vectors(
        cls,
        words: NDArray[np.uint64],
        inverted: NDArray[np.uint8],
        asserted: NDArray[np.integer],
        shape: tuple[int, ...],
        *,
        rows: int,
        first: int = 0,
    ) -> "Applied":
        """Of words (p, groups, tiles, q) for reads of `rows` rows, and of the others (p, groups, tiles)."""
        images = len(words) // math.prod(shape)

        def by_image(part: NDArray[Any], kind: Any) -> NDArray[Any]:
            apart = part.reshape(images, -1, *part.shape[1:])
            return np.ascontiguousarray(np.moveaxis(apart, 1, 3), dtype=kind)

        given = by_image(words, word_type(rows)), by_image(inverted, np.uint8), by_image(asserted, np.int16)
        return cls(*given, shape, first)

    def by_vector(self) -> "Vectors":
        """The same, all of a vector's reads together: copies."""
        words, inverted, asserted = (
            np.ascontiguousarray(np.moveaxis(part, 3, 1)).reshape(self.vectors, *part.shape[1:3], *part.shape[4:])
            for part in (self.words, self.inverted, self.asserted)
        )
        return Vectors(words.astype(np.uint64, copy=False), inverted, asserted.astype(np.int32))


class Vectors(NamedTuple):
    """`Applied`, vector by vector: pixels run image by image."""

    words: NDArray[np.uint64]
    """(p, groups, tiles, q)."""
    inverted: NDArray[np.uint8]
    """(p, groups, tiles)."""
    asserted: NDArray[np.int32]
    """(p, groups, tiles)."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Reads that occurred, by their number of ON cells 0..m; arrays (m + 1,) float64."""

    reads: NDArray[np.float64]
    others: NDArray[np.float64]
    """Asserted cells that were not ON, added."""
    current: NDArray[np.float64]
    """A, added."""
    square: NDArray[np.float64]
    """A^2, their squares added."""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, each.name) + getattr(other, each.name) for each in dataclasses.fields(self)))


def one_read(stored: Stored, applied: Applied, *, group: int, tile: int) -> tuple[Stored, Applied]:
    """A layer that consists of one group's read of one tile."""
    only = slice(tile, tile + 1)
    return (
        dataclasses.replace(
            stored,
            words=np.ascontiguousarray(stored.words[:, only]),
            inverted=np.ascontiguousarray(stored.inverted[:, only]),
            tiles=np.eye(len(stored.tiles), dtype=stored.tiles.dtype)[group],
        ),
        dataclasses.replace(
            applied,
            words=np.ascontiguousarray(applied.words[:, :, only]),
            inverted=np.ascontiguousarray(applied.inverted[:, :, only]),
            asserted=np.ascontiguousarray(applied.asserted[:, :, only]),
        ),
    )


def layout_of(rows: int) -> Layout:
    """Where the rows of a read of `rows` rows lie.

    >>> layout_of(16).words, layout_of(64).words, layout_of(128).words
    (1, 1, 2)
    """
    row = np.arange(rows)
    return Layout(-(-rows // 64), row // 64, row % 64)


def word_type(rows: int) -> Any:
    """Type of the words that are applied in a read of `rows` rows."""
    return np.uint16 if rows <= MAX_PATTERN_ROWS else np.uint64


def pack(bits: NDArray[np.uint8], layout: Layout) -> NDArray[np.uint64]:
    """Words (.., q) of bits (.., m)."""
    packed = np.zeros((*bits.shape[:-1], layout.words), np.uint64)
    for row, (word, bit) in enumerate(zip(layout.word, layout.bit, strict=True)):
        packed[..., word] |= bits[..., row].astype(np.uint64) << np.uint64(bit)
    return packed


def unpack(words: NDArray[np.uint64], layout: Layout) -> NDArray[np.uint8]:
    """Bits (.., m) of words (.., q).

    >>> unpack(pack(np.array([0, 1, 1], np.uint8), layout_of(3)), layout_of(3)).tolist()
    [0, 1, 1]
    """
    return (words[..., layout.word] >> layout.bit.astype(np.uint64) & np.uint64(1)).astype(np.uint8)
