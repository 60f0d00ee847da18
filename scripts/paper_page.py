"""Fill the tables of docs/paper.md, and draw its pictures, from results: no figure there is typed.

    python scripts/paper_page.py --results runs/paper/results.parquet --evaluations runs/mitigations

`--results` is what scripts/reproduce_paper.py leaves, with all studies or some; `--evaluations` a folder of files that
`spicekit evaluate --out` wrote. A table stands between `<!-- table NAME -->` and `<!-- end -->`. What is not in
the files shows as `-`, and a table or picture of which nothing is there stays as it is.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import typer
from matplotlib.figure import Figure

from spicekit.mapping.binsparx import MITIGATION_LABELS
from spicekit.results import accuracy_interval
from spicekit.study.results import StudyResult

PAGE = Path(__file__).parent.parent / "docs" / "paper.md"
NETWORKS = {"vgg-small": "VGG-small", "resnet18": "ResNet-18"}
Row = dict[str, Any]
Wires = tuple[str | None, float, float]
"""Layer, None for no wires; driver and sink in ohm."""
CELLS = {"8t-sram": "8T-SRAM", "1t1r": "1T-1ReRAM"}
FLIPS = ("none", "static", "dynamic", "both")
ALL_IMAGES = 10_000  # CIFAR-10's test images
M2, M4, M6 = (("M2", 100.0, 100.0), ("M4", 50.0, 50.0), ("M6", 30.0, 30.0))
USUAL = {
    "run.mitigation": "none",
    "tile.cell": "8t-sram",
    "tile.rows": 64,
    "tile.rows_active": 16,
    "wires.pitch_nm": 108.0,
    "wires.r_bl": None,
    "device.reram": "hfo2-10k",
    "converter.bits": None,
    "converter.reference": "unit",
    "mapping.flip_rule": "count",
    "mapping.recalibrate": 0,
    "ablation.linear_cells": False,
    "ablation.layer": None,
    "variation.mismatch": 0.0,
}
"""What a point has where a table does not say otherwise."""


class Results:
    """Rows of studies, found by what they differ in."""

    def __init__(self, rows: Iterable[Row]) -> None:
        good = [row for row in rows if not row["fault"]]
        self.rows = [row for row in good if row["images"] < ALL_IMAGES]
        self.whole = [row for row in good if row["images"] == ALL_IMAGES]

    def all(self, network: str, wires: Wires, *, whole: bool = False, **changes: Any) -> list[Row]:
        """Points of a network on wires of a layer, driver and sink in ohm; fields by name, with __ for a dot.

        Of a part of the test images, or of all.
        """
        layer, driver, sink = wires
        wanted = {**USUAL, "run.network": network, "wires.layer": layer}
        wanted |= {"wires.r_driver": driver, "wires.r_sink": sink}
        wanted |= {name.replace("__", "."): value for name, value in changes.items()}
        if layer is None:
            del wanted["wires.pitch_nm"]
        if wanted["tile.cell"] == "8t-sram":
            del wanted["device.reram"]
        rows = self.whole if whole else self.rows
        return [row for row in rows if all(row[name] == value for name, value in wanted.items())]

    def one(self, network: str, wires: Wires, **changes: Any) -> Row | None:
        """The point with most images; None if there is none."""
        return max(self.all(network, wires, **changes), key=lambda row: row["images"], default=None)


def main(
    results: Annotated[list[Path] | None, typer.Option(help="Parquet files of studies.")] = None,
    evaluations: Annotated[Path | None, typer.Option(help="Folder of evaluations.")] = None,
    training: Annotated[
        Path | None, typer.Option(help="Folder of evaluations, each called 'NETWORK; REFERENCE.json'.")
    ] = None,
) -> None:
    """Write docs/paper.md and docs/pictures/paper-*.png anew."""
    import paper_evaluations
    from paper_pictures import PICTURES

    rows = {row["key"]: row for path in results or () for row in paper_evaluations.loaded(path, StudyResult).rows()}
    found = Results(rows.values())
    page = PAGE.read_text()
    for name, table in TABLES.items():
        page = put(page, name, table(found))
    if evaluations is not None:
        page = put(page, "mitigations", paper_evaluations.mitigations(evaluations))
    if training is not None:
        page = put(page, "trained", paper_evaluations.trained(training))
    PAGE.write_text(page)
    for name, (size, draw) in PICTURES.items():
        figure = Figure(figsize=size, layout="constrained")
        if draw(figure, found):
            figure.savefig(PAGE.parent / "pictures" / f"paper-{name}.png", dpi=100)


def put(page: str, name: str, table: str | None) -> str:
    """The page with a table between its marks; as it is where there is no table, or no place for it."""
    if table is None:
        return page
    marks = re.compile(rf"(<!-- table {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    return marks.sub(lambda found: f"{found[1]}\n{table}{found[2]}", page)


def markdown(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str | None:
    """A table; None if nothing is known."""
    lines = [line for line in lines if any(re.search(r"\d %", cell) for cell in line[1:])]
    body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head), *body, ""]) if lines else None


def share(right: float, images: int, *, interval: bool = True) -> str:
    """An accuracy in %, with its 95 % interval.

    >>> share(0.912, 1000)
    '91.2 % (89.3 to 92.8)'
    """
    low, high = (f"{100 * end:.1f}" for end in accuracy_interval(right, images))
    return f"{100 * right:.1f} %" + (f" ({low} to {high})" if interval else "")


def accuracy(row: Row | None, *, interval: bool = True) -> str:
    """Of a point."""
    return share(row["accuracy"], row["images"], interval=interval) if row else "-"


def percent(row: Row | None, name: str = "nf") -> str:
    """A fraction of a point."""
    return f"{100 * row[name]:.1f} %" if row else "-"


def change(row: Row | None, first: Row | None, name: str) -> str:
    """Of a figure against the plain network's."""
    return f"{100 * (row[name] / first[name] - 1):+.1f} %" if row and first else "-"


