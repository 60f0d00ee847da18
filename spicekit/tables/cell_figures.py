"""Everything that is measured of one cell in ngspice: how well it keeps its bit, and what it reads over corners."""

import functools
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.render import Transient, cell_deck, core_deck, tile_deck
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.devices.cards import Corner, device_folder
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
        """Static noise margin, V: side of the smallest of `squares`; negative if a write may fail."""
        return min(square.side for square in self.squares)

    @functools.cached_property
    def squares(self) -> tuple["Square", ...]:
        """Largest squares in the two lobes.

        While a 0 is written the lobe of the 1 must be gone: then the smallest square between the curves where
        the lobe was (q > qb), of negative side if the curves still cross.

        Along the diagonals of such squares (Seevinck et al., IEEE JSSC 22 (1987) 748): u = (q - qb) / sqrt 2
        runs across them, v = (q + qb) / sqrt 2 along them.
        """
        # Curve a is (input, qb), curve b is (q, input); turned round, b too runs towards rising u.
        u_a, v_a = _rotated(self.input, self.qb)
        u_b, v_b = _rotated(self.q[::-1], self.input[::-1])
        u = np.linspace(max(u_a[0], u_b[0]), min(u_a[-1], u_b[-1]), _POINTS)
        a, b = np.interp(u, u_a, v_a), np.interp(u, u_b, v_b)
        if self.access == "write":
            return (_square(u, b, np.where(u >= 0, a - b, np.inf).argmin(), a - b),)
        upper = _square(u, b, np.where(u < 0, a - b, -np.inf).argmax(), a - b)
        lower = _square(u, a, np.where(u > 0, b - a, -np.inf).argmax(), b - a)
        return upper, lower


@dataclass(frozen=True)
class Square:
    """A square between two transfer curves, V."""

    q: float
    """Lower left corner."""
    qb: float
    side: float


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
    leakage: float
    """A, that a core at rest draws from its supply and its precharged write bit lines."""


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

    `BadInput` if the spec's cell is another; `SpiceFailed` if ngspice fails.
    """
    vdd = spec.corner.vdd
    sweep = f"dc vin 0 {vdd} {vdd / _STEPS}"
    steps = (Step(sweep), Step(sweep, (f"vwwl dc {vdd}",)), Step(sweep, ("vwbl dc 0",)))
    accesses: tuple[Access, ...] = ("hold", "read", "write")
    waves = simulate(Job(core_deck(spec), steps))
    hold, read, write = (
        Butterfly(access, wave["in"], wave["q"], wave["qb"]) for access, wave in zip(accesses, waves, strict=True)
    )
    return CoreMargins(hold, read, write, **_closed_loop(spec))


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


def _rotated(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (x - y) / np.sqrt(2), (x + y) / np.sqrt(2)


def _square(u: NDArray[np.float64], below: NDArray[np.float64], at: np.intp, diagonal: NDArray[np.float64]) -> Square:
    """The square whose diagonal begins on the curve `below` at one point of u."""
    q, qb = (below[at] + u[at]) / np.sqrt(2), (below[at] - u[at]) / np.sqrt(2)
    return Square(float(q), float(qb), float(diagonal[at] / np.sqrt(2)))


def _closed_loop(spec: TileSpec) -> dict[str, float]:
    """What is measured on a whole cell, by the names of `CoreMargins`."""
    ideal = Wires(r_driver=0, r_sink=0, r_bl=0, r_sl=0)
    cell = spec.replace(rows=1, columns=1, rows_active=1, wires=ideal)
    vdd, level = spec.corner.vdd, "xc_0_0.q"
    open_write_port = f"vwwl_0 dc {vdd}"
    steps = (
        Step("op", ("vwl_0 dc 0",)),
        Step("op", (f"vwl_0 dc {spec.v_wl}",)),
        Step("op", (open_write_port,)),
    )
    ones = simulate(Job(_whole_cell(cell, 1), steps[:2]))
    zeros = simulate(Job(_whole_cell(cell, 0), steps))
    (write,) = simulate(Job(_whole_cell(cell, 1), (Step(f"dc vwbl_0 {vdd} 0 {-vdd / _STEPS}", (open_write_port,)),)))
    flipped = np.flatnonzero(write[level] < vdd / 2)
    transient = Transient(stop=1e-9, row_cells=spec.columns)
    kicks = [
        simulate(Job(_whole_cell(cell, bit, transient), (Step(f"tran {transient.step} {transient.stop}"),)))
        for bit in (0, 1)
    ]
    supplies = ("vvdd_0#branch", "vwbl_0#branch", "vwblb_0#branch")
    return {
        "write_trip": float(write["wbl_0"][flipped[0]]) if len(flipped) else float("-inf"),
        "half_select_rise": float(zeros[2][level][0] - zeros[1][level][0]),
        "port_rise": max(float(abs(after[level][0] - before[level][0])) for before, after in (ones, zeros[:2])),
        "port_kick": max(float(np.abs(waves[level] - waves[level][0]).max()) for (waves,) in kicks),
        "leakage": -sum(float(zeros[0][name][0]) for name in supplies),
    }


def _whole_cell(cell: TileSpec, bit: int, transient: Transient | None = None) -> str:
    weights, asserted = np.full((1, 1), bit, np.uint8), np.ones(1, np.uint8)
    return tile_deck(cell, weights, asserted, detail="full", batch=False, transient=transient)


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


TEMPERATURES = (233.15, 273.15, 298.15, 358.15, 398.15)
"""K: -40, 0, 25, 85 and 125 degrees Celsius, the range in which the cards are valid."""

SUPPLIES = (0.55, 0.60, 0.65, 0.70, 0.75)
"""V; about the nominal 0.70 V, with margin for droop."""


def read_points(spec: TileSpec, field: str, values: Iterable[float]) -> tuple[ReadPoint, ...]:
    """Read currents over values of a field of the corner, at each process that the spec's card has."""
    # The read path is all NMOS, so crossed corners add nothing; a single card file is typical only.
    processes = ("tt",) if device_folder(spec.device.nmos).is_file() else ("ss", "tt", "ff")
    points = []
    for process, value in itertools.product(processes, values):
        corner = spec.corner.replace(**{"process": process, field: value})
        # the word line follows the supply, the read voltage stays
        cell = spec.replace(corner=corner, v_wl=spec.v_wl * corner.vdd / spec.corner.vdd)
        on, idle = simulate(Job(cell_deck(cell, weight=1), (Step("op"), Step("op", ("vwl dc 0",)))))
        (off,) = simulate(Job(cell_deck(cell, weight=0), (Step("op"),)))
        points.append(ReadPoint(corner, *(float(wave["vsl#branch"][0]) for wave in (on, off, idle))))
    return tuple(points)


@dataclass(frozen=True)
class CellFigures:
    """A cell as its designer would characterise it."""

    spec: TileSpec
    core: CoreMargins | None
    """8T-SRAM only."""
    element: ElementMargins | None
    """1T-1ReRAM only."""
    over_temperature: tuple[ReadPoint, ...]
    over_supply: tuple[ReadPoint, ...]


def characterise_cell(spec: TileSpec) -> CellFigures:
    """Margins and read currents of a spec's cell. `SpiceFailed` if ngspice fails."""
    return CellFigures(
        spec=spec,
        core=core_margins(spec) if spec.cell == "8t-sram" else None,
        element=element_margins(spec) if spec.cell == "1t1r" else None,
        over_temperature=read_points(spec, "temperature", TEMPERATURES),
        over_supply=read_points(spec, "vdd", SUPPLIES),
    )
