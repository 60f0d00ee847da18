"""Pages of studies: what came of a grid of designs, and what the results depend on."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from spicekit.mapping.binsparx import MITIGATION_LABELS
from spicekit.provenance import JsonDict
from spicekit.report.charts import (
    ZOOM,
    Chart,
    Spec,
    axis,
    category,
    layer,
    only,
    plain_name,
    series_scale,
    switched,
    tips,
)
from spicekit.report.page import Column, Number, Page, Part, Table, shown
from spicekit.report.study_findings import (
    MOST_TOLD,
    accuracy_table,
    best,
    describe,
    kind_of,
    left_out,
    main_effects,
    pareto_front,
    varying,
)
from spicekit.study.results import PROVENANCE
from spicekit.units import engineering

MOST_LINES = 400
"""Points in the chart of parallel axes; more would be a smear."""
MOST_NAMED = 5
"""Values of such an axis that are written beside it; of one with more, only its ends are."""


SHOWN_OF_HASH = 12
"""Hexadecimal digits that tell what few makers there are apart."""


def study_page(rows: Sequence[JsonDict], *, name: str) -> Page:
    """Page of a study's rows."""
    done = [row for row in rows if not row["fault"]]
    top = best(rows)
    names = varying(rows)
    constant = {key: value for key, value in rows[0].items() if "." in key and key not in names}
    seconds = sum(row.get("seconds") or 0 for row in done)
    numbers = [Number(f"{len(rows):,}", "points", f"{len(rows) - len(done)} failed")]
    if top:
        low = min(done, key=lambda row: row["accuracy"])
        numbers += [
            Number(f"{top['accuracy']:.1%}", "best accuracy", f"software {top['software_accuracy']:.1%}"),
            Number(f"{1e9 * top['energy']:.4g} nJ", "bit-line energy of that point", "for one image"),
            Number(
                f"{low['accuracy']:.1%}",
                "least accuracy",
                f"{engineering(seconds, 's')} in jobs" if seconds < 60 else f"{seconds / 3600:.2f} h in jobs",
            ),
        ]
    return Page(
        title=f"Study {name}",
        verdict=f"Best point: {describe(top, rows)}." if top else "Every point failed; the table says why.",
        numbers=tuple(numbers),
        parts=(
            *_charts(done),
            *([_best(top, names)] if top and len(names) > MOST_TOLD else []),
            _points(rows, names),
            *_accuracies(done),
            *_effects(done),
            _made_by(rows),
        ),
        provenance={"the same in all points": constant},
        rows=rows,
    )


def _charts(done: Sequence[JsonDict]) -> Iterator[Chart]:
    if not done:
        return
    yield pareto_chart(done)
    yield nf_chart(done)
    if main_effects(done):
        yield sensitivity_chart(done)
    if len(done) > 1:
        yield parallel_chart(done)


def pareto_chart(done: Sequence[JsonDict]) -> Chart:
    """Accuracy over energy of every point that did not fail, with the front of each network."""
    rows = _marks(done)
    for network in dict.fromkeys(row["run.network"] for row in done):
        for row in pareto_front([row for row in done if row["run.network"] == network]):
            rows.append({"front": network, "energy": 1e9 * row["energy"], "accuracy": 100 * row["accuracy"]})
    note = (
        "A line joins the points of a network that no other beats in accuracy for less energy. Drag to move, wheel to "
        "enlarge, double-click for all; click a name to single it out."
    )
    front_line = layer(
        {"type": "line", "interpolate": "step-after", "strokeDash": [4, 3], "color": "#888888"},
        transform=only("front"),
        x=_ENERGY,
        y=_ACCURACY,
        detail=category("front", None),
    )
    layers = [front_line, _points_layer(_ENERGY, done)]
    return Chart("pareto", "Accuracy over energy", note, rows, {"layer": layers}, wide=True)


def nf_chart(done: Sequence[JsonDict]) -> Chart:
    """Accuracy over the non-ideality factor of every point that did not fail."""
    x = axis("nf", "non-ideality factor, %", scale={"zero": False})
    note = "NF: the share of the ideal read current that wires, drivers and devices take away."
    title, layers = "Accuracy over the non-ideality factor", [_points_layer(x, done)]
    return Chart("nf", title, note, _marks(done), {"layer": layers}, wide=True)


_ENERGY = axis("energy", "bit-line energy of an image, nJ", scale={"type": "log", "nice": False, "padding": 12})
_ACCURACY = axis("accuracy", "accuracy, %", scale={"domain": [0, 102]})


