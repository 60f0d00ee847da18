"""What one cell delivers at the tile's bias, without parasitics: the unit that everything is counted in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.tables.table import IVTable, interpolate

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class CellCurrents:
    """A tile's cell currents with the terminals held at `v_read` and 0 V."""

    spec: TileSpec
    state: Array
    """(2, 2) A, by [w, a]. With bit-line drive, `a = 0` is a row at 0 V: no current."""

    @property
    def lsb(self) -> float:
        """Current step of one ON cell, A."""
        return float(self.state[1, 1] - self.state[0, 1])

    def zeros(self, asserted: NDArray[np.integer] | Array) -> Array:
        """Current in A of a column that stores zeros only, for numbers of asserted rows of any shape.

        The converter's reference column: what it carries, by design, is no signal.
        """
        idle = self.spec.rows - asserted
        return np.asarray(asserted * self.state[0, 1] + idle * self.state[0, 0])


def cell_currents_of(spec: TileSpec, table: IVTable) -> CellCurrents:
    """Cell currents of a spec, from its I-V table."""
    if spec.drive == "wordline":
        state, v_bl = np.arange(4), np.full(4, spec.v_read)
    else:
        state, v_bl = np.array([1, 1, 3, 3]), np.tile([0.0, spec.v_read], 2)
    return CellCurrents(spec, interpolate(table, state, v_bl, np.zeros(4)).reshape(2, 2))


def state_currents(spec: TileSpec, table: IVTable) -> Array:
    """(2, 2) A: current of one cell with bits [w, a], its terminals held at the source and at 0 V."""
    return cell_currents_of(spec, table).state


def lsb(spec: TileSpec, table: IVTable) -> float:
    """Current step of one ON cell without parasitics, A."""
    return cell_currents_of(spec, table).lsb
