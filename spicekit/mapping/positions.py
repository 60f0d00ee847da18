"""Flips chosen by the error that they are predicted to save, not by the number of ones alone.

An ON cell's current drops voltage on all that it shares with the other ON cells of its column. To first order, what
column c loses for the activation bits a over stored bits w is

    E_c(a) = sum_ij M_ij (a_i w_ic) (a_j w_jc),

M_ij the resistance that the currents of rows i and j share: driver, sink, and the segments of both lines that both flow
through. Averaged over the columns, w_i w_j becomes q_ij. A sub-vector is inverted where E(a) > E(1 - a), and since
a_i a_j - (1 - a_i)(1 - a_j) = a_i + a_j - 1, that is a count of ones in which each row has a weight of its own:

    sum_i a_i m_i > sum_i m_i / 2,    m_i = sum_j M_ij q_ij.

All weights equal is BinSparX's own rule. For stored columns the same holds with activations and weights exchanged.
"""

import numba
import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.compiled import compiled
from spicekit.engines.words import Layout
from spicekit.mapping.binsparx import to_invert

Array = NDArray[np.float64]


def shared_resistance(spec: TileSpec) -> Array:
    """(r, r) ohm that the currents of two rows of a word-line-driven column share.

    >>> from spicekit.circuits.spec import Wires
    >>> wires = Wires(r_driver=10, r_sink=10, r_bl=1, r_sl=2)
    >>> shared_resistance(TileSpec(rows=3, rows_active=3, wires=wires))
    array([[24., 22., 20.],
           [22., 23., 21.],
           [20., 21., 22.]])
    """
    row = np.arange(spec.rows)
    nearest, farthest = np.minimum.outer(row, row), np.maximum.outer(row, row)
    to_sense = nearest if spec.sense_end == "near" else spec.rows - 1 - farthest
    wires = spec.wires
    r_bl, r_sl = wires.segment("r_bl"), wires.segment("r_sl")
    return np.asarray(wires.r_driver + wires.r_sink + r_bl * nearest + r_sl * to_sense, np.float64)


def row_weights(
    spec: TileSpec, rows: NDArray[np.int64], stored: NDArray[np.uint8] | None = None
) -> NDArray[np.float32]:
    """What a one in each row counts for in the decision to invert; their mean over the rows in use is 1.

    Parameters
    ----------
    spec : TileSpec
    rows : (groups, tiles, m) integer array
        Input of each row, -1 where unused.
    stored : (groups, tiles, m, c) uint8 array, optional
        Bits in the cells, over which sub-vectors are applied; without it all are taken to be alike.

    Returns
    -------
    (groups, tiles, m) float32 array, 0 in unused rows
    """
    groups, tiles, m = rows.shape
    used = (rows >= 0).astype(float)
    shared = shared_resistance(spec).reshape(groups, m, groups, m)
    weights = np.empty(rows.shape)
    for group in range(groups):
        block = shared[group, :, group]
        for tile in range(tiles):
            if stored is None:
                together: Array = np.outer(used[group, tile], used[group, tile])
            else:
                bits = stored[group, tile].astype(float)
                together = bits @ bits.T / bits.shape[1]
            weights[group, tile] = (block * together).sum(axis=1)
    mean = weights.sum(axis=2, keepdims=True) / np.maximum(used.sum(axis=2, keepdims=True), 1)
    return np.asarray(np.divide(weights, mean, out=used.copy(), where=mean > 0), np.float32)


def byte_scores(weights: NDArray[np.float32], layout: Layout) -> NDArray[np.float32]:
    """(.., q, 8, 256) sums of the row weights (.., m) that each value of each byte of a word stands for."""
    scores = np.zeros((*weights.shape[:-1], layout.words, 8, 256), np.float32)
    value = np.arange(256)
    for row, (word, bit) in enumerate(zip(layout.word, layout.bit, strict=True)):
        scores[..., word, bit // 8, :] += weights[..., row, None] * ((value >> (bit % 8)) & 1)
    return scores


@compiled(parallel=True)
def invert_by_score(  # type: ignore[no-untyped-def]
    words, asserted, mask, used, scores
):
    """Invert, in place, the sub-vectors whose ones weigh more than half; returns which, (p, groups, tiles) uint8.

    `words` (p, groups, tiles, q) and `asserted` (p, groups, tiles) as in `Applied`, `mask` (groups, tiles, q) the rows
    in use, `used` (groups, tiles) their number, `scores` (groups, tiles, q, 8, 256) from `byte_scores`.
    """
    pixels, groups, tiles, length = words.shape
    inverted = np.zeros((pixels, groups, tiles), np.uint8)
    for p in numba.prange(pixels):
        for group in range(groups):
            for tile in range(tiles):
                score = np.float32(0)
                for q in range(length):
                    for byte in range(8):
                        value = (words[p, group, tile, q] >> np.uint64(8 * byte)) & np.uint64(255)
                        score += scores[group, tile, q, byte, np.int64(value)]
                if to_invert(score, used[group, tile]):
                    inverted[p, group, tile] = 1
                    asserted[p, group, tile] = used[group, tile] - asserted[p, group, tile]
                    for q in range(length):
                        words[p, group, tile, q] ^= mask[group, tile, q]
    return inverted
