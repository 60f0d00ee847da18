"""How long a read takes, and the charge that it draws: transients of a tile in ngspice."""

import dataclasses
import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.render import Transient, cell_deck, tile_deck
from spicekit.circuits.spec import TileSpec
from spicekit.circuits.wiring import line_load
from spicekit.errors import BadInput, SpiceFailed
from spicekit.spice.simulator import Job, Step, Waves, simulate
from spicekit.tables.spread import read_current

Pattern = Literal["worst", "typical"]


@dataclass(frozen=True)
class Settling:
    """A read from rest, of one column (in bit-line drive: of the whole tile)."""

    time: float
    """s, from the beginning of the inputs' edge until every column stays within half an LSB of its end."""
    current: NDArray[np.float64]
    """(c,), A, at the end: the column currents of the operating point."""
    lsb: float
    """A."""
    read_charge: float
    """C, from the read source (in bit-line drive: from all rows) during `time`."""
    word_line_charge: float
    """C, that it takes to raise all asserted word lines over their whole length; 0 in bit-line drive."""
    word_lines: int
    """That are asserted; 0 in bit-line drive."""
    waves: Waves
    """`time` in s and `vsense_j#branch` in A, for plots; the edge begins at `delay`."""
    delay: float
    """s."""


@functools.cache
def line_capacitance(spec: TileSpec) -> float:
    """Capacitance of a bit line that a read discharges, F: its load, its wire and, from ngspice, its cells.

    Cells count as what the bit-line terminal of an idle one takes when the line falls by a third of `v_read`; those
    that are asserted differ by some tens of percent (docs/decisions/discharge.md). `SpiceFailed` or `MissingTool` if
    ngspice fails, or is not there.
    """
    held, end, ramp = f"Vbl bl 0 dc {spec.v_read}", spec.v_read * 2 / 3, 1e-9
    deck = cell_deck(spec, weight=0, activation=0)
    assert held in deck
    falls = f"Vbl bl 0 pwl(0 {spec.v_read} {ramp} {spec.v_read} {2 * ramp} {end} {3 * ramp} {end})"
    (waves,) = simulate(Job(deck.replace(held, falls), (Step(f"tran {ramp / 100} {3 * ramp}"),)))
    time, current = waves["time"], waves["vbl#branch"]
    # what leaks without a ramp is leakage, not charge
    during = (time > 1.2 * ramp) & (time < 1.8 * ramp)
    charging = float(np.median(current[during])) - float(np.median(current[time < 0.8 * ramp]))
    return line_load(spec) + spec.rows * charging * ramp / (spec.v_read - end)


def settling(spec: TileSpec, pattern: Pattern) -> Settling:
    """Settling time and charge of a read.

    Parameters
    ----------
    spec : TileSpec
        In word-line drive one column is simulated, with the word lines loaded by all of the tile's columns; behind
        shared rails it stands for all.
    pattern : str
        "worst": the slowest of three (docs/decisions/read-time.md): every asserted cell ON; a 1 stored in the half of
        the rows far from the driver; inputs on in the half near it. "typical": every second bit stored and every
        second pair of rows on, so that a quarter of the cells is ON.

    Raises
    ------
    BadInput
        For reads that discharge their lines.
    SpiceFailed
        If ngspice fails, or a column has not settled within a hundred nanoseconds.
    """
    if spec.discharge:
        raise BadInput("settling: a read that discharges its lines lasts [discharge] time; leave out settling.")
    tile = spec.one_column() if spec.drive == "wordline" else spec
    lsb = read_current(spec, 1) - read_current(spec, 0)
    reads = [
        _read(tile, weights, inputs, lsb=lsb, row_cells=spec.columns) for weights, inputs in _patterns(tile, pattern)
    ]
    return max(reads, key=lambda read: read.time)


_TIMEOUT = 600.0  # s for a transient; a 64 x 64 tile in bit-line drive takes a minute or two
_FIRST_STOP, _LAST_STOP = 0.1e-9, 102.4e-9  # s
_TRUSTED = 0.7  # part of a transient in which a column must settle: what follows shows that it stays settled

Bits = NDArray[np.uint8]


def _patterns(tile: TileSpec, pattern: Pattern) -> list[tuple[Bits, Bits]]:
    """Stored bits and inputs; where not all rows are asserted, those farthest from the driver are."""
    row, column = np.indices((tile.rows, tile.columns), np.uint8)
    asserted = (np.arange(tile.rows) >= tile.rows - tile.rows_active).astype(np.uint8)
    if pattern == "typical":
        pairs = (np.arange(tile.rows) // 2 % 2).astype(np.uint8)
        return [((row + column) % 2, asserted * pairs)]
    all_ones = np.ones_like(row)
    far = (np.arange(tile.rows) >= tile.rows // 2).astype(np.uint8)
    return [(all_ones, asserted), (all_ones * far[:, None], asserted), (all_ones, asserted * (1 - far))]


def _read(tile: TileSpec, weights: Bits, inputs: Bits, *, lsb: float, row_cells: int) -> Settling:
    """One read from rest, simulated until it has settled."""
    senses = [f"vsense_{j}#branch" for j in range(tile.columns)]
    (end,) = simulate(Job(tile_deck(tile, weights, inputs, batch=False), (Step("op"),)))
    final = np.array([end[name][0] for name in senses])
    transient = Transient(stop=_FIRST_STOP, row_cells=row_cells)
    while transient.stop <= _LAST_STOP:
        deck = tile_deck(tile, weights, inputs, batch=False, transient=transient)
        step = Step(f"tran {transient.step} {transient.stop}")
        (waves,) = simulate(Job(deck, (step,)), timeout=_TIMEOUT)
        time, error = waves["time"], np.abs(np.array([waves[name] for name in senses]) - final[:, None])
        settled = _settled_at(time, error.max(axis=0), lsb / 2)
        if settled < _TRUSTED * transient.stop:
            break
        transient = dataclasses.replace(transient, stop=transient.stop * 4)
    else:
        raise SpiceFailed(f"settling: a column of {tile.rows} rows had not settled after {_LAST_STOP} s")

    def charge(sources: list[str], during: NDArray[np.bool_]) -> float:
        """Delivered by the sources; ngspice counts current into a source's positive node."""
        return -float(sum(np.trapezoid(waves[f"{name}#branch"][during], time[during]) for name in sources))

    by_word_lines = tile.drive == "wordline"
    read_sources = ["vread"] if by_word_lines else [f"vin_{i}" for i in range(tile.rows)]
    word_lines = [f"vwl_{i}" for i in range(tile.rows)] if by_word_lines else []
    return Settling(
        time=max(settled - transient.delay, 0.0),
        current=final,
        lsb=lsb,
        read_charge=charge(read_sources, (time >= transient.delay) & (time <= settled)),
        word_line_charge=charge(word_lines, np.ones(time.shape, bool)),
        word_lines=int(inputs.sum()) if by_word_lines else 0,
        waves={name: waves[name] for name in ("time", *senses)},
        delay=transient.delay,
    )


def _settled_at(time: NDArray[np.float64], error: NDArray[np.float64], tolerance: float) -> float:
    """Time after which an error stays within a tolerance; infinite if it does not."""
    outside = np.flatnonzero(~(error <= tolerance))
    if not len(outside):
        return 0.0
    last = outside[-1]
    if last + 1 == len(time):
        return float("inf")
    return float(np.interp(-tolerance, -error[last : last + 2], time[last : last + 2]))