def headline(found: Results) -> str | None:
    """Study 3 at the point that the page begins with."""
    lines: list[tuple[str, ...]] = []
    for network, name in NETWORKS.items():
        first = found.one(network, M2)
        for flips in FLIPS:
            row = found.one(network, M2, run__mitigation=flips)
            lines.append(
                (
                    f"{name}, {MITIGATION_LABELS[flips]}",
                    accuracy(row),
                    accuracy(found.one(network, M2, whole=True, run__mitigation=flips)),
                    percent(row),
                    f"{row['partial_sum']:.2f} ({change(row, first, 'partial_sum')})" if row else "-",
                    change(row, first, "energy"),
                )
            )
        if first:
            software = [
                share(row["software_accuracy"], row["images"]) if row else "-"
                for row in (first, found.one(network, M2, whole=True))
            ]
            lines.append((f"{name}, software", *software, "", "", ""))
    head = ("", "first 1,000 images", "all 10,000", "NF", "ON cells of a read", "bit-line energy")
    return markdown(head, lines)


def lengths(found: Results) -> str | None:
    """Study 3: over the rows in a read."""
    lines = []
    for network, name in NETWORKS.items():
        for cell, shown in CELLS.items():
            for wires in (M2, M6):
                for active in (8, 16, 32, 64):
                    rows = [
                        found.one(network, wires, tile__cell=cell, tile__rows_active=active, run__mitigation=flips)
                        for flips in FLIPS
                    ]
                    lines.append(
                        (
                            f"{name}, {shown}, {wires[0]}, {active} rows",
                            *map(accuracy, rows),
                            change(rows[3], rows[0], "partial_sum"),
                            change(rows[3], rows[0], "energy"),
                        )
                    )
    head = ("", *(MITIGATION_LABELS[flips] for flips in FLIPS), "ON cells", "bit-line energy")
    return markdown(head, lines)


