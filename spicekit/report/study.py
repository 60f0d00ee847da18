"""Pictures of a study: what accuracy costs, what takes it, and which parameter matters."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spicekit.files import write_atomically
from spicekit.provenance import JsonDict
from spicekit.report.pictures import literal, png
from spicekit.report.study_table import varying
from spicekit.units import engineering

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pareto_picture(rows: Sequence[JsonDict], path: Path) -> bool:
    """Draw accuracy over read energy of every point, with those of a network that no other beats in both joined.

    Returns whether there was anything to draw: points that did not fail.
    """
    done = [row for row in rows if not row["fault"]]
    if not done:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5.5), layout="constrained")
    axes = figure.subplots()
    for network, mitigation in dict.fromkeys((row["run.network"], row["run.mitigation"]) for row in done):
        own = [row for row in done if (row["run.network"], row["run.mitigation"]) == (network, mitigation)]
        axes.plot(
            *_coordinates(own), "o", alpha=0.7, label=literal(f"{Path(network).stem}, {_flips(mitigation)}")
        )
    for place, network in enumerate(dict.fromkeys(row["run.network"] for row in done)):
        axes.plot(
            *_coordinates(pareto_front([row for row in done if row["run.network"] == network])),
            "o-",
            color="0.3",
            linewidth=1,
            drawstyle="steps-post",
            markerfacecolor="none",
            markersize=10,
            label="_" if place else "no other of the network is as good for less",
        )
    axes.set(xlabel="energy of the bit lines for an image, uJ", ylabel="accuracy, %", ylim=(0, 105))
    images = sorted({row["images"] for row in done})
    axes.set_title(f"{len(done)} points, {' or '.join(map(str, images))} images each", fontsize=10)
    figure.legend(loc="outside lower center", frameon=False, ncols=2)
    _save(figure, axes, path)
    return True


def pareto_front(rows: Sequence[JsonDict]) -> list[JsonDict]:
    """The rows that no other beats in accuracy without more energy, by rising energy."""
    front: list[JsonDict] = []
    for row in sorted(rows, key=lambda row: (row["energy"], -row["accuracy"])):
        if not front or row["accuracy"] > front[-1]["accuracy"]:
            front.append(row)
    return front


def accuracy_picture(rows: Sequence[JsonDict], path: Path) -> bool:
    """Draw accuracy over the non-ideality factor of every point, by network, cell, reference and mitigation.

    Returns whether there was anything to draw: points that did not fail.
    """
    done = [row for row in rows if not row["fault"]]
    if not done:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5.5), layout="constrained")
    axes = figure.subplots()
    for place, (kind, found) in enumerate(by_kind(done).items()):
        own = sorted(found, key=lambda row: row["nf"])
        values = [100 * row["nf"] for row in own], [100 * row["accuracy"] for row in own]
        axes.plot(*values, "osD^vP*X"[place % 8], alpha=0.7, label=literal(kind))
    axes.set(xlabel="non-ideality factor, %", ylabel="accuracy, %", xlim=(0, None), ylim=(0, 105))
    figure.legend(loc="outside lower center", frameon=False, ncols=2, fontsize=8)
    _save(figure, axes, path)
    return True


def best(rows: Sequence[JsonDict]) -> JsonDict | None:
    """The row of highest accuracy, of those the one of least energy; None if all failed."""
    done = [row for row in rows if not row["fault"]]
    return min(done, key=lambda row: (-row["accuracy"], row["energy"]), default=None)


def describe(row: JsonDict, rows: Sequence[JsonDict]) -> str:
    """A point of a study in a line: what it is where the others are something else, and what came of it."""
    where = ", ".join(f"{name} {label(row[name])}" for name in varying(rows))
    result = (
        f"accuracy {row['accuracy']:.1%}, {engineering(row['energy'], 'J')} of the bit lines for an image"
    )
    return f"{where}: {result}" if where else result


def by_kind(rows: Sequence[JsonDict]) -> dict[str, list[JsonDict]]:
    """Rows by mitigation and, where they differ in it, network, cell and converter reference."""
    split = [name for name in _SPLIT if len({row[name] for row in rows}) > 1]
    kinds: dict[str, list[JsonDict]] = {}
    for row in rows:
        what = [Path(str(row[name])).stem for name in split]
        kinds.setdefault(", ".join([*what, _flips(row["run.mitigation"])]), []).append(row)
    return kinds


_SPLIT = ("run.network", "tile.cell", "converter.reference")


def _flips(mitigation: str) -> str:
    return "plain" if mitigation == "none" else f"BinSparX {mitigation}"


def sensitivity_picture(rows: Sequence[JsonDict], path: Path) -> bool:
    """Draw the `main_effects` of the parameters that the study varies.

    The one that moves accuracy most comes first. Returns whether there was anything to draw.
    """
    done = [row for row in rows if not row["fault"]]
    effects = main_effects(done)
    if not effects:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 1.2 + 0.6 * len(effects)), layout="constrained")
    axes = figure.subplots()
    span = np.ptp([mean for effect in effects.values() for mean in effect.values()])
    for place, effect in enumerate(reversed(effects.values())):
        axes.plot([100 * mean for mean in effect.values()], [place] * len(effect), "o-", color="C0")
        for index, (mean, values) in enumerate(_close_together(effect, 0.08 * span)):
            text, offset = literal(", ".join(map(label, values))), (0, -14 if index % 2 else 6)
            axes.annotate(
                text, (100 * mean, place), offset, textcoords="offset points", ha="center", fontsize=8
            )
    axes.set_yticks(range(len(effects)), [literal(name.replace(", ", "\n")) for name in reversed(effects)])
    mean = 100 * float(np.mean([row["accuracy"] for row in done]))
    axes.axvline(mean, color="0.8", zorder=0)
    white = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.annotate("all points", (mean, len(effects) - 0.4), ha="center", fontsize=8, color="0.5", bbox=white)
    axes.set(xlabel="mean accuracy of points that differ in nothing else, %", ylim=(-0.5, len(effects) - 0.2))
    _save(figure, axes, path)
    return True


def _close_together(effect: Mapping[Any, float], distance: float) -> list[tuple[float, list[Any]]]:
    """Values that one label stands for, because their means are close, and the middle of these means."""
    ranked = sorted(effect, key=lambda value: effect[value])
    groups = [[ranked[0]]]
    for value in ranked[1:]:
        if effect[value] - effect[groups[-1][0]] < distance:
            groups[-1].append(value)
        else:
            groups.append([value])
    return [((effect[group[0]] + effect[group[-1]]) / 2, group) for group in groups]


def label(value: Any) -> str:
    """A parameter's value, or those of parameters that change together."""
    if isinstance(value, tuple):
        return " / ".join(map(label, value))
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def main_effects(rows: Sequence[JsonDict]) -> dict[str, dict[Any, float]]:
    """Mean accuracy by value, for each parameter with several, the widest range first.

    Over the settings of all others at which the study has every value of the parameter: means of unlike points would
    compare what else differs. A parameter without such a setting is left out. Parameters that change together are one;
    where their values differ, these are tuples.
    """
    together: dict[tuple[int, ...], list[str]] = {}
    for name in [
        name for name in (rows[0] if rows else {}) if "." in name
    ]:  # as in a study file: table.field
        values = list(dict.fromkeys(row[name] for row in rows))
        if len(values) > 1:
            together.setdefault(tuple(values.index(row[name]) for row in rows), []).append(name)
    effects = {}
    for names in together.values():
        others = [group[0] for group in together.values() if group is not names]
        at: dict[tuple[Any, ...], dict[Any, list[float]]] = {}
        for row in rows:
            values = list(dict.fromkeys(row[name] for name in names))
            value = values[0] if len(values) == 1 else tuple(values)
            setting = at.setdefault(tuple(row[name] for name in others), {})
            setting.setdefault(value, []).append(row["accuracy"])
        every = list(dict.fromkeys(value for setting in at.values() for value in setting))
        if matched := [setting for setting in at.values() if len(setting) == len(every)]:
            effects[", ".join(names)] = {
                value: float(np.mean([np.mean(setting[value]) for setting in matched])) for value in every
            }
    return dict(sorted(effects.items(), key=lambda item: -np.ptp(list(item[1].values()))))


def _coordinates(rows: Sequence[JsonDict]) -> tuple[list[float], list[float]]:
    """Energy, uJ, and accuracy, %."""
    return [1e6 * row["energy"] for row in rows], [100 * row["accuracy"] for row in rows]


def _save(figure: "Figure", axes: Any, path: Path) -> None:

    axes.spines[["top", "right"]].set_visible(False)
    write_atomically(path, png(figure))
