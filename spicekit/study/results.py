"""Results of a study: a log of finished jobs that survives any kill, and a Parquet file with a row for each point.

The only module that knows pyarrow. `load` reads these, and what any other verb or `save` wrote.
"""

import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pydantic

from spicekit.config import parse
from spicekit.errors import BadInput, require
from spicekit.evaluation.network_costs import NetworkCosts
from spicekit.evaluation.records import Demo, Evaluation
from spicekit.evaluation.signoff import SignOff
from spicekit.files import (
    as_path,
    lock,
    open_file,
    parse_json,
    read_arrays,
    read_json,
    take_folder,
    write_atomically,
    writing,
)
from spicekit.mapping.binsparx import MITIGATION_LABELS
from spicekit.provenance import JsonDict, content_hash
from spicekit.results import Result, new_axes
from spicekit.tables.store import read_sweep
from spicekit.tables.table import IVTable

if TYPE_CHECKING:
    import pyarrow
    from matplotlib.axes import Axes
    from xarray import Dataset

LOG_FILE = "jobs.jsonl"
RESULTS_FILE = "results.parquet"
EARLIER_FILE = "earlier-results.parquet"
"""Results that were in the folder when a study began that has other points: they are not those of one not finished."""
POINTS_FOLDER = "points"
"""Of a study's folder: Parquet files with the rows of points as they are finished, to be read while it runs."""
_FULL = "free space, repeat"


