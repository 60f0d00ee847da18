"""Write a fitted device: its cards, and the record of how they came about."""

from pathlib import Path

from spicekit.devices.bsim4 import (
    CORNER_DRIVE,
    CORNER_VT,
    NOMINAL,
    SKEW,
    at_corner,
    model_statement,
    parameters,
)
from spicekit.devices.cards import Speed, card_from_text
from spicekit.devices.check import FIGURES, Comparison, compare
from spicekit.devices.fit import FREE, Fit
from spicekit.devices.measure import gate_capacitances, measure
from spicekit.files import write_atomically
from spicekit.spice.simulator import ngspice_version


def write_device(fit: Fit, folder: Path) -> list[Comparison]:
    """Write `tt.sp`, `ff.sp`, `ss.sp` and `fit.md` into a folder; returns the typical card's figures."""
    cards = {speed: _card_text(fit, speed) for speed in SKEW}
    typical = card_from_text(cards["tt"], fit.sheet, device=fit.device)
    (figures,) = measure([typical], NOMINAL)
    (capacitance,) = gate_capacitances([typical], NOMINAL)
    comparisons = compare(fit.device, "tt", figures, capacitance, sheet=fit.sheet)
    for speed, text in cards.items():
        write_atomically(folder / f"{speed}.sp", text)
    write_atomically(folder / "fit.md", _record(fit, comparisons))
    return comparisons


def _card_text(fit: Fit, speed: Speed) -> str:
    values = at_corner(parameters(fit.sheet, fit.fitted), speed)
    model = f"{fit.device.replace('-', '_')}_{speed}"
    return (
        f"* {fit.device} at {speed}: one fin of the 7 nm node as a BSIM4 card for stock ngspice.\n"
        f"* Written by `spicekit devices fit {fit.device}` from device.toml; figures in fit.md.\n"
        + model_statement(fit.sheet.polarity, model, values)
    )


def _record(fit: Fit, comparisons: list[Comparison]) -> str:
    figures = [_line(row) for row in comparisons]
    fitted = [
        f"| {name} | {fit.fitted[name]:.5g} | {free.start:g} | {free.low:g} to {free.high:g} |"
        for name, free in FREE.items()
    ]
    return f"""# How {fit.device} was fitted

`spicekit devices fit {fit.device}`: least squares on {len(FREE)} BSIM4 parameters against ngspice
{ngspice_version()}, {fit.evaluations} evaluations; kt1 = {fit.fitted["kt1"]:.5g} then follows from two temperatures.
Targets and their sources: `device.toml`; fixed parameters: `spicekit/devices/bsim4.py`; method:
`spicekit/devices/fit.py`.
The ff and ss cards move vth0 by {1e3 * CORNER_VT:g} mV, and u0 and vsat by {CORNER_DRIVE:.0%}
(`docs/decisions/corners-and-mismatch.md`).

| figure at TT | measured | target | deviation | reach |
|---|---|---|---|---|
{_lines(figures)}

| parameter | fitted | start | bounds |
|---|---|---|---|
{_lines(fitted)}

vth0 is given as a magnitude; its start and bounds count from vtsat.
"""


def _line(row: Comparison) -> str:
    figure = FIGURES[row.figure]
    reach = figure.show_deviation(figure.reach, sign="-")
    return (
        f"| {row.figure}, {figure.unit} | {figure.show(row.measured)} | {figure.show(row.target)} "
        f"| {figure.show_deviation(row.deviation)} | {reach} |"
    )


def _lines(rows: list[str]) -> str:
    return "\n".join(rows)
