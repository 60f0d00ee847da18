"""Pictures of cells and columns: butterfly curves, read currents, settling."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spicekit.files import write_atomically
from spicekit.report.pictures import png
from spicekit.tables.cell_figures import CellFigures, CoreMargins, ReadPoint
from spicekit.tables.settling import Settling
from spicekit.units import MICRO, PICO, to_celsius

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_cell(figures: CellFigures, folder: Path) -> list[Path]:
    """Write PNG files into a folder; their paths."""
    pictures = {"read_current.png": _read_currents(figures)}
    if figures.core is not None:
        pictures["butterfly.png"] = _butterflies(figures.core)
    for name, figure in pictures.items():
        _write(figure, folder / name)
    return [folder / name for name in pictures]


def draw_settling(reads: Mapping[str, Settling], path: Path) -> None:
    """Write a PNG of column currents over time, with the band of half an LSB and the settling time."""
    figure, axes = _figure(1)
    for k, (pattern, read) in enumerate(reads.items()):
        time = (read.waves["time"] - read.delay) / PICO
        column = int(read.current.argmax())
        end = read.current[column]
        axes.plot(time, read.waves[f"vsense_{column}#branch"] / MICRO, color=f"C{k}", label=pattern)
        axes.axhspan((end - read.lsb / 2) / MICRO, (end + read.lsb / 2) / MICRO, color=f"C{k}", alpha=0.2)
        axes.axvline(read.time / PICO, color=f"C{k}", linestyle=":")
    slowest = max(read.time for read in reads.values())
    axes.set(xlabel="time since the edge, ps", ylabel="column current, uA", xlim=(-10, 3 * slowest / PICO))
    axes.legend(frameon=False)
    _write(figure, path)


def _write(figure: "Figure", path: Path) -> None:
    write_atomically(path, png(figure, dpi=120))


def _figure(columns: int, rows: int = 1) -> tuple["Figure", Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * columns, 3.6 * rows), layout="constrained")
    return figure, figure.subplots(rows, columns)


def _butterflies(core: CoreMargins) -> "Figure":
    figure, all_axes = _figure(3)
    for axes, curves in zip(all_axes, (core.hold, core.read, core.write), strict=True):
        axes.plot(curves.input, curves.qb, label="qb driven by q")
        axes.plot(curves.q, curves.input, label="q driven by qb")
        for square in curves.squares:
            x, y = np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1])
            axes.fill(square.q + x * square.side, square.qb + y * square.side, color="0.88", zorder=0)
        axes.set(
            title=f"{curves.access}: {1e3 * curves.margin:.0f} mV",
            xlabel="q, V",
            ylabel="qb, V",
            aspect="equal",
        )
    all_axes[0].legend(frameon=False, fontsize=8)
    return figure


def _read_currents(figures: CellFigures) -> "Figure":
    figure, ((on_t, on_v), (off_t, off_v)) = _figure(2, 2)
    for on, off, points, label, value in (
        (on_t, off_t, figures.over_temperature, "temperature, C", _celsius),
        (on_v, off_v, figures.over_supply, "supply, V", _supply),
    ):
        for process in dict.fromkeys(point.corner.process for point in points):
            line = [point for point in points if point.corner.process == process]
            x = [value(point) for point in line]
            on.plot(x, [point.on / MICRO for point in line], "o-", label=process)
            off.semilogy(x, [point.ratio for point in line], "o-", label=process)
        on.set(ylabel="on current, uA")
        off.set(ylabel="on current / off current", xlabel=label)
    on_t.legend(frameon=False)
    return figure


def _celsius(point: ReadPoint) -> float:
    return to_celsius(point.corner.temperature)


def _supply(point: ReadPoint) -> float:
    return point.corner.vdd