class StudyResult(Result):
    """What a study found: a row for each point."""

    points: tuple[JsonDict, ...]
    """In the study's order, as in the Parquet file; docs/results.md has the columns."""
    made: int = 0
    """Jobs that were run."""
    kept: int = 0
    """Jobs that an earlier run finished."""
    failed: int = 0
    """Jobs that failed; the rows of their points say why."""

    def rows(self) -> list[JsonDict]:
        """One for each point."""
        return list(self.points)

    def units(self) -> dict[str, str]:
        """Units of the columns."""
        return {"current": "A", "ideal_current": "A", "energy": "J", "seconds": "s"}

    def save(self, path: Path | str) -> None:
        """Write the points as Parquet, as `spicekit sweep` does."""
        write_rows(self.points, Path(path), origin=self.provenance)

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Accuracy over the energy of the bit lines, a colour for each network and mitigation."""
        axes = new_axes(axes)
        kinds: dict[tuple[str, str], list[JsonDict]] = {}
        for row in self.points:
            if not row["fault"]:
                kinds.setdefault((row["run.network"], row["run.mitigation"]), []).append(row)
        for (network, mitigation), own in kinds.items():
            label = f"{network}, {MITIGATION_LABELS.get(mitigation, mitigation)}".replace("$", r"\$")
            energy, accuracy = zip(*((row["energy"], 100 * row["accuracy"]) for row in own), strict=True)
            axes.plot(energy, accuracy, "o", label=label)
        axes.set(xlabel="energy of the bit lines for an image, J", ylabel="accuracy, %")
        if kinds:
            axes.legend(frameon=False)
        return axes

    def __str__(self) -> str:
        return f"Study of {len(self.points)} points"


class Log:
    """Results of jobs by key, one line of JSON each with its checksum, on the disk before the next.

    One study at a time writes to a folder. What a kill left of a last line is cut off; the job of a damaged line runs
    again. `BadInput` if the folder holds something else (`take_folder`).
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOG_FILE
        take_folder(folder)
        with writing(path, "pass another --out"):
            self._file = open(path, "a+b", opener=_own)  # noqa: SIM115 (closed on exit)
        if not lock(self._file.fileno()):
            self._file.close()
            raise BadInput(f"{folder}: another study is writing here; wait for it or pass another --out.")
        self._file.seek(0)
        content = self._file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._file.truncate(len(whole))
        self.results: dict[str, JsonDict] = {}
        for line in whole.splitlines():
            try:
                digest, key, result = json.loads(line)
                if digest == content_hash([key, result]):
                    self.results[key] = result
            except (ValueError, TypeError, RecursionError):
                continue

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, key: str, result: JsonDict) -> None:
        """Keep the result of a job; `BadInput` if the disk is full."""
        with writing(self._file.name, _FULL):
            line = json.dumps([content_hash([key, result]), key, result])
            self._file.write(line.encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        self.results[key] = result


def _own(path: str, flags: int) -> int:
    """Opens no link: whoever may write to the folder could have the log written to any file."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


class PointsWriter:
    """Rows as they come, in Parquet files of a folder, each there as a whole: read them while others are written.

    No more rows than fill a file are in memory. All files have the same columns of the same types, so that they are
    read together; those of an earlier run are deleted first.

    Parameters
    ----------
    like : sequence of rows
        With all columns, and values of each type that a column will have.
    most : int
        Rows of a file.
    patience : float
        s, after which rows are written even if they fill no file.

    Raises
    ------
    BadInput
        Here, and by what is called, if the disk refuses.
    """

    def __init__(self, folder: Path, like: Sequence[JsonDict], *, most: int = 10_000, patience: float = 60.0) -> None:
        require("pyarrow")
        self._folder, self._most, self._patience = folder, most, patience
        self._schema = _table(like).schema
        self._rows: list[JsonDict] = []
        self._files, self._written = 0, time.monotonic()
        with writing(folder, _FULL):
            folder.mkdir(exist_ok=True)
            for path in folder.glob("*.parquet"):
                path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._write()

    def add(self, row: JsonDict) -> None:
        """Keep a row; it can be read once its file is written."""
        self._rows.append(row)
        if len(self._rows) == self._most or time.monotonic() - self._written > self._patience:
            self._write()

    def _write(self) -> None:
        import pyarrow

        if self._rows:
            table = pyarrow.Table.from_pylist(self._rows, schema=self._schema)
            with writing(self._folder, _FULL):
                write_atomically(self._folder / f"{self._files:06d}.parquet", _as_bytes(table))
            self._rows, self._files = [], self._files + 1
        self._written = time.monotonic()


def write_rows(rows: Sequence[JsonDict], path: Path, *, origin: Mapping[str, object]) -> None:
    """Write rows as Parquet, whole or not at all; `origin` goes into the file's metadata, key `spicekit`."""
    require("pyarrow")
    table = _table(rows).replace_schema_metadata({"spicekit": json.dumps(origin)})
    write_atomically(path, _as_bytes(table))


def _table(rows: Sequence[JsonDict]) -> "pyarrow.Table":
    import pyarrow

    rows = complete(rows)
    return pyarrow.table({name: [row[name] for row in rows] for name in (rows[0] if rows else ())})


def complete(rows: Sequence[JsonDict]) -> tuple[JsonDict, ...]:
    """Rows that all have every column, None where one had no value.

    >>> complete([{"a": 1}, {"b": 2}])
    ({'a': 1, 'b': None}, {'a': None, 'b': 2})
    """
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return tuple({name: row.get(name) for name in columns} for row in rows)


def _as_bytes(table: "pyarrow.Table") -> bytes:
    import pyarrow.parquet

    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()


def read_rows(path: Path) -> list[JsonDict]:
    """Rows of a study's Parquet file, or of all in a folder; `BadInput` if it is none."""
    if path.is_dir():
        found = [row for part in sorted(path.glob("*.parquet")) for row in read_rows(part)]
        if len(found) > _MOST_ROWS:
            raise BadInput(f"{path}: has {len(found):,} rows; read it by pyarrow.dataset.dataset, in batches.")
        return found
    require("pyarrow")
    import pyarrow
    import pyarrow.parquet

    with open_file(path, largest=_LARGEST) as content:
        try:
            with pyarrow.parquet.ParquetFile(content) as file:
                counts = file.metadata
                groups = (counts.row_group(index) for index in range(counts.num_row_groups))
                size = sum(max(0, group.total_byte_size) for group in groups)
                if counts.num_rows > _MOST_ROWS or counts.num_columns > _MOST_COLUMNS or size > _LARGEST:
                    raise BadInput(
                        f"{path}: claims {counts.num_rows:,} rows of {counts.num_columns:,} columns, {size:,} bytes; "
                        f"no study has more than {_MOST_ROWS:,}, {_MOST_COLUMNS:,} and {_LARGEST:,}."
                    )
                rows: list[JsonDict] = file.read(use_threads=False).to_pylist()
        except (OSError, pyarrow.ArrowException, UnicodeDecodeError, OverflowError) as error:
            raise BadInput(f"{path}: is not a readable Parquet file ({error}).") from error
    return rows


_LARGEST = 256 << 20  # bytes of a Parquet file, unpacked; 100,000 points with their layers have half of it
_MOST_ROWS, _MOST_COLUMNS = 100_000, 1_000


def read_study_result(path: Path) -> StudyResult:
    """A study's Parquet file, or folder of those, its rows checked; `BadInput` if it is none."""
    rows = read_rows(path)
    _check_rows(rows, source=str(path))
    import pyarrow.parquet

    first = min(path.glob("*.parquet")) if path.is_dir() else path
    try:
        origin = json.loads((pyarrow.parquet.read_schema(first).metadata or {}).get(b"spicekit", b"{}"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: does not say what made it ({error}); repeat its spicekit sweep.") from error
    return StudyResult.from_record({"points": rows, "provenance": origin}, source=str(path))


PROVENANCE = ("spicekit", "code_sha256", "ngspice", "table", "table_sha256", "weights_sha256")
"""Of a study's row."""


class _Row(pydantic.BaseModel):
    """A point of a study, as far as pages need it: other columns hold plain values."""

    model_config = pydantic.ConfigDict(strict=True, allow_inf_nan=False, extra="allow")
    __pydantic_extra__: dict[str, str | bool | int | float | None]

    network: str = pydantic.Field(alias="run.network")
    mitigation: str = pydantic.Field(alias="run.mitigation")
    fault: str


class _FinishedRow(_Row):
    """One that did not fail."""

    images: int
    software_accuracy: float
    accuracy: float
    partial_sum: float
    nf: float
    energy: float
    layers: pydantic.Json[dict[str, Any]]
    seconds: float | None = None


def _check_rows(rows: Sequence[Mapping[str, object]], *, source: str) -> None:
    """`BadInput` if rows are not those of a study."""
    fields = (_FinishedRow if any(not row.get("fault") for row in rows) else _Row).model_fields
    wanted = {field.alias or name for name, field in fields.items() if field.is_required()}
    if missing := (wanted | {"tile.cell", "converter.reference", *PROVENANCE}) - set(rows[0] if rows else ()):
        raise BadInput(
            f"{source}: expected the rows of a study, got a table without {', '.join(sorted(missing))}; "
            f"pass the results.parquet that spicekit sweep wrote."
        )
    for place, row in enumerate(rows, start=1):
        parse(_Row if row["fault"] else _FinishedRow, row, source=f"{source}, row {place}")


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
        its Parquet file; an I-V table (.h5); the currents of a tile (.npz).

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
