"""A mapped layer as words, and how a batch of activations runs through it."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spicekit.engines.fast import CodeTable
from spicekit.engines.kernels import count_patterns, pack_inputs, sum_codes
from spicekit.mapping.layers import MappedLayer


@dataclass(frozen=True, eq=False)
class PackedLayer:
    """Words and popcounts of one mapped layer."""

    layer: MappedLayer
    stored: NDArray[np.uint32]
    """(groups, c_out, tiles); bit m is the static flip."""
    corrections: NDArray[np.float32]
    """(2 * groups * tiles, c_out): f, then sum(u_w), that the activations' correction factors multiply."""
    weight_ones: NDArray[np.float32]
    """(c_out,) sum(u_w) over all rows."""


@dataclass(frozen=True, eq=False)
class Applied:
    """A batch of activations as the words that reads assert."""

    words: NDArray[np.uint32]
    choice: NDArray[np.uint32]
    corrections: NDArray[np.float32]
    ones: NDArray[np.float32]
    shape: tuple[int, int, int]
    """(n, h_out, w_out)."""


def pack_layer(layer: MappedLayer) -> PackedLayer:
    """Words of what the cells store."""
    m = layer.spec.rows_active
    places = 1 << np.arange(m, dtype=np.uint32)
    words = np.einsum("tgmc,m->gct", layer.stored.astype(np.uint32), places)
    words |= layer.inverted.transpose(1, 2, 0).astype(np.uint32) << np.uint32(m)
    flip_and_ones = np.stack([layer.inverted, layer.weight_ones]).transpose(0, 2, 1, 3)
    return PackedLayer(
        layer,
        np.ascontiguousarray(words),
        np.ascontiguousarray(flip_and_ones.reshape(-1, layer.outputs), np.float32),
        layer.weight_ones.sum(axis=(0, 1)).astype(np.float32),
    )


def apply_inputs(packed: PackedLayer, bits: NDArray[np.uint8], *, by_ones: bool) -> Applied:
    """Words for a batch of activation bits (n, c_in, h, w), not yet padded."""
    layer = packed.layer
    geometry = layer.geometry
    p = geometry.padding
    padded = np.pad(bits, ((0, 0), (0, 0), (p, p), (p, p)))
    height, width = ((side - geometry.kernel) // geometry.stride + 1 for side in padded.shape[2:])
    words, choice, corrections, ones = pack_inputs(
        padded,
        _offsets(layer, padded.shape[2:]),
        np.ascontiguousarray(layer.used.T),
        height,
        width,
        geometry.stride,
        layer.binsparx.dynamic,
        by_ones,
    )
    return Applied(words, choice, corrections, ones, (len(bits), height, width))


def dot_products(packed: PackedLayer, applied: Applied, codes: CodeTable) -> NDArray[np.float32]:
    """(n, c_out, h_out, w_out) float32: dot products of signs as the converters' codes give them."""
    layer = packed.layer
    sums = sum_codes(codes.codes, packed.stored, applied.words, applied.choice)
    if codes.step != 1.0:
        sums *= np.float32(codes.step)
    if layer.binsparx.static or layer.binsparx.dynamic:
        sums += applied.corrections.reshape(len(sums), -1) @ packed.corrections
    # dot = 4 sum(u_w u_a) - 2 sum(u_w) - 2 sum(u_a) + n
    inputs = np.float32(layer.used.sum())
    sums *= np.float32(4)
    sums += inputs - 2 * packed.weight_ones
    sums -= 2 * applied.ones[:, None]
    n, height, width = applied.shape
    return np.asarray(sums.reshape(n, height, width, -1).transpose(0, 3, 1, 2))


def pattern_usage(packed: PackedLayer, applied: Applied) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(groups, 2^m) reads of each pattern of ON cells, and the other asserted cells in them, added."""
    reads, others = count_patterns(
        packed.stored, applied.words, applied.choice, packed.layer.spec.rows_active
    )
    # groups of the last tile without any row in use are never read
    reads[:, 0] -= (packed.layer.used == 0).sum(axis=0) * packed.layer.outputs * len(applied.words)
    return reads, others


@lru_cache(maxsize=64)
def _offsets(layer: MappedLayer, padded: tuple[int, int]) -> NDArray[np.int64]:
    """(groups, tiles, m) place of each row's input in a padded image (c, h, w), from the pixel's corner on."""
    k = layer.geometry.kernel
    channel, kh, kw = np.unravel_index(np.maximum(layer.rows, 0), (layer.geometry.in_channels, k, k))
    flat = channel * padded[0] * padded[1] + kh * padded[1] + kw
    return np.ascontiguousarray(np.where(layer.rows >= 0, flat, -1).transpose(1, 0, 2))
