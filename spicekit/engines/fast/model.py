"""FAST engine: what a read delivers, from tables that the exact engine filled; whole networks run on it."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.converter import Converter, LayerReads, Thresholds, set_thresholds
from spicekit.engines.fast.patterns import PatternReads, pattern_reads
from spicekit.engines.fast.rails import RailReads, rail_reads
from spicekit.engines.fast.wire_sums import WireSumReads, wire_sum_reads
from spicekit.engines.words import MAX_PATTERN_ROWS, Applied, Stored, Tally
from spicekit.errors import BadInput
from spicekit.tables.store import table_for
from spicekit.tables.table import IVTable

Array = NDArray[np.float64]


class Codes(Protocol):
    """Converters' codes of every read: `IdealCodes`, `FactoredCodes`, `PatternCodes`, `WireSumCodes` or `RailCodes`."""

    @property
    def step(self) -> float:
        """Partial sum that one code stands for."""

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        """(p, c_out) signed codes of all reads of each dot product, added."""


ReadModel = PatternReads | WireSumReads | RailReads
"""What the reads of a tile deliver."""


def read_model(spec: TileSpec, table: IVTable) -> ReadModel:
    """Surrogate of a tile's reads; built in seconds at the first call for a spec and table, then cached.

    Raises
    ------
    BadInput
        If the tile has bit-line drive, or the table is of other conditions; as `wire_sum_reads` and `rail_reads` do.
    """
    table_for(spec, table)
    if spec.drive != "wordline":
        raise BadInput("read_model: networks run on tiles with word-line drive; set drive = 'wordline'.")
    own_ends = spec.replace(wires=spec.wires.without_rails()) if spec.wires.railed else spec
    build = pattern_reads if spec.rows_active <= MAX_PATTERN_ROWS else wire_sum_reads
    alone = build(own_ends, table)
    return rail_reads(spec, table, alone) if spec.wires.railed else alone


def fit_thresholds(
    model: ReadModel,
    converter: Converter,
    tally: Tally | None,
    *,
    sums: Sequence[tuple[Tally, int]] = (),
) -> Thresholds:
    """Set a converter's thresholds.

    Parameters
    ----------
    tally : Tally, optional
        Reads that calibration met; `unit` needs none.
    sums : sequence of (Tally, int), optional
        Each layer's reads and how many of them make one dot product: what `linear_codes` needs.
    """
    met = sums if converter.reference == "linear_codes" else [(tally, 1)] if tally else []
    if not met and converter.reference != "unit":
        raise BadInput(
            f"fit_thresholds: '{converter.reference}' needs calibration reads, 'linear_codes' those of each layer."
        )
    layers = [_layer_reads(model, read, reads) for read, reads in met]
    return set_thresholds(converter, layers, rows=model.cells.spec.rows_active, lsb=model.cells.lsb)


def _layer_reads(model: ReadModel, tally: Tally, reads: int) -> LayerReads:
    """What was read, current over that of a column of zeros; `reads` of them make a dot product."""
    count = np.flatnonzero(tally.reads)
    each = Tally(*(getattr(tally, field.name)[count] for field in dataclasses.fields(tally)))
    mean = each.current / each.reads
    current = mean - model.cells.zeros(count + each.others / each.reads)
    spread = np.sqrt(np.maximum(each.square / each.reads - mean**2, 0))
    return LayerReads(current, count, each.reads, spread, reads)


def read_currents(spec: TileSpec, table: IVTable, weights: NDArray[np.uint8], bits: NDArray[np.uint8]) -> Array:
    """(b, groups, c) A, of each read of each vector, for weights (r, c) and activation bits (b, r)."""
    m = spec.rows_active
    model = read_model(spec, table)
    alone = model.alone if isinstance(model, RailReads) else model
    current = np.empty((len(bits), spec.groups, weights.shape[1]))
    for group in range(spec.groups):
        rows = slice(group * m, (group + 1) * m)
        on = bits[:, None, rows] & weights.T[None, :, rows]  # (b, c, m)
        asserted = np.repeat(bits[:, rows], weights.shape[1], axis=0)
        found = alone.currents(on.reshape(-1, m), asserted, group=group).reshape(on.shape[:2])
        current[:, group] = model.coupled(found, group=group) if isinstance(model, RailReads) else found
    return current
