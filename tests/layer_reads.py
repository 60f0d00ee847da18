"""What cells hold and what is applied to them, as words: the form in which the engines' loops take whole layers."""

import numpy as np

from spicekit.engines.words import Applied, Stored, layout_of, pack


def stored_of(weights, *, turned=None, tiles=None, layer: str = "conv", mismatch=None) -> Stored:
    """Of bits (groups, tiles, c, m), or (c, m) of one tile; none `turned` and all read in every tile by default."""
    weights = weights if weights.ndim == 4 else weights[None, None]
    words = np.ascontiguousarray(pack(weights, layout_of(weights.shape[3])).swapaxes(2, 3))
    turned = np.broadcast_to(False if turned is None else turned, weights.shape[:3]).copy()
    read = np.full(len(weights), weights.shape[1]) if tiles is None else np.array(tiles)
    return Stored(words, turned, read, layer, mismatch)


def applied_of(bits, *, inverted=None, shape=None) -> Applied:
    """Of bits (p, groups, tiles, m), or (p, m) of one tile, as applied; all are pixels of one image by default."""
    bits = bits if bits.ndim == 4 else bits[:, None, None]
    inverted = np.broadcast_to(np.uint8(0) if inverted is None else inverted, bits.shape[:3]).copy()
    rows = bits.shape[3]
    words = pack(bits, layout_of(rows))
    return Applied.of_vectors(words, inverted, bits.sum(axis=3), shape or (len(bits), 1), rows=rows)
