"""Pictures of evaluations, and what all pictures of reports share."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from spicekit.evaluate.convert import Mitigation
from spicekit.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Carried(Protocol):
    """What reads carry, as far as the picture shows it."""

    @property
    def current(self) -> float: ...


class Ran(Protocol):
    """A network on tiles, with one mitigation."""

    @property
    def mitigation(self) -> Mitigation: ...
    @property
    def accuracy(self) -> float: ...
    @property
    def total(self) -> Carried: ...


class Evaluated(Protocol):
    """A network at a design point, evaluated now or read from a file."""

    @property
    def software(self) -> float: ...
    @property
    def runs(self) -> Sequence[Ran]: ...


def accuracy_picture(evaluations: Mapping[tuple[str, str], Evaluated], path: Path) -> None:
    """A PNG with the accuracy of every run beside the software's, and the current that its reads carry.

    `evaluations` are keyed by network and design point.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 + 1.7 * len(evaluations), 6.4), layout="constrained")
    accuracy, current = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    places = np.arange(len(evaluations))
    mitigations = [run.mitigation for run in next(iter(evaluations.values())).runs]
    labels = {"none": "plain tiles", "static": "static flips", "dynamic": "dynamic flips", "both": "BinSparX"}
    width = 0.8 / (len(mitigations) + 1)
    software = [100 * evaluation.software for evaluation in evaluations.values()]
    bars = accuracy.bar(
        places - 0.4 + width / 2, software, width, color="0.75", label="software = ideal tiles"
    )
    accuracy.bar_label(bars, fmt="%.1f", fontsize=8)
    for k, mitigation in enumerate(mitigations):
        where = places - 0.4 + (k + 1.5) * width
        runs = [evaluation.runs[k] for evaluation in evaluations.values()]
        bars = accuracy.bar(
            where, [100 * run.accuracy for run in runs], width, color=f"C{k}", label=labels[mitigation]
        )
        accuracy.bar_label(bars, fmt="%.1f", fontsize=8)
        currents = [1e6 * run.total.current for run in runs]
        current.bar_label(current.bar(where, currents, width, color=f"C{k}"), fmt="%.0f", fontsize=8)
    accuracy.set(ylabel="accuracy, %", ylim=(0, 108))
    accuracy.legend(loc="upper center", bbox_to_anchor=(0.5, 1.18), ncols=2, frameon=False)
    current.set(ylabel="mean current of a read, uA")
    current.set_xticks(places, [literal(f"{network}\n{point}") for network, point in evaluations])
    for axes in (accuracy, current):
        axes.spines[["top", "right"]].set_visible(False)
    write_atomically(path, png(figure))


def literal(text: str) -> str:
    """Text that matplotlib shows as it is, whatever is in it."""
    return text.replace("$", r"\$")


def png(figure: "Figure", *, dpi: int = 150) -> bytes:
    """A figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()
