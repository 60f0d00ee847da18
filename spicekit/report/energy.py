"""Energy, time and area of a network as tables of text."""

import itertools

from spicekit.evaluation.network_costs import Change, Constant, Figures, NetworkCosts
from spicekit.mapping.binsparx import MITIGATION_LABELS
from spicekit.report.sheets import Sheet
from spicekit.units import engineering

MICRO2 = 1e-12  # m2
KINDS = ("energy", "time", "area")
SHOWN = 0.005  # of an energy, time or area: below it a constant's effect is not shown


def energy_sheets(costs: NetworkCosts) -> list[Sheet]:
    """Totals against the first run, their parts, the layers, what each constant does, and what is assumed."""
    return [_totals(costs), _parts(costs), _layers(costs), _response(costs), _assumptions(costs)]


def _totals(costs: NetworkCosts) -> Sheet:
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


def _parts(costs: NetworkCosts) -> Sheet:
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


def _layers(costs: NetworkCosts) -> Sheet:
    head = ("on", "layer", "energy", "time", "area", "bit lines' energy")
    rows = tuple(
        (MITIGATION_LABELS[run.mitigation], name, *_figures(layer))
        for run in costs.runs
        for name, layer in run.layers.items()
    )
    return Sheet("energy, time and area of each layer", head, rows)


def _response(costs: NetworkCosts) -> Sheet:
    first, last = (MITIGATION_LABELS[run.mitigation] for run in (costs.runs[0], costs.runs[-1]))
    usual, none = costs.runs[-1].change, Change(energy=0, time=0, area=0)
    rows = []
    for what, effect in costs.response.items():
        alone, compared = effect.first_run, effect.runs[costs.runs[-1].mitigation]
        if _differ(alone, none) or _differ(compared, usual):
            changes = (*_values(alone), *_values(compared))
            rows.append((what, *map(_change, changes)))
    head = ("if", *(f"{kind}, {run}" for run in (first, last) for kind in KINDS))
    title = (
        f"what each constant does\nto {first}, and to {last} against {first}: energy, time and area "
        f"({', '.join(map(_change, _values(usual)))} as it is); effects below {SHOWN:.1%} are not shown"
    )
    return Sheet(title, head, tuple(rows))


def _assumptions(costs: NetworkCosts) -> Sheet:
    rows = [(name, _value(constant), str(constant.source)) for name, constant in costs.constants.items()]
    rows += [("always", "", text) for text in costs.assumptions]
    rows += [("not counted", "", text) for text in costs.not_counted]
    return Sheet("constants and assumptions", ("constant", "value", "source"), tuple(rows))


def _values(change: Change) -> tuple[float | None, ...]:
    return change.energy, change.time, change.area


def _differ(changes: Change, others: Change) -> bool:
    return any(
        one is not None and other is not None and abs(one - other) >= SHOWN
        for one, other in zip(_values(changes), _values(others), strict=True)
    )


def _figures(whole: Figures) -> tuple[str, ...]:
    bit_lines = engineering(whole.energy_parts.get("bit lines", 0.0), "J")
    return engineering(whole.energy, "J"), engineering(whole.time, "s"), _area(whole.area), bit_lines


def _area(value: float | None) -> str:
    if value is None:
        return "undefined"
    return f"{value / MICRO2:,.0f} um2"


def _change(value: float | None) -> str:
    return "" if value is None else f"{value:+.1%}"


def _share(part: float | None, whole: float | None) -> str:
    return "" if part is None or not whole else f"{part / whole:.1%}"


def _value(constant: Constant) -> str:
    value = constant.value
    return (
        f"{value:.4g}"
        if isinstance(value, float)
        else ", ".join(value)
        if isinstance(value, list)
        else str(value)
    )
