"""Result files as pages: what kind one is, found by its content."""

import hashlib
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from spicekit.config import parse
from spicekit.devices.check import CheckRecord
from spicekit.errors import BadInput
from spicekit.evaluation.records import Demo, Evaluation
from spicekit.evaluation.signoff import SignOff
from spicekit.files import read_file, read_json
from spicekit.report.cell import table_page, tables_page
from spicekit.report.checks import check_page, sign_off_page
from spicekit.report.evaluation import comparison_page, demo_page, evaluation_page
from spicekit.report.page import Page
from spicekit.report.study import study_page
from spicekit.report.tile import tile_page
from spicekit.results import Record
from spicekit.study.results import KINDS, LOG_FILE, RESULTS_FILE, read_study_result
from spicekit.tables.store import read_sweep


def read_page(path: Path) -> tuple[Page, str]:
    """Page of a result that a verb wrote, and what it is of: path and hash.

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
    path, content = _content(path)
    read = next((read for start, read in _BY_START.items() if content.startswith(start)), _from_json)
    return _drawable(read(path), source=str(path)), f"{path}, SHA-256 {hashlib.sha256(content).hexdigest()}"


def compare(paths: Sequence[Path]) -> tuple[Page, str]:
    """Page of several evaluations side by side, or of several I-V tables; errors as of `read_page`."""
    contents = dict(zip(_names(paths), map(_content, paths), strict=True))
    source = "; ".join(f"{path}, SHA-256 {hashlib.sha256(content).hexdigest()}" for path, content in contents.values())
    if all(content.startswith(_HDF5) for _, content in contents.values()):
        return tables_page({name: read_sweep(path) for name, (path, _) in contents.items()}), source
    found: dict[str, Evaluation] = {}
    for name, (path, _) in contents.items():
        record = _json(path)
        if not isinstance(record, dict) or not record.keys() >= KINDS[Evaluation]:
            raise BadInput(
                f"{path}: several results are compared if all are evaluations, the JSON of evaluate --out, or all are "
                f"I-V tables."
            )
        found[name] = parse(Evaluation, record, source=str(path))
    return _drawable(comparison_page(found), source=source), source


def _drawable(page: Page, *, source: str) -> Page:
    """The page, if every number that its charts show is one."""
    for chart in page.charts:
        if any(isinstance(cell, float) and not math.isfinite(cell) for row in chart.rows for cell in row.values()):
            raise BadInput(f"{source}: has a value too large for the chart '{chart.title}'; it is damaged.")
    return page


_HDF5 = b"\x89HDF"


def _names(paths: Sequence[Path]) -> list[str]:
    """Short and each its own: stems, with the folder where they are alike."""
    stems = [path.stem for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    folders = [f"{path.parent.name}/{path.stem}" for path in paths]
    return folders if len(set(folders)) == len(folders) else [str(path) for path in paths]


_KNOWN = (
    "a study (results.parquet), the JSON of evaluate, signoff, demo or devices check --json, an I-V table (.h5), "
    "the currents of a tile (.npz)"
)


def _content(path: Path) -> tuple[Path, bytes]:
    path = _file(path)
    return path, read_file(path, largest=_LARGEST)


_LARGEST = 1 << 30  # bytes of a result


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


def _json(path: Path) -> Any:
    try:
        return read_json(path)
    except BadInput:
        return None


def _from_json(path: Path) -> Page:
    record = _json(path)
    for kind, (keys, page_of) in _BY_KIND.items():
        if isinstance(record, dict) and record.keys() >= keys:
            return page_of(parse(kind, record, source=str(path)), path.stem)
    raise BadInput(f"{path}: expected a result, got something else; pass {_KNOWN}.")


_BY_START: dict[bytes, Callable[[Path], Page]] = {
    b"PAR1": lambda path: study_page(read_study_result(path).rows(), name=path.parent.resolve().name),
    _HDF5: lambda path: table_page(read_sweep(path), name=path.stem),
    b"PK": tile_page,
}
_BY_KIND: dict[type[Record], tuple[frozenset[str], Callable[[Any, str], Page]]] = {
    Demo: (KINDS[Demo], lambda demo, _: demo_page(demo)),
    Evaluation: (KINDS[Evaluation], lambda found, name: evaluation_page(found, name=name)),
    SignOff: (KINDS[SignOff], lambda found, _: sign_off_page(found)),
    CheckRecord: (frozenset({"figures", "curves"}), lambda found, _: check_page(found)),
}
