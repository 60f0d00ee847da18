"""A mapped layer as words, as designed or as a die holds it, and how a batch of activations runs through it."""

import dataclasses
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numpy.typing import DTypeLike, NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.compiled import compiled, run_ranges
from spicekit.engines.cell_currents import CellCurrents, Variation, cell_currents_of, cell_sensitivity, factors
from spicekit.engines.fast.mismatch import Passed, mismatch_steps, passed
from spicekit.engines.fast.model import Codes
from spicekit.engines.lanes import FLOAT, INT64, Lanes, transposed
from spicekit.engines.words import Applied, Stored, layout_of, pack
from spicekit.mapping.binsparx import corrections_of
from spicekit.mapping.inputs import pack_inputs, side_by_side
from spicekit.mapping.layers import MappedLayer, held
from spicekit.mapping.positions import byte_scores, invert_by_score, row_weights
from spicekit.networks.geometry import Gathering
from spicekit.tables.table import IVTable

NARROW_ROWS = 64
"""Rows of a read up to which its counts are multiplied in 8 bits. Without instructions for it oneDNN adds 128 to one
factor, at most 192 then, and two products with 64 in 16 signed bits."""


@dataclass(frozen=True, eq=False)
class PackedLayer:
    """Words and popcounts of one mapped layer."""

    layer: MappedLayer
    stored: Stored
    mask: NDArray[np.uint64]
    """(groups, tiles, q) ones in the rows in use."""
    corrections: NDArray[Any]
    """(c_out, 2 * groups * tiles): f, then sum(u_w), that the activations' correction factors multiply; int8 where a
    read has no more than `NARROW_ROWS`, else float32."""
    weight_ones: NDArray[np.float32]
    """(c_out,) sum(u_w) over all rows."""
    scores: NDArray[np.float32] | None
    """(groups, tiles, q, 8, 256) where positions decide the dynamic flips, see `byte_scores`."""


def pack_layer(layer: MappedLayer) -> PackedLayer:
    """Words of what the cells store."""
    layout = layout_of(layer.spec.rows_active)
    words = pack(layer.stored.swapaxes(2, 3), layout)  # (groups, tiles, c_out, q)
    by_place = layer.binsparx.dynamic and layer.binsparx.flip_rule == "position"
    weights = row_weights(layer.spec, layer.rows, layer.stored) if by_place else None
    return PackedLayer(
        layer,
        Stored(
            np.ascontiguousarray(words.swapaxes(2, 3)),
            layer.inverted,
            (layer.used > 0).sum(axis=1),
            layer.name,
        ),
        pack((layer.rows >= 0).astype(np.uint8), layout),
        np.ascontiguousarray(
            np.stack([layer.inverted, layer.weight_ones]).reshape(-1, layer.outputs).T,
            np.int8 if layer.spec.rows_active <= NARROW_ROWS else np.float32,
        ),
        layer.weight_ones.sum(axis=(0, 1)).astype(np.float32),
        None if weights is None else byte_scores(weights, layout),
    )


@dataclass(frozen=True, eq=False)
class Mismatch:
    """What the cells of one spec differ by."""

    cells: CellCurrents
    sensitivity: NDArray[np.float64]
    """From `cell_sensitivity`."""
    passed: Passed
    """How mismatch reaches the sense points."""


def mismatch_of(spec: TileSpec, table: IVTable | None, variation: Variation) -> Mismatch | None:
    """None where cells are alike, or have no table: those of ideal tiles. Raises as `mismatch.passed` does."""
    if table is None or not variation.mismatch:
        return None
    return Mismatch(cell_currents_of(spec, table), cell_sensitivity(spec, table), passed(spec, table, variation))


def layer_on_die(packed: PackedLayer, variation: Variation, mismatch: Mismatch | None) -> PackedLayer:
    """The layer as the die of a variation's seed holds it; `mismatch` is `mismatch_of` its spec.

    Popcounts and thresholds are those of the design: who wrote the weights does not know the die, but for its stuck
    cells where a mitigation chooses flips against them.
    """
    layer = packed.layer
    kept = held(layer.stored, variation, layer.name)
    stored = packed.stored
    if kept is not layer.stored:
        stored = pack_layer(dataclasses.replace(layer, stored=kept)).stored
    if mismatch is not None:
        cell = mismatch.sensitivity
        factor = factors(kept.swapaxes(0, 1), variation, cell, place=layer.name).swapaxes(0, 1)
        steps = mismatch_steps(mismatch.passed, mismatch.cells, kept, factor)
        stored = dataclasses.replace(stored, mismatch=np.ascontiguousarray(steps))
    return dataclasses.replace(packed, stored=stored)