def layers(found: Results) -> str | None:
    """Study 3: change of the ON cells of a read, by layer."""
    lines = []
    for network, name in NETWORKS.items():
        rows = [found.one(network, M2, run__mitigation=flips) for flips in FLIPS]
        if rows[0]:
            each = [json.loads(row["layers"]) if row else {} for row in rows]
            for layer, plain in each[0].items():
                changed = [change(one.get(layer), plain, "partial_sum") for one in each[1:]]
                lines.append((f"{name} {layer}", f"{plain['partial_sum']:.2f}", *changed))
    return markdown(("layer", "ON cells, plain", "static", "dynamic", "both"), lines)


HURTS: dict[str, tuple[Wires, dict[str, Any]]] = {
    "as described": (M6, {}),
    "tile of 32 rows": (M6, {"tile__rows": 32}),
    "tile of 128 rows": (M6, {"tile__rows": 128}),
    "all rows in a read, 32": (M6, {"tile__rows": 32, "tile__rows_active": 32}),
    "all rows in a read, 64": (M6, {"tile__rows_active": 64}),
    "all rows in a read, 128": (M6, {"tile__rows": 128, "tile__rows_active": 128}),
    "M4 wires": (("M4", 30.0, 30.0), {}),
    "M2 wires": (("M2", 30.0, 30.0), {}),
    "cells every 54 nm": (M6, {"wires__pitch_nm": 54.0}),
    "cells every 216 nm": (M6, {"wires__pitch_nm": 216.0}),
    "cells every 432 nm": (M6, {"wires__pitch_nm": 432.0}),
    "driver of 0 ohm": (("M6", 0.0, 30.0), {}),
    "driver of 100 ohm": (("M6", 100.0, 30.0), {}),
    "driver of 300 ohm": (("M6", 300.0, 30.0), {}),
    "sink of 0 ohm": (("M6", 30.0, 0.0), {}),
    "sink of 100 ohm": (("M6", 30.0, 100.0), {}),
    "sink of 300 ohm": (("M6", 30.0, 300.0), {}),
    "1T-1ReRAM, 10 kohm": (M6, {"tile__cell": "1t1r"}),
    "1T-1ReRAM, 100 kohm": (M6, {"tile__cell": "1t1r", "device__reram": "hfo2-100k"}),
}


def hurts(found: Results) -> str | None:
    """Study 1a."""
    lines = []
    for what, (wires, changes) in HURTS.items():
        cells = []
        for network in NETWORKS:
            rows = [found.one(network, wires, run__mitigation=flips, **changes) for flips in ("none", "both")]
            cells += [*(accuracy(row) for row in rows), f"{percent(rows[0])} to {percent(rows[1])}"]
        lines.append((what, *cells))
    head = ("", *(f"{name}, {what}" for name in NETWORKS.values() for what in ("plain", "BinSparX", "NF")))
    return markdown(head, lines)


OFF: dict[str, tuple[Wires, dict[str, Any]]] = {
    "nothing": (M6, {}),
    "driver": (("M6", 0.0, 30.0), {}),
    "sink": (("M6", 30.0, 0.0), {}),
    "wires": ((None, 30.0, 30.0), {"wires__r_bl": 0.0}),
    "non-linearity of the cells": (M6, {"ablation__linear_cells": True}),
    "rounding to whole cells (8 bits for 16 rows)": (M6, {"converter__bits": 8}),
}


def contributions(found: Results) -> str | None:
    """Study 1b."""
    lines = []
    for what, (wires, changes) in OFF.items():
        cells = []
        for network in NETWORKS:
            for cell in CELLS:
                row = found.one(network, wires, tile__cell=cell, **changes)
                cells += [accuracy(row), percent(row)]
        lines.append((what, *cells))
    kinds = [f"{name}, {cell}" for name in NETWORKS.values() for cell in CELLS.values()]
    return markdown(("off", *(each for kind in kinds for each in (kind, "NF"))), lines)


