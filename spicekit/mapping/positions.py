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

import itertools

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.compiled import compiled, run_tasks
from spicekit.engines.words import Layout
from spicekit.errors import BadInput
from spicekit.mapping.binsparx import BinSparX, to_invert

Array = NDArray[np.float64]


def shared_resistance(spec: TileSpec) -> Array:
    """(r, r) ohm that the currents of two rows of a word-line-driven column share.

    >>> from spicekit.circuits.spec import Wires
    >>> wires = Wires(r_driver=10, r_sink=10, r_bl=1, r_sl=2)
    >>> shared_resistance(TileSpec(rows=3, rows_active=3, wires=wires))
    array([[24., 22., 20.],
           [22., 23., 21.],
           [20., 21., 22.]])

    Raises
    ------
    BadInput
        For columns on shared rails: their currents meet those of other columns.
    """
    if spec.wires.railed or spec.discharge:
        raise BadInput(
            "the order of rows and flips by position know no shared rails and no discharge; set [mapping] flip_rule = "
            "'count', or take a mitigation without 'order'."
        )
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
    used = (rows >= 0).astype(float)
    weights = _shared_by_row(spec, rows, stored)
    mean = weights.sum(axis=2, keepdims=True) / np.maximum(used.sum(axis=2, keepdims=True), 1)
    return np.asarray(np.divide(weights, mean, out=used.copy(), where=mean > 0), np.float32)


def _shared_by_row(spec: TileSpec, rows: NDArray[np.int64], stored: NDArray[np.uint8] | None = None) -> Array:
    """m_i of each row, as `row_weights` takes it: (groups, tiles, m) ohm."""
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
    return weights


def row_order(
    spec: TileSpec, rows: NDArray[np.int64], weights: NDArray[np.uint8], *, binsparx: BinSparX
) -> NDArray[np.int64]:
    """Inputs laid out anew: the more ones an input's weights have, the less resistance its row shares.

    To first order, with activations alike and weights independent, the loss of a read is sum_ij M_ij p_i p_j, p_i the
    share of ones among the weights of row i. It is least where the largest p meet the smallest sum_j M_ij
    (rearrangement inequality), and where reads of equal resistance share the large p among them. Both change nothing
    but which word line an input drives.

    Flips gain from inputs that are alike in one read. With them the reads keep their inputs: they are placed by what is
    left of their ones, and rows change places within a read alone.

    Parameters
    ----------
    spec : TileSpec
    rows : (groups, tiles, m) integer array
        Input of each row, -1 where unused.
    weights : (n, c_out) uint8 array
        Bits of each input's weights.
    binsparx : BinSparX
        The flips that follow.

    Returns
    -------
    (groups, tiles, m) integer array

    Raises
    ------
    BadInput
        For bit-line drive, whose rows share wires with all columns.
    """
    if spec.drive != "wordline":
        raise BadInput(
            f"{spec.cell} with bit-line drive: the order of rows is chosen for columns that share nothing; use "
            f"drive = 'wordline', or a mitigation without 'order'."
        )
    shared = _shared_by_row(spec, rows)
    shared = np.round(shared / max(shared.max(), 1e-300), 9)  # rows at the same place of two reads are alike
    used = rows >= 0
    if not binsparx.flips:
        level = np.argsort(np.argsort(shared, axis=2, kind="stable"), axis=2, kind="stable")
        read = np.arange(used[..., 0].size).reshape(*used.shape[:2], 1)
        dealt = np.where(level % 2, -read, read)[used]  # back and forth
        places = np.lexsort((dealt, level[used], shared[used]))
        ordered, found = rows.copy(), np.empty(len(weights), np.int64)
        found[places] = np.argsort(-weights.mean(axis=1), kind="stable")
        ordered[used] = found
        return ordered
    bits = np.where(used[..., None], weights[rows], 0)
    if binsparx.stores_inverted:
        inverted = to_invert(bits.sum(axis=2), used.sum(axis=2)[..., None])
        bits = np.where(inverted[:, :, None] & used[..., None], 1 - bits, bits)
    ones = bits.sum(axis=3, dtype=np.int64)
    inputs = np.take_along_axis(rows, np.argsort(-np.where(used, ones, -1), axis=2, kind="stable"), axis=2)
    full = used.all(axis=2)
    places = np.argsort(shared.sum(axis=2)[full], kind="stable")
    moved = inputs[full]
    moved[places] = inputs[full][np.argsort(-ones.sum(axis=2)[full], kind="stable")]
    inputs[full] = moved
    ordered = rows.copy()
    np.put_along_axis(ordered, np.argsort(np.where(used, shared, np.inf), axis=2, kind="stable"), inputs, axis=2)
    return ordered