def apply_inputs(packed: PackedLayer, inputs: NDArray[np.uint8] | NDArray[np.float32], *, first: int = 0) -> Applied:
    """Words for a batch of activations (n, c_in, *sides), not yet padded: bits, or real numbers that stand for signs.

    `first` is the first image's place.
    """
    layer = packed.layer
    gathering = layer.geometry.gathering(inputs.shape[2:])
    together = side_by_side(inputs.reshape(*inputs.shape[:2], -1), gathering.source)
    words, inverted, asserted = pack_inputs(
        together,
        len(inputs),
        input_offsets(layer, gathering),
        layer.used,
        packed.mask,
        gathering.bases,
        dynamic=layer.binsparx.dynamic and packed.scores is None,
    )
    if packed.scores is not None:
        inverted = invert_by_score(words, asserted, packed.mask, layer.used, packed.scores)
    return Applied(words, inverted, asserted, gathering.output, first)


def dot_products(packed: PackedLayer, applied: Applied, codes: Codes) -> NDArray[np.float32]:
    """(n, c_out, *sides) float32: dot products of signs as the converters' codes give them."""
    layer = packed.layer
    dots = np.empty((applied.images, layer.outputs, *applied.shape), np.float32)
    each = max(1, _AT_ONCE // math.prod(applied.shape))
    for start in range(0, applied.images, each):
        part = dots[start : start + each]
        _set_dot_products(packed, applied.part(start, start + len(part)), codes, part)
    return dots


def _set_dot_products(packed: PackedLayer, applied: Applied, codes: Codes, dots: NDArray[np.float32]) -> None:
    """`dot_products` of some images, written to their place."""
    layer, used, corrected = packed.layer, packed.layer.used, packed.layer.binsparx.flips
    # compiled code moves whole vectors of them: of another type it would write past its room
    sums = np.asarray(codes.sums(packed.stored, applied), np.float32)
    by_column = sums.T.flags.c_contiguous
    kind = packed.corrections.dtype
    factors, ones = _correction_factors(applied.inverted, applied.asserted, used, corrected, kind)
    product = None
    if corrected:
        # in torch, on the threads that all else uses: numpy's own would wait for these, and they for them
        multiply = torch._int_mm if kind == np.int8 else torch.mm
        # of whole numbers: the same bits in any order
        product = multiply(torch.from_numpy(packed.corrections), torch.from_numpy(factors)).numpy()
    # dot = 4 sum(u_w u_a) - 2 sum(u_w) - 2 sum(u_a) + n
    column = np.float32(used.sum()) - 2 * packed.weight_ones
    lay_out = _lay_columns_out if by_column else _lay_images_out
    given = sums.T if by_column else np.ascontiguousarray(sums), product, np.float32(codes.step), column, -2 * ones
    laid_out = dots.reshape(len(dots), layer.outputs, -1)
    run_ranges(lambda first, last: lay_out(first, last, *given, laid_out), len(dots))


@lru_cache(maxsize=64)
def input_offsets(layer: MappedLayer, gathering: Gathering) -> NDArray[np.int64]:
    """(groups, tiles, m) place of each row's input in the larger images (c, places), from the pixel's base on."""
    return gathering.offsets[np.maximum(layer.rows, 0)]


_kernel: Any = compiled(error_model="numpy", nogil=True)
_AT_ONCE = 8192
"""Vectors whose sums are there at a time: little enough memory that the next ones get it again, untouched by the
system. To be given new pages takes as long as all of a vector's additions."""
_SIDE = 16  # pixels and columns laid out at a time


def _correction_factors(
    inverted: NDArray[np.uint8],
    asserted: NDArray[np.int16],
    used: NDArray[np.int64],
    wanted: bool,
    kind: DTypeLike,
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """What the corrections of `binsparx` are multiplied with, from the outputs of `inputs.pack_inputs`.

    Parameters
    ----------
    inverted, asserted : (n, groups, tiles, pixels) arrays
    used : (groups, tiles) int64 array
        Rows in use.
    wanted : bool
        Whether anything is to be corrected.
    kind : dtype
        Of the factors, int8 or float32.

    Returns
    -------
    factors : (2 * groups * tiles, n * pixels) array
        sum(u_a) - d n, which is +- the ones applied, minus where they are inverted; then d. Empty unless wanted.
    ones : (n * pixels,) float32 array
        sum(u_a), as it was before any inversion, over all reads.
    """
    images, reads, pixels = len(asserted), used.size, asserted.shape[3]
    factors = np.empty((2, reads if wanted else 0, images, pixels), kind)
    ones = np.zeros((images, pixels), np.float32)
    each = (images, reads, pixels)
    shared = inverted.reshape(each), asserted.reshape(each), used.reshape(-1), factors, ones
    run_ranges(lambda first, last: _set_factors(first, last, *shared), images)
    return factors.reshape(-1, ones.size), ones.reshape(-1)


@_kernel
def _set_factors(first, last, inverted, asserted, used, factors, ones):  # type: ignore[no-untyped-def]
    for image in range(first, last):
        for read in range(len(used)):
            for pixel in range(ones.shape[1]):
                d = np.int64(inverted[image, read, pixel])
                signed, plain = corrections_of(d, asserted[image, read, pixel], used[read])
                ones[image, pixel] += np.float32(plain)
                if factors.shape[1]:
                    factors[0, read, image, pixel], factors[1, read, image, pixel] = signed, d


@_kernel
def _lay_columns_out(first, last, sums, product, step, column, pixel, laid_out):  # type: ignore[no-untyped-def]
    """`_lay_images_out` of `sums` (c_out, p)."""
    _, columns, area = laid_out.shape
    for image in range(first, last):
        own = slice(image * area, (image + 1) * area)
        for k in range(columns):
            line, given, of_pixels = laid_out[image, k], sums[k, own], pixel[own]
            for place in range(area):
                line[place] = step * given[place]
            if product is not None:
                added = product[k, own]
                for place in range(area):
                    line[place] += np.float32(added[place])
            for place in range(area):
                line[place] = np.float32(4) * line[place] + column[k] + of_pixels[place]


@_kernel
def _lay_images_out(first, last, sums, product, step, column, pixel, laid_out):  # type: ignore[no-untyped-def]
    """`_lay_image_out` of images from `first` to before `last`."""
    for image in range(first, last):
        _lay_image_out(image, sums, product, step, column, pixel, laid_out)


@_kernel
def _lay_image_out(image, sums, product, step, column, pixel, laid_out):  # type: ignore[no-untyped-def]
    """Set `laid_out` (n, c_out, pixels of an image) to 4 (`step` x + y) + `column` + `pixel`; that of one image.

    x are `sums` (p, c_out) float32, y the `product` (c_out, p) or None for 0; `column` is (c_out,), `pixel` (p,).
    """
    _, columns, area = laid_out.shape
    first, whole_columns, whole_area = image * area, columns - columns % _SIDE, area - area % _SIDE
    for place in range(0, whole_area, _SIDE):
        for k in range(0, whole_columns, _SIDE):
            _lay_block_out(sums, product, step, column, pixel, laid_out, first + place, k, image, place)
    for place in range(area):
        for k in range(whole_columns if place < whole_area else 0, columns):
            total = step * sums[first + place, k]
            if product is not None:
                total += np.float32(product[k, first + place])
            laid_out[image, k, place] = np.float32(4) * total + column[k] + pixel[first + place]


@intrinsic
def _lay_block_out(context, sums, product, step, column, pixel, laid_out, vector, k, image, place):  # type: ignore[no-untyped-def]
    """`_lay_image_out` of 16 pixels and columns."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        def array(which: int) -> Any:
            return context.make_array(signature.args[which])(context, builder, arguments[which])

        def line(data: Any, at: Any, element: Any = FLOAT) -> Lanes:
            return Lanes.load(builder, builder.gep(data, [at]), ir.VectorType(element, _SIDE))

        given, corrected = array(0), signature.args[1] is not types.none
        out = array(5)
        columns, area = (builder.extract_value(out.shape, axis) for axis in (1, 2))
        vector, k, image, place = arguments[6:]
        scale = Lanes.splat(builder, arguments[2], _SIDE)
        four = Lanes.splat(builder, ir.Constant(FLOAT, 4.0), _SIDE)
        rows = []
        for each in range(_SIDE):
            at = builder.add(builder.mul(builder.add(vector, INT64(each)), columns), k)
            rows.append((scale * line(given.data, at)).value)
        of_pixels = line(array(4).data, vector)
        for each, found in enumerate(transposed(builder, rows)):
            lane = builder.add(k, INT64(each))
            of_column = Lanes.splat(builder, builder.load(builder.gep(array(3).data, [lane])), _SIDE)
            total = Lanes(builder, found)
            if corrected:
                added = array(1)
                vectors = builder.extract_value(added.shape, 1)
                at = builder.add(builder.mul(lane, vectors), vector)
                more = line(added.data, at, added.data.type.pointee)
                total = total + (more if added.data.type.pointee == FLOAT else more.single())
            at = builder.add(builder.mul(builder.add(builder.mul(image, columns), lane), area), place)
            (four * total + of_column + of_pixels).store(builder.gep(out.data, [at]))
        return context.get_dummy_value()

    return types.void(*(sums, product, step, column, pixel, laid_out, vector, k, image, place)), generate
