"""A mapped layer as words, and how a batch of activations runs through it."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from spicekit.engines.fast.kernels import correction_factors, lay_images_out
from spicekit.engines.fast.model import Codes
from spicekit.engines.words import Applied, Layout, Stored, layout_of, pack
from spicekit.mapping.inputs import pack_inputs, side_by_side
from spicekit.mapping.layers import MappedLayer
from spicekit.mapping.positions import byte_scores, invert_by_score, row_weights
from spicekit.networks.geometry import Gathering


@dataclass(frozen=True, eq=False)
class PackedLayer:
    """Words and popcounts of one mapped layer."""

    layer: MappedLayer
    stored: Stored
    mask: NDArray[np.uint64]
    """(groups, tiles, q) ones in the rows in use."""
    corrections: NDArray[np.float32]
    """(2 * groups * tiles, c_out): f, then sum(u_w), that the activations' correction factors multiply."""
    weight_ones: NDArray[np.float32]
    """(c_out,) sum(u_w) over all rows."""
    scores: NDArray[np.float32] | None
    """(groups, tiles, q, 8, 256) where positions decide the dynamic flips, see `byte_scores`."""


def pack_layer(layer: MappedLayer) -> PackedLayer:
    """Words of what the cells store."""
    layout = layout_of(layer.spec.rows_active)
    words = pack(layer.stored.transpose(1, 0, 3, 2), layout)  # (groups, tiles, c_out, q)
    inverted = layer.inverted.transpose(1, 0, 2)
    flip_and_ones = np.stack([inverted, layer.weight_ones.transpose(1, 0, 2)])
    return PackedLayer(
        layer,
        Stored(
            np.ascontiguousarray(words.transpose(0, 1, 3, 2)),
            np.ascontiguousarray(inverted),
            (layer.used > 0).sum(axis=0),
            layer.name,
        ),
        pack((layer.rows >= 0).astype(np.uint8).transpose(1, 0, 2), layout),
        np.ascontiguousarray(flip_and_ones.reshape(-1, layer.outputs), np.float32),
        layer.weight_ones.sum(axis=(0, 1)).astype(np.float32),
        _scores(layer, layout) if layer.binsparx.dynamic and layer.binsparx.rule == "position" else None,
    )


def apply_inputs(packed: PackedLayer, bits: NDArray[np.uint8], *, first: int = 0) -> Applied:
    """Words for a batch of activation bits (n, c_in, *sides), not yet padded; `first` is the first image's place."""
    layer = packed.layer
    gathering = layer.geometry.gathering(bits.shape[2:])
    together = side_by_side(bits.reshape(*bits.shape[:2], -1), gathering.source)
    used = np.ascontiguousarray(layer.used.T)
    words, inverted, asserted = pack_inputs(
        together,
        len(bits),
        input_offsets(layer, gathering),
        used,
        packed.mask,
        gathering.bases,
        dynamic=layer.binsparx.dynamic and packed.scores is None,
    )
    if packed.scores is not None:
        inverted = invert_by_score(words, asserted, packed.mask, used, packed.scores)
    return Applied(words, inverted, asserted, gathering.output, first)


def dot_products(packed: PackedLayer, applied: Applied, codes: Codes) -> NDArray[np.float32]:
    """(n, c_out, *sides) float32: dot products of signs as the converters' codes give them."""
    layer, step = packed.layer, np.float32(codes.step)
    used, corrected = layer.used.T, layer.binsparx.static or layer.binsparx.dynamic
    sums = codes.sums(packed.stored, applied)
    factors, ones = correction_factors(applied.inverted, applied.asserted, used, corrected)
    if corrected:
        if step != 1:
            sums *= step
            step = np.float32(1)
        # in torch, on the threads that all else uses: numpy's own would wait for these, and they for them
        there, terms = torch.from_numpy(sums), torch.from_numpy(factors.reshape(len(sums), -1))
        torch.addmm(there, terms, torch.from_numpy(packed.corrections), out=there)
    # dot = 4 sum(u_w u_a) - 2 sum(u_w) - 2 sum(u_a) + n
    column = np.float32(used.sum()) - 2 * packed.weight_ones
    images = len(sums) // math.prod(applied.shape)
    dots = np.empty((images, sums.shape[1], *applied.shape), np.float32)
    lay_images_out(sums, 4 * step, column, -2 * ones, dots.reshape(images, sums.shape[1], -1))
    return dots


def _scores(layer: MappedLayer, layout: Layout) -> NDArray[np.float32]:
    weights = row_weights(layer.spec, layer.rows, layer.stored)
    return byte_scores(np.ascontiguousarray(weights.transpose(1, 0, 2)), layout)


@lru_cache(maxsize=64)
def input_offsets(layer: MappedLayer, gathering: Gathering) -> NDArray[np.int64]:
    """(groups, tiles, m) place of each row's input in the larger images (c, places), from the pixel's base on."""
    return np.ascontiguousarray(gathering.offsets[np.maximum(layer.rows, 0)].transpose(1, 0, 2))
