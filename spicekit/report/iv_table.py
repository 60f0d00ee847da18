"""Pages and charts of I-V tables."""

from typing import Any

import numpy as np

from spicekit.provenance import JsonDict
from spicekit.report.charts import ZOOM, Chart, axis, category, switched, tips
from spicekit.report.page import Column, Number, Page, Table
from spicekit.tables.characterise import Sweep
from spicekit.units import engineering, to_celsius

SOURCE_LINE = (0.0, 0.05, 0.10, 0.20, 0.30)
"""V, levels that are drawn."""
FLOOR = 1e-16
"""A, absolute tolerance of the sweeps: below it a current is the solver's."""


def table_page(sweep: Sweep, *, name: str) -> Page:
    """Page of one table."""
    volts = sweep.voltage.tolist()
    half = len(volts) // 2
    states = {(w, a): float(sweep.current[w, a, half, 0]) for w, a in np.ndindex(2, 2)}
    missing = int((~sweep.converged).sum())
    conditions = sweep.origin.get("conditions", {})
    corner = conditions.get("corner", {})
    where = f"{conditions.get('cell', 'cell')}, {corner.get('process', '?')}"
    if "temperature" in corner:
        where += f", {to_celsius(float(corner['temperature'])):g} °C"
    on, off = states[1, 1], max(states[0, 1], FLOOR)
    return Page(
        title=f"I-V table {name}",
        verdict=f"{where}: {engineering(on, 'A')} ON and {engineering(off, 'A')} OFF at {volts[half]:.2f} V."
        + (f" ngspice did not converge at {missing} points: no engine takes it." if missing else ""),
        numbers=(
            Number(
                engineering(on, "A"),
                "ON current",
                f"stored 1, applied 1, bit line {volts[half]:.2f} V, source line 0 V",
            ),
            Number(f"{on / off:.3g}", "ON over OFF", "stored 1 against stored 0, applied 1"),
            Number(engineering(max(states[1, 0], FLOOR), "A"), "leakage", "stored 1, applied 0"),
            Number(
                f"{sweep.current.size - missing:,}", "points that converged", f"of {sweep.current.size:,}"
            ),
        ),
        parts=(*iv_charts(sweep), _states(sweep)),
        good=False if missing else None,
        provenance=sweep.origin,
        rows=_rows(sweep),
    )


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
    parameter, opacity = switched("sl")
    on = Chart(
        "iv-on",
        "ON cell",
        "Current of a cell that holds 1 and gets 1 over its bit-line voltage, for several source-line voltages.",
        family,
        {
            "mark": {"type": "line", "point": {"size": 12}},
            "params": [parameter, ZOOM],
            "encoding": {
                "x": axis("bl", "bit line, V"),
                "y": axis("current", "current, uA"),
                "color": category("sl", "source line"),
                "opacity": opacity,
                "tooltip": tips(
                    {"bl": "bit line, V", "sl": "source line", "current": "current, uA"}, {"current": ".4~g"}
                ),
            },
        },
    )
    parameter, opacity = switched("state")
    four = Chart(
        "iv-states",
        "The four states",
        "Over the bit-line voltage, source line at 0 V. Only the state stored 1, applied 1 should conduct.",
        states,
        {
            "mark": "line",
            "params": [parameter],
            "encoding": {
                "x": axis("bl", "bit line, V"),
                "y": axis(
                    "current", "current, A", scale={"type": "log"}, axis={"format": ".0e", "tickCount": 6}
                ),
                "color": category("state", None),
                "strokeDash": category("state", None),
                "opacity": opacity,
                "tooltip": tips(
                    {"bl": "bit line, V", "state": "state", "current": "current, A"}, {"current": ".3e"}
                ),
            },
        },
    )
    return on, four


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
