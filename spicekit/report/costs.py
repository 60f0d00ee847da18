"""Energy, time and area of the whole circuit: tables for pages and the terminal, and charts of their parts."""

from collections.abc import Iterator, Mapping

from spicekit.evaluation.network_costs import Change, Constant, NetworkCosts
from spicekit.mapping.binsparx import MITIGATION_LABELS
from spicekit.report.charts import Chart, axis, category, layer, switched, tips
from spicekit.report.page import Table, text_table
from spicekit.units import engineering

_MICRO2 = 1e-12  # m2
_KINDS = ("energy", "time", "area")
_SHOWN = 0.005  # of an energy, time or area: below it a constant's effect is not shown


def cost_charts(costs: NetworkCosts) -> Iterator[Chart]:
    """Parts of the energy and of the area, a bar for each run."""
    for what, unit, scale in (("energy", "nJ", 1e9), ("area", "um2", 1e12)):
        rows = [
            {
                "on tiles": MITIGATION_LABELS[run.mitigation],
                "part": part,
                "value": scale * value,
                "place": place,
            }
            for run in costs.runs
            for place, (part, value) in enumerate(getattr(run, f"{what}_parts").items())
            if value
        ]
        parts = list(dict.fromkeys(row["part"] for row in rows))
        parameter, opacity = switched("part")
        whose = " for one image" if what == "energy" else ""
        spec = layer(
            "bar",
            params=[parameter],
            y=category("on tiles", None),
            x=axis("value", f"{what}{whose}, {unit}"),
            color=category("part", None, order=parts),
            order={"field": "place"},
            opacity=opacity,
            tooltip=tips(("on tiles", "on"), "part", ("value", f"{what}, {unit}", ".4~g")),
        )
        note = f"Parts of the {what} of the whole circuit, converters and BinSparX's own parts included, {unit}."
        yield Chart(f"costs-{what}", f"Where the {what} goes", note, rows, spec, height=160)


def cost_tables(costs: NetworkCosts) -> list[Table]:
    """Totals against the first run, their parts, the layers, what each constant does, and what is assumed."""
    return [_totals(costs), _parts(costs), _layers(costs), _response(costs), _assumptions(costs)]


def _totals(costs: NetworkCosts) -> Table:
    heads = ["on", "energy", "change of energy", "of it BinSparX", "break-even"]
    rows = (
        (
            MITIGATION_LABELS[run.mitigation],
            engineering(run.energy, "J"),
            _percent(run.change.energy),
            engineering(run.overhead, "J"),
            "-" if run.break_even is None else f"x {run.break_even:.2f}",
            engineering(run.time, "s"),
            _percent(run.change.time),
            _area(run.area),
            _percent(run.change.area),
        )
        for run in costs.runs
    )
    note = (
        f"a column settles in {engineering(costs.settling, 's')}, "
        f"{costs.converter_bits} bits take {engineering(costs.conversion_time, 's')}, "
        f"it conducts for {engineering(costs.conduction_time, 's')}\n"
        "break-even: the factor by which bit-line energy must grow before BinSparX saves energy"
    )
    heads += ["time", "change of time", "area", "change of area"]
    return text_table("Energy, time and area for one image", heads, rows, note)


def _parts(costs: NetworkCosts) -> Table:
    """Shares are also what a total moves by, relative to a part's own move."""
    wholes: list[tuple[Mapping[str, float | None], float | None]]
    wholes = [(run.energy_parts, run.energy) for run in costs.runs]
    wholes += [(run.area_parts, run.area) for run in costs.runs]
    names = dict.fromkeys(name for parts, _ in wholes for name, value in parts.items() if value)
    rows = ((name, *(_share(parts.get(name), whole) for parts, whole in wholes)) for name in names)
    labels = [MITIGATION_LABELS[run.mitigation] for run in costs.runs]
    heads = ("part of", *(f"{what}, {label}" for what in ("energy", "area") for label in labels))
    return text_table("Where it goes", heads, rows, "a part that doubles raises the total by its share")


def _layers(costs: NetworkCosts) -> Table:
    heads = ("on", "layer", "energy", "time", "area", "bit lines' energy")
    rows = (
        (
            *(MITIGATION_LABELS[run.mitigation], name),
            *(engineering(layer.energy, "J"), engineering(layer.time, "s"), _area(layer.area)),
            engineering(layer.energy_parts.get("bit lines", 0.0), "J"),
        )
        for run in costs.runs
        for name, layer in run.layers.items()
    )
    return text_table("Energy, time and area of each layer", heads, rows)


def _response(costs: NetworkCosts) -> Table:
    first, last = (MITIGATION_LABELS[run.mitigation] for run in (costs.runs[0], costs.runs[-1]))
    usual = _values(costs.runs[-1].change)
    rows = []
    for what, effect in costs.response.items():
        alone, compared = map(_values, (effect.first_run, effect.runs[costs.runs[-1].mitigation]))
        if _differ(alone, (0.0, 0.0, 0.0)) or _differ(compared, usual):
            rows.append((what, *map(_percent, (*alone, *compared))))
    heads = ("if", *(f"{kind}, {run}" for run in (first, last) for kind in _KINDS))
    note = (
        f"to {first}, and to {last} against {first}: energy, time and area "
        f"({', '.join(map(_percent, usual))} as it is); effects below {_SHOWN:.1%} are not shown"
    )
    return text_table("What each constant does", heads, rows, note)


def _assumptions(costs: NetworkCosts) -> Table:
    rows = [(name, _value(constant), str(constant.source)) for name, constant in costs.constants.items()]
    rows += [("always", "", text) for text in costs.assumptions]
    rows += [("not counted", "", text) for text in costs.not_counted]
    return text_table("Constants and assumptions", ("constant", "value", "source"), rows)


_Changes = tuple[float | None, float | None, float | None]


def _values(change: Change) -> _Changes:
    return change.energy, change.time, change.area


def _differ(changes: _Changes, others: _Changes) -> bool:
    return any(
        one is not None and other is not None and abs(one - other) >= _SHOWN
        for one, other in zip(changes, others, strict=True)
    )


def _area(value: float | None) -> str:
    return "undefined" if value is None else f"{value / _MICRO2:,.0f} um2"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:+.1%}"


def _share(part: float | None, whole: float | None) -> str:
    return "" if part is None or not whole else f"{part / whole:.1%}"


def _value(constant: Constant) -> str:
    value = constant.value
    if isinstance(value, float):
        return f"{value:.4g}"
    return ", ".join(value) if isinstance(value, list) else str(value)
