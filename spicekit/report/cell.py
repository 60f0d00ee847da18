"""I-V tables of cells: pages of one or several, charts."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from spicekit.provenance import JsonDict
from spicekit.report.charts import LOG, Chart, axis, category, curves, plain_name, tips
from spicekit.report.page import Column, Number, Page, Table
from spicekit.tables.characterise import Sweep
from spicekit.units import engineering, to_celsius

SOURCE_LINE = (0.0, 0.05, 0.10, 0.20, 0.30)
"""V, levels that are drawn."""
FLOOR = 1e-16
"""A, absolute tolerance of the sweeps: below it a current is the solver's."""


def table_page(sweep: Sweep, *, name: str) -> Page:
    """Page of one table."""
    figures, missing = _figures(sweep), int((~sweep.converged).sum())
    volt = f"{sweep.voltage[len(sweep.voltage) // 2]:.2f} V"
    on, off = engineering(figures["ON"], "A"), engineering(figures["OFF"], "A")
    leakage = engineering(max(figures["leakage"], FLOOR), "A")
    lost = f" ngspice did not converge at {missing} points: no engine takes it." if missing else ""
    points = f"{sweep.current.size - missing:,}"
    return Page(
        title=f"I-V table {name}",
        verdict=f"{', '.join(_conditions(sweep))}: {on} ON and {off} OFF at {volt}.{lost}",
        numbers=(
            Number(on, "ON current", f"stored 1, applied 1, bit line {volt}, source line 0 V"),
            Number(f"{figures['ON/OFF']:.3g}", "ON over OFF", "stored 1 against stored 0, applied 1"),
            Number(leakage, "leakage", "stored 1, applied 0"),
            Number(points, "points that converged", f"of {sweep.current.size:,}"),
        ),
        parts=(*iv_charts(sweep), _states(sweep)),
        good=False if missing else None,
        provenance=sweep.origin,
        rows=_rows(sweep),
    )


def _conditions(sweep: Sweep) -> tuple[str, str, str]:
    """Cell, process corner and temperature."""
    conditions = sweep.origin.get("conditions", {})
    corner = conditions.get("corner", {})
    kelvin = corner.get("temperature")
    celsius = "?" if kelvin is None else f"{to_celsius(float(kelvin)):g}"
    return str(conditions.get("cell", "cell")), str(corner.get("process", "?")), f"{celsius} °C"


def tables_page(sweeps: Mapping[str, Sweep]) -> Page:
    """Page of several tables: a data sheet of their cells over corners and temperatures."""
    sheets: dict[str, Rows] = {}
    for name, sweep in sweeps.items():
        cell, process, celsius = _conditions(sweep)
        sheets.setdefault(cell, []).append((name, process, celsius, _figures(sweep), sweep))
    missing = {name: int((~sweep.converged).sum()) for name, sweep in sweeps.items()}
    faulty = [name for name, points in missing.items() if points]
    numbers = []
    for cell, rows in list(sheets.items())[:4]:
        on = [figures["ON"] for *_, figures, _ in rows]
        span = f"{engineering(min(on), 'A')} to {engineering(max(on), 'A')}"
        numbers.append(Number(span, f"ON current of {cell}", f"{len(rows)} corners and temperatures"))
    return Page(
        title=f"{len(sweeps)} I-V tables",
        verdict=f"ngspice did not converge everywhere in {', '.join(faulty)}: no engine takes these."
        if faulty
        else f"{len(sweeps)} tables of {', '.join(sheets)}: every point converged.",
        numbers=tuple(numbers),
        parts=(
            *(_corners(cell, rows) for cell, rows in sheets.items()),
            *(_data_sheet(cell, rows) for cell, rows in sheets.items()),
        ),
        good=not faulty,
        rows=[
            {"table": name, "cell": cell, "process": process, "temperature": celsius, **figures}
            for cell, rows in sheets.items()
            for name, process, celsius, figures, _ in rows
        ],
    )


Rows = list[tuple[str, str, str, dict[str, float], Sweep]]
"""Name, process corner, temperature, figures and sweep of each table of a cell."""


def _figures(sweep: Sweep) -> dict[str, float]:
    """Currents in the middle of the sweep, A, and their ratio; source line at 0 V."""
    half = len(sweep.voltage) // 2
    state = np.nan_to_num(sweep.current[:, :, half, 0])
    off = max(float(state[0, 1]), FLOOR)
    return {
        "ON": float(state[1, 1]),
        "OFF": off,
        "ON/OFF": float(state[1, 1]) / off,
        "leakage": float(state[1, 0]),
    }


