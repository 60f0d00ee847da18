"""Result files as reports: what kind one is, found by its content, and what of it people see."""

import csv
import hashlib
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spicekit.config import parse
from spicekit.devices.check import FIGURES
from spicekit.errors import BadInput
from spicekit.evaluate.fidelity import Fidelity
from spicekit.provenance import JsonDict
from spicekit.report.energy import cost_sheets
from spicekit.report.html import Chart, Mark, Part, Picture
from spicekit.report.pictures import accuracy_picture
from spicekit.report.records import (
    PROVENANCE,
    CheckRecord,
    DemoRecord,
    EvaluationRecord,
    SignOffRecord,
    TileOrigin,
    check_rows,
)
from spicekit.report.sheets import Sheet
from spicekit.report.signoff import sign_off_picture, sign_off_sheet
from spicekit.report.study import accuracy_picture as nf_picture
from spicekit.report.study import by_kind, label, main_effects, pareto_front, sensitivity_picture
from spicekit.report.study_table import accuracy_sheet, results_sheet, shown, varying
from spicekit.report.tables import table_picture
from spicekit.study.results import LOG_FILE, RESULTS_FILE, read_rows
from spicekit.tables.store import read_sweep
from spicekit.units import engineering


@dataclass(frozen=True)
class Report:
    """A result for people."""

    title: str
    parts: tuple[Part, ...]
    rows: Sequence[JsonDict]
    """The figures behind it, for programs."""
    source: str
    """Path and hash of the file."""

    def csv(self) -> str:
        """The rows, under one head."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(dict.fromkeys(key for row in self.rows for key in row)))
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()


def read_report(path: Path) -> Report:
    """Report of a result that a verb wrote.

    Parameters
    ----------
    path : Path
        Of a file, or of the folder that `sweep`, `signoff` or `demo` filled.

    Raises
    ------
    BadInput
        If there is no result there, or one that is damaged.
    BadTable
        If it is an I-V table that is damaged.
    """
    path = _file(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); pass a result.") from error
    read = next((read for start, read in _BY_START.items() if content.startswith(start)), _from_json)
    title, parts, rows = read(path)
    return Report(title, tuple(parts), rows, f"{path}, SHA-256 {hashlib.sha256(content).hexdigest()}")


_Content = tuple[str, list[Part], Sequence[JsonDict]]
"""Title, parts and rows of a report."""
_KNOWN = (
    "a study (results.parquet), the JSON of evaluate, signoff, demo or devices check --json, an I-V table (.h5), "
    "the currents of a tile (.npz)"
)


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = [path / name for name in (RESULTS_FILE, "signoff.json", "demo.json") if (path / name).is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        raise BadInput(f"{path}: holds several results; pass one of {', '.join(map(str, found))}.")
    if (path / LOG_FILE).is_file():
        jobs = (path / LOG_FILE).read_bytes().count(b"\n")
        raise BadInput(
            f"{path}: a study that is not finished: {jobs} jobs are, and {RESULTS_FILE} is written at the end; "
            f"wait for it, or repeat its spicekit sweep."
        )
    raise BadInput(f"{path}: expected a folder with a result, got one without; pass {_KNOWN}.")


# Studies


def _study(path: Path) -> _Content:
    try:
        rows = read_rows(path)
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: is not a readable Parquet file ({error}).") from error
    check_rows(rows, source=str(path))
    done = [row for row in rows if not row["fault"]]
    facts = {
        "points": f"{len(rows)}, of which {len(rows) - len(done)} failed",
        "images each": " or ".join(str(count) for count in sorted({row["images"] for row in done})),
        "time in jobs": f"{sum(row.get('seconds') or 0 for row in done) / 3600:.2f} h",
    }
    results = results_sheet(rows)
    changing = set(varying(rows))
    constant = {name: value for name, value in rows[0].items() if "." in name and name not in changing}
    parts: list[Part] = [_facts("study", facts)]
    if done:
        parts += [_accuracy_over_energy(rows, results), *_accuracies(done), *_effects(done)]
    parts += [results, _facts("the same in all points", constant), _made_by(rows)]
    return f"Study {path.parent.resolve().name}", parts, rows


def _accuracy_over_energy(rows: Sequence[JsonDict], results: Sheet) -> Chart:
    places = {id(row): place for place, row in enumerate(rows)}
    done = [row for row in rows if not row["fault"]]

    def mark(row: JsonDict) -> Mark:
        place = places[id(row)]
        text = "\n".join(map(": ".join, zip(results.head, results.rows[place], strict=True)))
        return Mark(*_coordinates(row), text, place)

    return Chart(
        "accuracy over energy\nA line joins the points of a network that no other beats for less energy. Drag to "
        "enlarge, double-click to see all; a click on a point leads to its row.",
        "energy of the bit lines for an image, uJ",
        "accuracy, %",
        {kind: [mark(row) for row in own] for kind, own in by_kind(done).items()},
        [
            [
                _coordinates(row)
                for row in pareto_front([row for row in done if row["run.network"] == network])
            ]
            for network in dict.fromkeys(row["run.network"] for row in done)
        ],
        results,
    )


def _coordinates(row: JsonDict) -> tuple[float, float]:
    return 1e6 * row["energy"], 100 * row["accuracy"]


def _accuracies(done: Sequence[JsonDict]) -> Iterator[Sheet]:
    """With and without BinSparX side by side, a sheet for each network."""
    for network in dict.fromkeys(row["run.network"] for row in done):
        own = [row for row in done if row["run.network"] == network]
        if len({row["run.mitigation"] for row in own}) > 1:
            sheet = accuracy_sheet(own, pooled="variation.seed")
            title = (
                f"accuracy in %, {network}\nby BinSparX; of several dies mean +- standard deviation (dies)"
            )
            yield Sheet(title, sheet.head, sheet.rows)


def _effects(done: Sequence[JsonDict]) -> Iterator[Part]:
    effects = main_effects(done)
    if effects:
        title = "accuracy by each parameter, mean over points that differ in nothing else"
        yield Picture("sensitivity", title, _drawn(lambda path: sensitivity_picture(done, path)))
        rows = tuple(
            (name, label(value), f"{100 * mean:.1f}")
            for name, effect in effects.items()
            for value, mean in effect.items()
        )
        yield Sheet("these means", ("parameter", "value", "accuracy, %"), rows)
    title = "accuracy over the non-ideality factor"
    yield Picture("accuracy", title, _drawn(lambda path: nf_picture(done, path)))


def _made_by(rows: Sequence[JsonDict]) -> Sheet:
    points: dict[tuple[str, ...], int] = {}
    for row in rows:
        maker = tuple(str(row[name]) for name in ("run.network", *PROVENANCE))
        points[maker] = points.get(maker, 0) + 1
    lines = tuple((*maker, str(count)) for maker, count in points.items())
    return Sheet("what made the points", ("run.network", *PROVENANCE, "points"), lines)


# JSON


def _from_json(path: Path) -> _Content:
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        record = None
    if (
        isinstance(record, list)
        and record
        and all(isinstance(row, dict) and "figure" in row for row in record)
    ):
        return _check(record, path)
    for keys, read in _BY_KEYS.items():
        if isinstance(record, dict) and record.keys() >= set(keys):
            return read(record, path)
    raise BadInput(f"{path}: expected a result, got something else; pass {_KNOWN}.")


def _evaluation(record: JsonDict, path: Path) -> _Content:
    result = parse(EvaluationRecord, record, source=str(path))
    network = str(result.provenance.get("network", "network"))
    signed = {None: "not said", False: "no", True: "yes"}
    with_network = ", with vectors of a network" if result.signed_off_with_network else ""
    facts = {"inside what was signed off": signed[result.signed_off] + with_network}
    parts, rows = _evaluations({(network, path.stem): result})
    if result.fidelity:
        parts.append(_fidelity(result.fidelity))
    if result.costs is not None:
        parts += cost_sheets(result.costs)
    parts += [_facts("sign-off", facts), *_origin(result)]
    return f"Evaluation of {network}", parts, rows


def _demo(record: JsonDict, path: Path) -> _Content:
    result = parse(DemoRecord, record, source=str(path))
    parts, rows = _evaluations({(one.network, one.point): one for one in result.evaluations})
    return "Demo", [*parts, _facts("what made it", result.provenance)], rows


def _evaluations(results: Mapping[tuple[str, str], EvaluationRecord]) -> tuple[list[Part], list[JsonDict]]:
    rows: list[JsonDict] = [
        {
            "network": network,
            "design point": point,
            "BinSparX": run.mitigation,
            "images": result.images,
            "software": result.software,
            "ideal tiles": result.ideal,
            "accuracy": run.accuracy,
            **run.model_dump(include={"reads", "partial_sum", "current", "nf", "energy"}),
            "partial_sum_change": 0.0 - run.partial_sum_reduction,
            "energy_change": run.energy_change,
        }
        for (network, point), result in results.items()
        for run in result.runs
    ]
    head = ("network", "design point", "BinSparX", "images", "software", "ideal tiles", "tiles")
    reads = ("ON cells of a read", "change", "current of a read", "NF", "bit lines", "change")
    lines = tuple(
        (
            row["network"],
            row["design point"],
            row["BinSparX"],
            f"{row['images']:,}",
            *(f"{row[name]:.1%}" for name in ("software", "ideal tiles", "accuracy")),
            f"{row['partial_sum']:.2f}",
            f"{row['partial_sum_change']:+.1%}",
            engineering(row["current"], "A"),
            f"{row['nf']:.1%}",
            engineering(row["energy"], "J"),
            f"{row['energy_change']:+.1%}",
        )
        for row in rows
    )
    parts: list[Part] = [
        Sheet(
            "accuracy and reads\nenergy for one image; changes against the first run", (*head, *reads), lines
        )
    ]
    png = _drawn(lambda path: accuracy_picture(results, path))
    parts.append(Picture("accuracy", "accuracy, and the current of a read", png))
    for (network, point), result in results.items():
        for run in result.runs:
            layers = tuple(
                (
                    name,
                    f"{layer.reads:,.0f}",
                    f"{layer.partial_sum:.2f}",
                    engineering(layer.current, "A"),
                    f"{layer.nf:.1%}",
                    engineering(layer.energy, "J"),
                )
                for name, layer in run.layers.items()
            )
            title = f"reads of each layer: {network}, {point}, BinSparX {run.mitigation}"
            parts.append(Sheet(title, ("layer", "reads", "ON cells", "current", "NF", "bit lines"), layers))
    return parts, rows


def _fidelity(compared: Mapping[str, Fidelity]) -> Sheet:
    head = (
        "BinSparX",
        "images",
        "codes",
        "differ",
        "predictions differ",
        "correlation of logits",
        "worst logit",
    )
    rows = tuple(
        (
            kind,
            str(both.images),
            f"{both.codes:,}",
            f"{both.codes_differ:,}",
            str(both.predictions_differ),
            f"{both.correlation:.6f}",
            f"{both.worst_logit:.3g} sigma",
        )
        for kind, both in compared.items()
    )
    return Sheet("exact engine against fast", head, rows)


def _origin(result: EvaluationRecord) -> list[Part]:
    assumed = tuple((text,) for text in result.assumptions)
    design = {name: value for name, value in result.design.items() if name != "costs"}
    return [
        Sheet("assumptions", ("of accuracy and reads",), assumed),
        _facts("design", design),
        _facts("what made it", result.provenance),
    ]


def _sign_off(record: JsonDict, path: Path) -> _Content:
    result = parse(SignOffRecord, record, source=str(path))
    facts = {
        "verdict": "signed off" if result.passed else "NOT signed off",
        "vectors": f"{result.vectors:,}, of which ngspice failed on {len(result.failures)}",
        "I-V table, SHA-256": result.table,
        **{f"fault {place + 1}": fault for place, fault in enumerate(result.faults)},
        **{f"limit of {name}": value for name, value in result.design.limits.model_dump().items()},
    }
    parts: list[Part] = [
        _facts("sign-off", facts),
        Picture("signoff", "errors and limits", _drawn(lambda png: sign_off_picture(result, png))),
        sign_off_sheet(result),
        _facts("design", {name: value for name, value in record["design"].items() if name != "costs"}),
        _facts("what made it", result.provenance),
    ]
    return f"Sign-off: {facts['verdict']}", parts, [asdict(deviation) for deviation in result.deviations]


def _check(record: list[JsonDict], path: Path) -> _Content:
    rows = parse(CheckRecord, {"comparisons": record}, source=str(path)).comparisons
    lines = []
    for row in rows:
        figure = FIGURES[row.figure]
        values = figure.show(row.measured), figure.show(row.target), figure.show_deviation(row.deviation)
        within = "" if row.target is None or figure.reach is None else "yes" if row.within else "NO"
        lines.append((row.device, row.process, f"{row.figure}, {figure.unit}", *values, within))
    head = ("device", "process", "figure", "measured", "target", "off by", "within reach")
    return (
        "Transistor cards",
        [Sheet("figures against targets", head, tuple(lines))],
        [asdict(row) for row in rows],
    )


# Arrays


def _table(path: Path) -> _Content:
    sweep = read_sweep(path)
    axis = sweep.voltage.tolist()
    facts = {
        "axis of both terminals": f"{len(axis)} voltages, 0 to {axis[-1]:g} V",
        "points that converged": f"{int(sweep.converged.sum()):,} of {sweep.current.size:,}",
    }
    rows = [
        {"stored": w, "applied": a, "v_bl": axis[bl], "v_sl": axis[sl], "current": float(current)}
        for (w, a, bl, sl), current in np.ndenumerate(sweep.current)
    ]
    png = _drawn(lambda picture: table_picture(sweep, picture, title=""))
    parts: list[Part] = [
        _facts("I-V table", facts),
        Picture("table", "currents", png),
        _facts("what made it", sweep.origin),
    ]
    return f"I-V table {path.stem}", parts, rows


def _tile(path: Path) -> _Content:
    try:
        with open(path, "rb") as content, np.load(content, allow_pickle=False) as file:
            current, lsb, partial_sum = (
                np.asarray(file[name], np.float64) for name in ("current", "lsb", "partial_sum")
            )
            origin = json.loads(str(file["provenance"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path}: expected the currents of a tile, got another archive ({error}).") from error
    if current.ndim != 2 or partial_sum.shape != current.shape or lsb.shape or not current.size:
        raise BadInput(
            f"{path}: expected current and partial_sum shaped (vectors, columns) and one lsb, got "
            f"{current.shape}, {partial_sum.shape} and {lsb.shape}."
        )
    made_by = parse(TileOrigin, origin, source=str(path))
    vectors, columns = current.shape
    facts = {
        "engine": made_by.engine,
        "vectors": vectors,
        "columns": columns,
        "LSB": engineering(float(lsb), "A"),
    }
    lines = tuple(
        (
            str(column),
            *(engineering(float(find(current[:, column])), "A") for find in (np.min, np.mean, np.max)),
            f"{partial_sum[:, column].mean():.2f}",
        )
        for column in range(columns)
    )
    head = ("column", "lowest current", "mean", "highest", "mean ON cells")
    rows = [
        {
            "vector": vector,
            "column": column,
            "current": float(value),
            "partial_sum": partial_sum[vector, column],
        }
        for (vector, column), value in np.ndenumerate(current)
    ]
    parts: list[Part] = [_facts("tile", facts), Sheet("columns, over all vectors", head, lines)]
    return "Currents of a tile", [*parts, _facts("what made it", origin)], rows


def _facts(title: str, facts: Mapping[str, Any]) -> Sheet:
    return Sheet(title, ("", ""), tuple(_flat("", facts)))


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Leaves of nested tables by dotted names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{name}.{key}" if name else str(key), inner)
    else:
        yield name, json.dumps(value) if isinstance(value, list) else shown(value)


def _drawn(draw: Callable[[Path], object]) -> bytes:
    """The PNG that a function writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        draw(path)
        return path.read_bytes()


_BY_START: dict[bytes, Callable[[Path], _Content]] = {b"PAR1": _study, b"\x89HDF": _table, b"PK": _tile}
_BY_KEYS: dict[tuple[str, ...], Callable[[JsonDict, Path], _Content]] = {
    ("evaluations",): _demo,
    ("accuracy_software", "runs"): _evaluation,
    ("deviations", "passed"): _sign_off,
}
