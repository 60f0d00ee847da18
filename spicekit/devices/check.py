"""Hold cards against their sheets: published figures and whole curves, measured in ngspice."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import pydantic

from spicekit.devices.cards import Card, Corner, Speed, device_folder, load_card, load_sheet, polarities
from spicekit.devices.measure import (
    Errors,
    errors,
    families,
    gate_capacitances,
    measure,
    read_curves,
    surfaces,
)
from spicekit.devices.sheet import Sheet
from spicekit.results import Record, Report, silent
from spicekit.units import from_celsius


@dataclass(frozen=True)
class Figure:
    """How a figure of merit is judged and shown."""

    unit: str
    """For people."""
    scale: float
    """That unit in SI units, inverted."""
    tolerance: float | None
    """Largest accepted deviation from the target, SI; None where the target follows from an assumption."""
    relative: bool = True
    """Whether tolerance and deviation are fractions of the target."""

    def show(self, value: float | None) -> str:
        """A measured or target value without its unit; empty for None."""
        return "" if value is None else f"{self.scale * value:.4g}"

    def show_deviation(self, value: float | None, *, sign: Literal["+", "-"] = "+") -> str:
        """A deviation or tolerance; with `sign="-"` no plus sign."""
        if value is None:
            return ""
        return f"{value:{sign}z.1%}" if self.relative else f"{self.scale * value:{sign}z.1f}"


# Of published figures, which are rounded and name no criterion for a threshold. Capacitance is fitted exactly.
FIGURES = {
    "idsat": Figure("uA", 1e6, tolerance=0.01),
    "ieff": Figure("uA", 1e6, tolerance=0.01),
    "idlin": Figure("uA", 1e6, tolerance=0.01),
    "ioff": Figure("nA", 1e9, tolerance=0.35),  # 0.001 nA is published to one digit
    "vtsat": Figure("mV", 1e3, tolerance=0.015, relative=False),
    "vtlin": Figure("mV", 1e3, tolerance=0.015, relative=False),
    "ss": Figure("mV/dec", 1e3, tolerance=0.005, relative=False),
    "dibl": Figure("mV/V", 1e3, tolerance=0.012, relative=False),
    "gmsat": Figure("uS", 1e6, tolerance=None),
    "cgate": Figure("aF", 1e18, tolerance=0.01),
}


@dataclass(frozen=True)
class Comparison:
    """One figure of one card against its target."""

    device: str
    process: Speed
    figure: str
    measured: float
    target: float | None
    """None where the sheet has none."""
    deviation: float | None
    """Relative or absolute, as `FIGURES` says."""
    within: bool
    """Within tolerance, or not judged."""


@dataclass(frozen=True)
class CurveCheck:
    """One card against its curves at one temperature."""

    device: str
    process: Speed
    celsius: float
    errors: Errors
    within: bool
    """All of them within the limits of its sheet."""


@dataclass(frozen=True)
class Family:
    """What one fin of a card carries over a voltage; magnitudes."""

    device: str
    process: Speed
    celsius: float
    v_gate: float | None
    """V, of an output curve, over the drain voltage; None for a transfer curve, over the gate voltage at Vd = Vdd."""
    voltage: tuple[float, ...]
    """V."""
    current: tuple[float, ...]
    """A."""


class CheckRecord(Record):
    """What `spicekit devices check --json` prints."""

    figures: list[Comparison]
    """Each figure of each card, with its target and limit."""
    curves: tuple[CurveCheck, ...] = ()
    """Each card against the curves that it was fitted to."""
    families: tuple[Family, ...] = ()
    """What each card carries."""

    @pydantic.field_validator("figures")
    @classmethod
    def _known(cls, rows: list[Comparison]) -> list[Comparison]:
        if unknown := {row.figure for row in rows} - FIGURES.keys():
            raise ValueError(f"unknown figures: {', '.join(sorted(unknown))}")
        return rows

    @property
    def out_of_reach(self) -> list[str]:
        """Figures and curves that are not within their limits, by device."""
        figures = [f"{row.device} {row.figure}" for row in self.figures if not row.within]
        curves = [f"{row.device} {row.process} at {row.celsius:g} °C" for row in self.curves if not row.within]
        return figures + curves


CELSIUS = (-40.0, 25.0, 125.0)
"""Of transfer curves; output curves are of the typical card at 25 degrees."""
V_GATES = (0.3, 0.4, 0.5, 0.6, 0.7)
"""V, of output curves."""


def draw_families(devices: Sequence[str]) -> list[Family]:
    """I-V families of every card over temperature, at the nominal supply; errors as of `check_cards`."""
    cards = [card for device in devices for card in _cards(device)]
    rows = []
    for celsius in CELSIUS:
        corner = Corner(temperature=from_celsius(celsius))
        v_gates = V_GATES if celsius == CELSIUS[1] else ()
        for (name, speed, _), curves in zip(
            cards, families([card for *_, card in cards], corner, v_gates=v_gates), strict=True
        ):
            for v_gate, (volts, amperes) in zip((None, *v_gates), curves, strict=True):
                if v_gate is None or speed == "tt":
                    x, y = (tuple(float(f"{value:.4g}") for value in part[::4]) for part in (volts, amperes))
                    rows.append(Family(name, speed, celsius, v_gate, x, y))
    return rows


def check_cards(devices: Sequence[str], *, draw: bool = False, report: Report = silent) -> CheckRecord:
    """Every card of some devices against its published figures and its curves; with `draw` also what it carries.

    Raises
    ------
    BadInput
        If there is no such device, or a card or a curve file is not valid.
    SpiceFailed
        If ngspice refuses a card or does not converge.
    """
    report("cards in ngspice", 0, 2 + draw)
    figures = check_devices(devices)
    report("cards in ngspice", 1, 2 + draw)
    curves = check_curves(devices)
    report("cards in ngspice", 2, 2 + draw)
    families = draw_families(devices) if draw else []
    return CheckRecord(figures=figures, curves=tuple(curves), families=tuple(families))


def check_curves(devices: Sequence[str]) -> list[CurveCheck]:
    """Every card with curves against them, over the whole surface; none of those whose sheets name no curves.

    Errors as of `check_cards`.
    """
    rows = []
    for device in devices:
        sheet, folder = load_sheet(device).curves, device_folder(device)
        if sheet is None:
            continue
        curves = read_curves((folder.parent if folder.is_file() else folder) / sheet.file)
        cards = [each for each in _cards(device) if each[1] in curves.process]
        found = surfaces([card for *_, card in cards], curves.celsius, curves.v_ds, curves.v_gs)
        for (name, speed, _), mine in zip(cards, found, strict=True):
            for celsius, row in zip(curves.celsius, errors(mine, curves, speed), strict=True):
                rows.append(CurveCheck(name, speed, float(celsius), row, row.within(sheet.limits)))
    return rows


def check_devices(devices: Sequence[str]) -> list[Comparison]:
    """Every figure of every card of some devices, in one run of ngspice; errors as of `check_cards`."""
    named = [(device, *each) for device in devices for each in _cards(device)]
    cards = [card for *_, card in named]
    rows = []
    for (device, name, speed, _), figures, capacitance in zip(
        named, measure(cards, Corner()), gate_capacitances(cards), strict=True
    ):
        targets = _targets(load_sheet(device), speed)
        for figure, measured in {**asdict(figures), "cgate": capacitance}.items():
            rows.append(_comparison(name, speed, figure, measured, targets.get(figure)))
    return rows


def _cards(device: str) -> Iterable[tuple[str, Speed, Card]]:
    """Each card of a device, under its name and, of a file that holds both, its channel type."""
    speeds: tuple[Speed, ...] = ("tt",) if device_folder(device).is_file() else ("tt", "ff", "ss")
    for polarity in polarities(device):
        for speed in speeds:
            yield f"{device} {polarity or ''}".strip(), speed, load_card(device, speed, polarity)


def _targets(sheet: Sheet, process: Speed) -> dict[str, float]:
    """Published figures hold for the typical card, capacitances for each."""
    published = sheet.targets if process == "tt" else None
    targets = {} if published is None else {name: target.value for name, target in published if target}
    return targets if sheet.gate is None else {**targets, "cgate": getattr(sheet.gate.capacitance, process)}


def _comparison(device: str, process: Speed, name: str, measured: float, target: float | None) -> Comparison:
    figure = FIGURES[name]
    if target is None:
        deviation = None
    elif figure.relative:
        deviation = measured / target - 1
    else:
        deviation = measured - target
    within = deviation is None or figure.tolerance is None or abs(deviation) <= figure.tolerance
    return Comparison(device, process, name, measured, target, deviation, within)
