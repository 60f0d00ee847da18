"""Compiled loops over packed words: what makes whole networks run as fast as their software.

A read that asserts m rows is one word: bit k is row k of the group. The word in the cells AND the word applied is the
pattern of ON cells; the rest of the index into a code table travels in the bits above:

    stored word    bits 0..m-1 stored bits, bit m the column's static flip
    applied word   bits 0..m-1 applied bits, bit m always 1
    choice word    bit m the sub-vector's dynamic flip, bits m+1.. the row of the table to use
    index          (stored & applied) ^ choice

so that one index holds pattern, sign and table row. Words are ordered [.., group, tile]: the reads of one group of rows
share a table and are neighbours.
"""

from typing import Any

import numba
import numpy as np

_parallel_kernel: Any = numba.njit(parallel=True, cache=True, error_model="numpy", nogil=True)

_PIXELS = 32  # outputs that a thread works on at a time: their sums and words stay in its level-1 cache


@_parallel_kernel
def pack_inputs(bits, offsets, used, height, width, stride, dynamic, by_ones):  # type: ignore[no-untyped-def]
    """Words applied for every output pixel of a batch.

    Parameters
    ----------
    bits : (n, c, h + 2p, w + 2p) uint8 array
        Activations with their padding.
    offsets : (groups, tiles, m) int64 array
        Where, from a pixel's first input on, the bit of each row lies in the flat (c, h + 2p, w + 2p); -1 if unused.
    used : (groups, tiles) int64 array
        Rows in use.
    height, width, stride : int
        Of the output.
    dynamic, by_ones : bool
        Whether sub-vectors with more ones than zeros are inverted; whether the table row is the number of ones applied.

    Returns
    -------
    applied, choice : (n * height * width, groups, tiles) uint32 arrays
    corrections : (n * height * width, 2, groups, tiles) float32 array
        sum(u_a) - d n and d of each sub-vector: the factors of f and of sum(u_w) in the correction.
    ones : (n * height * width,) float32 array
        sum(u_a) over all rows, before inversion.
    """
    batch = bits.shape[0]
    size = bits.shape[1] * bits.shape[2] * bits.shape[3]
    padded_width = bits.shape[3]
    flat = bits.reshape(batch * size)
    groups, tiles, m = offsets.shape
    pixels = batch * height * width
    applied = np.empty((pixels, groups, tiles), np.uint32)
    choice = np.empty((pixels, groups, tiles), np.uint32)
    corrections = np.empty((pixels, 2, groups, tiles), np.float32)
    ones = np.empty(pixels, np.float32)
    for line in numba.prange(batch * height):
        start = (line // height) * size + (line % height) * stride * padded_width
        for x in range(width):
            pixel = line * width + x
            base = start + x * stride
            total = 0
            for group in range(groups):
                for tile in range(tiles):
                    word = np.uint32(0)
                    rows = used[group, tile]
                    for k in range(rows):
                        word |= np.uint32(flat[base + offsets[group, tile, k]]) << np.uint32(k)
                    count = _popcount(word)
                    total += count
                    flip = dynamic and 2 * count > rows
                    if flip:
                        word ^= np.uint32((1 << rows) - 1)
                    row = (rows - count if flip else count) if by_ones else 0
                    applied[pixel, group, tile] = word | np.uint32(1 << m)
                    choice[pixel, group, tile] = np.uint32((row << (m + 1)) | (flip << m))
                    corrections[pixel, 0, group, tile] = count - flip * rows
                    corrections[pixel, 1, group, tile] = flip
            ones[pixel] = total
    return applied, choice, corrections, ones


@_parallel_kernel
def sum_codes(table, stored, applied, choice):  # type: ignore[no-untyped-def]
    """Signed codes of all reads of each dot product, added.

    Parameters
    ----------
    table : (groups, entries) int8 or int16 array
        Signed codes.
    stored : (groups, c_out, tiles) uint32 array
    applied, choice : (p, groups, tiles) uint32 arrays

    Returns
    -------
    (p, c_out) float32 array
    """
    pixels = applied.shape[0]
    groups, columns, tiles = stored.shape
    sums = np.zeros((pixels, columns), np.float32)
    for block in numba.prange((pixels + _PIXELS - 1) // _PIXELS):
        first = block * _PIXELS
        for group in range(groups):
            codes = table[group]
            for pixel in range(first, min(first + _PIXELS, pixels)):
                words = applied[pixel, group]
                choices = choice[pixel, group]
                for column in range(columns):
                    cells = stored[group, column]
                    total = np.int32(0)
                    for tile in range(tiles):
                        total += codes[(cells[tile] & words[tile]) ^ choices[tile]]
                    sums[pixel, column] += total
    return sums


@_parallel_kernel
def count_patterns(stored, applied, choice, m):  # type: ignore[no-untyped-def]
    """How often each pattern of ON cells was read, and with how many other cells asserted.

    Returns
    -------
    reads, others : (groups, 2^m) int64 arrays
        Number of reads; asserted cells that were not ON, added over these reads.
    """
    pixels = applied.shape[0]
    groups, columns, tiles = stored.shape
    mask = np.uint32((1 << m) - 1)
    reads = np.zeros((groups, 1 << m), np.int64)
    others = np.zeros((groups, 1 << m), np.int64)
    for group in numba.prange(groups):
        for pixel in range(pixels):
            for tile in range(tiles):
                word = applied[pixel, group, tile] & mask
                asserted = _popcount(word)
                for column in range(columns):
                    pattern = stored[group, column, tile] & word
                    reads[group, pattern] += 1
                    others[group, pattern] += asserted - _popcount(pattern)
    return reads, others


@numba.njit(inline="always")
def _popcount(word):  # type: ignore[no-untyped-def]
    """Ones of a 32-bit word, in parallel steps; LLVM knows the idiom and uses the processor's instruction."""
    word = word - ((word >> np.uint32(1)) & np.uint32(0x55555555))
    word = (word & np.uint32(0x33333333)) + ((word >> np.uint32(2)) & np.uint32(0x33333333))
    word = (word + (word >> np.uint32(4))) & np.uint32(0x0F0F0F0F)
    return np.int64((word * np.uint32(0x01010101) & np.uint32(0xFFFFFFFF)) >> np.uint32(24))
