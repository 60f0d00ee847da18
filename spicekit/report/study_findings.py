"""What a study's rows say: what varies, which point is best, what the accuracy depends on."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np

from spicekit.provenance import JsonDict
from spicekit.report.page import Table, shown, text_table
from spicekit.units import engineering


def varying(rows: Sequence[JsonDict]) -> list[str]:
    """Parameters, named as in a study file, that are not the same in all rows."""
    names = [name for name in (rows[0] if rows else {}) if "." in name]
    return [name for name in names if len({json.dumps(row[name]) for row in rows}) > 1]


MOST_TOLD = 5
"""Parameters in a sentence about a point; a reader keeps no more in mind."""


def best(rows: Sequence[JsonDict]) -> JsonDict | None:
    """The row of highest accuracy, of those the one of least energy; None if all failed."""
    done = [row for row in rows if not row["fault"]]
    return min(done, key=lambda row: (-row["accuracy"], row["energy"]), default=None)


def describe(row: JsonDict, rows: Sequence[JsonDict]) -> str:
    """A point of a study in a line: what came of it, and where it differs from others in what matters most.

    Of its cell's parameters those that differ between points of that cell: an 8T cell has no ReRAM.
    """
    effects = main_effects([one for one in rows if not one["fault"]])
    own = varying([one for one in rows if one.get("tile.cell") == row.get("tile.cell")])
    names = [name for name in varying(rows) if name == "tile.cell" or name in own]
    by_effect = [name for together in effects for name in together.split(", ")]
    told = sorted(names, key=lambda name: by_effect.index(name) if name in by_effect else len(names))[:MOST_TOLD]
    where = ", ".join(f"{name} {shown(row[name])}" for name in names if name in told)
    more = f" and {len(names) - len(told)} parameters more" if len(names) > len(told) else ""
    result = f"accuracy {row['accuracy']:.1%}, {engineering(row['energy'], 'J')} of the bit lines for an image"
    return f"{result}, at {where}{more}" if where else result


def main_effects(rows: Sequence[JsonDict]) -> dict[str, dict[Any, float]]:
    """Mean accuracy by value, for each parameter with several, the widest range first.

    Over the settings of all others at which the study has every value of the parameter: means of unlike points would
    compare what else differs. A parameter without such a setting is left out. Parameters that change together are one;
    where their values differ, these are tuples.
    """
    together: dict[tuple[int, ...], list[str]] = {}
    for name in varying(rows):
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


def left_out(rows: Sequence[JsonDict]) -> list[str]:
    """Parameters that vary but have no sensitivity: the study has no setting of the others with every value of them."""
    told = {name for names in main_effects(rows) for name in names.split(", ")}
    return [name for name in varying(rows) if name not in told]


def pareto_front(rows: Sequence[JsonDict]) -> list[JsonDict]:
    """The rows that no other beats in accuracy without more energy, by rising energy."""
    front: list[JsonDict] = []
    for row in sorted(rows, key=lambda row: (row["energy"], -row["accuracy"])):
        if not front or row["accuracy"] > front[-1]["accuracy"]:
            front.append(row)
    return front


def kind_of(rows: Sequence[JsonDict]) -> list[str]:
    """Of each row network, cell and converter reference where rows differ in them, as many as shapes can tell apart."""
    split = [name for name in _SPLIT if len({row[name] for row in rows}) > 1]
    while len({tuple(row[name] for name in split) for row in rows}) > _SHAPES:
        del split[-1]
    return [", ".join(Path(str(row[name])).stem for name in split) for row in rows]


_SPLIT = ("run.network", "tile.cell", "converter.reference")
_SHAPES = 8
"""That Vega-Lite has."""


def accuracy_table(rows: Sequence[JsonDict], *, across: str = "run.mitigation", pooled: str | None = None) -> Table:
    """Accuracy in %, a column for each value of one parameter, a line for each combination of the others.

    Parameters
    ----------
    rows : sequence of rows that did not fail
    across : str
        The parameter that the columns are for.
    pooled : str, optional
        A parameter whose values are samples, such as a seed: their mean and standard deviation are shown.
    """
    columns = list(dict.fromkeys(shown(row[across], none="-") for row in rows))
    names = [name for name in varying(rows) if name not in (across, pooled)]
    found: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for row in rows:
        line = found.setdefault(tuple(shown(row[name], none="-") for name in names), {})
        line.setdefault(shown(row[across], none="-"), []).append(100 * row["accuracy"])
    lines = ((*place, *(_spread(line.get(name, [])) for name in columns)) for place, line in found.items())
    return text_table("Accuracy in %", (*names, *columns), lines)


def _spread(values: Sequence[float]) -> str:
    if len(values) < 2:
        return "".join(f"{value:.1f}" for value in values)
    return f"{mean(values):.1f} +- {stdev(values):.1f} ({len(values)})"
