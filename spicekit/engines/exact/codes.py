"""Codes of whole networks' reads by the exact engine: a thousand times slower than the fast one, which it checks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.cell_currents import cell_currents_of
from spicekit.engines.converter import Thresholds, convert
from spicekit.engines.exact.ladder import ladder_of, solve, solve_reads
from spicekit.engines.exact.newton_bound import first_step, start_of
from spicekit.engines.words import Applied, Stored, layout_of, unpack
from spicekit.tables.table import IVTable


@dataclass(frozen=True, eq=False)
class ExactCodes:
    """A converter behind columns that are solved one by one."""

    spec: TileSpec
    table: IVTable
    thresholds: Thresholds

    @property
    def step(self) -> float:
        """Partial sum that one code stands for."""
        return self.thresholds.step

    def sums(self, stored: Stored, applied: Applied) -> NDArray[np.float32]:
        """(p, c_out) signed codes of all reads of each dot product, added.

        Raises
        ------
        NotConverged
            As in `ladder.solve`.
        """
        sums = np.zeros((len(applied.words), stored.words.shape[-1]), np.float32)
        for group, tiles in enumerate(stored.tiles):
            for tile in range(tiles):
                sums += self.signed_codes(stored, applied, group=group, tile=tile)
        return sums

    def signed_codes(self, stored: Stored, applied: Applied, *, group: int, tile: int) -> NDArray[np.int64]:
        """(p, c_out) codes of one read of one tile; negative where only weights, or only inputs, are inverted."""
        layout, m = layout_of(self.spec.rows_active), self.spec.rows_active
        words, place = np.unique(applied.words[:, group, tile], axis=0, return_inverse=True)
        bits = np.zeros((len(words), self.spec.rows), np.uint8)
        bits[:, group * m : (group + 1) * m] = unpack(words, layout)
        # (groups, c_out, m) bits of the whole tile: cells of the groups that are not asserted leak
        cells = unpack(stored.words[:, tile].transpose(0, 2, 1), layout)
        weights = cells.transpose(0, 2, 1).reshape(self.spec.rows, -1)
        codes = self._codes(weights, bits, group)[place.ravel()]
        flipped = stored.inverted[group, tile] ^ applied.inverted[:, group, tile, None].astype(bool)
        return np.where(flipped, -codes, codes)

    def _codes(self, weights: NDArray[np.uint8], bits: NDArray[np.uint8], group: int) -> NDArray[np.int64]:
        """(b, c) codes; columns are solved to the last digit where one step leaves more than one code possible."""
        columns = ladder_of(self.spec, self.table, weights)
        zeros = cell_currents_of(self.spec, self.table).zeros(bits.sum(axis=1, dtype=np.int64))
        if self.spec.sense_end == "near":
            return convert(self.thresholds, solve(columns, bits).current - zeros[:, None])
        current, bound = first_step(start_of(self.spec, self.table, group), weights, bits)
        signal = current - zeros[:, None]
        codes = convert(self.thresholds, signal - bound)
        open_ = (codes != convert(self.thresholds, signal + bound)) | ~np.isfinite(bound)
        vector, column = np.nonzero(open_)
        exact = solve_reads(columns, bits, vector, column).current
        codes[vector, column] = convert(self.thresholds, exact - zeros[vector])
        return codes
