"""Transistors for people: a table of figures against their targets, curves of what they carry."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from spicekit.devices.cards import Speed
from spicekit.devices.check import FIGURES, Comparison, CurveCheck, Family
from spicekit.report.charts import ZOOM, Chart, Spec, axis, category, plain_name, switched, tips


def print_check(rows: Sequence[Comparison]) -> None:
    """Print cards, one line each, the typical ones with their targets, deviations and tolerance below."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table("device", "", box=box.SIMPLE, padding=(0, 0, 0, 1))
    for name, figure in FIGURES.items():
        table.add_column(f"{name}\n{figure.unit}", justify="right", no_wrap=True)
    for (device, process), card in groupby(rows, key=lambda row: (row.device, row.process)):
        shown = [(FIGURES[row.figure], row) for row in card]
        table.add_row(
            device if process == "tt" else "", process, *(figure.show(row.measured) for figure, row in shown)
        )
        if any(row.target for _, row in shown):
            table.add_row("", "target", *(figure.show(row.target) for figure, row in shown), style="dim")
            deviations = (
                f"[{'green' if row.within else 'bold red'}]{figure.show_deviation(row.deviation)}[/]"
                for figure, row in shown
            )
            table.add_row("", "off by", *deviations)
    tolerance = (figure.show_deviation(figure.tolerance, sign="-") for figure in FIGURES.values())
    table.add_row("tolerance", "", *tolerance, style="dim")
    Console(width=100).print(table)


def print_curves(rows: Sequence[CurveCheck]) -> None:
    """Print how far cards are from their curves, a line for each corner and temperature."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    heads = ("°C", "rms", "worst", "Idsat", "Ieff", "Idlin", "subthreshold")
    table = Table("device", "", box=box.SIMPLE, padding=(0, 0, 0, 1))
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        e = row.errors
        table.add_row(
            row.device,
            row.process,
            f"{row.celsius:g}",
            *(f"{value:.2%}" for value in (e.rms, e.worst)),
            *(f"{value:+.2%}" for value in (e.idsat, e.ieff, e.idlin)),
            f"{e.subthreshold:.0%}",
            style="" if row.within else "bold red",
        )
    Console(width=100).print(table)


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
        form = {"current": ".4~g"}
        parameter, opacity = switched("corner")
        transfer: Spec = {
            "mark": "line",
            "params": [parameter],
            "encoding": {
                "x": axis("v", "gate voltage, V"),
                "y": axis(
                    "current",
                    "drain current, uA",
                    scale={"type": "log"},
                    axis={"format": ".0e", "tickCount": 6},
                ),
                "color": category("corner", "corner", order=_SPEEDS),
                "strokeDash": category("temperature", "temperature"),
                "opacity": opacity,
                "tooltip": tips(
                    {"corner": "corner", "temperature": "temperature", "v": "gate, V", "current": "uA"}, form
                ),
            },
        }
        parameter, opacity = switched("gate")
        output: Spec = {
            "mark": "line",
            "params": [parameter, ZOOM],
            "encoding": {
                "x": axis("v", "drain voltage, V"),
                "y": axis("current", "drain current, uA"),
                "color": category("gate", "gate"),
                "opacity": opacity,
                "tooltip": tips({"gate": "gate", "v": "drain, V", "current": "uA"}, form),
            },
        }
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
