"""Compiled loops that turn a batch of activation bits into the words that word lines carry.

Lanes are images, 64 at a time: their bits for one input lie side by side, so that eight additions of 64 numbers make a
byte of 64 words, whatever the kernel, stride and size of the image.

Arrays of a batch's size are made by NumPy, which asks for large pages: to touch a small one for the first time takes as
long as some thousand additions.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from spicekit.compiled import compiled, run_ranges
from spicekit.engines.lanes import FLOAT, INT8, INT64, Lanes, transpose
from spicekit.engines.words import word_type

IMAGES = 64
"""Images side by side."""

_UNITS = 128  # reads that are packed at a time
_SIGNS = 16  # that are taken at a time
_PLACES = 256  # of an image whose signs are taken at a time: those of 64 images fit a level-1 cache

_kernel: Any = compiled(error_model="numpy", nogil=True)


def side_by_side(inputs: NDArray[np.uint8] | NDArray[np.float32], source: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Bits of images (n, c, pixels) in blocks of 64, with zeros around them and in place of absent images.

    Inputs are bits, or real numbers that stand for their signs: 1 where they are not negative. `source` (places,) says
    which pixel lies in each place of the larger image; -1 none.

    Returns
    -------
    (blocks, c, places, 64) uint8 array
    """
    assert inputs.dtype in (np.uint8, np.float32)  # compiled code would read another type as one of these
    images, channels, pixels = inputs.shape
    together = np.zeros((-(-images // IMAGES), channels, len(source), IMAGES), np.uint8)
    flat = np.ascontiguousarray(inputs).reshape(-1)
    shared = flat, inputs.shape, source, together.view(np.uint64)

    def task(first: int, last: int) -> None:
        room = np.zeros((pixels, IMAGES), np.uint8)
        signs = np.empty(IMAGES * min(_PLACES, pixels), np.uint8) if flat.dtype != np.uint8 else None
        _lay_side_by_side(first, last, *shared, signs, room.reshape(-1), room.view(np.uint64))

    run_ranges(task, len(together) * channels)
    return together


@_kernel
def _lay_side_by_side(begin, end, flat, shape, source, together, signs, room, words):  # type: ignore[no-untyped-def]
    """`side_by_side` of channels of blocks, from `begin` to before `end`, of `flat` inputs of `shape` (n, c, pixels).

    `together` is (blocks, c, places, 8), as uint64. `signs` is room for those of real inputs, or None; `room` is for
    (pixels, 64) bits, zeros at first, and `words` the same, (pixels, 8) uint64.
    """
    batch, channels, pixels = shape
    apart = channels * pixels
    for number in range(begin, end):
        block, channel = number // channels, number % channels
        images = min(IMAGES, batch - block * IMAGES)
        start = (block * IMAGES * channels + channel) * pixels
        if signs is None:
            transpose(flat, start, apart, room, 0, IMAGES, images, pixels)
        else:
            for pixel in range(0, pixels, _PLACES):
                few = min(_PLACES, pixels - pixel)
                _take_signs(flat, start + pixel, apart, images, few, signs)
                transpose(signs, 0, few, room, pixel * IMAGES, IMAGES, images, few)
        if images < IMAGES:  # what a whole block before has left there
            for pixel in range(pixels):
                room[pixel * IMAGES + images : (pixel + 1) * IMAGES] = 0
        for place in range(len(source)):
            if source[place] >= 0:
                for part in range(IMAGES // 8):
                    together[block, channel, place, part] = words[source[place], part]


@_kernel
def _take_signs(flat, start, apart, images, pixels, signs):  # type: ignore[no-untyped-def]
    """Set `signs` to 1 where the numbers of so many images, so far `apart`, are not negative, else to 0."""
    whole = pixels - pixels % _SIGNS
    for image in range(images):
        here, there = start + image * apart, image * pixels
        for pixel in range(0, whole, _SIGNS):
            _take_some_signs(flat, here + pixel, signs, there + pixel)
        for pixel in range(whole, pixels):
            signs[there + pixel] = flat[here + pixel] >= 0


@intrinsic
def _take_some_signs(context, flat, start, signs, place):  # type: ignore[no-untyped-def]
    """`_take_signs` of neighbours."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        given, out = (context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in (0, 2))
        values = Lanes.load(builder, builder.gep(given, [arguments[1]]), ir.VectorType(FLOAT, _SIGNS)).value
        found = builder.fcmp_ordered(">=", values, ir.Constant(values.type, [0.0] * _SIGNS))
        ones = builder.zext(found, ir.VectorType(INT8, _SIGNS))
        Lanes(builder, ones).store(builder.gep(out, [arguments[3]]))
        return context.get_dummy_value()

    return types.void(flat, start, signs, place), generate


def pack_inputs(
    together: NDArray[np.uint8],
    batch: int,
    offsets: NDArray[np.int64],
    used: NDArray[np.int64],
    mask: NDArray[np.uint64],
    bases: NDArray[np.int64],
    *,
    dynamic: bool,
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.uint8], NDArray[np.int16]]:
    """Words applied for every output pixel of a batch, as `Applied` has them.

    Parameters
    ----------
    together : (blocks, c, places, 64) uint8 array
        From `side_by_side`.
    batch : int
        Images.
    offsets : (groups, tiles, m) int64 array
        Where, from a pixel's first input on, the bit of each row lies in a flat (c, places).
    used : (groups, tiles) int64 array
        Rows in use, the first ones.
    mask : (groups, tiles, q) uint64 array
        Words with ones in the rows in use.
    bases : (pixels,) int64 array
        Where the first input of each output pixel lies.
    dynamic : bool
        Whether sub-vectors with more ones than zeros are inverted.

    Returns
    -------
    words : (n, groups, tiles, pixels, q) uint16 or uint64 array
    inverted : (n, groups, tiles, pixels) uint8 array
    asserted : (n, groups, tiles, pixels) int16 array
        Ones after inversion.
    """
    groups, tiles, q = mask.shape
    reads, kind = groups * tiles, word_type(offsets.shape[2])
    units = reads * len(bases)  # of an image: they lie one behind the other
    shape = batch, groups, tiles, len(bases)
    words = np.empty((*shape, q), kind)
    inverted, asserted = np.empty(shape, np.uint8), np.empty(shape, np.int16)
    given = together.reshape(-1), together[0].size, batch, offsets.reshape(reads, -1), used.reshape(-1)
    filled = tuple(array.reshape(-1) for array in (words, inverted, asserted))
    shared = *given, mask.reshape(-1, q), bases, dynamic, *filled

    def task(first: int, last: int) -> None:
        room = np.zeros((8, IMAGES), np.uint8), *np.empty((2, _UNITS * q, IMAGES), kind)
        flips = (np.empty((_UNITS, IMAGES), kind) for kind in (np.uint8, np.int16))
        _pack(first, last, *shared, *room, *flips)

    run_ranges(task, len(together) * -(-units // _UNITS))
    return words, inverted, asserted


@_kernel
def _pack(  # type: ignore[no-untyped-def]
    begin,
    end,
    flat,
    each,
    batch,
    offsets,
    limit,
    mask,
    bases,
    dynamic,
    words,
    inverted,
    asserted,
    pieces,
    found,
    ones,
    turned,
    left,
):
    """`pack_inputs` of chunks of 128 reads of 64 images, from `begin` to before `end`; the last five are its room."""
    reads, q = mask.shape
    rows, units = offsets.shape[1], reads * len(bases)
    filled = 8 if q > 1 else (rows + 7) // 8  # bytes of a word
    chunks = (units + _UNITS - 1) // _UNITS
    for task in range(begin, end):
        block, first = task // chunks, task % chunks * _UNITS
        few = min(_UNITS, units - first)
        read, pixel = first // len(bases), first % len(bases) - 1
        for k in range(few):
            pixel += 1
            if pixel == len(bases):
                read, pixel = read + 1, 0
            base = block * each + bases[pixel] * IMAGES
            for part in range(q):
                for byte in range(filled):
                    start = 64 * part + 8 * byte
                    count = max(min(limit[read] - start, 8), 0)
                    _gather(flat, base, offsets, read * rows + start, count, pieces, byte)
                _join(pieces, filled, found, ones, k * q + part)
            _invert(found, ones, mask, limit[read], dynamic, read, k, turned, left)
        images, there = min(IMAGES, batch - block * IMAGES), block * IMAGES * units + first
        transpose(found.reshape(-1), 0, IMAGES, words, there * q, units * q, few * q, images)
        transpose(turned.reshape(-1), 0, IMAGES, inverted, there, units, few, images)
        transpose(left.reshape(-1), 0, IMAGES, asserted, there, units, few, images)


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
            builder.store((so_far + so_far + Lanes.load(builder, builder.gep(bits, [place]), kind)).value, found)
        end = builder.gep(out, [builder.mul(byte, INT64(IMAGES))])
        Lanes(builder, builder.load(found)).store(end)
        return context.get_dummy_value()

    return types.void(flat, base, offsets, first, count, pieces, byte), generate


@intrinsic
def _join(context, pieces, filled, found, ones, read):  # type: ignore[no-untyped-def]
    """Set word `read` of 64 images from its first `filled` bytes, and how many ones it has."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        bytes_, out, counts = (
            context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in (0, 2, 3)
        )
        place = builder.mul(arguments[4], INT64(IMAGES))
        kind, word = ir.VectorType(INT8, IMAGES), out.type.pointee
        wide = ir.VectorType(word, IMAGES)
        found = cgutils.alloca_once_value(builder, ir.Constant(wide, None))
        with cgutils.for_range(builder, arguments[1]) as loop:
            byte = builder.sub(builder.sub(arguments[1], INT64(1)), loop.index)
            start = builder.gep(bytes_, [builder.mul(byte, INT64(IMAGES))])
            higher = Lanes(builder, builder.load(found)) << 8
            builder.store((higher + Lanes.load(builder, start, kind).widen(word)).value, found)
        words = Lanes(builder, builder.load(found))
        words.store(builder.gep(out, [place]))
        words.ones().store(builder.gep(counts, [place]))
        return context.get_dummy_value()

    return types.void(pieces, filled, found, ones, read), generate


@intrinsic
def _invert(context, found, ones, mask, rows, dynamic, read, k, turned, left):  # type: ignore[no-untyped-def]
    """Invert words `k` of 64 images where `dynamic` flips ask for it: bits that `mask` has at `read`.

    Set `turned` to 1 where that is so, else 0, and `left` to the ones left.
    """

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def array(place: int) -> Any:
            return context.make_array(signature.args[place])(context, builder, arguments[place])

        words, counts, masks, *outs = (array(place).data for place in (0, 1, 2, 7, 8))
        parts = builder.extract_value(array(2).shape, 1)
        word = words.type.pointee
        kind = ir.VectorType(word, IMAGES)

        def splat(number: Any) -> Lanes:
            fitting = number if word == INT64 else builder.trunc(number, word)
            return Lanes.splat(builder, fitting, IMAGES)

        def line(data: Any, part: Any) -> Any:
            read = builder.add(builder.mul(arguments[6], parts), part)
            return builder.gep(data, [builder.mul(read, INT64(IMAGES))])

        total = cgutils.alloca_once_value(builder, ir.Constant(kind, None))
        with cgutils.for_range(builder, parts) as loop:
            more = Lanes.load(builder, line(counts, loop.index), kind)
            builder.store((Lanes(builder, builder.load(total)) + more).value, total)
        count, limit = Lanes(builder, builder.load(total)), splat(arguments[3])
        # as `to_invert` has it
        wanted = builder.icmp_signed(">", (count + count).value, limit.value)
        asked = splat(builder.zext(arguments[4], INT64))
        turn = Lanes(builder, builder.sext(wanted, kind)) & Lanes(builder, builder.neg(asked.value))
        with cgutils.for_range(builder, parts) as loop:
            place = builder.add(builder.mul(arguments[5], parts), loop.index)
            bits = splat(builder.load(builder.gep(masks, [place])))
            there = line(words, loop.index)
            (Lanes.load(builder, there, kind) ^ (bits & turn)).store(there)
        left = count + (turn & (limit - count - count))
        row = builder.mul(arguments[6], INT64(IMAGES))
        for out, value in zip(outs, (builder.neg(turn.value), left.value), strict=True):
            narrow = ir.VectorType(out.type.pointee, IMAGES)
            fitting = value if narrow == kind else builder.trunc(value, narrow)
            Lanes(builder, fitting).store(builder.gep(out, [row]))
        return context.get_dummy_value()

    return types.void(found, ones, mask, rows, dynamic, read, k, turned, left), generate
