"""FAST engine for columns on shared rails: what a rail takes from each read, to first order in what it carries.

A rail that carries T lowers the supply and raises the ground of all its columns by a resistance times T. That costs a
read which delivers I between ideal rails, all in LSB,

    T g(I),    g(I) = g1 I + g2 I^2 + g3 I^3.

As T is what its columns then deliver, T = sum_j I_j / (1 + sum_j g(I_j)). The g of each group of rows are fitted to the
exact engine for a spec; what is left is measured on tiles that the fit has not seen, and a spec where it is too large
is refused. docs/decisions/rails.md has figures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.compiled import compiled, run_tasks
from spicekit.engines.cache import Arrays, fitted, key_of
from spicekit.engines.cell_currents import CellCurrents
from spicekit.engines.converter import Thresholds
from spicekit.engines.exact.ladder import Crossbar, solve
from spicekit.engines.exact.supply import carried, rail_of
from spicekit.engines.fast.kernels import ones_of
from spicekit.engines.fast.patterns import RMS_LIMIT, PatternReads
from spicekit.engines.fast.wire_sums import WireSumReads, fit_patterns
from spicekit.engines.words import Applied, Stored, Tally, Vectors, layout_of, pack
from spicekit.tables.table import IVTable

Array = NDArray[np.float64]
Bits = NDArray[np.uint8]

DEGREE = 3
# Tiles that a build solves, the last of them for the error alone, and the vectors that each is given: thousands of
# reads for each coefficient.
TILES, UNSEEN, VECTORS = 8, 4, 36
SEED = 20_241_203  # of the sampled patterns, so that a build is reproducible


@dataclass(frozen=True, eq=False)
class RailReads:
    """Reads of a tile whose columns share rails."""

    spec: TileSpec
    alone: PatternReads | WireSumReads
    """Of the same tile between ideal rails."""
    share: Array
    """(groups, DEGREE) g1, g2 and g3."""
    error: Array
    """(2,) LSB, on tiles that the fit has not seen: rms in the worst group, and largest."""

    @property
    def cells(self) -> CellCurrents:
        """What cells deliver without parasitics."""
        return CellCurrents(self.spec, self.alone.cells.state)

    def coupled(self, current: Array, *, group: int) -> Array:
        """(b, c) A, of reads of whole tiles that deliver `current` (b, c) between ideal rails."""
        ideal = current / self.cells.lsb
        lost = _powers(ideal) @ self.share[group]
        load = carried(self.spec, ideal) / (1 + carried(self.spec, lost))
        return np.asarray(self.cells.lsb * (ideal - lost * load))

    def codes(self, thresholds: Thresholds) -> "RailCodes":
        """What a converter makes of every read."""
        return RailCodes(self, thresholds)

    def tally(self, stored: Stored, applied: Applied) -> Tally:
        """Reads of a batch by their number of ON cells."""
        given = applied.by_vector()
        blocks, levels = _blocks(given), self.spec.rows_active + 1
        sums = np.zeros((len(blocks), 4, levels))

        def count(block: int, group: int, tile: int, found: Array) -> None:
            place = blocks[block], group, tile
            words = stored.words[group, tile], given.words[place], given.asserted[place]
            _count(*words, found, sums[block])

        self.each_read(stored, given, count)
        return Tally(*sums.sum(axis=0))

    def each_read(self, stored: Stored, given: Vectors, use: Callable[[int, int, int, Array], None]) -> None:
        """Call `use` with the number of some vectors in `_blocks`, a group, a tile and the currents (n, c), A.

        Columns beyond those of a layer, up to whole tiles, store zeros: what they leak loads their rail.
        """
        columns, blocks, cells = stored.words.shape[-1], _blocks(given), self.cells
        whole = np.bincount(rail_of(self.spec, -(-columns // self.spec.columns) * self.spec.columns))
        rail = rail_of(self.spec, columns)
        absent = whole - np.bincount(rail, minlength=len(whole))
        zeros = cells.zeros(np.arange(self.spec.rows_active + 1)) / cells.lsb

        def task(block: int) -> None:
            for group, tiles in enumerate(stored.tiles):
                for tile in range(tiles):
                    place = blocks[block], group, tile
                    words, asserted = given.words[place], given.asserted[place]
                    found = self.alone.currents_of(stored.words[group, tile], words, asserted, group=group)
                    _couple(found, cells.lsb, rail, self.share[group], zeros[asserted], absent)
                    use(block, group, tile, found)

        run_tasks(task, len(blocks))


@dataclass(frozen=True, eq=False)
class RailCodes:
    """A converter behind each column of tiles with shared rails."""

    model: RailReads
    thresholds: Thresholds

    @property
    def step(self) -> float:
        """Partial sum that one code stands for."""
        return self.thresholds.step

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        """(p, c_out) signed codes of all reads of each dot product, added."""
        given, rows = applied.by_vector(), self.model.spec.rows_active
        blocks = _blocks(given)
        sums = np.zeros((len(given.words), stored.words.shape[-1]), np.float32)
        zeros = self.model.cells.zeros(np.arange(rows + 1))

        def add(block: int, group: int, tile: int, current: Array) -> None:
            place = blocks[block], group, tile
            ends = zeros[given.asserted[place]], given.inverted[place], stored.inverted[group, tile]
            _add_codes(current, *ends, self.thresholds.current, sums[blocks[block]])

        self.model.each_read(stored, given, add)
        return sums


def rail_reads(spec: TileSpec, table: IVTable, alone: PatternReads | WireSumReads) -> RailReads:
    """The surrogate of a spec with shared rails, on top of that without; fitted at the first call, then cached.

    Raises
    ------
    BadInput
        If the error found is above `RMS_LIMIT`; names it.
    """
    found = fitted(
        key_of(__name__, spec.model_dump(mode="json"), table.sha256),
        lambda: _fit(spec, table, alone),
        limit=RMS_LIMIT,
        what="the fast engine with shared rails",
        instead="Use the exact engine, or rails of less resistance or for fewer columns.",
    )
    return RailReads(spec, alone, **found)


def _fit(spec: TileSpec, table: IVTable, alone: PatternReads | WireSumReads) -> Arrays:
    rng = np.random.default_rng(SEED)
    m, unit, layout = spec.rows_active, alone.cells.lsb, layout_of(spec.rows_active)
    shares, rms, worst = [], [], []
    for group in range(spec.groups):
        rows = slice(group * m, (group + 1) * m)
        ideal, exact = np.empty((2, TILES + UNSEEN, VECTORS, spec.columns))
        for tile in range(TILES + UNSEEN):
            stored = np.zeros((spec.rows, spec.columns), np.uint8)
            applied = np.zeros((VECTORS, spec.rows), np.uint8)
            stored[rows], applied[:, rows] = _patterns(spec.columns, m, rng).T, _patterns(VECTORS, m, rng)
            held, given = (pack(bits, layout) for bits in (stored[rows].T, applied[:, rows]))
            ones = applied.sum(axis=1, dtype=np.int64)
            ideal[tile] = alone.currents_of(np.ascontiguousarray(held.T), given, ones, group=group) / unit
            exact[tile] = solve(Crossbar(spec, table, stored), applied).current / unit
        load = np.array([carried(spec, tile) for tile in exact])
        design = (_powers(ideal) * load[..., None])[:TILES].reshape(-1, DEGREE)
        shares.append(np.linalg.lstsq(design, (ideal - exact)[:TILES].ravel(), rcond=None)[0])
        model = RailReads(spec, alone, np.array(shares), np.zeros(2))
        error = [
            model.coupled(unit * one, group=group) / unit - other
            for one, other in zip(ideal[TILES:], exact[TILES:], strict=True)
        ]
        rms.append(np.sqrt(np.mean(np.square(error))))
        worst.append(np.abs(error).max())
    return {"share": np.array(shares), "error": np.array([np.max(rms), np.max(worst)])}


def _patterns(count: int, rows: int, rng: np.random.Generator) -> Bits:
    """(count, rows) patterns in any order: columns of all kinds share a rail."""
    return rng.permutation(fit_patterns(count, rows, rng=rng))


def _powers(current: Array) -> Array:
    """(.., DEGREE) of currents (..) in LSB."""
    return np.stack([current**power for power in range(1, DEGREE + 1)], axis=-1)


def _blocks(given: Vectors) -> list[slice]:
    return [slice(first, first + _PIXELS) for first in range(0, len(given.words), _PIXELS)]


_PIXELS = 1024  # vectors that a thread reads at a time: their currents fit a level-2 cache
_kernel: Any = compiled(error_model="numpy", nogil=True)


@_kernel
def _couple(current, unit, rail, share, zeros, absent):  # type: ignore[no-untyped-def]
    """Take from `current` (n, c), A, what the rails take; `zeros` (n,) LSB is what each absent column leaks."""
    lost = np.empty(current.shape[1])
    load, taken = np.empty((2, len(absent)))
    g1, g2, g3 = share
    for read in range(len(current)):
        for k in range(len(absent)):
            load[k], taken[k] = absent[k] * zeros[read], 1.0
        for column in range(current.shape[1]):
            x = current[read, column] / unit
            lost[column] = x * (g1 + x * (g2 + x * g3))
            load[rail[column]] += x
            taken[rail[column]] += lost[column]
        for column in range(current.shape[1]):
            k = rail[column]
            current[read, column] -= unit * lost[column] * load[k] / taken[k]


@_kernel
def _add_codes(current, zeros, inverted, turned, thresholds, sums):  # type: ignore[no-untyped-def]
    for read in range(len(current)):
        for column in range(current.shape[1]):
            code = np.searchsorted(thresholds, current[read, column] - zeros[read], side="right")
            sums[read, column] += -code if turned[column] != bool(inverted[read]) else code


@_kernel
def _count(stored, words, asserted, current, sums):  # type: ignore[no-untyped-def]
    """Add reads to `sums` (4, m + 1), the arrays of a `Tally`, by their number of ON cells."""
    for read in range(len(current)):
        for column in range(current.shape[1]):
            on = 0
            for part in range(len(stored)):
                on += ones_of(stored[part, column] & words[read, part])
            sums[0, on] += 1
            sums[1, on] += asserted[read] - on
            sums[2, on] += current[read, column]
            sums[3, on] += current[read, column] ** 2
