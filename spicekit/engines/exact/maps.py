"""What happens inside a tile: voltages and currents of every cell, and what takes the current away.

The slow, obvious solver: the compiled engines give column currents alone, and are what this one is held against.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.cell_currents import lsb
from spicekit.engines.exact import mesh
from spicekit.engines.exact.ladder import MAX_ITERATIONS, Crossbar, residual_limit, solve
from spicekit.engines.exact.supply import carried, ends
from spicekit.errors import BadInput, NotConverged
from spicekit.tables.table import IVTable, interpolate, linear

Array = NDArray[np.float64]

STEP = 1e-6
"""V, over which slopes of cells are taken: the table's spline is smooth over 12.5 mV, and its currents are rounded to
1e-16 of themselves."""


@dataclass(frozen=True, eq=False)
class Maps:
    """Of one read."""

    v_bl: Array
    """(r, c) V, of the bit line at each cell."""
    v_sl: Array
    """(r, c) V, of the source line at each cell."""
    current: Array
    """(r, c) A, that each cell passes."""
    ideal: Array
    """(r, c) A, that it would pass between `v_read` and 0 V."""


def losses(columns: Crossbar, reads: NDArray[np.uint8]) -> dict[str, float]:
    """LSB that a column of one vector loses on average, by what takes them, each added to those before.

    `reads` (g, r) are those of the vector. Driver, wires, sink and, where there are some, shared rails act on linear
    cells, which conduct what the real ones do at `v_read`; the device is what real cells change then.
    """
    spec, wires = columns.spec, columns.spec.wires
    steps = {"driver": ("r_driver",), "wires": spec.segment_names, "sink": ("r_sink",)}
    if wires.railed:
        steps["rails"] = ("r_supply", "r_ground")
    ohm = {**wires.model_dump(), **{name: wires.segment(name) for name in spec.segment_names}}
    ohm |= {"layer": None, "pitch_nm": None}
    straight = linear(columns.table, spec.v_read)

    def mean_current(solved: Crossbar) -> float:
        return float(solve(solved, reads).current.sum(axis=0).mean())

    currents = []
    for done in range(len(steps) + 1):
        off = dict.fromkeys([name for names in list(steps.values())[done:] for name in names], 0.0)
        tile = spec.replace(wires=ohm | off)
        currents.append(mean_current(Crossbar(tile, straight, columns.weights, columns.scale)))
    lost = -np.diff([*currents, mean_current(columns)]) / lsb(spec, columns.table)
    return dict(zip((*steps, "device"), lost.tolist(), strict=True))


def read_maps(tile: Crossbar, bits: NDArray[np.uint8]) -> Maps:
    """Voltages and currents of every cell in one read.

    With bit-line drive `v_bl` is the voltage of the row's wire, and `v_sl` that of the column's.

    Parameters
    ----------
    bits : (r,) uint8 array
        Rows that the read does not assert are 0.

    Raises
    ------
    BadInput
        For reads that discharge their lines.
    NotConverged
        If Kirchhoff's law is missed by more than `residual_limit`.
    """
    spec, shape, factor = tile.spec, tile.weights.shape, tile.factor
    if spec.drive == "bitline":
        state = 2 * tile.weights + 1  # word lines are high
        v_bl, v_sl = np.broadcast_to(spec.v_read * bits[:, None], shape), np.zeros(shape)
        current = mesh.cell_currents(tile, bits)
        ideal = factor * interpolate(tile.table, state.ravel(), v_bl.ravel(), v_sl.ravel()).reshape(shape)
        return Maps(*_mesh_voltages(spec, bits, current), current, ideal)
    if spec.discharge:
        raise BadInput("maps: voltages inside a tile are of lines that are held; leave out [discharge] or the maps.")
    state = 2 * tile.weights + bits[:, None]
    at_bias = interpolate(tile.table, state.ravel(), np.full(state.size, spec.v_read), np.zeros(state.size))
    drop, rise = _shared_resistances(spec)
    supply, ground = np.broadcast_to([[spec.v_read], [0.0]], (2, shape[1]))
    if spec.wires.railed:
        supply, ground = (v[0] for v in ends(spec, carried(spec, solve(tile, bits[None]).current)))
    solved = [
        _solve_column(tile.table, state[:, j], factor[:, j], (supply[j], ground[j]), drop, rise)
        for j in range(shape[1])
    ]
    current = np.array([column for column, _ in solved]).T
    worst, limit = np.max([miss for _, miss in solved]), residual_limit(tile.table)
    if not worst <= limit:
        raise NotConverged(
            f"maps: a cell's current is off by {worst:.3g} A after {MAX_ITERATIONS} steps, tolerance {limit:.3g} A."
        )
    return Maps(supply - drop @ current, ground + rise @ current, current, factor * at_bias.reshape(shape))


def _shared_resistances(spec: TileSpec) -> tuple[Array, Array]:
    """(r, r) ohm: what a row's bit-line terminal loses, and its source-line terminal gains, for each row's current."""
    row = np.arange(spec.rows)
    nearest, farthest = np.minimum.outer(row, row), np.maximum.outer(row, row)
    sensed = nearest if spec.sense_end == "near" else spec.rows - 1 - farthest
    wires = spec.wires
    drop = wires.r_driver + wires.segment("r_bl") * nearest
    rise = wires.r_sink + wires.segment("r_sl") * sensed
    return drop.astype(float), rise.astype(float)


def _solve_column(
    table: IVTable,
    state: NDArray[np.integer],
    scale: Array,
    ends: tuple[float, float],
    drop: Array,
    rise: Array,
) -> tuple[Array, float]:
    """Cell currents (r,) of one column by Newton's method, and by how much one misses its cell's at most, A.

    `ends` are the voltages of its supply and of its ground. Terminal voltages are linear in all currents of the column:
    no division by a resistance occurs.
    """
    highest = float(table.voltage[-1])

    def cells(current: Array, up: float = 0.0, down: float = 0.0) -> Array:
        v_bl = np.clip(ends[0] - drop @ current + up, 0, highest)  # on the way there alone
        v_sl = np.clip(ends[1] + rise @ current + down, 0, highest)
        return scale * interpolate(table, state, v_bl, v_sl)

    current = np.zeros(len(state))
    for _ in range(MAX_ITERATIONS):
        miss = current - cells(current)
        if np.abs(miss).max() <= residual_limit(table) / 10:
            break
        p = (cells(current, up=STEP) - cells(current, up=-STEP)) / (2 * STEP)
        q = (cells(current, down=STEP) - cells(current, down=-STEP)) / (2 * STEP)
        slope = np.eye(len(state)) + p[:, None] * drop - q[:, None] * rise
        current = current - np.linalg.solve(slope, miss)
    return current, float(np.abs(current - cells(current)).max())


def _mesh_voltages(spec: TileSpec, bits: NDArray[np.uint8], current: Array) -> tuple[Array, Array]:
    """Row and column voltages (r, c), V, that belong to cell currents (r, c), by Kirchhoff's laws."""
    wires = spec.wires
    behind = np.flip(np.cumsum(np.flip(current, 1), 1), 1)  # what a row's wire carries to each cell
    ohm = np.where(np.arange(spec.columns) == 0, wires.r_driver, wires.segment("r_row"))
    v_row = np.asarray(spec.v_read * bits[:, None] - np.cumsum(ohm * behind, 1), np.float64)
    inward = np.flip(current, 0) if spec.sense_end == "far" else current  # from the sense end on
    beyond = np.flip(np.cumsum(np.flip(inward, 0), 0), 0)
    ohm = np.where(np.arange(spec.rows) == 0, wires.r_sink, wires.segment("r_col"))
    v_column = np.cumsum(ohm[:, None] * beyond, 0)
    return v_row, np.flip(v_column, 0) if spec.sense_end == "far" else v_column
