"""Pictures of cells and columns: butterfly curves, read currents, settling."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spicekit.files import write_atomically
from spicekit.report.charts import Chart, Spec, axis, category, png_of
from spicekit.tables.cell_figures import CellFigures, CoreMargins, ReadPoint
from spicekit.tables.settling import Settling
from spicekit.units import MICRO, PICO, to_celsius


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
            {
                "mark": {"type": "rect", "opacity": 0.2},
                "encoding": {"y": axis("low", title), "y2": {"field": "high"}, "color": color},
            },
            {
                "mark": {"type": "rule", "strokeDash": [2, 3]},
                "encoding": {"x": axis("settled", _TIME), "color": color},
            },
            _line("time", _TIME, "current", title, "pattern"),
        ]
    }
    note = "Band: half an LSB around the settled current. Dotted: from here on the current stays within it."
    write_atomically(path, Chart("settling", "A read settles", note, rows, spec).png())


_TIME = "time since the edge, ps"


def _line(x: str, x_title: str, y: str, y_title: str, series: str, **y_more: Any) -> Spec:
    return {
        "transform": [{"filter": f"isValid(datum.{y})"}],
        "mark": {"type": "line", "point": len(y_more) > 0},
        "encoding": {
            "x": axis(x, x_title, scale={"zero": False}),
            "y": axis(y, y_title, **y_more),
            "color": category(series, None),
            "order": {"field": "place"},
        },
    }


def _butterflies(core: CoreMargins) -> list[Chart]:
    charts = []
    for curves in (core.hold, core.read, core.write):
        lines = {"qb driven by q": (curves.input, curves.qb), "q driven by qb": (curves.q, curves.input)}
        rows: list[dict[str, Any]] = [
            {"curve": name, "q": q, "qb": qb, "place": place}
            for name, (x, y) in lines.items()
            for place, (q, qb) in enumerate(zip(x.tolist(), y.tolist(), strict=True))
        ]
        squares = [
            {"left": one.q, "right": one.q + one.side, "low": one.qb, "high": one.qb + one.side}
            for one in curves.squares
        ]
        square: Spec = {
            "data": {"values": squares},
            "mark": {"type": "rect", "color": "#bbbbbb", "opacity": 0.5},
            "encoding": {
                "x": axis("left", "q, V"),
                "x2": {"field": "right"},
                "y": axis("low", "qb, V"),
                "y2": {"field": "high"},
            },
        }
        title = f"{curves.access}: {1e3 * curves.margin:.0f} mV"
        spec: Spec = {"layer": [square, _line("q", "q, V", "qb", "qb, V", "curve")]}
        charts.append(Chart(f"butterfly-{curves.access}", title, "Its margin.", rows, spec, height=640))
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