def _points_layer(x: Spec, done: Sequence[JsonDict]) -> Spec:
    parameter, opacity = switched("on tiles")
    kinds = list(dict.fromkeys(kind_of(done)))
    runs = list(dict.fromkeys(row["on tiles"] for row in _marks(done)))
    color = category("on tiles", None, order=runs, scale=series_scale(runs), legend={"values": runs})
    split = {"shape": category("kind", None, order=kinds, legend={"orient": "bottom"})} if len(kinds) > 1 else {}
    results = (("accuracy", "accuracy, %", ".4~g"), ("nf", "NF, %", ".4~g"), ("energy", "energy, nJ", ".4~g"))
    return layer(
        {"type": "point", "filled": True, "size": 70},
        transform=only("kind"),
        params=[parameter, ZOOM],
        x=x,
        y=_ACCURACY,
        color=color,
        **split,
        opacity=opacity,
        tooltip=tips(*((plain_name(name), name) for name in varying(done)), *results),
    )


def _marks(done: Sequence[JsonDict]) -> list[dict[str, Any]]:
    names = varying(done)
    return [
        {
            **{plain_name(name): _plain(row[name]) for name in names},
            "kind": kind,
            "on tiles": MITIGATION_LABELS.get(row["run.mitigation"], row["run.mitigation"]),
            "accuracy": 100 * row["accuracy"],
            "nf": 100 * row["nf"],
            "energy": 1e9 * row["energy"],
        }
        for row, kind in zip(done, kind_of(done), strict=True)
    ]


def _plain(value: Any) -> Any:
    return "none" if value is None else Path(value).stem if isinstance(value, str) and "/" in value else value


def sensitivity_chart(done: Sequence[JsonDict]) -> Chart:
    """Mean accuracy at each value of each parameter, over points that differ in nothing else."""
    effects = main_effects(done)
    rows = [
        {"parameter": name, "value": shown(value), "accuracy": 100 * mean, "side": side}
        for name, effect in effects.items()
        for (value, mean), side in zip(effect.items(), _sides(effect, effects), strict=True)
    ]
    note = (
        "Mean accuracy at each value of a parameter, over points that differ in nothing else; the widest first. Point "
        "at a value without a name to see it."
    )
    spec: Spec = {
        "encoding": {
            "y": category("parameter", None, axis={"labelLimit": 400}),
            "x": axis("accuracy", "mean accuracy, %", scale={"zero": False}),
            "tooltip": tips("parameter", "value", ("accuracy", "mean accuracy, %", ".1f")),
        },
        "layer": [
            layer({"type": "line"}, detail=category("parameter", None)),
            {"mark": {"type": "point", "filled": True, "size": 80}},
            *(
                layer(
                    {"type": "text", "dy": dy, "fontSize": 11},
                    transform=[{"filter": f"datum.side === '{side}'"}],
                    text={"field": "value"},
                )
                for side, dy in (("above", -11), ("below", 17))
            ),
        ],
    }
    if left := left_out(done):
        note += f" Left out: {', '.join(left)}: the study has no setting of the others with every value of it."
    height = max(140, 64 * len(effects))
    return Chart("sensitivity", "What the accuracy depends on", note, rows, spec, height, wide=True)


def _sides(effect: Mapping[Any, float], effects: Mapping[str, Mapping[Any, float]]) -> list[str]:
    """Where the name of each value stands, so that none covers another: above or below its point, or on no side."""
    means = [mean for one in effects.values() for mean in one.values()]
    letter = max(max(means) - min(means), 1e-3) / 70  # of a line of the chart as it is on a laptop
    ends, sides = {"above": -math.inf, "below": -math.inf}, dict.fromkeys(effect, "")
    for value, mean in sorted(effect.items(), key=lambda item: item[1]):
        half = letter * (len(shown(value)) + 2) / 2
        free = [side for side, end in ends.items() if mean - half >= end]
        if free:
            sides[value], ends[free[0]] = free[0], mean + half
    return list(sides.values())


