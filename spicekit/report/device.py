"""Transistors for people: a table of figures against their targets, curves of what they carry."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from spicekit.devices.cards import Speed
from spicekit.devices.check import FIGURES, CheckRecord, Comparison, CurveCheck, Family
from spicekit.report.charts import LOG, Chart, Spec, axis, category, curves, plain_name, switched, tips
from spicekit.report.page import Column, Number, Page, Table


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
        note = "One fin, magnitudes, drain at Vdd 0.70 V, by corner and temperature."
        charts.append(
            Chart(f"{name}-transfer", f"{device}: transfer curves", note, _of(rows, gated=False), transfer)
        )
        note = "One fin, magnitudes, typical corner, 25 °C, by gate voltage."
        charts.append(
            Chart(f"{name}-output", f"{device}: output curves", note, _of(rows, gated=True), output)
        )
    return [chart for chart in charts if chart.rows]


def _of(rows: Sequence[dict[str, Any]], *, gated: bool) -> list[dict[str, Any]]:
    return [row for row in rows if (row["gate"] is not None) == gated]


_SPEEDS: tuple[Speed, ...] = ("ss", "tt", "ff")


CORNERS = {"min": "ss", "typ": "tt", "max": "ff"}
"""Columns of a data sheet; min and max are those of the three."""


def check_page(record: CheckRecord) -> Page:
    """Page of `spicekit devices check --json`."""
    rows, out = record.figures, record.out_of_reach
    judged = [row for row in rows if row.target is not None and FIGURES[row.figure].tolerance is not None]
    devices = list(dict.fromkeys(row.device for row in rows))
    of = f"{len(judged)} figures with a published target"
    of += f" and {len(record.curves)} curve sets" if record.curves else ""
    verdict = (
        f"{of} are within their limits." if not out else f"Of {of}, {len(out)} are out: {', '.join(out)}."
    )
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
            Number(
                "-" if worst is None else f"{_share(worst):.0%}",
                "of its limit, the worst figure",
                whose,
            ),
        ),
        parts=(
            *((_chart(judged),) if judged else ()),
            *family_charts(record.families),
            *check_tables(record),
        ),
        rows=[asdict(row) for row in rows],
    )


def _share(row: Comparison) -> float:
    tolerance = FIGURES[row.figure].tolerance
    return 0.0 if row.deviation is None or not tolerance else abs(row.deviation) / tolerance


def _chart(judged: Sequence[Comparison]) -> Chart:
    rows = [
        {
            "device": row.device,
            "figure": row.figure,
            "share": 100 * (row.deviation or 0.0) / (FIGURES[row.figure].tolerance or 1.0),
            "measured": f"{FIGURES[row.figure].show(row.measured)} {FIGURES[row.figure].unit}",
            "target": f"{FIGURES[row.figure].show(row.target)} {FIGURES[row.figure].unit}",
        }
        for row in judged
    ]
    parameter, opacity = switched("device")
    spec: Spec = {
        "layer": [
            {
                "mark": {"type": "rule", "strokeDash": [5, 4]},
                "data": {"values": [{"limit": -100}, {"limit": 100}]},
                "encoding": {"x": axis("limit", "deviation, % of the limit")},
            },
            {
                "params": [parameter],
                "mark": {"type": "point", "filled": True, "size": 80},
                "encoding": {
                    "y": category("figure", None, order=list(FIGURES)),
                    "yOffset": category("device", None),
                    "x": axis("share", "deviation, % of the limit"),
                    "color": category("device", None),
                    "opacity": opacity,
                    "tooltip": tips(
                        "device", "figure", "measured", "target", ("share", "% of the limit", "+.1f")
                    ),
                },
            },
        ]
    }
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
    lines: list[tuple[Any, ...]] = []
    failed = set()
    for name, figure in FIGURES.items():
        own = [row for row in rows if row.device == device and row.figure == name]
        typical = next((row for row in own if row.process == CORNERS["typ"]), None)
        if not own or typical is None:
            continue
        values = [figure.scale * row.measured for row in own]
        target = None if typical.target is None else figure.scale * typical.target
        judged = typical.target is not None and figure.tolerance is not None
        if judged and not typical.within:
            failed.add(len(lines))
        lines.append(
            (
                name,
                figure.unit,
                min(values),
                figure.scale * typical.measured,
                max(values),
                target,
                figure.show_deviation(typical.deviation),
                figure.show_deviation(figure.tolerance, sign="-"),
                ("pass" if typical.within else "FAIL") if judged else "",
            )
        )
    return Table(device, columns, tuple(lines), "One fin, 25 °C, Vdd 0.70 V.", frozenset(failed))


def _curve_table(rows: Sequence[CurveCheck]) -> Table:
    """How far cards are from their curves, by corner and temperature."""
    columns = (
        Column("device"),
        Column("corner"),
        Column("temp.", "°C", form=".0f"),
        Column("rms", "%", "root mean square error over the whole surface, of the largest current", ".2f"),
        Column("worst", "%", "largest error anywhere, of the largest current", ".2f"),
        Column("Idsat", "%", "error at Vg = Vd = Vdd", "+.2f"),
        Column("Ieff", "%", "error of the mean of the currents at half and full voltage", "+.2f"),
        Column("Idlin", "%", "error at Vg = Vdd, Vd = 50 mV", "+.2f"),
        Column("subthreshold", "%", "largest relative error below threshold", ".0f"),
        Column("verdict", "", "against the limits of its sheet"),
    )
    lines = []
    for row in rows:
        e = row.errors
        values = (e.rms, e.worst, e.idsat, e.ieff, e.idlin, e.subthreshold)
        verdict = "pass" if row.within else "FAIL"
        lines.append((row.device, row.process, row.celsius, *(100 * value for value in values), verdict))
    failed = frozenset(place for place, row in enumerate(rows) if not row.within)
    return Table("Cards against the curves that they were fitted to", columns, tuple(lines), marked=failed)
