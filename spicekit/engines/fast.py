"""FAST engine: read currents and converter codes from tables that the exact engine filled."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.bias import state_currents
from spicekit.engines.blocks import block_currents, block_features, block_model
from spicekit.engines.converter import Converter, Reference, convert, set_reference
from spicekit.engines.patterns import MAX_ROWS, PatternTable, pattern_currents, pattern_table
from spicekit.tables.table import IVTable

Array = NDArray[np.float64]

# Leakage of a whole read, in LSB, below which a code table need not tell reads apart by their number of ones.
NEGLIGIBLE_LEAK = 1e-3


def column_currents(
    spec: TileSpec, table: IVTable, weights: NDArray[np.uint8], bits: NDArray[np.uint8]
) -> Array:
    """(b, c) A, the sum over all reads of each vector, for weights (r, c) and activation bits (b, r)."""
    m = spec.rows_active
    unit = state_currents(spec, table)
    scale = unit[1, 1] - unit[0, 1]
    total = np.zeros((len(bits), weights.shape[1]))
    for group in range(spec.groups):
        rows = slice(group * m, (group + 1) * m)
        on = bits[:, None, rows] & weights.T[None, :, rows]  # (b, c, m)
        asserted = bits[:, rows].sum(axis=1, dtype=np.int64)[:, None]
        if m <= MAX_ROWS:
            pattern = on @ (1 << np.arange(m))
            total += pattern_currents(pattern_table(spec, table), pattern, asserted, group)
        else:
            flat = on.reshape(-1, m)
            others = (asserted - on.sum(axis=2)).ravel().astype(float)
            counts, moments = block_features(flat)
            model = block_model(spec, table)
            current = block_currents(model, counts, moments, others, group=group, rows=m)
            total += scale * current.reshape(total.shape)
    return total


@dataclass(frozen=True, eq=False)
class CodeTable:
    """Converter codes of every read, laid out for the network kernels."""

    codes: NDArray[np.signedinteger]
    """(groups, entries) signed codes; an entry is (ones applied, sign, pattern), see `kernels`."""
    by_ones: bool
    """Whether the number of ones applied is part of the index."""
    step: float
    """Partial sum that one code stands for."""
    rows: int
    """m, rows that a read asserts."""


def ideal_codes(spec: TileSpec) -> CodeTable:
    """Codes that count ON cells exactly."""
    m = spec.rows_active
    counts = np.tile(np.bitwise_count(np.arange(2**m)), (spec.groups, 1))
    return _signed(counts[:, None, :], by_ones=False, step=1.0, rows=m)


def read_codes(
    spec: TileSpec,
    table: IVTable,
    patterns: PatternTable,
    *,
    converter: Converter,
    usage: NDArray[np.int64],
) -> CodeTable:
    """Codes that a converter gives for every pattern.

    Parameters
    ----------
    usage : (groups, 2^m) integer array
        How often calibration met each pattern; fitted references weigh by it.
    """
    m = spec.rows_active
    state = state_currents(spec, table)
    lsb = state[1, 1] - state[0, 1]
    by_ones = bool(m * (state[0, 1] - state[0, 0]) > NEGLIGIBLE_LEAK * lsb)
    asserted = np.arange(m + 1 if by_ones else 1)
    pattern = np.arange(2**m)
    current = np.stack(
        [
            pattern_currents(patterns, pattern[None, :], asserted[:, None], group)
            if by_ones
            else patterns.quiet[group, None, :]
            for group in range(spec.groups)
        ]
    )
    zeros = asserted * state[0, 1] + (spec.rows - asserted) * state[0, 0]
    current -= zeros[:, None]  # the reference column of zeros
    reference = _fit(spec, converter, lsb, current, usage)
    return _signed(convert(reference, current), by_ones=by_ones, step=reference.step, rows=m)


def _fit(
    spec: TileSpec, converter: Converter, lsb: float, current: Array, usage: NDArray[np.int64]
) -> Reference:
    m = spec.rows_active
    middle = current[:, current.shape[1] // 2]  # of the numbers of ones, the middle one
    met = usage > 0
    count = np.broadcast_to(np.bitwise_count(np.arange(2**m)), middle.shape)
    return set_reference(
        converter, rows=m, lsb=lsb, current=middle[met], count=count[met], weight=usage[met].astype(float)
    )


def _signed(codes: NDArray[np.integer], *, by_ones: bool, step: float, rows: int) -> CodeTable:
    """(groups, ones, 2^m) codes and their negatives, flat behind the group."""
    small = codes.max() <= np.iinfo(np.int8).max
    signed = np.stack([codes, -codes.astype(np.int64)], axis=2)
    both = signed.astype(np.int8) if small else signed.astype(np.int16)
    return CodeTable(both.reshape(len(codes), -1), by_ones, step, rows)