def parallel_chart(done: Sequence[JsonDict]) -> Chart:
    """Every point as a line over its parameters and results, each axis scaled to its own range."""
    chosen = done[:: -(-len(done) // MOST_LINES)]
    axes: dict[str, list[Any]] = {name: [_plain(row[name]) for row in chosen] for name in varying(chosen)}
    axes |= {
        "NF, %": [100 * row["nf"] for row in chosen],
        "energy, nJ": [1e9 * row["energy"] for row in chosen],
    }
    axes["accuracy, %"] = [100 * row["accuracy"] for row in chosen]
    rows = []
    for name, values in axes.items():
        places = _places(values)
        named = {0.0, 1.0} if len(set(places)) > MOST_NAMED else set(places)
        rows += [
            {
                "point": point,
                "axis": name,
                "place": place,
                "value": shown(value),
                "accuracy": 100 * chosen[point]["accuracy"],
                "name": None
                if place not in named or places.index(place) != point
                else f"{value:.4g}"
                if isinstance(value, float)
                else shown(value),
            }
            for point, (value, place) in enumerate(zip(values, places, strict=True))
        ]
    order = list(axes)
    note = "A line is a point; an axis runs from its lowest value to its highest, or lists what it has."
    if len(chosen) < len(done):
        note += f" {len(chosen)} of {len(done):,} points, evenly drawn."
    color = {"color": axis("accuracy", "accuracy, %")}
    spec: Spec = {
        "encoding": {
            "x": category("axis", None, order=order, axis={"labelAngle": -20, "labelLimit": 140, "grid": True}),
            "y": axis("place", None, axis=None),
            "detail": category("point", None),
            "tooltip": tips("axis", "value", ("accuracy", "accuracy, %", ".1f")),
        },
        "layer": [
            layer({"type": "line", "opacity": 0.45}, **color),
            layer({"type": "point", "filled": True, "size": 28, "opacity": 0.7}, **color),
            layer(
                {"type": "text", "dx": 6, "dy": -7, "align": "left", "limit": 110, "fontSize": 11},
                transform=only("name"),
                text={"field": "name"},
            ),
        ],
    }
    return Chart("parallel", "All parameters at once", note, rows, spec, wide=True)


def _places(values: Sequence[Any]) -> list[float]:
    """Where values stand on an axis from 0 to 1."""
    if all(map(_is_number, values)):
        low, high = min(values), max(values)
        return [(value - low) / (high - low) if high > low else 0.5 for value in values]
    kinds = list(dict.fromkeys(map(str, values)))
    return [kinds.index(str(value)) / max(1, len(kinds) - 1) for value in values]


def _points(rows: Sequence[JsonDict], names: Sequence[str]) -> Table:
    numeric = {name: all(row[name] is None or _is_number(row[name]) for row in rows) for name in names}
    columns = (
        *(Column(name, form="g" if numeric[name] else "") for name in names),
        Column("software", "%", "accuracy in software", ".1f"),
        Column("accuracy", "%", "on tiles", ".1f"),
        Column("ON cells", "", "mean partial sum of a read: cells that hold 1 and get 1", ".2f"),
        Column("NF", "%", "share of the ideal read current that is lost", ".1f"),
        Column("energy", "nJ", "of the bit lines for one image", ".4g"),
        Column("fault", "", "why a point failed"),
    )
    front = {id(row) for row in pareto_front([row for row in rows if not row["fault"]])}
    scales = {"software_accuracy": 100, "accuracy": 100, "partial_sum": 1, "nf": 100, "energy": 1e9}
    lines = []
    for row in rows:
        place = (None if row[name] is None else _plain(row[name]) for name in names)
        results = (None if row["fault"] else scale * row[key] for key, scale in scales.items())
        lines.append((*place, *results, row["fault"]))
    marked = frozenset(place for place, row in enumerate(rows) if id(row) in front)
    note = "Set off: those that no other beats in accuracy for less energy."
    return Table("Points", columns, tuple(lines), note, marked)


def _best(top: JsonDict, names: Sequence[str]) -> Table:
    columns = (Column("parameter"), Column("value"))
    return Table("The best point", columns, tuple((name, shown(_plain(top[name]))) for name in names))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _accuracies(done: Sequence[JsonDict]) -> Iterator[Part]:
    """With and without BinSparX side by side, a table for each network."""
    for network in dict.fromkeys(row["run.network"] for row in done):
        own = [row for row in done if row["run.network"] == network]
        if len({row["run.mitigation"] for row in own}) > 1:
            table = accuracy_table(own, pooled="variation.seed")
            heads = tuple(Column(MITIGATION_LABELS.get(head, head)) for head in table.heads)
            note = "By mitigation; of several dies mean +- standard deviation (number of dies)."
            yield replace(table, title=f"Accuracy in %, {Path(network).stem}", columns=heads, note=note)


def _effects(done: Sequence[JsonDict]) -> Iterator[Part]:
    effects = main_effects(done)
    if effects:
        rows = tuple(
            (name, shown(value), 100 * mean) for name, effect in effects.items() for value, mean in effect.items()
        )
        columns = (Column("parameter"), Column("value"), Column("mean accuracy", "%", form=".1f"))
        yield Table("Sensitivities", columns, rows, "Means over points that differ in nothing else.")


def _made_by(rows: Sequence[JsonDict]) -> Table:
    names = ("run.network", *PROVENANCE)
    cut = {name: SHOWN_OF_HASH if name.endswith("sha256") else None for name in names}
    points = Counter(tuple(str(row[name])[: cut[name]] for name in names) for row in rows)
    lines = tuple((*maker, count) for maker, count in points.items())
    columns = (*map(Column, names), Column("points", form="d"))
    note = f"Of hashes the first {SHOWN_OF_HASH} digits; the CSV file beside the page has them whole."
    return Table("What made the points", columns, lines, note)
