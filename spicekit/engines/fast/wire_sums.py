"""FAST engine for reads of more than 16 rows: current as a function of what the wires carry.

Number the rows from the driver on and let F_t be the number of ON cells among the first t. The source line carries
about F_t from row t on, the bit line n - F_t. Five sums hold nearly all that a column does with the places of its ON
cells:

    n                                             how many they are
    u = sum_near F_t - sum_far (n - F_t)          towards which end they sit
    f = sum_near F_t (n - F_t)                    what the wires take in the half of the rows that is near the driver
    b = sum_far F_t (n - F_t)                     and in the other half
    e                                             how many of them sit in the middle sixteen rows

F_t^2 is taken as the square of its mean over the eight rows of a byte, so that all five come from what each byte of a
read adds to n and u: two numbers, from a table of its 256 values. All are whole; f, b and e as their eightfold. From f
and b is taken what they are where cells are spread evenly, and what goes with n u: 16 bits hold what is left.

u, f and b are what the drop of the wires is made of in the first order, so that a polynomial of few terms suffices:

    I = n^2 / P(n, u, f, b, e)

P / n is the reciprocal of the fraction of its ideal current that an ON cell delivers on average: nearly linear in the
current of the others (docs/surrogate.md).

Cells that are asserted but not ON conduct a share of what an ON cell does: they count with that share in n and in u;
for f and b they are taken to be spread evenly.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.cache import Arrays, fitted, key_of
from spicekit.engines.cell_currents import CellCurrents, cell_currents_of
from spicekit.engines.converter import Thresholds, convert, line_of
from spicekit.engines.exact.ladder import Crossbar, decides, solve
from spicekit.engines.fast.kernels import CODE_ENTRIES, HEADROOM, UNIT
from spicekit.engines.fast.patterns import NEGLIGIBLE_LEAK, RMS_LIMIT
from spicekit.engines.fast.wire_sum_code import TERMS
from spicekit.engines.fast.wire_sum_kernels import read_currents, sum_codes, tally_reads
from spicekit.engines.words import Applied, Stored, Tally
from spicekit.tables.table import IVTable

Array = NDArray[np.float64]
Bits = NDArray[np.uint8]
Single = NDArray[np.float32]
Words = NDArray[np.uint64]

POWERS = (
    *((power, 0, 0, 0, 0) for power in range(5)),
    *((power, 1, 0, 0, 0) for power in (1, 2, 3)),
    *((power, 2, 0, 0, 0) for power in range(2)),
    (0, 1, 0, 1, 0),
    *((power, 0, 1, 0, 0) for power in range(2)),
    (0, 0, 1, 1, 0),
    *((power, 0, 0, 1, 0) for power in range(2)),
    *((1, power, 0, 0, 1) for power in range(2)),
)
"""Of n, u, f, b and e in each term of P, in the order of its coefficients: chosen in docs/surrogate.md."""
assert len(POWERS) == TERMS
NOTHING = 1e-30
"""The constant of P: so that a read without ON cells gives 0 / NOTHING = 0. No other P feels it in single precision."""
# Tiles that the surrogate is fitted to, each of WEIGHTS columns and VECTORS vectors: some 600 reads a coefficient; and
# more that it has not seen.
TILES, UNSEEN, WEIGHTS, VECTORS = 8, 2, 40, 36
SEED = 20_241_203  # of the sampled patterns, so that a build is reproducible
LEAST = 1e-3
"""LSB below which a read is not fitted to."""


@dataclass(frozen=True, eq=False)
class WireSumCodes:
    """A converter behind the surrogate, as the network kernel takes it."""

    coefficients: Single
    """(groups, 2 + TERMS): half of what an ON cell counts beyond an asserted cell that is not ON; all of it; the
    coefficients of P."""
    leak: np.float32
    """What an asserted cell counts that is not ON; 0 where a whole read of them is negligible."""
    zero_column: Single
    """(m + 1,) LSB, the column of zeros, by number of asserted rows."""
    scale: Single
    """(m + 2, 2): codes per LSB and the highest code; then, by number of asserted rows, `zero_column` and the code
    of no current at all."""
    lookup: Single
    """Code of each current from -HEADROOM on, in steps of 1 / UNIT LSB; empty if thresholds are equally spaced, where
    the code is a line."""
    step: float
    """Partial sum that one code stands for."""
    size: int
    """Bytes of a read."""

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        """(p, c_out) signed codes of all reads of each dot product, added."""
        return sum_codes(
            self.coefficients,
            self.leak,
            self.scale,
            self.lookup,
            stored.words,
            -stored.inverted.astype(np.int32),
            stored.tiles,
            applied.words,
            applied.inverted,
            applied.asserted,
            self.size,
        )


@dataclass(frozen=True, eq=False)
class WireSumReads:
    """Coefficients of the surrogate, for each group of rows."""

    cells: CellCurrents
    coefficients: Array
    """(groups, TERMS)."""
    error: Array
    """(2,) LSB, on tiles that the fit has not seen: rms in the worst group, and largest."""

    def currents(self, on: Bits, asserted: Bits, *, group: int) -> Array:
        """(n,) A, of reads with ON cells `on` (n, m) and asserted rows (n, m)."""
        return self.cells.lsb * current(features(on, asserted, share=self._share), self.coefficients[group])

    def currents_of(self, stored: Words, words: Words, asserted: NDArray[np.integer], *, group: int) -> Array:
        """(p, c) A, of one tile's columns that store words (q, c), given words (p, q) with `asserted` (p,) ones."""
        codes = self._plain
        return self.cells.lsb * read_currents(codes.coefficients[group], codes.leak, stored, words, codes.size)

    def codes(self, thresholds: Thresholds) -> WireSumCodes:
        """What a converter makes of every read."""
        m = self.cells.spec.rows_active
        zeros = self.cells.zeros(np.arange(m + 1)) / self.cells.lsb
        return _codes(m, self.coefficients, self._share, zeros, thresholds, self.cells.lsb)

    def tally(self, stored: Stored, applied: Applied) -> Tally:
        """Reads of a batch by their number of ON cells."""
        m = self.cells.spec.rows_active
        codes, given = self._plain, applied.by_vector()
        reads, others, total, squares = tally_reads(
            codes.coefficients,
            codes.leak,
            stored.words,
            stored.tiles,
            given.words,
            given.asserted,
            codes.size,
            m + 1,
        )
        lsb = self.cells.lsb
        return Tally(reads.astype(float), others.astype(float), lsb * total, lsb**2 * squares)

    @cached_property
    def _plain(self) -> WireSumCodes:
        """For its currents: no converter stands behind it."""
        return self.codes(Thresholds(np.zeros(0), 1.0))

    @property
    def _share(self) -> float:
        """What an asserted cell that is not ON delivers, of an ON cell's current."""
        return float(self.cells.state[0, 1] / self.cells.state[1, 1])