def _corners(cell: str, rows: Rows) -> Chart:
    points = [
        {"bl": volt, "current": 1e6 * current, "corner": process, "temperature": celsius}
        for _, process, celsius, _, sweep in rows
        for volt, current in zip(sweep.voltage.tolist(), sweep.current[1, 1, :, 0].tolist(), strict=True)
        if np.isfinite(current)
    ]
    spec = curves(
        axis("bl", "bit line, V"),
        axis("current", "current, uA"),
        by=category("corner", "corner"),
        dash=category("temperature", "temperature"),
        tooltip=tips("corner", "temperature", ("bl", "bit line, V"), ("current", "current, uA", ".4~g")),
    )
    note = "Current of a cell that holds 1 and gets 1, source line at 0 V, by corner and temperature."
    return Chart(f"corners-{plain_name(cell).replace(' ', '-')}", f"ON current of {cell}", note, points, spec)


def _data_sheet(cell: str, rows: Rows) -> Table:
    typical = next((row[3] for row in rows if row[1:3] == ("tt", "25 °C")), {})
    units = {"ON": ("uA", 1e6), "OFF": ("pA", 1e12), "ON/OFF": ("", 1.0), "leakage": ("pA", 1e12)}
    columns = (
        Column("figure"),
        Column("unit"),
        Column("min", "", "lowest of the tables", ".4g"),
        Column("typ", "", "tt corner, 25 °C", ".4g"),
        Column("max", "", "highest of the tables", ".4g"),
    )
    lines = []
    for name, (unit, scale) in units.items():
        values = [scale * row[3][name] for row in rows]
        lines.append((name, unit, min(values), scale * typical[name] if typical else None, max(values)))
    volt = float(rows[0][4].voltage[len(rows[0][4].voltage) // 2])
    note = (
        f"Bit line {volt:.2f} V, source line 0 V. ON: stored 1, applied 1. OFF: stored 0, applied 1. Leakage: "
        "stored 1, applied 0. Word lines and supply as in each table."
    )
    return Table(f"{cell}, over corners and temperatures", columns, tuple(lines), note)


def iv_charts(sweep: Sweep) -> tuple[Chart, Chart]:
    """The ON cell over both terminal voltages, and the four states on a logarithmic scale."""
    volts = sweep.voltage.tolist()
    family: list[dict[str, Any]] = []
    for level in SOURCE_LINE:
        place = int(np.abs(sweep.voltage - level).argmin())
        family += [
            {"bl": volt, "current": 1e6 * current, "sl": f"{volts[place]:.2f} V"}
            for volt, current in zip(volts, sweep.current[1, 1, :, place].tolist(), strict=True)
            if np.isfinite(current)
        ]
    states = [
        {
            "bl": volts[bl],
            "current": max(float(sweep.current[w, a, bl, 0]), FLOOR),
            "state": f"stored {w}, applied {a}",
        }
        for w, a in np.ndindex(2, 2)
        for bl in range(1, len(volts))
        if np.isfinite(sweep.current[w, a, bl, 0])
    ]
    x = axis("bl", "bit line, V")
    on = curves(
        x,
        axis("current", "current, uA"),
        by=category("sl", "source line"),
        tooltip=tips(("bl", "bit line, V"), ("sl", "source line"), ("current", "current, uA", ".4~g")),
        point={"size": 12},
    )
    four = curves(
        x,
        axis("current", "current, A", **LOG),
        by=category("state", None),
        dash=category("state", None),
        tooltip=tips(("bl", "bit line, V"), "state", ("current", "current, A", ".3e")),
        zoom=False,
    )
    note = "Current of a cell that holds 1 and gets 1 over its bit-line voltage, for several source-line voltages."
    only_on = "Over the bit-line voltage, source line at 0 V. Only the state stored 1, applied 1 should conduct."
    return (
        Chart("iv-on", "ON cell", note, family, on),
        Chart("iv-states", "The four states", only_on, states, four),
    )


def _states(sweep: Sweep) -> Table:
    volts = sweep.voltage
    columns = (
        Column("stored"),
        Column("applied"),
        *(Column(f"{volt:.2f} V", form=".3e") for volt in volts[:: max(1, len(volts) // 5)]),
    )
    rows = tuple(
        (str(w), str(a), *(float(value) for value in sweep.current[w, a, :: max(1, len(volts) // 5), 0]))
        for w, a in np.ndindex(2, 2)
    )
    return Table("Currents", columns, rows, "In A, by the bit-line voltage; source line at 0 V.")


def _rows(sweep: Sweep) -> list[JsonDict]:
    volts = sweep.voltage.tolist()
    return [
        {"stored": w, "applied": a, "v_bl": volts[bl], "v_sl": volts[sl], "current": float(current)}
        for (w, a, bl, sl), current in np.ndenumerate(sweep.current)
    ]
