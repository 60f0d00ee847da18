"""Transistors for people: a table of figures against their targets, a picture of what one carries."""

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from spicekit.devices.cards import Card, Speed, load_card
from spicekit.devices.check import FIGURES, Comparison, CurveCheck
from spicekit.devices.corners import Corner
from spicekit.devices.measure import measure, output_curve, transfer_curve
from spicekit.report.pictures import png
from spicekit.units import to_celsius

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLD, _ROOM, _HOT = 233.15, 298.15, 398.15  # K: -40, 25 and 125 degrees Celsius
_SPEEDS: dict[Speed, str] = {"ff": "C3", "tt": "black", "ss": "C0"}


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


def draw_device(device: str) -> bytes:
    """A PNG of a shipped device (or a folder of cards): transfer, output, temperature, corners.

    Raises
    ------
    BadInput
        If there is no such device with three corners.
    SpiceFailed
        If ngspice refuses a card or does not converge.
    """
    from matplotlib.figure import Figure

    cards = {speed: load_card(device, speed) for speed in _SPEEDS}
    figure = Figure(figsize=(13.5, 7.5), layout="constrained")
    figure.suptitle(f"{device}: one fin, magnitudes, Vdd = {Corner().vdd:g} V")
    (log, linear, output), temperature = figure.subplots(2, 3)
    _draw_transfer(cards["tt"], log, linear)
    _draw_output(cards["tt"], output)
    _draw_temperature(cards, temperature)
    for axes in (log, linear, output, *temperature):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    return png(figure, dpi=110)


def _draw_transfer(card: Card, log: "Axes", linear: "Axes") -> None:
    for temperature, colour in ((_COLD, "C0"), (_ROOM, "black"), (_HOT, "C3")):
        gate, current = transfer_curve(card, Corner(temperature=temperature))
        label = f"{to_celsius(temperature):.0f} °C"
        log.semilogy(gate, 1e6 * current, color=colour, label=label)
        linear.plot(gate, 1e6 * current, color=colour, label=label)
    for axes in (log, linear):
        axes.set(xlabel="gate voltage, V", ylabel="drain current at Vd = Vdd, uA")


def _draw_output(card: Card, axes: "Axes") -> None:
    for v_gate in (0.3, 0.4, 0.5, 0.6, 0.7):
        drain, current = output_curve(card, Corner(), v_gate=v_gate)
        axes.plot(drain, 1e6 * current, label=f"Vg = {v_gate:g} V")
    axes.set(xlabel="drain voltage, V", ylabel="drain current at 25 °C, uA")


def _draw_temperature(cards: dict[Speed, Card], panels: Sequence["Axes"]) -> None:
    kelvin = np.linspace(_COLD, _HOT, 7)
    measured = [measure(list(cards.values()), Corner(temperature=float(t))) for t in kelvin]
    celsius = [to_celsius(t) for t in kelvin]
    for k, (speed, colour) in enumerate(_SPEEDS.items()):
        idsat, vtsat, ioff = panels
        idsat.plot(celsius, [1e6 * row[k].idsat for row in measured], color=colour, label=speed)
        vtsat.plot(celsius, [1e3 * row[k].vtsat for row in measured], color=colour, label=speed)
        ioff.semilogy(celsius, [1e9 * row[k].ioff for row in measured], color=colour, label=speed)
    for axes, label in zip(panels, ("Idsat, uA", "Vtsat, mV", "Ioff, nA"), strict=True):
        axes.set(xlabel="temperature, °C", ylabel=label)