def wire_sum_reads(spec: TileSpec, table: IVTable) -> WireSumReads:
    """The surrogate of a spec; fitted at the first call, then cached.

    Raises
    ------
    BadInput
        If the error found is above `RMS_LIMIT`; names it.
    """
    found = fitted(
        key_of(__name__, *decides(spec, table)),
        lambda: _fit(spec, table),
        limit=RMS_LIMIT,
        what="the fast engine",
        instead="Use the exact engine, lighter wires or fewer rows in a read.",
    )
    return WireSumReads(cell_currents_of(spec, table), **found)


def features(on: Bits, asserted: Bits, *, share: float) -> Array:
    """(5, n) the sums n, u, f, b and e of patterns of ON cells (n, m), with a share of the other asserted cells.

    >>> bits = np.eye(2, 32, dtype=np.uint8)  # one ON cell, in the first and in the second row
    >>> features(bits, bits, share=0.0)[:2].tolist()
    [[1.0, 1.0], [16.0, 15.0]]
    """
    size = read_bytes(on.shape[1])
    near = np.arange(size) < size // 2
    padded = (np.pad(bits, ((0, 0), (0, 8 * size - on.shape[1]))) for bits in (on, asserted))
    inside, other = (bits.cumsum(axis=1).reshape(len(on), size, 8).sum(axis=2) for bits in padded)
    count, ones = (bits.sum(axis=1, dtype=np.int64) for bits in (on, asserted))
    u, below = (x.sum(axis=1) - 4 * size * all_ for x, all_ in ((inside, count), (other, ones)))
    taken = inside * (8 * count[:, None] - inside)
    level = 4 * (4 * size // 3) * count**2
    f, b = (
        taken[:, near].sum(axis=1) - 2 * count * u - level,
        taken[:, ~near].sum(axis=1) + 2 * count * u - level,
    )
    n, u = ((1 - share) * line + share * rest for line, rest in ((count, ones), (u, below)))
    e = 8 * on[:, 4 * size - 8 : 4 * size + 8].sum(axis=1)
    return np.stack([n, u, f, b, e])


def current(sums: Array, coefficients: Array) -> Array:
    """(n,) LSB, from features (5, n) and coefficients (TERMS,)."""
    return np.asarray(sums[0] ** 2 / (terms(sums) @ coefficients + NOTHING))


def terms(sums: Array) -> Array:
    """(n, TERMS) the terms of P, without their coefficients, for features (5, n)."""
    return np.stack(
        [np.prod([x**power for x, power in zip(sums, powers, strict=True)], axis=0) for powers in POWERS], 1
    )


def read_bytes(rows: int) -> int:
    """Bytes of a read, as its words hold them; always an even number.

    >>> read_bytes(24), read_bytes(64)
    (4, 8)
    """
    return 2 * -(-rows // 16)


def _codes(
    rows: int, coefficients: Array, share: float, zeros: Array, thresholds: Thresholds, lsb: float
) -> WireSumCodes:
    size = read_bytes(rows)
    head = np.tile([(1 - share) / 2, 1 - share], (len(coefficients), 1))
    coefficients = np.hstack([head, coefficients])
    coefficients[:, 2] = NOTHING
    scale = np.zeros((rows + 2, 2))
    scale[1:, 0] = zeros
    lookup = np.zeros(0)
    if line := line_of(thresholds, lsb):
        scale[0] = line.gain, line.highest
        scale[1:, 1] = line.offset - line.gain * zeros
    else:
        lookup = convert(thresholds, lsb * (np.arange(CODE_ENTRIES) / UNIT - HEADROOM)).astype(float)
    single = (np.ascontiguousarray(part, np.float32) for part in (coefficients, zeros, scale, lookup))
    numbers, zero, scales, table = single
    leak = np.float32(share if rows * share > NEGLIGIBLE_LEAK else 0)
    return WireSumCodes(numbers, leak, zero, scales, table, thresholds.step, size)


def _fit(spec: TileSpec, table: IVTable) -> Arrays:
    rng = np.random.default_rng(SEED)
    m, cells = spec.rows_active, cell_currents_of(spec, table)
    share = float(cells.state[0, 1] / cells.state[1, 1])
    tiles = range(TILES + UNSEEN)
    held = [_one_in_eight_full(fit_patterns(WEIGHTS, m, rng=rng)) for _ in tiles]
    given = [_one_in_eight_full(fit_patterns(VECTORS, m, rng=rng)) for _ in tiles]
    on = np.concatenate([(a[:, None] & w[None]).reshape(-1, m) for w, a in zip(held, given, strict=True)])
    asserted = np.concatenate([np.repeat(a, len(w), axis=0) for w, a in zip(held, given, strict=True)])
    sums = features(on, asserted, share=share)
    unseen = slice(TILES * WEIGHTS * VECTORS, None)
    found, rms, worst = [], [], []
    for group in range(spec.groups):
        rows = slice(group * m, (group + 1) * m)
        exact = np.concatenate([_exact(spec, table, w, a, rows).ravel() for w, a in zip(held, given, strict=True)])
        exact /= cells.lsb
        met = exact > LEAST
        met[unseen] = False
        unit = np.array([m, m**2, m**3, m**3, m])  # so that terms are of one size
        small = sums[:, met] / unit[:, None]
        target = sums[0, met] ** 2 / exact[met]
        weight = exact[met] / target  # dI/dP, so that the error of I is what is squared
        design = terms(small)[:, 1:]
        solution = np.linalg.lstsq(design * weight[:, None], target * weight, rcond=None)[0]
        found.append([0, *(solution / np.prod(unit ** np.array(POWERS[1:]), axis=1))])
        error = current(sums[:, unseen], np.array(found[-1])) - exact[unseen]
        rms.append(np.sqrt((error**2).mean()))
        worst.append(np.abs(error).max())
    return {"coefficients": np.array(found), "error": np.array([np.max(rms), np.max(worst)])}


def fit_patterns(count: int, rows: int, *, rng: np.random.Generator) -> Bits:
    """(count, rows) patterns at all on-fractions: independent bits, clustered ones and runs."""
    runs = count // 3
    anew = rng.random((runs, rows)) < 1 / rng.choice([4, 8, 16, 32], (runs, 1))
    anew[:, 0] = True
    source = np.maximum.accumulate(np.where(anew, np.arange(rows), 0), axis=1)
    drawn = (rng.random((runs, rows)) < rng.uniform(0, 1, (runs, 1))).astype(np.uint8)
    return np.concatenate([sample_patterns(count - runs, rows, rng=rng), np.take_along_axis(drawn, source, axis=1)])


def _one_in_eight_full(bits: Bits) -> Bits:
    """Patterns, some of them replaced by ones: such a tile shows what is applied, such a vector what is stored."""
    bits[::8] = 1
    return bits


def sample_patterns(count: int, rows: int, *, rng: np.random.Generator) -> Bits:
    """(count, rows) patterns of ON cells: half independent bits, half clustered ones, at all on-fractions."""
    independent = rng.random((count // 2, rows)) < rng.uniform(0, 1, (count // 2, 1))
    walks = rng.standard_normal((count - count // 2, rows + 16)).cumsum(axis=1)
    smooth = (walks[:, 16:] - walks[:, :-16]) / 4  # neighbours share 15 of 16 steps; variance 1
    clustered = smooth > rng.uniform(-2, 2, (len(smooth), 1))
    return np.concatenate([independent, clustered]).astype(np.uint8)


def _exact(spec: TileSpec, table: IVTable, held: Bits, asserted: Bits, rows: slice) -> Array:
    """(b, c) A, of a group of rows that stores `held` (c, m) and is given `asserted` (b, m); all else is 0."""
    stored = np.zeros((spec.rows, len(held)), np.uint8)
    stored[rows] = held.T
    applied = np.zeros((len(asserted), spec.rows), np.uint8)
    applied[:, rows] = asserted
    return solve(Crossbar(spec, table, stored), applied).current
