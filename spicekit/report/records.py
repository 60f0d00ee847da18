"""What result files hold, checked: other programs may have written them, or other versions of this one."""

import json
from collections.abc import Mapping, Sequence

import pydantic

from spicekit.config import parse
from spicekit.devices.check import FIGURES, Comparison
from spicekit.errors import BadInput
from spicekit.provenance import JsonDict
from spicekit.report.study_table import RESULTS
from spicekit.results import Record


class CheckRecord(Record):
    """What `spicekit devices check --json` prints, under a name."""

    comparisons: list[Comparison]

    @pydantic.field_validator("comparisons")
    @classmethod
    def _known(cls, rows: list[Comparison]) -> list[Comparison]:
        if unknown := {row.figure for row in rows} - FIGURES.keys():
            raise ValueError(f"unknown figures: {', '.join(sorted(unknown))}")
        return rows


class TileOrigin(Record):
    """Of a tile's currents."""

    engine: str
    spec: JsonDict
    table: str


PROVENANCE = ("spicekit", "code_sha256", "ngspice", "table", "table_sha256", "weights_sha256")
"""Of a study's row."""


class _StudyRow(pydantic.RootModel[dict[str, str | bool | int | float | None]]):
    """A point of a study: plain values."""

    model_config = pydantic.ConfigDict(strict=True, allow_inf_nan=False)


def check_rows(rows: Sequence[Mapping[str, object]], *, source: str) -> None:
    """`BadInput` if rows are not those of a study."""
    results = {"images", *(key for key, _, _ in RESULTS.values())}
    wanted = {"run.network", "run.mitigation", "fault", *PROVENANCE}
    names = set(rows[0]) if rows else set()
    done = [row for row in rows if not row.get("fault")]
    if missing := (wanted | (results if done else set())) - names:
        raise BadInput(
            f"{source}: expected the rows of a study, got a table without {', '.join(sorted(missing))}; "
            f"pass the results.parquet that spicekit sweep wrote."
        )
    for place, row in enumerate(rows):
        where = f"{source}, row {place + 1}"
        parse(_StudyRow, row, source=where)
        numbers = (
            ()
            if row["fault"]
            else [*sorted(results), *(["seconds"] if row.get("seconds") is not None else [])]
        )
        for name in numbers:
            if isinstance(row[name], bool) or not isinstance(row[name], int | float):
                raise BadInput(f"{where}: expected a number for '{name}', got {json.dumps(row[name])}.")
        for name in ("run.network", "run.mitigation", "fault"):
            if not isinstance(row[name], str):
                raise BadInput(f"{where}: expected text for '{name}', got {json.dumps(row[name])}.")
