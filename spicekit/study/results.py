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
from typing import Self

from spicekit.errors import BadInput, MissingTool
from spicekit.files import write_atomically
from spicekit.provenance import JsonDict

LOG_FILE = "jobs.jsonl"
RESULTS_FILE = "results.parquet"


class Log:
    """Results of jobs by key, one line of JSON each, on the disk before the next job is taken note of.

    One study at a time writes to a folder. What a kill left of a last line is cut off.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / LOG_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
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
                record = json.loads(line)
                self.results[record["key"]] = record["result"]
            except (ValueError, KeyError, TypeError):
                continue  # a damaged line: its job runs again

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, key: str, result: JsonDict) -> None:
        """Keep the result of a job; `BadInput` if the disk is full."""
        try:
            self._file.write(json.dumps({"key": key, "result": result}).encode() + b"\n")
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

    try:
        rows: list[JsonDict] = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.ArrowInvalid) as error:
        raise BadInput(f"{path}: is not a readable Parquet file ({error}).") from error
    return rows


def require_pyarrow() -> None:
    """`MissingTool` with the cure, if pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingTool(
            "studies need pyarrow; install it with: pip install 'spicekit-cim[study]'"
        ) from error
