"""Tables of the paper's experiments, as Markdown, of the rows of a study."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from spicekit.evaluation.costs import Figures, overhead
from spicekit.provenance import JsonDict
from spicekit.report.page import Table, shown, text_table
from spicekit.report.study_findings import varying

RESULTS = {
    "images": ("images", 1, "d"),
    "software, %": ("software_accuracy", 100, ".1f"),
    "tiles, %": ("accuracy", 100, ".1f"),
    "ON cells of a read": ("partial_sum", 1, ".2f"),
    "NF, %": ("nf", 100, ".1f"),
    "bit lines, uJ": ("energy", 1e6, ".2f"),
}
"""Heads of columns; what of a row they show, in which unit."""


def markdown(table: Table) -> str:
    """A table without its title."""
    lines = (table.heads, ["---"] * len(table.heads), *table.texts())
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def results_table(rows: Sequence[JsonDict]) -> str:
    """One line for each point: the parameters that differ between points, then the results.

    A point that failed says so in place of its results.
    """
    names = varying(rows)
    lines = []
    for row in rows:
        results = (
            [row["fault"]] + [""] * (len(RESULTS) - 1)
            if row["fault"]
            else [format(scale * row[key], form) for key, scale, form in RESULTS.values()]
        )
        lines.append((*(shown(row[name], none="-") for name in names), *results))
    return markdown(text_table("", (*names, *RESULTS), lines))


def layers_table(rows: Sequence[JsonDict]) -> str:
    """Change of the mean number of ON cells, layer by layer, of every point with flips against the one without.

    Parameters
    ----------
    rows : sequence of rows that did not fail
    """
    names = [name for name in varying(rows) if name != _FLIPS]
    plain = _plain(rows, names)
    layers = list(json.loads(rows[0]["layers"]))
    lines = []
    for row in rows:
        before = plain.get(_place(row, names))
        if before is None or row is before:
            continue
        own, other = json.loads(row["layers"]), json.loads(before["layers"])
        changes = [own[name]["partial_sum"] / other[name]["partial_sum"] - 1 for name in layers]
        changes.append(row["partial_sum"] / before["partial_sum"] - 1)
        place = [shown(row[name], none="-") for name in (*names, _FLIPS)]
        lines.append((*place, *(f"{100 * change:+.1f} %" for change in changes)))
    return markdown(text_table("", (*names, _FLIPS, *layers, "all"), lines))


def costs_table(rows: Sequence[JsonDict], estimates: Sequence[Figures]) -> str:
    """Energy, time and area for one image, and their changes against the point that differs in having no flips.

    Parameters
    ----------
    rows : sequence of rows that did not fail
    estimates : sequence of Figures
        Of the same points.
    """
    names = [name for name in varying(rows) if name != _FLIPS]
    plain = _plain(rows, names)
    found = {id(row): estimate for row, estimate in zip(rows, estimates, strict=True)}
    head = (
        "energy, uJ",
        "of it bit lines",
        "BinSparX",
        "change",
        "time, us",
        "change",
        "area, mm2",
        "change",
    )
    lines = []
    for row in rows:
        before = plain.get(_place(row, names))
        own = found[id(row)]
        changes = ["", "", ""]
        if before is not None and row is not before:
            pairs = zip(_totals(own), _totals(found[id(before)]), strict=True)
            changes = [f"{100 * (value / base - 1):+.1f} %" for value, base in pairs]
        energy, time, area = _totals(own)
        parts = [own.energy_parts.get("bit lines", 0.0), overhead(own)]
        figures = [f"{1e6 * energy:.3g}", *(f"{100 * part / energy:.1f} %" for part in parts), changes[0]]
        figures += [f"{1e6 * time:.3g}", changes[1], f"{1e6 * area:.3g}", changes[2]]
        lines.append((*(shown(row[name], none="-") for name in (*names, _FLIPS)), *figures))
    return markdown(text_table("", (*names, _FLIPS, *head), lines))


def _totals(whole: Figures) -> tuple[float, float, float]:
    return whole.energy, whole.time, math.nan if whole.area is None else whole.area


_FLIPS = "run.mitigation"


def _plain(rows: Sequence[JsonDict], names: Sequence[str]) -> dict[str, JsonDict]:
    """By what else varies, the first row without flips."""
    return {_place(row, names): row for row in reversed(rows) if row[_FLIPS] == "none"}


def _place(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return json.dumps([row[name] for name in names])
