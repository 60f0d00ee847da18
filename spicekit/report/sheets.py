"""Figures as tables of text, for the terminal and for reports."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spicekit.circuits.spec import TileSpec
from spicekit.decks.diff import Group, Summary
from spicekit.mapping.binsparx import MITIGATION_LABELS
from spicekit.results import accuracy_interval
from spicekit.tables.cell_figures import CellFigures, CoreMargins, ElementMargins, ReadPoint
from spicekit.tables.settling import Settling
from spicekit.units import engineering, to_celsius

if TYPE_CHECKING:
    from spicekit.evaluation.network_costs import Change, Constant, Figures, NetworkCosts
    from spicekit.evaluation.records import Evaluation


_MICRO2 = 1e-12  # m2
_KINDS = ("energy", "time", "area")
_SHOWN = 0.005  # of an energy, time or area: below it a constant's effect is not shown


@dataclass(frozen=True)
class Sheet:
    """A table of text."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def evaluation_rows(result: "Evaluation") -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Heads, and a row each for software, ideal tiles and every run: narrow enough for 60 columns."""
    head = ("", "accuracy\n%", "95 % CI\n%", "NF\n%", "ON\ncells", "energy\nnJ", "change\n%")
    rows: list[tuple[str, ...]] = [
        ("software", *_accuracy(result.software, result.images), "", "", "", ""),
        ("ideal tiles", *_accuracy(result.ideal, result.images), "", "", "", ""),
    ]
    for run in result.runs:
        rows.append(
            (
                MITIGATION_LABELS[run.mitigation],
                *_accuracy(run.accuracy, result.images),
                f"{100 * run.nf:.1f}",
                f"{run.partial_sum:.2f}",
                f"{1e9 * run.energy:.4g}",
                "" if run is result.runs[0] else f"{100 * run.energy_change:+.1f}",
            )
        )
    return head, rows


def verdict(result: "Evaluation") -> str:
    """What an evaluation found, in a sentence."""
    first, last = result.runs[0], result.runs[-1]
    if first is last:
        name = MITIGATION_LABELS[first.mitigation]
        return f"{name}: accuracy {result.software:.1%} in software → {first.accuracy:.1%}, NF {first.nf:.1%}"
    names = (MITIGATION_LABELS[run.mitigation] for run in (first, last))
    return (
        f"{' → '.join(names)}: accuracy {first.accuracy:.1%} → {last.accuracy:.1%} (software {result.software:.1%}), "
        f"NF {first.nf:.1%} → {last.nf:.1%}, bit-line energy {last.energy_change:+.1%}"
    )


def _accuracy(fraction: float, images: int) -> tuple[str, str]:
    low, high = accuracy_interval(fraction, images)
    return f"{100 * fraction:.1f}", f"{100 * low:.1f}-{100 * high:.1f}"


def cell_sheets(figures: CellFigures) -> list[Sheet]:
    """Margins and read currents of a cell."""
    sheets = []
    if figures.core is not None:
        sheets.append(Sheet("6T core and read port", ("figure", "value"), _core_rows(figures.core)))
    if figures.element is not None:
        sheets.append(
            Sheet("read disturb of the ReRAM element", ("figure", "value"), _element_rows(figures.element))
        )
    for title, points in (
        ("over temperature", figures.over_temperature),
        ("over supply", figures.over_supply),
    ):
        head = ("process", "supply", "temperature", "on", "off (w=0)", "idle (a=0)", "on/off")
        sheets.append(Sheet(f"read current {title}", head, tuple(map(_read_row, points))))
    return sheets


def settling_sheet(spec: TileSpec, reads: Mapping[str, Settling]) -> Sheet:
    """Time and charge of reads, by pattern."""
    rows = tuple(
        (
            pattern,
            engineering(read.time, "s"),
            engineering(float(read.current.max()), "A"),
            engineering(read.read_charge, "C"),
            engineering(read.word_line_charge, "C"),
        )
        for pattern, read in reads.items()
    )
    head = ("pattern", "settles in", "current", "read charge", "word-line charge")
    whose = "a column" if spec.drive == "wordline" else "all rows"
    title = (
        f"read of {spec.rows} rows, {spec.rows_active} asserted, to half an LSB\n"
        f"read charge of {whose} until settled; word-line charge of all asserted rows past {spec.columns} columns"
    )
    return Sheet(title, head, rows)


