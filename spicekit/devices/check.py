"""Hold cards against their sheets: every published figure measured in ngspice, and whether it is within reach."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from spicekit.devices.cards import Card, Speed, device_folder, load_card, load_sheet
from spicekit.devices.corners import Corner
from spicekit.devices.measure import Figures, gate_capacitances, measure
from spicekit.devices.sheet import Sheet, plate_capacitance


@dataclass(frozen=True)
class Figure:
    """How a figure of merit is judged and shown."""

    unit: str
    """For people."""
    scale: float
    """That unit in SI units, inverted."""
    reach: float | None
    """Largest accepted deviation from the target, SI; None where the target follows from an assumption."""
    relative: bool = True
    """Whether reach and deviation are fractions of the target."""

    def show(self, value: float | None) -> str:
        """A measured or target value without its unit; empty for None."""
        return "" if value is None else f"{self.scale * value:.4g}"

    def show_deviation(self, value: float | None, *, sign: Literal["+", "-"] = "+") -> str:
        """A deviation or reach; with `sign="-"` no plus sign."""
        if value is None:
            return ""
        return f"{value:{sign}.1%}" if self.relative else f"{self.scale * value:{sign}.1f}"


FIGURES = {
    "idsat": Figure("uA", 1e6, reach=0.03),
    "ieff": Figure("uA", 1e6, reach=0.03),
    "idlin": Figure("uA", 1e6, reach=None),
    "ioff": Figure("nA", 1e9, reach=0.25),
    "vtsat": Figure("mV", 1e3, reach=0.015, relative=False),
    "vtlin": Figure("mV", 1e3, reach=0.015, relative=False),
    "ss": Figure("mV/dec", 1e3, reach=0.002, relative=False),
    "dibl": Figure("mV/V", 1e3, reach=0.005, relative=False),
    "gmsat": Figure("uS", 1e6, reach=None),
    "cgate": Figure("aF", 1e18, reach=None),
}


@dataclass(frozen=True)
class Comparison:
    """One figure of one card against its target."""

    device: str
    process: Speed
    figure: str
    measured: float
    target: float | None
    """None off the typical corner, for which nothing is published."""
    deviation: float | None
    """Relative or absolute, as `FIGURES` says."""
    within: bool
    """Within reach, or not judged."""


def check_devices(devices: Sequence[str]) -> list[Comparison]:
    """Every figure of every card of some devices, in one run of ngspice.

    Raises
    ------
    BadInput
        If there is no such device or a card is not valid.
    SpiceFailed
        If ngspice refuses a card or does not converge.
    """
    cards = [(speed, card) for device in devices for speed, card in _cards(device)]
    corner = Corner()
    figures = measure([card for _, card in cards], corner)
    capacitances = gate_capacitances([card for _, card in cards], corner)
    return [
        comparison
        for (speed, card), found, capacitance in zip(cards, figures, capacitances, strict=True)
        for comparison in compare(card.device, speed, found, capacitance, sheet=load_sheet(card.device))
    ]


def compare(
    device: str, process: Speed, figures: Figures, capacitance: float, *, sheet: Sheet
) -> list[Comparison]:
    """Figures of one card against the targets of its sheet."""
    targets = _targets(sheet) if process == "tt" else {}
    return [
        _comparison(device, process, name, measured, targets.get(name))
        for name, measured in {**asdict(figures), "cgate": capacitance}.items()
    ]


def _cards(device: str) -> Iterable[tuple[Speed, Card]]:
    speeds: tuple[Speed, ...] = ("tt",) if device_folder(device).is_file() else ("tt", "ff", "ss")
    return [(speed, load_card(device, speed)) for speed in speeds]


def _targets(sheet: Sheet) -> dict[str, float]:
    targets = {} if sheet.targets is None else {name: target.value for name, target in sheet.targets}
    return (
        targets if sheet.gate is None else {**targets, "cgate": plate_capacitance(sheet.geometry, sheet.gate)}
    )


def _comparison(device: str, process: Speed, name: str, measured: float, target: float | None) -> Comparison:
    figure = FIGURES[name]
    if target is None:
        deviation = None
    elif figure.relative:
        deviation = measured / target - 1
    else:
        deviation = measured - target
    within = deviation is None or figure.reach is None or abs(deviation) <= figure.reach
    return Comparison(device, process, name, measured, target, deviation, within)
