"""Pictures of a study: what accuracy costs, and which parameter matters."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spicekit.files import write_atomically
from spicekit.provenance import JsonDict

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pareto_picture(rows: Sequence[JsonDict], path: Path) -> bool:
    """Draw accuracy over read energy of every point, with the points that no other beats in both joined.

    Returns whether there was anything to draw: points that did not fail.
    """
    done = [row for row in rows if not row["fault"]]
    if not done:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.subplots()
    groups = sorted({(row["run.network"], row["run.mitigation"]) for row in done})
    for network, mitigation in groups:
        own = [row for row in done if (row["run.network"], row["run.mitigation"]) == (network, mitigation)]
        axes.plot(*_coordinates(own), "o", alpha=0.7, label=f"{Path(network).stem}, BinSparX {mitigation}")
    axes.plot(*_coordinates(pareto_front(done)), color="0.3", linewidth=1, drawstyle="steps-post", zorder=0)
    axes.set(xlabel="energy of the bit lines for an image, uJ", ylabel="accuracy, %", ylim=(0, 103))
    axes.legend(frameon=False)
    _save(figure, axes, path)
    return True


def pareto_front(rows: Sequence[JsonDict]) -> list[JsonDict]:
    """The rows that no other beats in accuracy without more energy, by rising energy."""
    front: list[JsonDict] = []
    for row in sorted(rows, key=lambda row: (row["energy"], -row["accuracy"])):
        if not front or row["accuracy"] > front[-1]["accuracy"]:
            front.append(row)
    return front


def sensitivity_picture(rows: Sequence[JsonDict], path: Path) -> bool:
    """Draw, for each parameter that the study varies, the mean accuracy at each of its values.

    The parameter that moves it most comes first. Returns whether there was anything to draw.
    """
    done = [row for row in rows if not row["fault"]]
    effects = main_effects(done)
    if not effects:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.2 + 0.6 * len(effects)), layout="constrained")
    axes = figure.subplots()
    for place, effect in enumerate(reversed(effects.values())):
        means = [100 * mean for mean in effect.values()]
        axes.plot(means, [place] * len(means), "o-", color="C0")
        for value, mean in zip(effect, means, strict=True):
            label = "off" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
            axes.annotate(label, (mean, place), (0, 6), textcoords="offset points", ha="center", fontsize=8)
    axes.set_yticks(range(len(effects)), list(reversed(effects)))
    axes.axvline(100 * float(np.mean([row["accuracy"] for row in done])), color="0.8", zorder=0)
    axes.set(xlabel="mean accuracy over all other parameters, %", ylim=(-0.5, len(effects)))
    _save(figure, axes, path)
    return True


def main_effects(rows: Sequence[JsonDict]) -> dict[str, dict[Any, float]]:
    """Mean accuracy by value, for each parameter with several, the widest range first.

    Parameters that change together are one, with the values of the first.
    """
    effects: dict[tuple[int, ...], dict[Any, float]] = {}
    names: dict[tuple[int, ...], list[str]] = {}
    for name in [
        name for name in (rows[0] if rows else {}) if "." in name
    ]:  # as in a study file: table.field
        values = sorted({row[name] for row in rows}, key=lambda value: (value is not None, str(value)))
        places = tuple(values.index(row[name]) for row in rows)
        names.setdefault(places, []).append(name)
        if len(values) > 1:
            means = [np.mean([row["accuracy"] for row in rows if row[name] == value]) for value in values]
            effects.setdefault(places, dict(zip(values, map(float, means), strict=True)))
    ranked = sorted(effects, key=lambda places: np.ptp(list(effects[places].values())), reverse=True)
    return {", ".join(names[places]): effects[places] for places in ranked}


def _coordinates(rows: Sequence[JsonDict]) -> tuple[list[float], list[float]]:
    """Energy, uJ, and accuracy, %."""
    return [1e6 * row["energy"] for row in rows], [100 * row["accuracy"] for row in rows]


def _save(figure: "Figure", axes: Any, path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    axes.spines[["top", "right"]].set_visible(False)
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    write_atomically(path, buffer.getvalue())
