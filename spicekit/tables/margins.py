"""What a designer asks of a cell: noise margins, disturbs, read currents; each from ngspice."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.render import Transient, cell_deck, core_deck, tile_deck
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.devices.corners import Corner
from spicekit.devices.reram import load_reram
from spicekit.spice.simulator import Job, Step, simulate

Access = Literal["hold", "read", "write"]


@dataclass(frozen=True)
class Butterfly:
    """Transfer curves of the two halves of a 6T core, V."""

    access: Access
    input: NDArray[np.float64]
    """(k,), from 0 V to the supply."""
    q: NDArray[np.float64]
    """(k,), output of the half that is driven by qb."""
    qb: NDArray[np.float64]
    """(k,), output of the half that is driven by q."""

    @property
    def margin(self) -> float:
        """Static noise margin, V: side of the largest square in the smaller lobe.

        When a 0 is being written the lobe of the 1 must be gone. The margin is then the side of the smallest square
        between the curves on the side of the 1 (q > qb); negative if a lobe is left and the write may fail.

        Along the diagonals of such squares (Seevinck et al., IEEE JSSC 22 (1987) 748): u = (q - qb) / sqrt 2
        runs across them, v = (q + qb) / sqrt 2 along them.
        """
        # Curve a is (input, qb), curve b is (q, input); u rises along a and falls along b.
        u_a, v_a = _rotated(self.input, self.qb)
        u_b, v_b = _rotated(self.q[::-1], self.input[::-1])
        u = np.linspace(max(u_a[0], u_b[0]), min(u_a[-1], u_b[-1]), _POINTS)
        diagonal = np.interp(u, u_a, v_a) - np.interp(u, u_b, v_b)
        if self.access == "write":
            return float(diagonal[u >= 0].min() / np.sqrt(2))
        return float(min(diagonal[u < 0].max(), -diagonal[u > 0].min()) / np.sqrt(2))


@dataclass(frozen=True)
class CoreMargins:
    """How well the 6T core of an 8T cell keeps and takes a bit; V."""

    hold: Butterfly
    read: Butterfly
    """Its write ports opened onto high bit lines: a cell beside one that is written. Reads use the 2T port."""
    write: Butterfly
    write_trip: float
    """Bit-line voltage below which a stored 1 flips, word line high: the bit-line write margin."""
    half_select_rise: float
    """What a stored 0 rises by when its write ports open onto high bit lines."""
    port_rise: float
    """What the stored level moves by, at rest, when the read port is opened; the worse of both states."""
    port_kick: float
    """What it moves by at most during the read, through the gate capacitance of the storage transistor."""


@dataclass(frozen=True)
class ReadPoint:
    """Currents of one cell at one corner with ideal terminals, A."""

    corner: Corner
    on: float
    """w = 1, a = 1."""
    off: float
    """w = 0, a = 1."""
    idle: float
    """w = 1, a = 0: leakage of a cell that is not asserted."""

    @property
    def ratio(self) -> float:
        """On current over off current."""
        return self.on / self.off


@dataclass(frozen=True)
class ElementMargins:
    """Voltage across the ReRAM element during a read, and what is left up to its thresholds; V."""

    lrs: float
    hrs: float
    set: float
    """Left until the high-resistance state may be set."""
    reset: float
    """Left until the low-resistance state may be reset."""


def core_margins(spec: TileSpec) -> CoreMargins:
    """Margins of the 6T core of an 8T-SRAM cell.

    Raises
    ------
    BadInput
        If the spec's cell is another.
    SpiceFailed
        If ngspice fails.
    """
    vdd = spec.corner.vdd
    sweep = f"dc vin 0 {vdd} {vdd / _STEPS}"
    steps = (
        Step(sweep),
        Step(sweep, (f"vwwl dc {vdd}",)),
        Step(sweep, ("vwbl dc 0",)),
    )
    accesses: tuple[Access, ...] = ("hold", "read", "write")
    waves = simulate(Job(core_deck(spec), steps))
    hold, read, write = (
        Butterfly(access, wave["in"], wave["q"], wave["qb"])
        for access, wave in zip(accesses, waves, strict=True)
    )
    return CoreMargins(hold, read, write, *_closed_loop(spec))


def read_points(spec: TileSpec, corners: Iterable[Corner]) -> tuple[ReadPoint, ...]:
    """Read currents over corners; the word line follows the supply, the read voltage stays."""
    return tuple(_read_point(spec, corner) for corner in corners)


def element_margins(spec: TileSpec) -> ElementMargins:
    """Read disturb margins of a 1T-1ReRAM cell against the thresholds of its preset."""
    preset = load_reram(spec.device.reram)
    hrs, lrs = (
        float(wave["bl"][0] - wave["xcell.mid"][0])
        for weight in (0, 1)
        for wave in simulate(Job(cell_deck(spec, weight=weight), (Step("op"),)))
    )
    return ElementMargins(lrs, hrs, set=preset.v_set - hrs, reset=lrs - preset.v_reset)


_STEPS = 350  # of the input sweep: 2 mV at 0.7 V
_POINTS = 4001  # of the diagonal: margins within 0.1 mV


def _rotated(
    x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (x - y) / np.sqrt(2), (x + y) / np.sqrt(2)


def _closed_loop(spec: TileSpec) -> tuple[float, float, float, float]:
    """Write trip, half-select rise, port rise and port kick of whole cells, V."""
    vdd = spec.corner.vdd
    ideal = Wires(r_driver=0, r_sink=0, r_bl=0, r_sl=0)
    cell = spec.replace(rows=1, columns=1, rows_active=1, wires=ideal)
    on, node = np.ones(1, np.uint8), "xc_0_0.q"
    rises, kicks = [], []
    for bit in (0, 1):
        weights = np.full((1, 1), bit, np.uint8)
        deck = tile_deck(cell, weights, on, detail="full", batch=False)
        closed, opened = simulate(
            Job(deck, (Step("op", ("vwl_0 dc 0",)), Step("op", (f"vwl_0 dc {spec.v_wl}",))))
        )
        rises.append(abs(opened[node][0] - closed[node][0]))
        transient = Transient(stop=1e-9, row_cells=spec.columns)
        deck = tile_deck(cell, weights, on, detail="full", batch=False, transient=transient)
        (waves,) = simulate(Job(deck, (Step(f"tran {transient.step} {transient.stop}"),)))
        kicks.append(np.abs(waves[node] - waves[node][0]).max())
    steps = (
        Step("op"),
        Step("op", (f"vwwl_0 dc {vdd}",)),
    )
    zero = tile_deck(cell, np.zeros((1, 1), np.uint8), on, detail="full", batch=False)
    at_rest, half_selected = simulate(Job(zero, steps))
    one = tile_deck(cell, np.ones((1, 1), np.uint8), on, detail="full", batch=False)
    (write,) = simulate(Job(one, (Step(f"dc vwbl_0 {vdd} 0 {-vdd / _STEPS}", (f"vwwl_0 dc {vdd}",)),)))
    flipped = np.flatnonzero(write[node] < vdd / 2)
    trip = float(write["wbl_0"][flipped[0]]) if len(flipped) else float("-inf")
    rise = float(half_selected[node][0] - at_rest[node][0])
    return trip, rise, float(max(rises)), float(max(kicks))


def _read_point(spec: TileSpec, corner: Corner) -> ReadPoint:
    word_line = spec.v_wl * corner.vdd / spec.corner.vdd
    cell = spec.replace(corner=corner, v_wl=word_line)
    on, idle = simulate(Job(cell_deck(cell, weight=1), (Step("op"), Step("op", ("vwl dc 0",)))))
    (off,) = simulate(Job(cell_deck(cell, weight=0), (Step("op"),)))
    return ReadPoint(corner, *(float(wave["vsl#branch"][0]) for wave in (on, off, idle)))
