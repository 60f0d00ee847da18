"""Hold cards against their sheets: every published figure measured in ngspice, and whether it is within reach."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from spicekit.devices.cards import Card, Speed, device_folder, load_card, load_sheet
from spicekit.devices.corners import Corner
from spicekit.devices.measure import Figures, gate_capacitances, measure
from spicekit.devices.sheet import Sheet, plate_capacitance
from spicekit.units import engineering


@dataclass(frozen=True)
class Figure:
    """How a figure of merit is shown and judged."""

    unit: str
    reach: float | None
    """Largest accepted deviation from the target; None where the target itself follows from an assumption."""
    relative: bool


FIGURES = {
    "idsat": Figure("A", 0.03, relative=True),
    "ieff": Figure("A", 0.03, relative=True),
    "idlin": Figure("A", None, relative=True),
    "ioff": Figure("A", 0.25, relative=True),
    "vtsat": Figure("V", 0.015, relative=False),
    "vtlin": Figure("V", 0.015, relative=False),
    "ss": Figure("V/dec", 0.002, relative=False),
    "dibl": Figure("V/V", 0.005, relative=False),
    "gmsat": Figure("S", None, relative=True),
    "cgate": Figure("F", None, relative=True),
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


def texts(row: Comparison) -> tuple[str, str, str, str, str]:
    """A comparison for people: figure, measured, target, deviation, reach."""
    figure = FIGURES[row.figure]
    return (
        row.figure,
        engineering(row.measured, figure.unit),
        "" if row.target is None else engineering(row.target, figure.unit),
        _deviation(figure, row.deviation, sign="+"),
        _deviation(figure, figure.reach, sign=""),
    )


def _deviation(figure: Figure, value: float | None, *, sign: str) -> str:
    if value is None:
        return ""
    return f"{value:{sign}.1%}" if figure.relative else f"{1e3 * value:{sign}.1f} m{figure.unit}"


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
