"""FAST engine for reads of more than 16 rows: current as a function of where in the column the ON cells sit.

The asserted rows are cut into four blocks. Two things are taken from each: its number of ON cells c_k, and their first
moment m_k, the sum of their distances from the middle of the block. With n = sum(c_k) and I in LSB, the surrogate is

    I = n / y,    y = P(c / s) + sum_k Q_k(c / s) m_k / s^2

with s the block's length, P and Q_k polynomials fitted to the exact engine. 1 / y is the fraction of its ideal current
that an ON cell delivers on average. Its drop grows with the current of the others, which makes I nearly n divided by a
polynomial: at degree 5 the fit of n / I has less than half the error of a fit of I (docs/surrogate.md).

Cells that are asserted but not ON leak; what such a cell adds is a polynomial of n.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.bias import Bias, bias_of
from spicekit.engines.cache import Arrays, cached
from spicekit.engines.converter import Reference, convert
from spicekit.engines.kernels import (
    CODE_ENTRIES,
    HEADROOM,
    LEAK_UNIT,
    MAX_SLOPE,
    UNIT,
    sum_block_codes,
    tally_blocks,
)
from spicekit.engines.ladder import ladder_of, solve
from spicekit.engines.words import BLOCKS, Applied, Stored, Tally, block_length
from spicekit.errors import BadInput
from spicekit.provenance import content_hash
from spicekit.tables.table import IVTable

Array = NDArray[np.float64]
Bits = NDArray[np.uint8]
Wide = NDArray[np.int64]

# Degrees of P and Q: measured in docs/surrogate.md. The next degree gains less than a tenth.
DEGREE = 5
MOMENT_DEGREE = 2
LEAK_DEGREE = 3
# Exact solutions to fit to: 100 for each coefficient.
SAMPLES = 20_000
SEED = 20_241_203  # of the sampled patterns, so that a build is reproducible
# Rows of a read up to which the network kernel tabulates all block counts: 33^4 entries, 9 MB.
MAX_TABLE_ROWS = 128


@dataclass(frozen=True, eq=False)
class BlockCodes:
    """A converter behind the surrogate, in the fixed-point form of the network kernel."""

    entries: Wide
    """(groups, (s + 1)^4) base current and four slopes in one word, see `kernels`."""
    codes: NDArray[np.int16]
    """Code of each current, in steps of 1 / UNIT LSB from -HEADROOM on."""
    leak: NDArray[np.int32]
    """(groups, m + 1) of each other asserted cell, in 1 / LEAK_UNIT LSB, by number of ON cells."""
    reference: NDArray[np.int32]
    """(m + 1,) the reference column of zeros, in 1 / LEAK_UNIT LSB, by number of asserted rows."""
    step: float
    """Partial sum that one code stands for."""
    length: int
    """s, rows in a block."""

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        """(p, c_out) signed codes of all reads of each dot product, added."""
        return np.asarray(
            sum_block_codes(
                self.entries,
                self.codes,
                self.leak,
                self.reference,
                stored.words,
                1 - 2 * stored.inverted.astype(np.int32),
                stored.tiles,
                applied.words,
                applied.inverted,
                applied.asserted,
                self.length,
            )
        )


@dataclass(frozen=True, eq=False)
class BlockReads:
    """Coefficients of the surrogate, for each group of rows."""

    bias: Bias
    base: Array
    """(groups, terms of P)."""
    slope: Array
    """(groups, 4, terms of Q)."""
    leak: Array
    """(groups, LEAK_DEGREE + 1) LSB for each other asserted cell, in powers of n / m."""

    def currents(self, on: Bits, asserted: Wide, *, group: int) -> Array:
        """(n,) A, of reads with ON cells `on` (n, m) and numbers of asserted rows (n,)."""
        counts, moments = block_features(on)
        n = counts.sum(axis=1)
        base, slope = self._in_lsb(counts, group)
        leak = np.polynomial.polynomial.polyval(n / on.shape[1], self.leak[group])
        return np.asarray(self.bias.lsb * (base + (slope * moments).sum(axis=1) + (asserted - n) * leak))

    def codes(self, reference: Reference) -> BlockCodes:
        """What a converter makes of every read, in fixed point.

        Raises
        ------
        BadInput
            If a read asserts more than 128 rows.
        """
        m, groups = self.bias.spec.rows_active, self.bias.spec.groups
        counts = _all_counts(m)
        entries = np.stack([_entries(counts, *self._in_lsb(counts, group)) for group in range(groups)])
        share = np.arange(m + 1) / m
        leak = np.stack(
            [np.polynomial.polynomial.polyval(share, self.leak[group]) for group in range(groups)]
        )
        return BlockCodes(
            entries,
            _code_of_current(lambda current: convert(reference, self.bias.lsb * current)),
            np.rint(LEAK_UNIT * leak).astype(np.int32),
            np.rint(LEAK_UNIT * self.bias.zeros(np.arange(m + 1)) / self.bias.lsb).astype(np.int32),
            reference.step,
            block_length(m),
        )

    def tally(self, stored: Stored, applied: Applied) -> Tally:
        """Reads of a batch by their number of ON cells."""
        codes = self.codes(Reference(np.zeros(0), 1.0))
        reads, others, current = tally_blocks(
            codes.entries,
            codes.leak,
            stored.words,
            stored.tiles,
            applied.words,
            applied.asserted,
            codes.length,
        )
        return Tally(reads.astype(float), others.astype(float), self.bias.lsb * current / UNIT)

    def _in_lsb(self, counts: Array, group: int) -> tuple[Array, Array]:
        """Current (n,) and its slope (n, 4) with each first moment, LSB, at block counts (n, 4)."""
        s = block_length(self.bias.spec.rows_active)
        u = counts / s
        n = counts.sum(axis=1)
        y = _terms(u, DEGREE) @ self.base[group]
        dy = (self.slope[group] @ _terms(u, MOMENT_DEGREE).T).T / s**2
        return n / y, -(n / y**2)[:, None] * dy


def block_reads(spec: TileSpec, table: IVTable) -> BlockReads:
    """The surrogate of a spec; fitted at the first call, then cached."""
    key = content_hash(["blocks-1", spec.model_dump(mode="json", exclude={"columns"}), table.sha256])
    return BlockReads(bias_of(spec, table), **cached(key, lambda: _fit(spec, table)))


def ideal_block_codes(spec: TileSpec) -> BlockCodes:
    """Codes that count ON cells exactly."""
    m = spec.rows_active
    counts = _all_counts(m)
    entries = _entries(counts, counts.sum(axis=1), np.zeros_like(counts))
    none = np.zeros((spec.groups, m + 1), np.int32)
    codes = _code_of_current(lambda current: np.rint(current).astype(np.int64))
    return BlockCodes(np.tile(entries, (spec.groups, 1)), codes, none, none[0], 1.0, block_length(m))


def block_features(on: Bits) -> tuple[Array, Array]:
    """Counts and first moments, each (n, 4), of patterns of ON cells (n, m)."""
    n, m = on.shape
    s = block_length(m)
    padded = np.zeros((n, BLOCKS * s))
    padded[:, :m] = on
    blocks = padded.reshape(n, BLOCKS, s)
    return blocks.sum(axis=2), blocks @ (np.arange(s) - (s - 1) / 2)


def _all_counts(rows: int) -> Array:
    """((s + 1)^4, 4) all combinations of block counts; the first block runs fastest."""
    if rows > MAX_TABLE_ROWS:
        raise BadInput(
            f"networks run with up to {MAX_TABLE_ROWS} rows in a read, got rows_active = {rows}; "
            f"assert fewer rows at a time."
        )
    side = np.arange(block_length(rows) + 1.0)
    return np.stack(np.meshgrid(side, side, side, side, indexing="ij")[::-1], axis=-1).reshape(-1, BLOCKS)


def _entries(counts: Array, current: Array, slope: Array) -> Wide:
    """Currents and slopes as the words of the kernel.

    The kernel multiplies slopes with sums of positions, counted from 0; the base takes what that adds.
    """
    s = counts.max()
    base = current - (slope * counts).sum(axis=1) * (s - 1) / 2
    fixed = np.rint(UNIT * (base + HEADROOM)).astype(np.int64)
    steep = np.rint(LEAK_UNIT * slope).astype(np.int64)
    # c cells of a block have positions that add up to c (c - 1) / 2 at least, and to c (s - 1) less that at most
    least = counts * (counts - 1) / 2
    extremes = np.stack([steep * least, steep * (counts * (s - 1) - least)]) * UNIT / LEAK_UNIT
    lowest = fixed + extremes.min(axis=0).sum(axis=1) - BLOCKS
    highest = fixed + extremes.max(axis=0).sum(axis=1) + BLOCKS
    fits = 0 <= fixed.min() <= fixed.max() < 1 << 16 and abs(steep).max() <= MAX_SLOPE
    if not fits or lowest.min() < 0 or highest.max() >= CODE_ENTRIES:
        raise BadInput(
            f"the surrogate's currents reach {abs(base).max():.3g} LSB and its slopes {abs(slope).max():.3g} LSB a "
            f"row, more than its fixed-point tables hold; too much for {int(BLOCKS * s)} rows in a read."
        )
    word: Wide = fixed.copy()
    for block in range(BLOCKS):
        word |= (steep[:, block] & 0xFFF) << (16 + 12 * block)
    return word


def _code_of_current(codes_of: Callable[[Array], Wide]) -> NDArray[np.int16]:
    """(CODE_ENTRIES,) code of each current, in steps of 1 / UNIT LSB from -HEADROOM on."""
    codes: NDArray[np.int16] = codes_of(np.arange(CODE_ENTRIES) / UNIT - HEADROOM).astype(np.int16)
    return codes


def _fit(spec: TileSpec, table: IVTable) -> Arrays:
    rng = np.random.default_rng(SEED)
    m = spec.rows_active
    on = sample_patterns(SAMPLES, m, rng=rng)
    n = on.sum(axis=1)
    counts, moments = block_features(on)
    u = counts / block_length(m)
    shape = moments / block_length(m) ** 2
    base_terms, slope_terms = _terms(u, DEGREE), _terms(u, MOMENT_DEGREE)
    unit = bias_of(spec, table).lsb
    base, slope, leak = [], [], []
    for group in range(spec.groups):
        rows = slice(group * m, (group + 1) * m)
        quiet = _exact(spec, table, np.ones((spec.rows, 1), np.uint8), on, rows)[:, 0] / unit
        met = n > 0
        y = n[met] / quiet[met]
        weight = quiet[met] / y  # dI/dy, so that the error of I is what is squared
        design = np.concatenate(
            [base_terms, *(slope_terms * shape[:, k : k + 1] for k in range(BLOCKS))], axis=1
        )[met]
        solution = np.linalg.lstsq(design * weight[:, None], y * weight, rcond=None)[0]
        base.append(solution[: base_terms.shape[1]])
        slope.append(solution[base_terms.shape[1] :].reshape(BLOCKS, -1))
        few = np.flatnonzero(n < m)[: SAMPLES // 20]
        stored = np.zeros((spec.rows, len(few)), np.uint8)
        stored[rows] = on[few].T
        everything = _exact(spec, table, stored, np.ones((1, m), np.uint8), rows)[0] / unit
        each = (everything - quiet[few]) / (m - n[few])
        leak.append(np.polynomial.polynomial.polyfit(n[few] / m, each, LEAK_DEGREE))
    return {"base": np.array(base), "slope": np.array(slope), "leak": np.array(leak)}


def sample_patterns(count: int, rows: int, *, rng: np.random.Generator) -> Bits:
    """(count, rows) patterns of ON cells: half independent bits, half clustered ones, at all on-fractions."""
    independent = rng.random((count // 2, rows)) < rng.uniform(0, 1, (count // 2, 1))
    walks = rng.standard_normal((count - count // 2, rows + 16)).cumsum(axis=1)
    smooth = (walks[:, 16:] - walks[:, :-16]) / 4  # neighbours share 15 of 16 steps; variance 1
    clustered = smooth > rng.uniform(-2, 2, (len(smooth), 1))
    return np.concatenate([independent, clustered]).astype(np.uint8)


def _exact(spec: TileSpec, table: IVTable, stored: Bits, asserted: Bits, rows: slice) -> Array:
    """(b, c) A, with `asserted` (b, m) applied to a group of rows and 0 to the others."""
    applied = np.zeros((len(asserted), spec.rows), np.uint8)
    applied[:, rows] = asserted
    return solve(ladder_of(spec, table, stored), applied).current


def _terms(u: Array, degree: int) -> Array:
    """(n, terms) all monomials of the four block densities up to a total degree."""
    columns = [np.ones(len(u))]
    for order in range(1, degree + 1):
        columns += [
            np.prod(u[:, chosen], axis=1)
            for chosen in map(list, combinations_with_replacement(range(BLOCKS), order))
        ]
    return np.stack(columns, axis=1)