def deck_sheets(summary: Summary) -> list[Sheet]:
    """What a deck holds."""
    sheets = []
    if summary.header is not None:
        facts = {k: v for k, v in summary.header.facts.items() if not isinstance(v, dict)}
        facts |= summary.header.facts.get("origin", {})
        tile = summary.header.spec
        facts |= {
            "tile": f"{tile.rows} x {tile.columns} {tile.cell}, {tile.drive} drive, sense end {tile.sense_end}",
            "bias": f"v_read {tile.v_read} V, v_wl {tile.v_wl} V, vdd {tile.corner.vdd} V",
            "corner": f"{tile.corner.process}, {to_celsius(tile.corner.temperature):g} C",
        }
        sheets.append(Sheet("header", ("fact", "value"), tuple((k, str(v)) for k, v in facts.items())))
    counts = [(f"device {name}", str(count)) for name, count in summary.devices.items()]
    counts += [(f"instances of {name}", str(count)) for name, count in summary.instances.items()]
    sheets.append(Sheet("counts, subcircuits unfolded", ("what", "number"), tuple(counts)))
    for title, unit, groups in (
        ("resistors", "ohm", summary.resistors),
        ("capacitors", "F", summary.capacitors),
        ("sources", "", summary.sources),
    ):
        rows = tuple(
            (name, str(group.count), ", ".join(group.values[:3]), _total(group, unit))
            for name, group in groups.items()
        )
        if rows:
            sheets.append(Sheet(title, ("name", "number", "set to", "sum"), rows))
    expected = summary.header.facts.get("expected") if summary.header else None
    if expected is not None:
        title = f"expected column currents, within {engineering(expected['tolerance'], 'A')}"
        currents = tuple((str(j), engineering(current, "A")) for j, current in enumerate(expected["current"]))
        sheets.append(Sheet(title, ("column", "current"), currents))
    return sheets


def _total(group: Group, unit: str) -> str:
    """Sum of a group's values; resistances and capacitances add up to something, bias voltages do not."""
    return "" if group.total is None or not unit else engineering(group.total, unit)


def _core_rows(core: CoreMargins) -> tuple[tuple[str, str], ...]:
    figures = {
        "hold static noise margin": core.hold.margin,
        "read static noise margin (write ports opened: half-selected cell)": core.read.margin,
        "write static noise margin": core.write.margin,
        "bit-line voltage below which a write succeeds": core.write_trip,
        "rise of a stored 0 when half-selected": core.half_select_rise,
        "disturb of the stored level by the read port, at rest": core.port_rise,
        "disturb of the stored level by the read port, peak during a read": core.port_kick,
    }
    margins = tuple((name, engineering(value, "V")) for name, value in figures.items())
    return (*margins, ("leakage of the core", engineering(core.leakage, "A")))


def _element_rows(element: ElementMargins) -> tuple[tuple[str, str], ...]:
    figures = {
        "across the element in the low-resistance state": element.lrs,
        "across the element in the high-resistance state": element.hrs,
        "left until set (high-resistance state)": element.set,
        "left until reset (low-resistance state)": element.reset,
    }
    return tuple((name, engineering(value, "V")) for name, value in figures.items())


def _read_row(point: ReadPoint) -> tuple[str, ...]:
    corner = point.corner
    currents = (engineering(current, "A") for current in (point.on, point.off, point.idle))
    return (
        corner.process,
        f"{corner.vdd:.2f} V",
        f"{to_celsius(corner.temperature):.0f} C",
        *currents,
        f"{point.ratio:.3g}",
    )


def energy_sheets(costs: "NetworkCosts") -> list[Sheet]:
    """Totals against the first run, their parts, the layers, what each constant does, and what is assumed."""
    return [_totals(costs), _parts(costs), _layers(costs), _response(costs), _assumptions(costs)]


