"""FAST engine for reads of up to 16 rows: the current of every pattern of ON cells, from the exact engine.

A read that asserts m rows sees 2^m patterns of ON cells; tabulating them all is exact for cells whose off current is
negligible. Where it is not (1T-1ReRAM: an HRS cell conducts a hundredth of an LRS cell), the asserted cells that are
not ON add their leakage: the current lies between that of no such cell asserted and that of all of them, and is
interpolated by their number. What is lost is where they sit, and that leakage has a loss of its own: each build
measures both on reads that it has not seen, and a tile whose zeros conduct too much (1T-1MTJ: 0.7 of an ON cell) is
refused.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.cache import Arrays, fitted, key_of
from spicekit.engines.cell_currents import CellCurrents, cell_currents_of
from spicekit.engines.converter import Thresholds, convert, line_of
from spicekit.engines.exact.ladder import Crossbar, decides, solve
from spicekit.engines.fast.factored import FactoredCodes, factored_codes
from spicekit.engines.fast.kernels import count_patterns, pattern_currents, sum_pattern_codes
from spicekit.engines.words import Applied, Stored, Tally
from spicekit.tables.table import IVTable

Array = NDArray[np.float64]
Signed = NDArray[np.signedinteger]
Words = NDArray[np.uint64]

# Leakage of a whole read, in LSB, below which a code table need not tell reads apart by their number of ones.
NEGLIGIBLE_LEAK = 1e-3
RMS_LIMIT = 0.144
"""LSB, in the worst group: half of the rms error that rounding to whole LSB makes anyway, 1 / sqrt(12)."""
_UNSEEN = 48, 32  # columns and vectors of random bits that a build is measured on
_SEED = 20_261_128  # of them


@dataclass(frozen=True, eq=False)
class PatternCodes:
    """Converter codes of every pattern, as the network kernel indexes them."""

    table: Signed
    """(groups, entries) codes; an entry is (ones applied, sign, pattern), see `kernels`."""
    by_ones: bool
    """Whether the number of ones applied is part of the index."""
    step: float
    """Partial sum that one code stands for."""
    rows: int
    """m, rows that a read asserts."""

    def by_pattern(self) -> Signed | None:
        """As in `FactoredCodes`."""
        return None if self.by_ones else self.table[:, : 1 << self.rows]

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        """(p, c_out) signed codes of all reads of each dot product, added."""
        return sum_pattern_codes(
            self.table,
            self._highest,
            stored.words,
            stored.inverted,
            stored.tiles,
            applied.words,
            applied.inverted,
            applied.asserted,
            self.rows,
            self.by_ones,
        )

    @cached_property
    def _highest(self) -> int:
        """The highest code."""
        return int(self.table.max())


class PatternCounts(NamedTuple):
    """How often patterns of ON cells are read."""

    reads: NDArray[np.int64]
    """(groups, 2^m)."""
    others: NDArray[np.int64]
    """(groups, 2^m) asserted cells that were not ON, added over these reads."""

    def __add__(self, other: object) -> "PatternCounts":
        assert isinstance(other, PatternCounts)
        return PatternCounts(self.reads + other.reads, self.others + other.others)


@dataclass(frozen=True, eq=False)
class PatternReads:
    """Read current of each pattern of ON cells, for each group of rows."""

    cells: CellCurrents
    quiet: Array
    """(groups, 2^m) A: no other cell of the group asserted."""
    leak: Array
    """(groups, 2^m) A: what each other asserted cell adds, on average over their places."""

    def currents(self, on: NDArray[np.uint8], asserted: NDArray[np.uint8], *, group: int) -> Array:
        """(n,) A, of reads with ON cells `on` (n, m) and asserted rows (n, m)."""
        pattern = on @ (1 << np.arange(on.shape[1]))
        return np.asarray(
            self.quiet[group, pattern]
            + (asserted.sum(axis=1) - on.sum(axis=1, dtype=np.int64)) * self.leak[group, pattern]
        )

    def currents_of(self, stored: Words, words: Words, asserted: NDArray[np.integer], *, group: int) -> Array:
        """(p, c) A, of one tile's columns that store words (q, c), given words (p, q) with `asserted` (p,) ones."""
        given = self.quiet[group], self.leak[group]
        return np.asarray(pattern_currents(*given, stored[0], words[:, 0], asserted))

    def codes(self, thresholds: Thresholds) -> PatternCodes | FactoredCodes:
        """What a converter makes of every pattern: in factored form, where that is close enough."""
        if factored := self.factored_codes(thresholds):
            return factored
        m, by_ones, zeros = self.cells.spec.rows_active, self._leaky, self._zeros
        asserted = np.arange(m + 1 if by_ones else 1)
        others = np.maximum(asserted[:, None] - np.bitwise_count(np.arange(2**m)), 0)
        current = self.quiet[:, None] + others * self.leak[:, None] - zeros[asserted][:, None]
        return _signed(convert(thresholds, current), by_ones=by_ones, step=thresholds.step, rows=m)

    def factored_codes(self, thresholds: Thresholds, *, passed: Array | None = None) -> FactoredCodes | None:
        """Those in factored form, where that is close enough and a code is as wide as another; `passed` as there."""
        lsb = self.cells.lsb
        if (line := line_of(thresholds, lsb)) is None:
            return None
        quiet, leak, zeros = (part / lsb for part in (self.quiet, self.leak, self._zeros))
        return factored_codes(quiet, leak, zeros, line, leaky=self._leaky, step=thresholds.step, passed=passed)

    @property
    def _leaky(self) -> bool:
        """Whether reads are to be told apart by their number of ones."""
        cells = self.cells
        return bool(cells.spec.rows_active * (cells.state[0, 1] - cells.state[0, 0]) > NEGLIGIBLE_LEAK * cells.lsb)

    @property
    def _zeros(self) -> Array:
        """(m + 1,) A, the column of zeros by number of asserted rows."""
        rows = self.cells.spec.rows_active
        return self.cells.zeros(np.arange(rows + 1) if self._leaky else np.zeros(rows + 1))

    def tally(self, stored: Stored, applied: Applied) -> Tally:
        """Reads of a batch by their number of ON cells."""
        return self.tally_of(count_reads(stored, applied, rows=self.cells.spec.rows_active))

    def tally_of(self, counted: PatternCounts) -> Tally:
        """Those of which it is known how often each pattern occurs."""
        m, (reads, others) = self.cells.spec.rows_active, counted
        current = reads * self.quiet + others * self.leak
        square = np.divide(current**2, reads, out=np.zeros_like(current), where=reads > 0)
        count = np.tile(np.bitwise_count(np.arange(2**m)), len(reads))

        def by_count(values: NDArray[Any]) -> Array:
            return np.bincount(count, values.ravel(), m + 1).astype(float)

        return Tally(*map(by_count, (reads, others, current, square)))


