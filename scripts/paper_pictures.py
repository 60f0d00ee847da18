"""Pictures of docs/paper.md; scripts/paper_page.py draws them."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from paper_page import CELLS, FLIPS, HURTS, M2, M4, NETWORKS, PRECISION, QUARTER, Results, Row, Wires

from spicekit.mapping.binsparx import MITIGATION_LABELS
from spicekit.report.charts import SERIES
from spicekit.results import accuracy_interval


def colour(flips: str) -> str:
    """The same as in reports."""
    return SERIES[MITIGATION_LABELS[flips]]


def panels(figure: Figure, count: int, *, ylabel: str = "accuracy / %") -> list[Axes]:
    """Side by side, with one axis of accuracies."""
    axes: list[Axes] = list(figure.subplots(1, count, sharey=True, squeeze=False)[0])
    axes[0].set_ylabel(ylabel)
    for one in axes:
        one.grid(alpha=0.3)
        one.spines[["top", "right"]].set_visible(False)
    return axes


def whiskers(axes: Axes, places: Sequence[Any], rows: Sequence[Row | None], **style: Any) -> None:
    """Accuracies with their 95 % intervals."""
    pairs = [(place, row) for place, row in zip(places, rows, strict=True) if row]
    if not pairs:
        return
    middle = [100 * row["accuracy"] for _, row in pairs]
    ends = [[100 * end for end in accuracy_interval(row["accuracy"], row["images"])] for _, row in pairs]
    bars = [[m - low for m, (low, _) in zip(middle, ends, strict=True)]]
    bars.append([high - m for m, (_, high) in zip(middle, ends, strict=True)])
    axes.errorbar([place for place, _ in pairs], middle, yerr=bars, capsize=2, **style)


def draw_rows(figure: Figure, found: Results) -> bool:
    """Study 3: accuracy over the rows in a read."""
    kinds = [(network, cell) for network in NETWORKS for cell in CELLS]
    active, drawn = [8, 16, 32, 64], False
    for axes, (network, cell) in zip(panels(figure, 4), kinds, strict=True):
        axes.set(
            title=f"{NETWORKS[network]}, {CELLS[cell]}",
            xlabel="rows in a read",
            xticks=range(4),
            ylim=(0, 100),
        )
        axes.set_xticklabels([str(each) for each in active])
        for flips in FLIPS:
            rows = [
                found.one(network, M2, tile__cell=cell, tile__rows_active=each, run__mitigation=flips)
                for each in active
            ]
            whiskers(axes, range(4), rows, color=colour(flips), marker="o", label=MITIGATION_LABELS[flips])
            known = [row for row in rows if row]
            drawn |= bool(known)
            if known:
                axes.axhline(100 * known[0]["software_accuracy"], color=SERIES["software"], ls="--", lw=1)
    if drawn:
        figure.axes[-1].legend(fontsize=8, frameon=False)
    return drawn


def draw_cliff(figure: Figure, found: Results) -> bool:
    """Accuracy over NF, of all points with whole-cell references and whole networks."""
    drawn = False
    for axes, (network, name) in zip(panels(figure, 2), NETWORKS.items(), strict=True):
        axes.set(title=name, xlabel="NF / %", xscale="log", ylim=(0, 100))
        for flips in ("none", "both"):
            rows = [
                row
                for row in found.rows
                if row["run.network"] == network
                and row["run.mitigation"] == flips
                and row["converter.reference"] == "unit"
                and row["ablation.layer"] is None
                and not row["mapping.recalibrate"]
                and not row["variation.mismatch"]
                and row["converter.bits"] is None
            ]
            drawn |= bool(rows)
            nf, right = [100 * row["nf"] for row in rows], [100 * row["accuracy"] for row in rows]
            axes.scatter(nf, right, s=16, color=colour(flips), label=MITIGATION_LABELS[flips])
    if drawn:
        figure.axes[0].legend(fontsize=8, frameon=False)
    return drawn


def draw_hurts(figure: Figure, found: Results) -> bool:
    """Study 1a: what each change does."""
    drawn = False
    places = list(range(len(HURTS)))[::-1]
    axes_of = figure.subplots(1, 2, sharey=True)
    for axes, (network, name) in zip(axes_of, NETWORKS.items(), strict=True):
        axes.set(title=name, xlabel="accuracy / %", xlim=(0, 100), yticks=places)
        axes.set_yticklabels(list(HURTS))
        axes.grid(alpha=0.3)
        for flips in ("none", "both"):
            for place, (wires, changes) in zip(places, HURTS.values(), strict=True):
                row = found.one(network, wires, run__mitigation=flips, **changes)
                if row:
                    drawn = True
                    low, high = accuracy_interval(row["accuracy"], row["images"])
                    axes.plot([100 * low, 100 * high], [place] * 2, color=colour(flips), lw=2)
                    axes.plot(100 * row["accuracy"], place, "o", ms=4, color=colour(flips))
    for flips in ("none", "both"):
        axes_of[0].plot([], [], "o-", color=colour(flips), label=MITIGATION_LABELS[flips])
    axes_of[0].legend(fontsize=8, frameon=False, loc="lower center")
    return drawn


def draw_precision(figure: Figure, found: Results) -> bool:
    """Study 2."""
    drawn = False
    for axes, (network, name) in zip(panels(figure, 2), QUARTER.items(), strict=True):
        axes.set(title=f"VGG-small, a quarter of the width, {name}", xticks=range(len(PRECISION)), ylim=(0, 100))
        axes.set_xticklabels(list(PRECISION), rotation=40, ha="right", fontsize=8)
        for flips in ("none", "both"):
            rows = [
                found.one(network, wires, run__mitigation=flips, **changes) for wires, changes in PRECISION.values()
            ]
            drawn |= any(rows)
            whiskers(axes, range(len(rows)), rows, color=colour(flips), fmt="o", label=MITIGATION_LABELS[flips])
    if drawn:
        figure.axes[0].legend(fontsize=8, frameon=False)
    return drawn


def draw_layers(figure: Figure, found: Results) -> bool:
    """Study 1c: one layer on real tiles, the others ideal."""
    drawn = False
    kinds: dict[str, tuple[Wires, dict[str, Any]]] = {
        "plain": (M4, {}),
        "no sink": (("M4", 50.0, 0.0), {}),
        "no wires": ((None, 50.0, 50.0), {"wires__r_bl": 0.0}),
        "BinSparX": (M4, {"run__mitigation": "both"}),
    }
    colours = [colour("none"), "#e69f00", "#0072b2", colour("both")]
    for axes, (network, name) in zip(panels(figure, 2), NETWORKS.items(), strict=True):
        names = [row["ablation.layer"] for row in found.rows if row["run.network"] == network]
        names = [layer for layer in dict.fromkeys(names) if layer]
        drawn |= bool(names)
        axes.set(title=f"{name}: one layer on tiles", xticks=range(len(names)), ylim=(0, 100))
        axes.set_xticklabels(names, rotation=60, ha="right", fontsize=7)
        for (what, (wires, changes)), shade in zip(kinds.items(), colours, strict=True):
            rows = [found.one(network, wires, ablation__layer=layer, **changes) for layer in names]
            whiskers(axes, range(len(names)), rows, color=shade, marker="o", ms=3, label=what)
    if drawn:
        figure.axes[0].legend(fontsize=8, frameon=False, loc="lower right")
    return drawn


Draw = Callable[[Figure, Results], bool]
PICTURES: dict[str, tuple[tuple[float, float], Draw]] = {
    "rows": ((11, 3.2), draw_rows),
    "cliff": ((8, 3.2), draw_cliff),
    "hurts": ((8.5, 4.6), draw_hurts),
    "precision": ((8.5, 3.8), draw_precision),
    "layers": ((9, 3.8), draw_layers),
}
