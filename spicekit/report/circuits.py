"""Circuits for people: margins and read currents of cells, reads that settle, what a deck holds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spicekit.circuits.spec import TileSpec
from spicekit.decks.expansion import Summary
from spicekit.files import write_atomically
from spicekit.report.charts import Chart, Spec, axis, category, layer, only, png_of
from spicekit.report.page import Table, text_table
from spicekit.tables.cell_figures import CellFigures, CoreMargins, ElementMargins, ReadPoint
from spicekit.tables.settling import Settling
from spicekit.units import MICRO, PICO, engineering, to_celsius


def cell_tables(figures: CellFigures) -> list[Table]:
    """Margins and read currents of a cell."""
    tables, heads = [], ["figure", "value"]
    if figures.core is not None:
        tables.append(text_table("6T core and read port", heads, _core_rows(figures.core)))
    if figures.element is not None:
        rows = _element_rows(figures.element)
        tables.append(text_table("read disturb of the ReRAM element", heads, rows))
    heads = ["process", "supply", "temp.", "on", "off (w=0)", "idle (a=0)", "on/off"]
    over = {"temperature": figures.over_temperature, "supply": figures.over_supply}
    return tables + [
        text_table(f"read current over {name}", heads, map(_read_row, points)) for name, points in over.items()
    ]


def _core_rows(core: CoreMargins) -> list[tuple[str, str]]:
    figures = {
        "hold static noise margin": core.hold.margin,
        "read static noise margin (write ports opened: half-selected cell)": core.read.margin,
        "write static noise margin": core.write.margin,
        "bit-line voltage below which a write succeeds": core.write_trip,
        "rise of a stored 0 when half-selected": core.half_select_rise,
        "disturb of the stored level by the read port, at rest": core.port_rise,
        "disturb of the stored level by the read port, peak during a read": core.port_kick,
    }
    leakage = ("leakage of the core", engineering(core.leakage, "A"))
    return [*((name, engineering(value, "V")) for name, value in figures.items()), leakage]


def _element_rows(element: ElementMargins) -> list[tuple[str, str]]:
    figures = {
        "across the element in the low-resistance state": element.lrs,
        "across the element in the high-resistance state": element.hrs,
        "left until set (high-resistance state)": element.set,
        "left until reset (low-resistance state)": element.reset,
    }
    return [(name, engineering(value, "V")) for name, value in figures.items()]


def _read_row(point: ReadPoint) -> tuple[str, ...]:
    corner = point.corner
    currents = (engineering(current, "A") for current in (point.on, point.off, point.idle))
    supply, celsius = f"{corner.vdd:.2f} V", f"{to_celsius(corner.temperature):.0f} C"
    return (corner.process, supply, celsius, *currents, f"{point.ratio:.3g}")


def settling_table(spec: TileSpec, reads: Mapping[str, Settling]) -> Table:
    """Time and charge of reads, by pattern."""
    rows = (
        (
            pattern,
            engineering(read.time, "s"),
            engineering(float(read.current.max()), "A"),
            engineering(read.read_charge, "C"),
            engineering(read.word_line_charge, "C"),
        )
        for pattern, read in reads.items()
    )
    heads = ("pattern", "settles in", "current", "read charge", "word-line charge")
    whose = "a column" if spec.drive == "wordline" else "all rows"
    note = f"read charge of {whose} until settled; word-line charge of all asserted rows past {spec.columns} columns"
    title = f"read of {spec.rows} rows, {spec.rows_active} asserted, to half an LSB"
    return text_table(title, heads, rows, note)


def deck_tables(summary: Summary) -> list[Table]:
    """What a deck holds."""
    tables, header = [], summary.header
    if header is not None:
        facts = {k: v for k, v in header.facts.items() if not isinstance(v, dict)}
        facts |= header.facts.get("origin", {})
        tile = header.spec
        facts |= {
            "tile": f"{tile.rows} x {tile.columns} {tile.cell}, {tile.drive} drive, sense end {tile.sense_end}",
            "bias": f"v_read {tile.v_read} V, v_wl {tile.v_wl} V, vdd {tile.corner.vdd} V",
            "corner": f"{tile.corner.process}, {to_celsius(tile.corner.temperature):g} C",
        }
        tables.append(text_table("header", ("fact", "value"), ((k, _short(k, v)) for k, v in facts.items())))
    counts = [(f"device {name}", str(count)) for name, count in summary.devices.items()]
    counts += [(f"instances of {name}", str(count)) for name, count in summary.instances.items()]
    tables.append(text_table("counts, subcircuits unfolded", ("what", "number"), counts))
    for title, unit, groups in (
        ("resistors", "ohm", summary.resistors),
        ("capacitors", "F", summary.capacitors),
        ("sources", "", summary.sources),  # whose voltages add up to nothing
    ):
        rows = []
        for name, group in groups.items():
            total = "" if group.total is None or not unit else engineering(group.total, unit)
            rows.append((name, str(group.count), ", ".join(group.values[:3]), total))
        if rows:
            tables.append(text_table(title, ("name", "number", "set to", "sum"), rows))
    if header is not None and (expected := header.facts.get("expected")):
        title = f"expected column currents, within {engineering(expected['tolerance'], 'A')}"
        currents = ((str(j), engineering(current, "A")) for j, current in enumerate(expected["current"]))
        tables.append(text_table(title, ("column", "current"), currents))
    return tables


def _short(name: str, value: object) -> str:
    return f"{value}"[:12] if name.endswith("sha256") else str(value)  # enough to tell one from another


def draw_cell(figures: CellFigures, folder: Path) -> list[Path]:
    """Write PNG files into a folder; their paths."""
    pictures = {"read_current.png": _read_currents(figures)}
    if figures.core is not None:
        pictures["butterfly.png"] = _butterflies(figures.core)
    for name, charts in pictures.items():
        write_atomically(folder / name, png_of(charts))
    return [folder / name for name in pictures]


def draw_settling(reads: Mapping[str, Settling], path: Path) -> None:
    """Write a PNG of column currents over time, with the band of half an LSB and the settling time."""
    slowest = max(read.time for read in reads.values()) / PICO
    rows: list[dict[str, Any]] = []
    for pattern, read in reads.items():
        column = int(read.current.argmax())
        time, current = (
            (read.waves["time"] - read.delay) / PICO,
            read.waves[f"vsense_{column}#branch"] / MICRO,
        )
        shown = (time >= -10) & (time <= 3 * slowest)
        points = zip(time[shown].tolist(), current[shown].tolist(), strict=True)
        rows += [{"pattern": pattern, "time": t, "current": i} for t, i in points]
        end, half = float(read.current[column]) / MICRO, read.lsb / 2 / MICRO
        rows.append({"pattern": pattern, "low": end - half, "high": end + half, "settled": read.time / PICO})
    title, color = "column current, uA", category("pattern", None)
    spec: Spec = {
        "layer": [
            layer({"type": "rect", "opacity": 0.2}, y=axis("low", title), y2={"field": "high"}, color=color),
            layer({"type": "rule", "strokeDash": [2, 3]}, x=axis("settled", _TIME), color=color),
            _line("time", _TIME, "current", title, "pattern"),
        ]
    }
    note = "Band: half an LSB around the settled current. Dotted: from here on the current stays within it."
    write_atomically(path, Chart("settling", "A read settles", note, rows, spec).png())


_TIME = "time since the edge, ps"


def _line(x: str, x_title: str, y: str, y_title: str, series: str, **y_more: Any) -> Spec:
    return layer(
        {"type": "line", "point": len(y_more) > 0},
        transform=only(y),
        x=axis(x, x_title, scale={"zero": False}),
        y=axis(y, y_title, **y_more),
        color=category(series, None),
        order={"field": "place"},
    )


def _butterflies(core: CoreMargins) -> list[Chart]:
    charts = []
    for measured in (core.hold, core.read, core.write):
        lines = {
            "qb driven by q": (measured.input, measured.qb),
            "q driven by qb": (measured.q, measured.input),
        }
        rows: list[dict[str, Any]] = [
            {"curve": name, "q": q, "qb": qb, "place": place}
            for name, (x, y) in lines.items()
            for place, (q, qb) in enumerate(zip(x.tolist(), y.tolist(), strict=True))
        ]
        squares = [
            {"left": one.q, "right": one.q + one.side, "low": one.qb, "high": one.qb + one.side}
            for one in measured.squares
        ]
        square = layer(
            {"type": "rect", "color": "#bbbbbb", "opacity": 0.5},
            data={"values": squares},
            x=axis("left", "q, V"),
            x2={"field": "right"},
            y=axis("low", "qb, V"),
            y2={"field": "high"},
        )
        title = f"{measured.access}: {1e3 * measured.margin:.0f} mV"
        spec: Spec = {"layer": [square, _line("q", "q, V", "qb", "qb, V", "curve")]}
        charts.append(Chart(f"butterfly-{measured.access}", title, "Its margin.", rows, spec, height=640))
    return charts


def _read_currents(figures: CellFigures) -> list[Chart]:
    over = {
        "temperature": (
            "temperature, °C",
            [(p, to_celsius(p.corner.temperature)) for p in figures.over_temperature],
        ),
        "supply": ("supply, V", [(p, p.corner.vdd) for p in figures.over_supply]),
    }
    return [chart for name, (title, points) in over.items() for chart in _over(name, title, points)]


def _over(name: str, title: str, points: Sequence[tuple[ReadPoint, float]]) -> list[Chart]:
    rows = [
        {"process": point.corner.process, "x": x, "on": point.on / MICRO, "ratio": point.ratio, "place": x}
        for point, x in points
    ]
    heads: dict[str, tuple[str, str, Spec]] = {
        "on": ("ON current", "on current, uA", {"scale": {"zero": False}}),
        "ratio": ("ON over OFF", "on current / off current", {"scale": {"type": "log"}}),
    }
    return [
        Chart(f"{key}-{name}", f"{head} over {name}", "", rows, _line("x", title, key, y, "process", **more))
        for key, (head, y, more) in heads.items()
    ]
