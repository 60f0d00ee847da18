"""FAST engine for reads of up to 16 rows: the current of every pattern of ON cells, from the exact engine.

A read that asserts m rows sees 2^m patterns of ON cells; tabulating them all is exact for cells whose off
current is negligible. Where it is not (1T-1ReRAM: an HRS cell conducts a hundredth of an LRS cell), the
asserted cells that are not ON add their leakage: the current lies between that of no such cell asserted and
that of all of them, and is interpolated by their number. What is lost is only where they sit.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.cache import Arrays, cached
from spicekit.engines.ladder import ladder_of, solve
from spicekit.errors import BadInput
from spicekit.provenance import content_hash
from spicekit.tables.table import IVTable

Array = NDArray[np.float64]

MAX_ROWS = 16


@dataclass(frozen=True, eq=False)
class PatternTable:
    """Read current of each pattern of ON cells, for each group of rows."""

    quiet: Array
    """(groups, 2^m) A: no other cell of the group asserted."""
    leak: Array
    """(groups, 2^m) A: what each other asserted cell adds, on average over their places."""


def pattern_table(spec: TileSpec, table: IVTable) -> PatternTable:
    """Table of all patterns of each group of rows; bit k of a pattern is the group's row k.

    Built in seconds at the first call for a spec and table, then cached.

    Raises
    ------
    BadInput
        If a read asserts more than 16 rows.
    """
    if spec.rows_active > MAX_ROWS:
        raise BadInput(f"pattern_table: rows_active = {spec.rows_active}; at most {MAX_ROWS}.")
    key = content_hash(["patterns-1", spec.model_dump(mode="json", exclude={"columns"}), table.sha256])
    return PatternTable(**cached(key, lambda: _build(spec, table)))


def pattern_currents(
    patterns: PatternTable, on: NDArray[np.integer], asserted: NDArray[np.integer], group: int
) -> Array:
    """Read currents in A for patterns of ON cells and numbers of asserted rows, arrays that broadcast."""
    others = asserted - np.bitwise_count(on)
    return np.asarray(patterns.quiet[group, on] + others * patterns.leak[group, on])


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
        quiet[group] = solve(ladder_of(spec, table, stored), applied).current[:, 0]
        stored = np.zeros((spec.rows, 2**m), np.uint8)
        stored[rows] = on
        applied = np.zeros((1, spec.rows), np.uint8)
        applied[:, rows] = 1
        everything = solve(ladder_of(spec, table, stored), applied).current[0]
        leak[group] = (everything - quiet[group]) / np.maximum(others, 1)
    return {"quiet": quiet, "leak": leak}
