"""What happens inside a tile: voltages and currents of every cell, and what takes the current away.

The slow, obvious solver: the compiled ladder gives column currents alone, and is what this one is held against.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spicekit.engines.cell_currents import lsb
from spicekit.engines.exact.ladder import Ladder, residual_limit, solve
from spicekit.errors import BadInput, NotConverged
from spicekit.tables.table import interpolate, linear

Array = NDArray[np.float64]

STEPS = 2000
DAMPING = 0.15
"""Of a step: it converges while a column's resistance is up to 12 times that of its ON cells in parallel."""
LOSSES = ("driver", "wires", "sink", "device")
"""What takes current away, in the order in which it is added."""


@dataclass(frozen=True, eq=False)
class Maps:
    """Of one activation vector; a row is as it is in the read that asserts it."""

    v_bl: Array
    """(r, c) V, of the bit line at each cell."""
    v_sl: Array
    """(r, c) V, of the source line at each cell."""
    current: Array
    """(r, c) A, that each cell passes."""
    ideal: Array
    """(r, c) A, that it would pass between `v_read` and 0 V."""


def maps(ladder: Ladder, bits: NDArray[np.uint8]) -> Maps:
    """Voltages and currents of every cell of a word-line-driven tile.

    Parameters
    ----------
    ladder : Ladder
    bits : (r,) uint8 array
        One activation vector.

    Raises
    ------
    BadInput
        If `bits` is not (r,).
    NotConverged
        If Kirchhoff's law is missed by more than `residual_limit`.
    """
    spec = ladder.spec
    if bits.shape != (spec.rows,):
        raise BadInput(f"maps: bits must be ({spec.rows},), got {bits.shape}.")
    found = [np.empty((spec.rows, ladder.weights.shape[1])) for _ in range(4)]
    for start in range(0, spec.rows, spec.rows_active):
        asserted = slice(start, start + spec.rows_active)
        applied = np.zeros_like(bits)
        applied[asserted] = bits[asserted]
        for whole, part in zip(found, _read(ladder, applied), strict=True):
            whole[asserted] = part[asserted]
    return Maps(*found)


def losses(ladder: Ladder, bits: NDArray[np.uint8]) -> dict[str, float]:
    """LSB that a column of one vector loses on average, by what takes them: `LOSSES`, each added to those before.

    Driver, wires and sink act on linear cells, which conduct what the real ones do at `v_read`; the device is what real
    cells change then.
    """
    spec = ladder.spec
    masks = np.repeat(np.eye(spec.groups, dtype=np.uint8), spec.rows_active, axis=1)
    reads = masks * bits
    none = {"r_driver": 0.0, "r_sink": 0.0, **dict.fromkeys(spec.segment_names, 0.0)}
    segments = {name: spec.wires.segment(name) for name in spec.segment_names}
    changes = [{}, {"r_driver": spec.wires.r_driver}, segments, {"r_sink": spec.wires.r_sink}]
    straight = linear(ladder.table, spec.v_read)
    currents, wires = [], none
    for change in changes:
        wires = {**wires, **change}
        tile = spec.replace(wires={**spec.wires.model_dump(), "layer": None, "pitch_nm": None, **wires})
        currents.append(
            solve(Ladder(tile, straight, ladder.weights, ladder.scale), reads).current.sum(axis=0).mean()
        )
    currents.append(solve(ladder, reads).current.sum(axis=0).mean())
    step = lsb(spec, ladder.table)
    return {name: float(drop) for name, drop in zip(LOSSES, -np.diff(currents) / step, strict=True)}


def _read(ladder: Ladder, bits: NDArray[np.uint8]) -> tuple[Array, Array, Array, Array]:
    """Voltages, currents and ideal currents (r, c) while the rows of `bits` are asserted."""
    spec, wires = ladder.spec, ladder.spec.wires
    shape = ladder.weights.shape
    state = (2 * ladder.weights + bits[:, None]).ravel()

    def cells(v_bl: Array, v_sl: Array) -> Array:
        return ladder.scale * interpolate(ladder.table, state, v_bl.ravel(), v_sl.ravel()).reshape(shape)

    highest = float(ladder.table.voltage[-1])
    ideal = cells(np.full(shape, spec.v_read), np.zeros(shape))
    current = np.zeros(shape)
    limit = residual_limit(ladder.table)
    for _ in range(STEPS):
        below = np.cumsum(current[::-1], axis=0)[::-1]  # through the bit-line segment that ends at each row
        total = below[0]
        v_bl = spec.v_read - wires.r_driver * total - wires.segment("r_bl") * _along(below)
        if spec.sense_end == "far":
            above = np.cumsum(current, axis=0)  # through the source-line segment that begins at each row
            v_sl = wires.r_sink * total + wires.segment("r_sl") * _along(above[::-1])[::-1]
        else:
            v_sl = wires.r_sink * total + wires.segment("r_sl") * _along(below)
        v_bl, v_sl = np.clip(v_bl, 0, highest), np.clip(v_sl, 0, highest)  # on the way there alone
        wanted = cells(v_bl, v_sl)
        if np.abs(wanted - current).max() <= limit:
            return v_bl, v_sl, wanted, ideal
        current = current + DAMPING * (wanted - current)
    worst = np.abs(wanted - current).max()
    raise NotConverged(
        f"maps: a cell's current is off by {worst:.3g} A after {STEPS} steps, tolerance {limit:.3g} A."
    )


def _along(current: Array) -> Array:
    """(r, c) sum over the segments between the first row and each, of the currents through them."""
    return np.concatenate([np.zeros((1, current.shape[1])), np.cumsum(current[1:], axis=0)])