def count_reads(stored: Stored, applied: Applied, *, rows: int) -> PatternCounts:
    """How often each pattern is read in a batch: the same on all tiles of so many rows a read, whatever they carry."""
    bits, _, asserted = in_one_word(applied)
    words = stored.words[:, :, 0].astype(np.uint32)
    return PatternCounts(*count_patterns(words, stored.tiles, bits, asserted, rows))


def pattern_reads(spec: TileSpec, table: IVTable) -> PatternReads:
    """Table of all patterns of each group of rows; built in seconds at the first call, then cached.

    Raises
    ------
    BadInput
        If the error found is above `RMS_LIMIT`; names it.
    """
    found = fitted(
        key_of(__name__, *decides(spec, table)),
        lambda: _build(spec, table),
        limit=RMS_LIMIT,
        what="the fast engine",
        instead="Use the exact engine, or a cell whose zeros conduct less.",
    )
    return PatternReads(cell_currents_of(spec, table), found["quiet"], found["leak"])


def tabulated(codes: FactoredCodes) -> PatternCodes:
    """The same codes as a table of all patterns."""
    rows = len(codes.offset) - 1
    asserted = np.arange(rows + 1 if codes.leaky else 1)
    return _signed(codes.codes(asserted[:, None]), by_ones=codes.leaky, step=codes.step, rows=rows)


def _build(spec: TileSpec, table: IVTable) -> Arrays:
    m = spec.rows_active
    patterns = np.arange(2**m)
    on = ((patterns[None, :] >> np.arange(m)[:, None]) & 1).astype(np.uint8)  # (m, 2^m)
    others = m - on.sum(axis=0)
    quiet = np.empty((spec.groups, 2**m))
    leak = np.empty((spec.groups, 2**m))
    for group in range(spec.groups):
        rows = slice(group * m, (group + 1) * m)
        stored = np.ones((spec.rows, 1), np.uint8)
        applied = np.zeros((2**m, spec.rows), np.uint8)
        applied[:, rows] = on.T
        quiet[group] = solve(Crossbar(spec, table, stored), applied).current[:, 0]
        stored = np.zeros((spec.rows, 2**m), np.uint8)
        stored[rows] = on
        applied = np.zeros((1, spec.rows), np.uint8)
        applied[:, rows] = 1
        everything = solve(Crossbar(spec, table, stored), applied).current[0]
        leak[group] = (everything - quiet[group]) / np.maximum(others, 1)
    reads = PatternReads(cell_currents_of(spec, table), quiet, leak)
    return {"quiet": quiet, "leak": leak, "error": _error(reads, table)}


def _error(reads: PatternReads, table: IVTable) -> Array:
    """(2,) LSB, rms of the worst group and largest, against the exact engine; zeros that do not leak make none."""
    spec, rng = reads.cells.spec, np.random.default_rng(_SEED)
    if not reads._leaky:
        return np.zeros(2)
    m, found = spec.rows_active, []
    columns, vectors = _UNSEEN
    for group in range(spec.groups):
        rows = slice(group * m, (group + 1) * m)
        stored = (rng.random((spec.rows, columns)) < rng.uniform(0.1, 0.9, columns)).astype(np.uint8)
        applied = np.zeros((vectors, spec.rows), np.uint8)
        applied[:, rows] = rng.random((vectors, m)) < rng.uniform(0.1, 0.9, (vectors, 1))
        exact = solve(Crossbar(spec, table, stored), applied).current
        bits = applied[:, rows]
        for column in range(columns):
            on = bits * stored[rows, column]
            found.append((reads.currents(on, bits, group=group) - exact[:, column]) / reads.cells.lsb)
    error = np.array(found).reshape(spec.groups, -1)
    return np.array([np.sqrt((error**2).mean(axis=1)).max(), np.abs(error).max()])


def in_one_word(
    applied: Applied,
) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.int32]]:
    """(p, groups, tiles) each: words of up to 16 rows, which are applied inverted, and their ones."""
    words, inverted, asserted = applied.by_vector()
    return words[..., 0].astype(np.uint32), inverted, asserted


def _signed(codes: NDArray[np.integer], *, by_ones: bool, step: float, rows: int) -> PatternCodes:
    """(groups, ones, 2^m) codes and their negatives, flat behind the group."""
    signed = np.stack([codes, -codes.astype(np.int64)], axis=2).reshape(len(codes), -1)
    small = codes.max() <= np.iinfo(np.int8).max
    return PatternCodes(signed.astype(np.int8) if small else signed.astype(np.int16), by_ones, step, rows)
