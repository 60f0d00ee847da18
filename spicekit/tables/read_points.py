"""Read currents of one cell over corners, temperatures and supplies, from ngspice."""

from collections.abc import Iterable
from dataclasses import dataclass

from spicekit.circuits.render import cell_deck
from spicekit.circuits.spec import TileSpec
from spicekit.devices.cards import device_folder
from spicekit.devices.corners import Corner, Process
from spicekit.spice.simulator import Job, Step, simulate


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


def read_points(spec: TileSpec, corners: Iterable[Corner]) -> tuple[ReadPoint, ...]:
    """Read currents over corners; the word line follows the supply, the read voltage stays."""
    return tuple(_read_point(spec, corner) for corner in corners)


def temperature_corners(spec: TileSpec) -> list[Corner]:
    """The spec's corner over temperature, at each process that its card has."""
    return [
        spec.corner.replace(process=process, temperature=temperature)
        for process in _processes(spec)
        for temperature in TEMPERATURES
    ]


def supply_corners(spec: TileSpec) -> list[Corner]:
    """The spec's corner over supply, at each process that its card has."""
    return [spec.corner.replace(process=process, vdd=vdd) for process in _processes(spec) for vdd in SUPPLIES]


def _processes(spec: TileSpec) -> tuple[Process, ...]:
    """The read path is all NMOS, so crossed corners add nothing; a single card file is typical only."""
    return ("tt",) if device_folder(spec.device.nmos).is_file() else ("ss", "tt", "ff")


def _read_point(spec: TileSpec, corner: Corner) -> ReadPoint:
    word_line = spec.v_wl * corner.vdd / spec.corner.vdd
    cell = spec.replace(corner=corner, v_wl=word_line)
    on, idle = simulate(Job(cell_deck(cell, weight=1), (Step("op"), Step("op", ("vwl dc 0",)))))
    (off,) = simulate(Job(cell_deck(cell, weight=0), (Step("op"),)))
    return ReadPoint(corner, *(float(wave["vsl#branch"][0]) for wave in (on, off, idle)))
