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
from spicekit.files import open_file, take_folder, write_atomically
from spicekit.provenance import JsonDict, content_hash

LOG_FILE = "jobs.jsonl"
RESULTS_FILE = "results.parquet"


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


def require_pyarrow() -> None:
    """`MissingTool` with the cure, if pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingTool(
            "studies need pyarrow; install it with: pip install 'spicekit-cim[study]'"
        ) from error
