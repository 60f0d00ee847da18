"""Pictures of I-V tables."""

from pathlib import Path

import numpy as np

from spicekit.files import write_atomically
from spicekit.report.pictures import png
from spicekit.tables.characterise import Sweep

SOURCE_LINE = (0.0, 0.05, 0.10, 0.20, 0.30)  # V, levels that are drawn
FLOOR = 1e-16  # A, absolute tolerance of the sweeps: below it a current is the solver's


def table_picture(sweep: Sweep, path: Path, *, title: str) -> None:
    """A PNG: the ON cell over both terminal voltages, and the four states on a logarithmic scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    figure.suptitle(title)
    on, states = figure.subplots(1, 2)
    for level in SOURCE_LINE:
        nearest = int(np.abs(sweep.voltage - level).argmin())
        on.plot(sweep.voltage, 1e6 * sweep.current[1, 1, :, nearest], label=f"{sweep.voltage[nearest]:.2f} V")
    on.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    on.set(xlabel="bit line, V", ylabel="current, uA", title="stored 1, applied 1")
    on.legend(title="source line", frameon=False)
    for (w, a), dashes in zip(np.ndindex(2, 2), (":", "--", "-.", "-"), strict=True):
        current = np.maximum(sweep.current[w, a, 1:, 0], FLOOR)
        states.semilogy(sweep.voltage[1:], current, dashes, label=f"w = {w}, a = {a}")
    states.set(xlabel="bit line, V", ylabel="current, A", title="four states, source line at 0 V")
    states.legend(frameon=False)
    for axes in (on, states):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(0, sweep.voltage[-1])
    write_atomically(path, png(figure))
