"""Pages of checks: engines against a circuit simulator, transistor cards against their targets."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from spicekit.devices.cards import Speed
from spicekit.devices.check import FIGURES, CheckRecord, Comparison, CurveCheck, Family
from spicekit.evaluation.design import Design
from spicekit.evaluation.signoff import BINS, FLOOR, EngineError, SignOff
from spicekit.report.charts import (
    LOG,
    Chart,
    Spec,
    axis,
    category,
    curves,
    layer,
    only,
    plain_name,
    switched,
    tips,
)
from spicekit.report.page import Column, Number, Page, Table, judged_table

ENGINES = ("exact", "fast")
ERRORS = {"rms": "rms", "p99": "99 % stay below", "worst": "worst"}
LSB = "LSB: the current of one ON cell without wires and terminals."


def sign_off_page(result: SignOff) -> Page:
    """Page of a sign-off."""
    limits = result.design.limits
    numbers = []
    for engine in ENGINES:
        worst = max((one.worst for one in _of(result, engine)), default=None)
        value, bound = "-" if worst is None else f"{worst:.3g} LSB", _bounds(result.design, engine)["worst"]
        numbers.append(Number(value, f"worst error, {engine}", f"limit {bound:g} LSB"))
    differ = max((one.codes_differ for one in result.errors), default=0.0)
    failed = f"of which {len(result.failures)} failed"
    numbers += [
        Number(f"{differ:.2%}", "codes that differ, worst kind", f"limit {limits.codes_differ:.0%}"),
        Number(f"{result.vectors:,}", f"reads of a whole tile in {result.simulator}", failed),
    ]
    agree = f"The engines agree with {result.simulator} within the design's limits."
    return Page(
        title=f"Sign-off against {result.simulator}",
        verdict=agree if result.passed else "; ".join(result.faults) + ".",
        numbers=tuple(numbers),
        parts=(
            *(_errors(result, engine) for engine in ENGINES),
            *(chart for engine in ENGINES for chart in _distribution(result, engine)),
            error_table(result),
            *_again(result),
        ),
        good=result.passed,
        notes=(LSB,),
        provenance={
            "design": result.design.model_dump(mode="json"),
            "table": result.table,
            "origin": result.provenance,
        },
        rows=result.rows(),
    )


def _of(result: SignOff, engine: str) -> list[EngineError]:
    return [one for one in result.errors if one.engine == engine]


def _bounds(design: Design, engine: str) -> dict[str, float]:
    limits = design.limits
    if engine != "fast":
        return {"worst": limits.exact_worst}
    return {"rms": limits.fast_rms, "worst": limits.fast_worst}


def _decades(top: float) -> Spec:
    """Logarithmic axis from `FLOOR` to above `top`, LSB, with a line for each power of ten alone."""
    last = math.ceil(math.log10(top)) if math.isfinite(top) else 3
    powers = [10.0**power for power in range(round(math.log10(FLOOR)), last + 1)]
    scale = {"type": "log", "domain": [powers[0], powers[-1]], "clamp": True}
    return {"scale": scale, "axis": {"format": ".0e", "values": powers}}


def _limits(x: Spec, **encoding: Any) -> Spec:
    """A layer with a dashed line at each limit."""
    return layer(
        {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 2},
        transform=only("limit"),
        x=axis("limit", "error, LSB", **x),
        **encoding,
    )


def _errors(result: SignOff, engine: str) -> Chart:
    bounds, found = _bounds(result.design, engine), _of(result, engine)
    rows: list[dict[str, object]] = [
        {
            "vectors": one.kind,
            "error": name,
            "value": max(getattr(one, key), FLOOR),
            "codes": 100 * one.codes_differ,
        }
        for one in found
        for key, name in ERRORS.items()
    ]
    rows += [{"error": ERRORS[key], "limit": limit} for key, limit in bounds.items()]
    x = _decades(max([*bounds.values(), *(one.worst for one in found)]))
    parameter, opacity = switched("error")
    color = category("error", None, order=list(ERRORS.values()))
    points = layer(
        {"type": "point", "filled": True, "size": 90},
        transform=only("value"),
        params=[parameter],
        y=category("vectors", None, axis={"labelLimit": 150}),
        x=axis("value", "error, LSB", **x),
        color=color,
        shape=color,
        opacity=opacity,
        tooltip=tips("vectors", "error", ("value", "LSB", ".3~g"), ("codes", "codes that differ, %", ".2f")),
    )
    limits = _limits(x, color=color, tooltip=tips(("error", "limit of"), ("limit", "LSB")))
    note = (
        f"Errors of column currents against {result.simulator}, in LSB, by kind of vector; dashed: the limits. "
        f"What is below {FLOOR:g} LSB is drawn there."
    )
    title = f"Errors of the {engine} engine"
    return Chart(f"signoff-{engine}", title, note, rows, {"layer": [limits, points]}, height=220)


def _distribution(result: SignOff, engine: str) -> Iterator[Chart]:
    """How many column reads have an error of which size, with the limit of the worst."""
    rows: list[dict[str, object]] = [
        {"vectors": one.kind, "low": low, "high": high, "share": 100 * count / one.reads, "reads": count}
        for one in _of(result, engine)
        if one.reads
        for (low, high), count in zip(pairwise(BINS), one.histogram, strict=False)
        if count
    ]
    if not rows:
        return
    limit = _bounds(result.design, engine)["worst"]
    x = _decades(max([limit, *(float(str(row["high"])) for row in rows)]))
    rows.append({"limit": limit})
    kind, (parameter, opacity) = category("vectors", None), switched("vectors")
    bars = layer(
        {"type": "rect", "fillOpacity": 0.3, "strokeWidth": 1.5},
        transform=only("low"),
        params=[parameter],
        x=axis("low", "error, LSB", **x),
        x2={"field": "high"},
        y=axis("share", "column reads of a kind, %"),
        y2={"datum": 0},
        fill=kind,
        stroke=kind,
        opacity=opacity,
        tooltip=tips(
            *("vectors", ("low", "from, LSB", ".2~g"), ("high", "to, LSB", ".2~g")),
            ("reads", "column reads", ","),
        ),
    )
    layers = [bars, _limits(x, tooltip=tips(("limit", "limit, LSB")))]
    note = (
        f"Column reads by the size of their error, by kind of vector. Dashed: the limit of the worst, {limit:g} "
        "LSB. Everything must lie left of it. Click a name to see one kind."
    )
    title = f"Distribution of errors, {engine} engine"
    yield Chart(f"distribution-{engine}", title, note, rows, {"layer": layers}, height=220)


def _again(result: SignOff) -> Iterator[Table]:
    """The command that made it, to be run again."""
    command = result.provenance.get("command")
    if command:
        note = "In the folder where it ran, with the same files there."
        yield Table("Repeat it", (Column("command"),), ((str(command),),), note)


def error_table(result: SignOff) -> Table:
    """Errors of each engine by kind of vector, with limits and verdicts."""
    columns = (
        Column("vectors"),
        Column("engine"),
        Column("reads", "", "column reads compared", ",d"),
        Column("rms", "LSB", "root mean square of the errors", ".2g"),
        Column("99 %", "LSB", "99 % of the errors stay below", ".2g"),
        Column("worst", "LSB", "largest error", ".2g"),
        Column("limit", "LSB", "of the worst error", ".2g"),
        Column("codes", "%", f"converter codes that are not those of {result.simulator}'s currents", ".2f"),
        Column("verdict"),
    )
    rows: list[tuple[tuple[Any, ...], bool | None]] = []
    for one in result.errors:
        bounds = {**_bounds(result.design, one.engine), "codes_differ": result.design.limits.codes_differ}
        row = (one.kind, one.engine, one.reads, one.rms, one.p99, one.worst, bounds["worst"])
        passes = all(getattr(one, name) <= bound for name, bound in bounds.items())
        rows.append(((*row, 100 * one.codes_differ), passes))
    return judged_table("Errors by kind of vector", columns, rows)


def family_charts(families: Sequence[Family]) -> list[Chart]:
    """For each device its transfer curves over corners and temperatures, and its output curves."""
    charts = []
    for device in dict.fromkeys(one.device for one in families):
        own = [one for one in families if one.device == device]
        rows = [
            {
                "v": volt,
                "current": 1e6 * ampere,
                "corner": one.process,
                "temperature": f"{one.celsius:g} °C",
                "gate": one.v_gate and f"{one.v_gate:g} V",
            }
            for one in own
            for volt, ampere in zip(one.voltage, one.current, strict=False)
            if ampere > 0 or one.v_gate is not None
        ]
        current = ("current", "uA", ".4~g")
        transfer = curves(
            axis("v", "gate voltage, V"),
            axis("current", "drain current, uA", **LOG),
            by=category("corner", "corner", order=_SPEEDS),
            dash=category("temperature", "temperature"),
            tooltip=tips("corner", "temperature", ("v", "gate, V"), current),
            zoom=False,
        )
        output = curves(
            axis("v", "drain voltage, V"),
            axis("current", "drain current, uA"),
            by=category("gate", "gate"),
            tooltip=tips("gate", ("v", "drain, V"), current),
        )
        name = plain_name(device).replace(" ", "-")
        for kind, gated, note, spec in (
            ("transfer", False, "drain at Vdd 0.70 V, by corner and temperature.", transfer),
            ("output", True, "typical corner, 25 °C, by gate voltage.", output),
        ):
            drawn = [row for row in rows if (row["gate"] is not None) == gated]
            note = f"One fin, magnitudes, {note}"
            charts.append(Chart(f"{name}-{kind}", f"{device}: {kind} curves", note, drawn, spec))
    return [chart for chart in charts if chart.rows]


_SPEEDS: tuple[Speed, ...] = ("ss", "tt", "ff")


def check_page(record: CheckRecord) -> Page:
    """Page of `spicekit devices check --json`."""
    rows, out = record.figures, record.out_of_reach
    judged = [row for row in rows if row.target is not None and FIGURES[row.figure].tolerance is not None]
    devices = list(dict.fromkeys(row.device for row in rows))
    of = f"{len(judged)} figures with a published target"
    of += f" and {len(record.curves)} curve sets" if record.curves else ""
    verdict = f"{of} are within their limits." if not out else f"Of {of}, {len(out)} are out: {', '.join(out)}."
    worst = max(judged, key=_share, default=None)
    whose = "" if worst is None else f"{worst.device} {worst.figure}"
    return Page(
        title="Transistor cards against their targets",
        verdict=verdict,
        good=not out,
        numbers=(
            Number(f"{len(devices)}", "devices", ", ".join(devices)),
            Number(f"{len(judged)}", "figures with a target", "typical corner"),
            Number(f"{len(out)}", "out of limits", "figures and curve sets"),
            Number("-" if worst is None else f"{_share(worst):.0%}", "of its limit, the worst figure", whose),
        ),
        parts=(
            *((_deviations(judged),) if judged else ()),
            *family_charts(record.families),
            *check_tables(record),
        ),
        rows=[asdict(row) for row in rows],
    )


def _share(row: Comparison) -> float:
    tolerance = FIGURES[row.figure].tolerance
    return 0.0 if row.deviation is None or not tolerance else abs(row.deviation) / tolerance


def _deviations(judged: Sequence[Comparison]) -> Chart:
    rows = []
    for row in judged:
        figure = FIGURES[row.figure]
        texts = {
            "measured": f"{figure.show(row.measured)} {figure.unit}",
            "target": f"{figure.show(row.target)} {figure.unit}",
        }
        share = 100 * (row.deviation or 0.0) / (figure.tolerance or 1.0)
        rows.append({"device": row.device, "figure": row.figure, "share": share, **texts})
    parameter, opacity = switched("device")
    title = "deviation, % of the limit"
    limits = layer(
        {"type": "rule", "strokeDash": [5, 4]},
        data={"values": [{"limit": -100}, {"limit": 100}]},
        x=axis("limit", title),
    )
    points = layer(
        {"type": "point", "filled": True, "size": 80},
        params=[parameter],
        y=category("figure", None, order=list(FIGURES)),
        yOffset=category("device", None),
        x=axis("share", title),
        color=category("device", None),
        opacity=opacity,
        tooltip=tips("device", "figure", "measured", "target", ("share", "% of the limit", "+.1f")),
    )
    spec: Spec = {"layer": [limits, points]}
    note = "Measured less target, in % of what is accepted; dashed: the limits."
    return Chart("deviations", "Deviations from the targets", note, rows, spec, height=420, wide=True)


def check_tables(record: CheckRecord) -> list[Table]:
    """A data sheet for each device, and how far cards are from their curves."""
    devices = dict.fromkeys(row.device for row in record.figures)
    curves = [_curve_table(record.curves)] if record.curves else []
    return [*(_data_sheet(device, record.figures) for device in devices), *curves]


def _data_sheet(device: str, rows: Sequence[Comparison]) -> Table:
    """Figures of a device over corners, with targets, limits and verdicts."""
    columns = (
        Column("figure"),
        Column("unit"),
        Column("min", "", "lowest of the ss, tt and ff corners", ".4g"),
        Column("typ", "", "tt corner", ".4g"),
        Column("max", "", "highest of the ss, tt and ff corners", ".4g"),
        Column("target", "", "published, for the typical corner", ".4g"),
        Column("off by"),
        Column("limit", "", "accepted deviation"),
        Column("verdict"),
    )
    lines: list[tuple[tuple[Any, ...], bool | None]] = []
    for name, figure in FIGURES.items():
        own = [row for row in rows if row.device == device and row.figure == name]
        typical = next((row for row in own if row.process == "tt"), None)
        if typical is None:
            continue
        values = [figure.scale * row.measured for row in own]
        target = None if typical.target is None else figure.scale * typical.target
        judged = typical.target is not None and figure.tolerance is not None
        line = (name, figure.unit, min(values), figure.scale * typical.measured, max(values), target)
        off, limit = (
            figure.show_deviation(typical.deviation),
            figure.show_deviation(figure.tolerance, sign="-"),
        )
        lines.append(((*line, off, limit), typical.within if judged else None))
    return judged_table(device, columns, lines, "One fin, 25 °C, Vdd 0.70 V.")


def _curve_table(rows: Sequence[CurveCheck]) -> Table:
    """How far cards are from their curves, by corner and temperature."""
    columns = (
        Column("device"),
        Column("corner"),
        Column("temp.", "°C", form=".0f"),
        Column("rms", "%", "root mean square error over the whole surface, of the largest current", ".2f"),
        Column("worst", "%", "largest error anywhere, of the largest current", ".2f"),
        Column("Idsat", "%", "error at Vg = Vd = Vdd", "+z.2f"),
        Column("Ieff", "%", "error of the mean of the currents at half and full voltage", "+z.2f"),
        Column("Idlin", "%", "error at Vg = Vdd, Vd = 50 mV", "+z.2f"),
        Column("subthreshold", "%", "largest relative error below threshold", ".0f"),
        Column("verdict", "", "against the limits of its sheet"),
    )
    lines: list[tuple[tuple[Any, ...], bool | None]] = []
    for row in rows:
        e = row.errors
        errors = (100 * value for value in (e.rms, e.worst, e.idsat, e.ieff, e.idlin, e.subthreshold))
        lines.append(((row.device, row.process, row.celsius, *errors), row.within))
    return judged_table("Cards against the curves that they were fitted to", columns, lines)
