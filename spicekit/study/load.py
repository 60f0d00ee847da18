"""Results from files: what a verb or `save` wrote, recognised by its content."""

from pathlib import Path
from typing import TYPE_CHECKING

from spicekit.errors import BadInput
from spicekit.evaluation.network_costs import NetworkCosts
from spicekit.evaluation.records import Demo, Evaluation
from spicekit.evaluation.signoff import SignOff
from spicekit.files import as_path, parse_json, read_arrays, read_json
from spicekit.results import Result
from spicekit.study.results import POINTS_FOLDER, RESULTS_FILE, read_study_result
from spicekit.tables.store import read_sweep
from spicekit.tables.table import IVTable

if TYPE_CHECKING:
    from xarray import Dataset

KINDS: dict[type[Result], frozenset[str]] = {
    Evaluation: frozenset({"accuracy_software", "runs"}),
    SignOff: frozenset({"errors", "fast_reads"}),
    Demo: frozenset({"evaluations"}),
    NetworkCosts: frozenset({"settling", "response"}),
}
"""Results in JSON, and keys that only they have."""


def load(path: Path | str) -> "Result | IVTable | Dataset":
    """The result in a file; nothing in it is executed.

    Parameters
    ----------
    path : path
        JSON of `evaluate`, `signoff`, `demo` or of `save`; a study's folder, of what is finished if it still runs, or
        its Parquet file; an I-V table (.h5); the
        currents of a tile (.npz).

    Returns
    -------
    Evaluation, SignOff, Demo, NetworkCosts, StudyResult, IVTable or xarray.Dataset

    Raises
    ------
    BadInput
        If the file cannot be read, or holds something else.
    BadTable
        If it is an I-V table that is damaged.

    Examples
    --------
    >>> import spicekit as sk
    >>> network = sk.load_network("vgg-small-quarter")
    >>> images = sk.load_dataset("digits", "test").first(2)
    >>> found = sk.evaluate(network, images, sk.design(layer="M2", pitch_nm=108, rows_active=16))
    >>> found.save("evaluation.json")
    >>> load("evaluation.json") == found
    True
    """
    path = as_path(path, what="load")
    if path.is_dir():
        running = not (path / RESULTS_FILE).is_file() and (path / POINTS_FOLDER).is_dir()
        path = path / (POINTS_FOLDER if running else RESULTS_FILE)
    if path.suffix == ".parquet" or path.is_dir():
        return read_study_result(path)
    if path.suffix == ".h5":
        return read_sweep(path).table()
    if path.suffix == ".npz":
        return _tile(path)
    record = read_json(path)
    if isinstance(record, dict):
        for kind, keys in KINDS.items():
            if record.keys() >= keys:
                return kind.from_record(record, source=str(path))
    raise BadInput(
        f"{path}: expected a result, got something else; pass the JSON of evaluate, signoff or demo, the "
        f"results.parquet of a study, an I-V table (.h5) or the currents of a tile (.npz)."
    )


def _tile(path: Path) -> "Dataset":
    """Currents (A), partial sums and LSB of a tile, as `spicekit tile` wrote them."""
    from xarray import Dataset

    file = read_arrays(path)
    try:
        parts = {name: (dims, file[name].astype(float)) for name, dims in _TILE.items() if name in file}
        parts["current"], parts["partial_sum"]
        found = Dataset(parts, attrs={"lsb": float(file["lsb"]), "provenance": str(file["provenance"])})
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"{path}: expected the currents of a tile, got another archive ({error}).") from error
    parse_json(found.attrs["provenance"], source=f"{path}, provenance")
    for name in found:
        found[name].attrs["units"] = "1" if name == "partial_sum" else "A"
    return found


_TILE: dict[str, tuple[str, ...]] = {
    "current": ("vector", "column"),
    "partial_sum": ("vector", "column"),
    "read_current": ("vector", "read", "column"),
}
