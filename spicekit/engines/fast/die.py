"""FAST engine on one die: codes of converters, and of cells, that are not all alike.

The surrogate gives a read's current with nominal cells. The cells' mismatch shifts it, and the converter of the column
makes a code of it with its own offset, bow and noise. Currents are in fixed point, 0.004 LSB, on the way.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spicekit.compiled import compiled, run_tasks
from spicekit.engines.converter import Converter, Thresholds, flaws_of, noise_levels, positions
from spicekit.engines.fast.factored import FactoredCodes
from spicekit.engines.fast.kernels import (
    CODE_ENTRIES,
    HEADROOM,
    LEAK_UNIT,
    UNIT,
    add_mismatch,
    add_positions,
    place_on_scale,
    sum_pattern_codes_of_die,
)
from spicekit.engines.fast.mismatch import Passed
from spicekit.engines.fast.model import Codes, ReadModel
from spicekit.engines.fast.patterns import PatternReads
from spicekit.engines.fast.rails import RailReads
from spicekit.engines.fast.repeats import COLUMNS
from spicekit.engines.fast.wire_sum_code import find_currents
from spicekit.engines.fast.wire_sum_kernels import Single, bytes_of, fill, leak_sums, room_for, start_of
from spicekit.engines.fast.wire_sums import WireSumReads
from spicekit.engines.words import MISMATCH_UNIT, Applied, Stored, layout_of
from spicekit.errors import BadInput


@dataclass(frozen=True, eq=False)
class DieCodes:
    """Codes of a die's reads. Which cells it has, the stored words say; its converters follow from their seed."""

    model: PatternReads | WireSumReads
    thresholds: Thresholds
    converter: Converter
    passed: Passed | None
    """None if all cells are alike."""

    @property
    def step(self) -> float:
        """Partial sum that one code stands for."""
        return self.thresholds.step

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        """(p, c_out) signed codes of all reads of each dot product, added."""
        if self._factored is not None and self._factored.holds(stored):
            return self._factored.sums(stored, applied)
        kernel, tables, length = self._reads
        _, tiles, _, columns = stored.words.shape
        flaws = flaws_of(self.converter, layer=stored.layer, tiles=tiles, columns=columns)
        layout = layout_of(self.model.cells.spec.rows_active)
        none = np.zeros((1, 1, 0, 0), np.int16)
        converters = (
            self._scale,
            flaws.offset,
            flaws.bow,
            np.float32(flaws.noise),
            noise_levels(),
            np.uint64(flaws.key),
            np.float32(len(self.thresholds.current)),
        )
        sums = kernel(
            *tables,
            stored.words,
            1 - 2 * stored.inverted.astype(np.int32),
            stored.tiles,
            *applied.by_vector(),
            *length,
            (none if stored.mismatch is None else stored.mismatch, self._passed, layout.word, layout.bit),
            converters,
            (math.prod(applied.shape), applied.first),
        )
        return np.asarray(sums)

    @cached_property
    def _factored(self) -> FactoredCodes | None:
        """The codes in factored form, where the converters are alike and it is close enough."""
        if self.converter.flawed or self.passed is None or not isinstance(self.model, PatternReads):
            return None
        return self.model.factored_codes(self.thresholds, passed=self.passed.count)

    @cached_property
    def _reads(self) -> tuple[Any, tuple[Any, ...], tuple[int, ...]]:
        """The kernel for this many rows, its tables of currents, and the bytes of a read where it goes by bytes."""
        model = self.model
        if not isinstance(model, PatternReads):
            codes = model.codes(self.thresholds)
            return sum_codes_of_die, (codes.coefficients, codes.leak, codes.zero_column), (codes.size,)
        m, unit = model.cells.spec.rows_active, LEAK_UNIT / model.cells.lsb
        fixed = (np.rint(unit * part).astype(np.int32) for part in (model.quiet, model.leak))
        zeros = np.rint(unit * model.cells.zeros(np.arange(m + 1))).astype(np.int32)
        ones = np.bitwise_count(np.arange(2**m)).astype(np.uint8)
        return sum_pattern_codes_of_die, (*fixed, zeros, ones), ()

    @cached_property
    def _scale(self) -> NDArray[np.float32]:
        """(CODE_ENTRIES,) position on the converter's scale of each current from -HEADROOM on."""
        return positions(self.thresholds, self.model.cells.lsb * (np.arange(CODE_ENTRIES) / UNIT - HEADROOM))

    @cached_property
    def _passed(self) -> NDArray[np.float32]:
        """(groups, m + 1) steps of a current for a step of mismatch."""
        if self.passed is None:
            return np.zeros((1, 1), np.float32)
        return (UNIT / MISMATCH_UNIT * self.passed.count).astype(np.float32)


