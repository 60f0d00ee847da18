"""Compiled loops over reads of more than 16 rows of one die, whose cells and converters are not all alike."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spicekit.compiled import compiled
from spicekit.engines.fast.kernels import HEADROOM, UNIT, add_mismatch, add_positions, place_on_scale
from spicekit.engines.fast.wire_sum_code import COLUMNS, find_currents
from spicekit.engines.fast.wire_sum_kernels import Single, bytes_of, fill, leak_sums, room_for, start_of
from spicekit.engines.threads import run_tasks

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
    given = words, bytes_of(words), inverted, asserted, (0,) * (size // 2), cells, converters, images
    shared = coefficients, leak, zero_column, stored, sign, tiles, *given, sums
    columns = sums.shape[1]
    padded = -(-columns // COLUMNS) * COLUMNS

    def task(number: int) -> None:
        wide = np.empty((_PIXELS_OF_DIE, padded), np.float32), np.empty((_PIXELS_OF_DIE, padded), np.uint16)
        position, total = np.empty(columns, np.float32), np.zeros((_PIXELS_OF_DIE, columns), np.int32)
        table, more, *_ = room_for(size)
        _sum_codes_of_die(number, *shared, table, more, *wide, np.empty(columns, np.int32), position, total)

    run_tasks(task, -(-len(words) // _PIXELS_OF_DIE))
    return sums


@_kernel
def _sum_codes_of_die(  # type: ignore[no-untyped-def]
    task,
    coefficients,
    leak,
    zero_column,
    stored,
    sign,
    tiles,
    words,
    flat,
    inverted,
    asserted,
    half,
    cells,
    converters,
    images,
    sums,
    table,
    more,
    single,
    on,
    current,
    position,
    total,
):
    """`sum_codes_of_die` of some vectors; the last are its room."""
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
                add_positions(
                    position, converters, sign[group, tile], inverted[place, group, tile], total[pixel]
                )
    for pixel in range(count):
        for column in range(columns):
            sums[first + pixel, column] = total[pixel, column]
