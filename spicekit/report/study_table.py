"""A study's rows as tables, for reports and as Markdown: what varies, and what came of it."""

import json
from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

import numpy as np

from spicekit.evaluation.energy import Estimate
from spicekit.provenance import JsonDict
from spicekit.report.sheets import Sheet
from spicekit.units import engineering

RESULTS = {
    "software, %": ("software_accuracy", 100, ".1f"),
    "tiles, %": ("accuracy", 100, ".1f"),
    "ON cells of a read": ("partial_sum", 1, ".2f"),
    "NF, %": ("nf", 100, ".1f"),
    "bit lines, uJ": ("energy", 1e6, ".2f"),
}
"""Heads of columns; what of a row they show, in which unit."""


def results_table(rows: Sequence[JsonDict]) -> str:
    """`results_sheet` as Markdown."""
    return _markdown(results_sheet(rows))


def results_sheet(rows: Sequence[JsonDict]) -> Sheet:
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
        lines.append((*(shown(row[name]) for name in names), *results))
    return Sheet("results", (*names, *RESULTS), tuple(lines))


def accuracy_table(
    rows: Sequence[JsonDict], *, across: str = "run.mitigation", pooled: str | None = None
) -> str:
    """`accuracy_sheet` as Markdown."""
    return _markdown(accuracy_sheet(rows, across=across, pooled=pooled))


def accuracy_sheet(
    rows: Sequence[JsonDict], *, across: str = "run.mitigation", pooled: str | None = None
) -> Sheet:
    """Accuracy in %, a column for each value of one parameter, a line for each combination of the others.

    Parameters
    ----------
    rows : sequence of rows that did not fail
    across : str
        The parameter that the columns are for.
    pooled : str, optional
        A parameter whose values are samples, such as a seed: their mean and standard deviation are shown.
    """
    columns = list(dict.fromkeys(shown(row[across]) for row in rows))
    names = [name for name in varying(rows) if name not in (across, pooled)]
    found: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for row in rows:
        line = found.setdefault(tuple(shown(row[name]) for name in names), {})
        line.setdefault(shown(row[across]), []).append(100 * row["accuracy"])
    lines = ((*place, *(_spread(line.get(name, [])) for name in columns)) for place, line in found.items())
    return Sheet("accuracy in %", (*names, *columns), tuple(lines))


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
        place = [shown(row[name]) for name in (*names, _FLIPS)]
        lines.append((*place, *(f"{100 * change:+.1f} %" for change in changes)))
    return _markdown(Sheet("", (*names, _FLIPS, *layers, "all"), tuple(lines)))


def costs_table(rows: Sequence[JsonDict], estimates: Sequence[Estimate]) -> str:
    """Energy, time and area for one image, and their changes against the point that differs in having no flips.

    Parameters
    ----------
    rows : sequence of rows that did not fail
    estimates : sequence of Estimate
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
        parts = [own.energy.get("bit lines", 0.0), own.overhead]
        figures = [f"{1e6 * energy:.3g}", *(f"{100 * part / energy:.1f} %" for part in parts), changes[0]]
        figures += [f"{1e6 * time:.3g}", changes[1], f"{1e6 * area:.3g}", changes[2]]
        lines.append((*(shown(row[name]) for name in (*names, _FLIPS)), *figures))
    return _markdown(Sheet("", (*names, _FLIPS, *head), tuple(lines)))


def varying(rows: Sequence[JsonDict]) -> list[str]:
    """Parameters, named as in a study file, that are not the same in all rows."""
    names = [name for name in (rows[0] if rows else {}) if "." in name]
    return [name for name in names if len({json.dumps(row[name]) for row in rows}) > 1]


def _totals(whole: Estimate) -> tuple[float, float, float]:
    return whole.total_energy, whole.time, whole.total_area


_FLIPS = "run.mitigation"


def _plain(rows: Sequence[JsonDict], names: Sequence[str]) -> dict[str, JsonDict]:
    """By what else varies, the first row without flips."""
    return {_place(row, names): row for row in reversed(rows) if row[_FLIPS] == "none"}


def _place(row: Mapping[str, Any], names: Sequence[str]) -> str:
    return json.dumps([row[name] for name in names])


def _spread(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "".join(f"{value:.1f}" for value in values)
    return f"{mean(values):.1f} +- {stdev(values):.1f} ({len(values)})"


NONE = "-"
"""What stands for a value that is not set."""


def shown(value: Any) -> str:
    """A value for people."""
    return NONE if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _markdown(sheet: Sheet) -> str:
    lines = (sheet.head, ["---"] * len(sheet.head), *sheet.rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


MOST_TOLD = 5
"""Parameters in a sentence about a point; a reader keeps no more in mind."""


def best(rows: Sequence[JsonDict]) -> JsonDict | None:
    """The row of highest accuracy, of those the one of least energy; None if all failed."""
    done = [row for row in rows if not row["fault"]]
    return min(done, key=lambda row: (-row["accuracy"], row["energy"]), default=None)


def describe(row: JsonDict, rows: Sequence[JsonDict]) -> str:
    """A point of a study in a line: what came of it, and where it differs from others in what matters most."""
    names, effects = varying(rows), main_effects([one for one in rows if not one["fault"]])
    by_effect = [name for together in effects for name in together.split(", ")]
    told = sorted(names, key=lambda name: by_effect.index(name) if name in by_effect else len(names))[
        :MOST_TOLD
    ]
    where = ", ".join(f"{name} {label(row[name])}" for name in names if name in told)
    more = f" and {len(names) - len(told)} parameters more" if len(names) > len(told) else ""
    result = (
        f"accuracy {row['accuracy']:.1%}, {engineering(row['energy'], 'J')} of the bit lines for an image"
    )
    return f"{result}, at {where}{more}" if where else result


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
