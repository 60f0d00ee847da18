"""What result files hold, checked: other programs may have written them, or other versions of this one."""

import json
from collections.abc import Mapping, Sequence
from typing import Self

import pydantic

from spicekit.config import parse
from spicekit.devices.check import FIGURES, Comparison
from spicekit.errors import BadInput
from spicekit.evaluate.convert import Mitigation
from spicekit.evaluate.design import Limits
from spicekit.evaluate.fidelity import Fidelity
from spicekit.evaluate.signoff import Deviation
from spicekit.provenance import JsonDict
from spicekit.report.study_table import RESULTS


class Record(pydantic.BaseModel):
    """A part of a result; what it does not name may be there, too."""

    model_config = pydantic.ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class Change(Record):
    """Relative to another run; None where that has nothing."""

    energy: float | None
    time: float | None
    area: float | None


class Figures(Record):
    """Energy in J, time in s and area in m2 for one image."""

    energy: float
    time: float
    area: float
    energy_parts: dict[str, float]
    area_parts: dict[str, float]


class CostedRun(Figures):
    """What one mitigation costs."""

    mitigation: str
    change: Change
    overhead: float
    break_even: float | None
    layers: dict[str, Figures]


class Response(Record):
    """What one constant does."""

    first_run: Change
    runs: dict[str, Change]


class Constant(Record):
    """Of the sheet behind energy, time and area."""

    value: str | int | float | list[str]
    source: str | None


class Costs(Record):
    """`Account.record`."""

    settling: float
    conversion_time: float
    conduction_time: float
    converter_bits: int
    constants: dict[str, Constant]
    assumptions: list[str]
    not_counted: list[str]
    runs: list[CostedRun] = pydantic.Field(min_length=1)
    response: dict[str, Response]

    @pydantic.model_validator(mode="after")
    def _complete(self) -> Self:
        names = {run.mitigation for run in self.runs}
        if not all(names <= effect.runs.keys() for effect in self.response.values()):
            raise ValueError("'response' lacks a run")
        return self


class Reads(Record):
    """What the reads of a layer, or of all, carry."""

    reads: float
    partial_sum: float
    current: float
    ideal_current: float
    nf: float
    energy: float


class Run(Reads):
    """A network on tiles, with one mitigation."""

    mitigation: Mitigation
    accuracy: float
    partial_sum_reduction: float
    energy_change: float
    layers: dict[str, Reads]

    @property
    def total(self) -> Reads:
        """Over all layers."""
        return self


class EvaluationRecord(Record):
    """`Evaluation.record`, and what `spicekit evaluate` adds."""

    design: JsonDict
    images: int
    software: float = pydantic.Field(alias="accuracy_software")
    ideal: float = pydantic.Field(alias="accuracy_ideal")
    runs: list[Run] = pydantic.Field(min_length=1)
    assumptions: list[str]
    fidelity: dict[str, Fidelity] = {}
    costs: Costs | None = None
    signed_off: bool | None = None
    signed_off_with_network: bool | None = None
    provenance: JsonDict = {}


class PlacedEvaluation(EvaluationRecord):
    """One of a demo's."""

    network: str
    point: str


class DemoRecord(Record):
    """`demo.json`."""

    evaluations: list[PlacedEvaluation] = pydantic.Field(min_length=1)
    provenance: JsonDict

    @pydantic.model_validator(mode="after")
    def _alike(self) -> Self:
        if len({tuple(run.mitigation for run in one.runs) for one in self.evaluations}) > 1:
            raise ValueError("'evaluations' have other runs than each other")
        return self


class LimitedDesign(Record):
    """Of a sign-off's design, what the page needs."""

    limits: Limits


class SignOffRecord(Record):
    """`SignOff.record`, and its provenance."""

    design: LimitedDesign
    table: str
    passed: bool
    faults: list[str]
    vectors: int
    failures: list[str]
    deviations: list[Deviation]
    provenance: JsonDict


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
        numbers = () if row["fault"] else sorted(results)
        for name in numbers:
            if isinstance(row[name], bool) or not isinstance(row[name], int | float):
                raise BadInput(f"{where}: expected a number for '{name}', got {json.dumps(row[name])}.")
        for name in ("run.network", "run.mitigation", "fault"):
            if not isinstance(row[name], str):
                raise BadInput(f"{where}: expected text for '{name}', got {json.dumps(row[name])}.")