def codes_of_die(
    model: ReadModel, thresholds: Thresholds, converter: Converter, *, passed: Passed | None = None
) -> Codes:
    """What converters make of a die's reads.

    Parameters
    ----------
    model : PatternReads or WireSumReads
    thresholds : Thresholds
    converter : Converter
        Its offset, INL and noise.
    passed : Passed, optional
        How mismatch reaches the sense points, if the cells are not all alike.

    Raises
    ------
    BadInput
        If the thresholds do not tell how wide a code is; for columns on shared rails, whose converters and cells are
        to be all alike.
    """
    if not converter.flawed and passed is None:
        return model.codes(thresholds)
    if isinstance(model, RailReads):
        raise BadInput(
            "the fast engine with shared rails takes converters and cells as all alike; set offset, inl, noise and "
            "mismatch to 0, or r_supply and r_ground."
        )
    return DieCodes(model, thresholds, converter, passed)


_PIXELS_OF_DIE = 256

_kernel: Any = compiled(error_model="numpy", nogil=True)


def sum_codes_of_die(
    coefficients: Single,
    leak: np.float32,
    zero_column: Single,
    stored: NDArray[np.uint64],
    sign: NDArray[np.int32],
    tiles: NDArray[np.int64],
    words: NDArray[np.uint64],
    inverted: NDArray[np.uint8],
    asserted: NDArray[np.int32],
    size: int,
    cells: tuple[Any, ...],
    converters: tuple[Any, ...],
    images: tuple[int, int],
) -> Single:
    """Signed codes of all reads of each dot product, added; cells and converters not alike.

    Parameters
    ----------
    zero_column : (m + 1,) float32 array
        The column of zeros, LSB, by number of asserted rows.
    sign : (groups, tiles, c_out) int32 array
    cells, converters : tuples
        As from `die.DieCodes`.
    images : (int, int)
        Pixels of an image, place of the first image.

    The others as in `wire_sum_kernels.sum_codes`; returns what it does.
    """
    sums = np.zeros((len(words), stored.shape[3]), np.float32)
    held, given = (stored, sign, tiles), (words, bytes_of(words), inverted, asserted)
    shared = coefficients, leak, zero_column, held, given, (0,) * (size // 2), cells, converters, images, sums
    columns = sums.shape[1]
    padded = -(-columns // COLUMNS) * COLUMNS

    def task(number: int) -> None:
        wide = np.empty((_PIXELS_OF_DIE, padded), np.float32), np.empty((_PIXELS_OF_DIE, padded), np.uint16)
        position, total = np.empty(columns, np.float32), np.zeros((_PIXELS_OF_DIE, columns), np.int32)
        table, more, *_ = room_for(size)
        room = table, more, *wide, np.empty(columns, np.int32), position, total
        _sum_codes_of_die(number, *shared, room)

    run_tasks(task, -(-len(words) // _PIXELS_OF_DIE))
    return sums


@_kernel
def _sum_codes_of_die(  # type: ignore[no-untyped-def]
    task, coefficients, leak, zero_column, held, given, half, cells, converters, images, sums, room
):
    """`sum_codes_of_die` of some vectors, and its room."""
    (stored, sign, tiles), (words, flat, inverted, asserted) = held, given
    table, more, single, on, current, position, total = room
    groups, most, _, columns = stored.shape
    per_image, first_image = images
    chunks = (columns + COLUMNS - 1) // COLUMNS
    first = task * _PIXELS_OF_DIE
    count = min(_PIXELS_OF_DIE, len(words) - first)
    for group in range(groups):
        for tile in range(tiles[group]):
            for chunk in range(chunks):
                lanes = slice(chunk * COLUMNS, (chunk + 1) * COLUMNS)
                fill(stored[group, tile], chunk * COLUMNS, table, more)
                for pixel in range(count):
                    found, met = single[pixel, lanes], on[pixel, lanes]
                    start = start_of(words, first + pixel, group, tile)
                    added, moment = leak_sums(flat, start, 2 * len(half), leak)
                    find_currents(table, flat, start, coefficients[group], added, moment, found, met, half)
            for pixel in range(count):
                place = first + pixel
                zeros = zero_column[asserted[place, group, tile]]
                for column in range(columns):
                    level = np.float32(UNIT) * (single[pixel, column] - zeros)
                    current[column] = HEADROOM * UNIT + np.int32(np.floor(level + np.float32(0.5)))
                add_mismatch(cells, group, tile, words[place, group, tile], on[pixel], position, current)
                read = (place % per_image * groups + group) * most + tile
                place_on_scale(converters, tile, first_image + place // per_image, read, current, position)
                add_positions(position, converters, sign[group, tile], inverted[place, group, tile], total[pixel])
    for pixel in range(count):
        for column in range(columns):
            sums[first + pixel, column] = total[pixel, column]
