"""Bits of a read as words, the form in which whole networks run.

A read asserts m rows. They fill words of 64 bits, the first row at the lowest bit of the first word.
"""

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property

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
    """What the word lines carry for a batch of p output pixels."""

    words: NDArray[np.uint64]
    """(p, groups, tiles, q), after inversion."""
    inverted: NDArray[np.uint8]
    """(p, groups, tiles): sub-vectors applied inverted, 0 or 1."""
    asserted: NDArray[np.int32]
    """(p, groups, tiles) ones applied, after inversion."""
    shape: tuple[int, ...]
    """Sides of the output, height and width for images: pixels run image by image, line by line."""
    first: int = 0
    """Place of the first image among all that run: noise is another for each."""

    @property
    def images(self) -> int:
        """In the batch."""
        return len(self.words) // math.prod(self.shape)

    def part(self, start: int, stop: int) -> "Applied":
        """What is applied for images from `start` to before `stop`."""
        area = math.prod(self.shape)
        own = slice(start * area, stop * area)
        arrays = {name: getattr(self, name)[own] for name in ("words", "inverted", "asserted")}
        return dataclasses.replace(self, **arrays, first=self.first + start)


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
        return Tally(
            *(getattr(self, each.name) + getattr(other, each.name) for each in dataclasses.fields(self))
        )


def layout_of(rows: int) -> Layout:
    """Where the rows of a read of `rows` rows lie.

    >>> layout_of(16).words, layout_of(64).words, layout_of(128).words
    (1, 1, 2)
    """
    row = np.arange(rows)
    return Layout(-(-rows // 64), row // 64, row % 64)


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