_DRAWN = 128  # activations that the error of a multi-bit weight is a mean over


def invert_together(bits: NDArray[np.uint8], used: NDArray[np.int64], places: tuple[float, ...]) -> NDArray[np.bool_]:
    """Static flips of all bit planes of a weight at once: those with the least error of the sum that they make up.

    A read of m ON cells loses about k m^2. An inverted plane's loss turns its sign, so that planes of two's complement,
    whose losses cancel, may add up when each is flipped by itself. Of the 2^P choices for P planes, the one with the
    least mean square of sum_p v_p (-1)^f_p m_p^2 is taken, v_p what a one in plane p stands for, over 128 random
    activations with as many ones as zeros (assumed; the same for all columns).

    Parameters
    ----------
    bits : (groups, tiles, m, P c) uint8 array
        Weights, 0 in unused rows; planes one behind the other.
    used : (groups, tiles, 1) integer array
        Rows in use.
    places : tuple of P floats

    Returns
    -------
    (groups, tiles, P c) bool array
    """
    groups, tiles, m, columns = bits.shape
    planes = len(places)
    choices = np.array(list(itertools.product((False, True), repeat=planes)))  # (2^P, P)
    signed = np.where(choices, -1.0, 1.0) * np.asarray(places)
    applied = np.random.default_rng(0).integers(0, 2, (_DRAWN, m)).astype(np.float32)
    inverted = np.empty((groups, tiles, planes, columns // planes), bool)
    for group, tile in np.ndindex(groups, tiles):
        asserted = applied[:, : used[group, tile, 0]].sum(axis=1)
        on = (applied @ bits[group, tile].astype(np.float32)).reshape(_DRAWN, planes, -1)
        losses = np.stack([on**2, (asserted[:, None, None] - on) ** 2])  # as is, inverted
        best = np.full(columns // planes, np.inf)
        for choice, weight in zip(choices, signed, strict=True):
            error = np.einsum("p,spc->sc", weight, losses[choice.astype(int), :, range(planes)].swapaxes(0, 1))
            square = (error**2).mean(axis=0)
            inverted[group, tile][:, square < best] = choice[:, None]
            best = np.minimum(best, square)
    return inverted.reshape(groups, tiles, columns)


def byte_scores(weights: NDArray[np.float32], layout: Layout) -> NDArray[np.float32]:
    """(.., q, 8, 256) sums of the row weights (.., m) that each value of each byte of a word stands for."""
    scores = np.zeros((*weights.shape[:-1], layout.words, 8, 256), np.float32)
    value = np.arange(256)
    for row, (word, bit) in enumerate(zip(layout.word, layout.bit, strict=True)):
        scores[..., word, bit // 8, :] += weights[..., row, None] * ((value >> (bit % 8)) & 1)
    return scores


def invert_by_score(
    words: NDArray[np.unsignedinteger],
    asserted: NDArray[np.int16],
    mask: NDArray[np.uint64],
    used: NDArray[np.int64],
    scores: NDArray[np.float32],
) -> NDArray[np.uint8]:
    """Invert, in place, the sub-vectors whose ones weigh more than half; returns which, in the form of `asserted`.

    `words` and `asserted` as in `Applied`, `mask` (groups, tiles, q) the rows in use, `used` (groups, tiles) their
    number, `scores` (groups, tiles, q, 8, 256) from `byte_scores`.
    """
    inverted = np.zeros(asserted.shape, np.uint8)
    shared = words, asserted, mask, used, scores, inverted
    run_tasks(lambda image: _invert_by_score(image, *shared), len(words))
    return inverted


@compiled(nogil=True)
def _invert_by_score(image, words, asserted, mask, used, scores, inverted):  # type: ignore[no-untyped-def]
    _, groups, tiles, pixels, length = words.shape
    for group in range(groups):
        for tile in range(tiles):
            for pixel in range(pixels):
                score = np.float32(0)
                for q in range(length):
                    word = np.uint64(words[image, group, tile, pixel, q])
                    for byte in range(8):
                        value = (word >> np.uint64(8 * byte)) & np.uint64(255)
                        score += scores[group, tile, q, byte, np.int64(value)]
                if to_invert(score, used[group, tile]):
                    ones = asserted[image, group, tile, pixel]
                    inverted[image, group, tile, pixel] = 1
                    asserted[image, group, tile, pixel] = used[group, tile] - ones
                    for q in range(length):
                        words[image, group, tile, pixel, q] ^= mask[group, tile, q]
