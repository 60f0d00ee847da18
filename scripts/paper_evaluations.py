"""Tables of docs/paper.md that come of single evaluations: the files' names say what each is of."""

from pathlib import Path
from typing import TypeVar

import typer
from paper_page import markdown, share

import spicekit as sk
from spicekit.evaluation.records import Evaluation
from spicekit.mapping.binsparx import MITIGATION_LABELS

Kind = TypeVar("Kind")


def loaded(path: Path, kind: type[Kind]) -> Kind:
    """A result of one kind."""
    result = sk.load(path)
    if not isinstance(result, kind):
        raise typer.BadParameter(f"{path}: expected {kind.__name__}, found {type(result).__name__}.")
    return result


def mitigations(folder: Path) -> str | None:
    """A line for each run of the evaluations of a folder; the files' names say of what."""
    lines = []
    for path in sorted(folder.glob("*.json")):
        result = loaded(path, Evaluation)
        lines.append((f"{path.stem}: software", share(result.software, result.images), ""))
        lines += [
            (
                f"{path.stem}: {MITIGATION_LABELS[run.mitigation]}",
                share(run.accuracy, result.images),
                f"{100 * run.nf:.1f} %",
            )
            for run in result.runs
        ]
    return markdown(("", "accuracy", "NF"), lines)


REFERENCES = ("unit", "unit, recalibrated", "linear", "linear_codes")


def trained(folder: Path) -> str | None:
    """A line for each network, and two columns for each way to read it."""
    cells: dict[str, dict[str, str]] = {}
    for path in sorted(folder.glob("*; *.json")):
        network, reference = path.stem.split("; ")
        result = loaded(path, Evaluation)
        line = cells.setdefault(network, {"software": share(result.software, result.images)})
        for run in result.runs:
            line[f"{reference}, {run.mitigation}"] = share(run.accuracy, result.images, interval=False)
    columns = ["software", *(f"{way}, {flips}" for way in REFERENCES for flips in ("none", "both"))]
    head = [name.replace(", none", ", plain").replace(", both", ", BinSparX") for name in columns]
    return markdown(("", *head), [(name, *(line.get(c, "-") for c in columns)) for name, line in cells.items()])