PRECISION: dict[str, tuple[Wires, dict[str, Any]]] = {
    "M6, 10 ohm": (("M6", 10.0, 10.0), {}),
    "M6, 30 ohm": (M6, {}),
    "M4, 50 ohm": (M4, {}),
    "M2, 100 ohm": (M2, {}),
    "M2, 300 ohm": (("M2", 300.0, 300.0), {}),
    "M6, 30 ohm, 64 rows": (M6, {"tile__rows_active": 64}),
    "M2, 100 ohm, 64 rows": (M2, {"tile__rows_active": 64}),
    "1T-1ReRAM, M6, 30 ohm": (M6, {"tile__cell": "1t1r"}),
    "1T-1ReRAM, M2, 100 ohm": (M2, {"tile__cell": "1t1r"}),
}
QUARTER = {"vgg-small-quarter": "binary", "vgg-small-quarter-4bit": "4-bit"}


def precision(found: Results) -> str | None:
    """Study 2."""
    lines = []
    for what, (wires, changes) in PRECISION.items():
        rows = [
            found.one(network, wires, run__mitigation=flips, **changes)
            for network in QUARTER
            for flips in ("none", "both")
        ]
        lines.append((what, *map(accuracy, rows), f"{percent(rows[0])}, {percent(rows[2])}"))
    head = [f"{kind}, {flips}" for kind in QUARTER.values() for flips in ("plain", "BinSparX")]
    return markdown(("", *head, "NF, plain: binary, 4-bit"), lines)


BEYOND: dict[str, dict[str, Any]] = {
    **{
        reference + (", recalibrated" if images else ""): {
            "converter__reference": reference,
            "mapping__recalibrate": images,
        }
        for reference in ("unit", "linear", "per_level")
        for images in (0, 256)
    },
    "unit, flips by position": {"mapping__flip_rule": "position"},
    "linear, flips by position": {"mapping__flip_rule": "position", "converter__reference": "linear"},
    "unit, 4 bits": {"converter__bits": 4},
    "linear, 4 bits": {"converter__bits": 4, "converter__reference": "linear"},
}


def beyond(found: Results) -> str | None:
    """Study 4a."""
    lines = []
    for what, changes in BEYOND.items():
        rows = [
            found.one(network, M2, tile__rows_active=active, run__mitigation=flips, **changes)
            for network in NETWORKS
            for active in (16, 64)
            for flips in ("none", "both")
        ]
        lines.append((what, *(accuracy(row, interval=False) for row in rows)))
    head = [
        f"{name}, {active} rows, {flips}"
        for name in NETWORKS.values()
        for active in (16, 64)
        for flips in ("plain", "BinSparX")
    ]
    return markdown(("", *head), lines)


def dies(found: Results) -> str | None:
    """Study 4b: mean and standard deviation over dies."""
    lines = []
    for wires, ohm in ((M6, 30), (M2, 100)):
        for reference in ("unit", "linear"):
            for what, mismatch in (("nominal", 0.0), ("as made", 1.0), ("worse", 2.0)):
                cells = []
                for network in NETWORKS:
                    for flips in ("none", "both"):
                        rows = found.all(
                            network,
                            wires,
                            run__mitigation=flips,
                            converter__reference=reference,
                            variation__mismatch=mismatch,
                            images=256,
                        )
                        right = [100 * row["accuracy"] for row in rows]
                        spread = f" +- {stdev(right):.1f}" if len(right) > 1 else ""
                        cells.append(f"{mean(right):.1f}{spread} %" if right else "-")
                lines.append((f"{wires[0]}, {ohm} ohm, {reference}, {what}", *cells))
    head = [f"{name}, {flips}" for name in NETWORKS.values() for flips in ("plain", "BinSparX")]
    return markdown(("wires, reference, cells", *head), lines)


TABLES: dict[str, Callable[[Results], str | None]] = {
    "headline": headline,
    "lengths": lengths,
    "layers": layers,
    "hurts": hurts,
    "contributions": contributions,
    "precision": precision,
    "beyond": beyond,
    "dies": dies,
}


if __name__ == "__main__":
    typer.run(main)