def _totals(costs: "NetworkCosts") -> Sheet:
    rows = tuple(
        (
            MITIGATION_LABELS[run.mitigation],
            engineering(run.energy, "J"),
            _change(run.change.energy),
            engineering(run.overhead, "J"),
            "-" if run.break_even is None else f"x {run.break_even:.2f}",
            engineering(run.time, "s"),
            _change(run.change.time),
            _area(run.area),
            _change(run.change.area),
        )
        for run in costs.runs
    )
    title = (
        f"energy, time and area for one image\na column settles in {engineering(costs.settling, 's')}, "
        f"{costs.converter_bits} bits take {engineering(costs.conversion_time, 's')}, "
        f"it conducts for {engineering(costs.conduction_time, 's')}\n"
        "break-even: the factor by which bit-line energy must grow before BinSparX saves energy"
    )
    head = (
        "on",
        "energy",
        "change of energy",
        "of it BinSparX",
        "break-even",
        "time",
        "change of time",
        "area",
        "change of area",
    )
    return Sheet(title, head, rows)


def _parts(costs: "NetworkCosts") -> Sheet:
    """Shares are also what a total moves by, relative to a part's own move."""
    parts = [part for run in costs.runs for part in (run.energy_parts, run.area_parts)]
    names = [name for name in dict.fromkeys(itertools.chain(*parts)) if any(part.get(name) for part in parts)]
    rows = tuple(
        (
            name,
            *(_share(run.energy_parts.get(name), run.energy) for run in costs.runs),
            *(_share(run.area_parts.get(name), run.area) for run in costs.runs),
        )
        for name in names
    )
    runs = [MITIGATION_LABELS[run.mitigation] for run in costs.runs]
    head = ("part of", *(f"energy, {run}" for run in runs), *(f"area, {run}" for run in runs))
    return Sheet("where it goes\na part that doubles raises the total by its share", head, rows)


def _layers(costs: "NetworkCosts") -> Sheet:
    head = ("on", "layer", "energy", "time", "area", "bit lines' energy")
    rows = tuple(
        (MITIGATION_LABELS[run.mitigation], name, *_figures(layer))
        for run in costs.runs
        for name, layer in run.layers.items()
    )
    return Sheet("energy, time and area of each layer", head, rows)


def _response(costs: "NetworkCosts") -> Sheet:
    first, last = (MITIGATION_LABELS[run.mitigation] for run in (costs.runs[0], costs.runs[-1]))
    usual = _values(costs.runs[-1].change)
    rows = []
    for what, effect in costs.response.items():
        alone, compared = map(_values, (effect.first_run, effect.runs[costs.runs[-1].mitigation]))
        if _differ(alone, (0.0, 0.0, 0.0)) or _differ(compared, usual):
            rows.append((what, *map(_change, (*alone, *compared))))
    head = ("if", *(f"{kind}, {run}" for run in (first, last) for kind in _KINDS))
    title = (
        f"what each constant does\nto {first}, and to {last} against {first}: energy, time and area "
        f"({', '.join(map(_change, usual))} as it is); effects below {_SHOWN:.1%} are not shown"
    )
    return Sheet(title, head, tuple(rows))


def _assumptions(costs: "NetworkCosts") -> Sheet:
    rows = [(name, _value(constant), str(constant.source)) for name, constant in costs.constants.items()]
    rows += [("always", "", text) for text in costs.assumptions]
    rows += [("not counted", "", text) for text in costs.not_counted]
    return Sheet("constants and assumptions", ("constant", "value", "source"), tuple(rows))


_Changes = tuple[float | None, float | None, float | None]


def _values(change: "Change") -> _Changes:
    return change.energy, change.time, change.area


def _differ(changes: _Changes, others: _Changes) -> bool:
    return any(
        one is not None and other is not None and abs(one - other) >= _SHOWN
        for one, other in zip(changes, others, strict=True)
    )


def _figures(whole: "Figures") -> tuple[str, ...]:
    bit_lines = engineering(whole.energy_parts.get("bit lines", 0.0), "J")
    return engineering(whole.energy, "J"), engineering(whole.time, "s"), _area(whole.area), bit_lines


def _area(value: float | None) -> str:
    if value is None:
        return "undefined"
    return f"{value / _MICRO2:,.0f} um2"


def _change(value: float | None) -> str:
    return "" if value is None else f"{value:+.1%}"


def _share(part: float | None, whole: float | None) -> str:
    return "" if part is None or not whole else f"{part / whole:.1%}"


def _value(constant: "Constant") -> str:
    value = constant.value
    return (
        f"{value:.4g}"
        if isinstance(value, float)
        else ", ".join(value)
        if isinstance(value, list)
        else str(value)
    )
