"""Compiled loops that turn a batch of activation bits into the words that word lines carry.

Lanes are images, 64 at a time: their bits for one input lie side by side, so that eight additions of 64 numbers make a
byte of 64 words, whatever the kernel, stride and size of the image.
"""

from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from spicekit.engines.lanes import INT8, INT64, Lanes

IMAGES = 64
"""Images side by side."""

_READS = 8  # that fill a line of a cache

_parallel_kernel: Any = numba.njit(parallel=True, cache=True, error_model="numpy", nogil=True)


@_parallel_kernel
def side_by_side(bits, padding):  # type: ignore[no-untyped-def]
    """Bits (n, c, h, w) uint8 of images in blocks of 64, with zeros around them and in place of absent images.

    Returns
    -------
    (blocks, c, h + 2 padding, w + 2 padding, 64) uint8 array
    """
    batch, channels, height, width = bits.shape
    blocks = (batch + IMAGES - 1) // IMAGES
    together = np.zeros((blocks, channels, height + 2 * padding, width + 2 * padding, IMAGES), np.uint8)
    for task in numba.prange(blocks * channels):
        block, channel = task // channels, task % channels
        first = block * IMAGES
        for y in range(height):
            for image in range(min(IMAGES, batch - first)):
                for x in range(width):
                    together[block, channel, padding + y, padding + x, image] = bits[
                        first + image, channel, y, x
                    ]
    return together


@_parallel_kernel
def pack_inputs(together, batch, offsets, used, mask, height, width, stride, dynamic):  # type: ignore[no-untyped-def]
    """Words applied for every output pixel of a batch.

    Parameters
    ----------
    together : (blocks, c, h, w, 64) uint8 array
        From `side_by_side`.
    batch : int
        Images.
    offsets : (groups, tiles, m) int64 array
        Where, from a pixel's first input on, the bit of each row lies in a flat (c, h, w).
    used : (groups, tiles) int64 array
        Rows in use, the first ones.
    mask : (groups, tiles, q) uint64 array
        Words with ones in the rows in use.
    height, width, stride : int
        Of the output.
    dynamic : bool
        Whether sub-vectors with more ones than zeros are inverted.

    Returns
    -------
    words : (n * height * width, groups, tiles, q) uint64 array
    inverted : (n * height * width, groups, tiles) uint8 array
    asserted : (n * height * width, groups, tiles) int32 array
        Ones after inversion.
    """
    blocks, _, _, padded_width, _ = together.shape
    flat = together.reshape(together.size)
    groups, tiles, q = mask.shape
    rows = offsets.shape[2]
    reads, area = groups * tiles, height * width
    filled = 8 if q > 1 else (rows + 7) // 8  # bytes of a word
    limit, ones_of = used.reshape(reads), mask.reshape(reads, q)
    words = np.empty((batch * area, reads, q), np.uint64)
    inverted = np.zeros((batch * area, reads), np.uint8)
    asserted = np.empty((batch * area, reads), np.int32)
    for task in numba.prange(blocks * area):
        block, pixel = task // area, task % area
        base = block * (together.size // blocks)
        base += (pixel // width * padded_width + pixel % width) * stride * IMAGES
        pieces = np.zeros((8, IMAGES), np.uint8)
        found = np.empty((_READS * q, IMAGES), np.uint64)
        ones = np.empty((_READS * q, IMAGES), np.uint64)
        # Images lie far apart in memory, often in the same sets of a cache: for each, a line is written at once.
        for first in range(0, reads, _READS):
            few = min(_READS, reads - first)
            for k in range(few):
                for part in range(q):
                    for byte in range(filled):
                        start = 64 * part + 8 * byte
                        count = max(min(limit[first + k] - start, 8), 0)
                        _gather(flat, base, offsets, (first + k) * rows + start, count, pieces, byte)
                    _join(pieces, found, ones, k * q + part)
            for image in range(min(IMAGES, batch - block * IMAGES)):
                place = (block * IMAGES + image) * area + pixel
                for k in range(few):
                    read = first + k
                    count = np.int32(0)
                    for part in range(q):
                        words[place, read, part] = found[k * q + part, image]
                        count += np.int32(ones[k * q + part, image])
                    if dynamic and 2 * count > limit[read]:
                        inverted[place, read] = 1
                        count = limit[read] - count
                        for part in range(q):
                            words[place, read, part] ^= ones_of[read, part]
                    asserted[place, read] = count
    shape = (batch * area, groups, tiles)
    return words.reshape((*shape, q)), inverted.reshape(shape), asserted.reshape(shape)


@intrinsic
def _gather(context, flat, base, offsets, first, count, pieces, byte):  # type: ignore[no-untyped-def]
    """Byte `byte` of 64 words: `count` rows, whose `offsets` begin at place `first`, the lowest bit first."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        bits, places, out = (
            context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in (0, 2, 5)
        )
        base, first, count, byte = (arguments[k] for k in (1, 3, 4, 6))
        kind = ir.VectorType(INT8, IMAGES)
        found = cgutils.alloca_once_value(builder, ir.Constant(kind, None))
        last = builder.sub(builder.add(first, count), INT64(1))
        with cgutils.for_range(builder, count) as loop:
            offset = builder.load(builder.gep(places, [builder.sub(last, loop.index)]))
            place = builder.add(base, builder.mul(offset, INT64(IMAGES)))
            so_far = Lanes(builder, builder.load(found))
            builder.store(
                (so_far + so_far + Lanes.load(builder, builder.gep(bits, [place]), kind)).value, found
            )
        end = builder.gep(out, [builder.mul(byte, INT64(IMAGES))])
        Lanes(builder, builder.load(found)).store(end)
        return context.get_dummy_value()

    return types.void(flat, base, offsets, first, count, pieces, byte), generate


@intrinsic
def _join(context, pieces, found, ones, read):  # type: ignore[no-untyped-def]
    """Set word `read` of 64 images from its eight bytes, and how many ones it has."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        bytes_, out, counts = (
            context.make_array(kind)(context, builder, argument).data
            for kind, argument in zip(signature.args[:3], arguments[:3], strict=True)
        )
        place = builder.mul(arguments[3], INT64(IMAGES))
        kind = ir.VectorType(INT8, IMAGES)
        word = Lanes.load(builder, bytes_, kind).widen(INT64)
        for byte in range(1, 8):
            piece = Lanes.load(builder, builder.gep(bytes_, [INT64(byte * IMAGES)]), kind)
            word = word + (piece.widen(INT64) << (8 * byte))
        word.store(builder.gep(out, [place]))
        word.ones().store(builder.gep(counts, [place]))
        return context.get_dummy_value()

    return types.void(pieces, found, ones, read), generate
