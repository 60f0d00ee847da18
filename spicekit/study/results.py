"""Results of a study: a log of finished jobs that survives any kill, and a Parquet file with a row for each point.

The only module that knows pyarrow.
"""

import fcntl
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import pydantic

from spicekit.config import parse
from spicekit.errors import BadInput, MissingTool
from spicekit.files import open_file, parse_json, take_folder, write_atomically
from spicekit.mapping.binsparx import MITIGATION_LABELS
from spicekit.provenance import JsonDict, content_hash
from spicekit.results import Result, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOG_FILE = "jobs.jsonl"
RESULTS_FILE = "results.parquet"


class StudyResult(Result):
    """What a study found: a row for each point."""

    points: tuple[JsonDict, ...]
    """In the study's order, as in the Parquet file; docs/results.md has the columns."""
    made: int = 0
    """Jobs."""
    kept: int = 0
    """Jobs that an earlier run finished."""
    failed: int = 0
    """Jobs; the rows of their points say why."""

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
        done = [row for row in self.points if not row["fault"]]
        kinds = dict.fromkeys((row["run.network"], row["run.mitigation"]) for row in done)
        for network, mitigation in kinds:
            own = [
                row for row in done if (row["run.network"], row["run.mitigation"]) == (network, mitigation)
            ]
            label = f"{network}, {MITIGATION_LABELS.get(mitigation, mitigation)}".replace("$", r"\$")
            axes.plot(
                [row["energy"] for row in own], [100 * row["accuracy"] for row in own], "o", label=label
            )
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
        try:
            self._file = open(path, "a+b")  # noqa: SIM115 (closed on exit)
        except OSError as error:
            raise BadInput(f"{path}: cannot be written ({error.strerror}); pass another --out.") from error
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise BadInput(
                f"{folder}: another study is writing here; wait for it or pass another --out."
            ) from error
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

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, key: str, result: JsonDict) -> None:
        """Keep the result of a job; `BadInput` if the disk is full."""
        try:
            line = json.dumps([content_hash([key, result]), key, result])
            self._file.write(line.encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise BadInput(
                f"{self._file.name}: cannot be written ({error.strerror}); free space, repeat."
            ) from error
        self.results[key] = result


def write_rows(rows: Sequence[JsonDict], path: Path, *, origin: Mapping[str, object]) -> None:
    """Write rows as Parquet, whole or not at all; `origin` goes into the file's metadata, key `spicekit`."""
    require_pyarrow()
    import pyarrow
    import pyarrow.parquet

    columns = list(dict.fromkeys(key for row in rows for key in row))
    table = pyarrow.table({name: [row.get(name) for row in rows] for name in columns})
    table = table.replace_schema_metadata({"spicekit": json.dumps(origin)})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    write_atomically(path, buffer.getvalue())


def read_rows(path: Path) -> list[JsonDict]:
    """Rows of a study's Parquet file; `BadInput` if it is none."""
    require_pyarrow()
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
    """A study's Parquet file, its rows checked; `BadInput` if it is none."""
    rows = read_rows(path)
    check_rows(rows, source=str(path))
    import pyarrow.parquet

    try:
        origin = json.loads((pyarrow.parquet.read_schema(path).metadata or {}).get(b"spicekit", b"{}"))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: does not say what made it ({error}); repeat its spicekit sweep.") from error
    return StudyResult.from_record({"points": rows, "provenance": origin}, source=str(path))


def require_pyarrow() -> None:
    """`MissingTool` with the cure, if pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingTool(
            "studies need pyarrow; install it with: pip install 'spicekit-cim[study]'"
        ) from error


FIGURES = ("software_accuracy", "accuracy", "partial_sum", "nf", "energy")
"""Columns of a study's results that hold numbers wherever a point did not fail."""
PROVENANCE = ("spicekit", "code_sha256", "ngspice", "table", "table_sha256", "weights_sha256")
"""Of a study's row."""


class _StudyRow(pydantic.RootModel[dict[str, str | bool | int | float | None]]):
    """A point of a study: plain values."""

    model_config = pydantic.ConfigDict(strict=True, allow_inf_nan=False)


def check_rows(rows: Sequence[Mapping[str, object]], *, source: str) -> None:
    """`BadInput` if rows are not those of a study."""
    results = {"images", *FIGURES}
    wanted = {"run.network", "run.mitigation", "tile.cell", "converter.reference", "fault", *PROVENANCE}
    names = set(rows[0]) if rows else set()
    done = [row for row in rows if not row.get("fault")]
    if missing := (wanted | (results | {"layers"} if done else set())) - names:
        raise BadInput(
            f"{source}: expected the rows of a study, got a table without {', '.join(sorted(missing))}; "
            f"pass the results.parquet that spicekit sweep wrote."
        )
    for place, row in enumerate(rows):
        where = f"{source}, row {place + 1}"
        parse(_StudyRow, row, source=where)
        timed = ["seconds"] if row.get("seconds") is not None else []
        numbers = () if row["fault"] else [*sorted(results), *timed]
        for name in numbers:
            if isinstance(row[name], bool) or not isinstance(row[name], int | float):
                raise BadInput(f"{where}: expected a number for '{name}', got {json.dumps(row[name])}.")
        if not row["fault"] and not isinstance(parse_json(str(row["layers"]), source=where), dict):
            raise BadInput(f"{where}: expected figures by layer in 'layers', got {row['layers']!r}.")
        for name in ("run.network", "run.mitigation", "fault"):
            if not isinstance(row[name], str):
                raise BadInput(f"{where}: expected text for '{name}', got {json.dumps(row[name])}.")
