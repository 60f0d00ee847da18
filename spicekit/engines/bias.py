"""What one cell delivers at the tile's bias, without parasitics: the unit that everything is counted in."""

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.tables.table import IVTable, interpolate


def state_currents(spec: TileSpec, table: IVTable) -> NDArray[np.float64]:
    """(2, 2) A: current of one cell in state [w, a] with its terminals held at `v_read` and 0 V."""
    currents = interpolate(table, np.arange(4), np.full(4, spec.v_read), np.zeros(4))
    return currents.reshape(2, 2)


def lsb(spec: TileSpec, table: IVTable) -> float:
    """Current step of one ON cell without parasitics, A."""
    state = state_currents(spec, table)
    return float(state[1, 1] - state[0, 1])
