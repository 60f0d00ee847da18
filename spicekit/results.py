"""Results: records that know their units and what made them, write themselves as JSON and are read back."""

import html
import json
import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self

import pydantic

from spicekit.config import parse
from spicekit.errors import BadInput
from spicekit.files import write_atomically, writing
from spicekit.provenance import JsonDict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame


@dataclass(frozen=True)
class Unit:
    """Of a field."""

    symbol: str


Ampere = Annotated[float, Unit("A")]
Coulomb = Annotated[float, Unit("C")]
Joule = Annotated[float, Unit("J")]
Second = Annotated[float, Unit("s")]
SquareMetre = Annotated[float, Unit("m2")]
Fraction = Annotated[float, Unit("1")]
Share = Annotated[float, Unit("1"), pydantic.Field(ge=0, le=1)]
Lsb = Annotated[float, Unit("LSB")]


class Record(pydantic.BaseModel):
    """A part of a result. What a file holds besides, of another version perhaps, is passed over."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        populate_by_name=True,
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
    )

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            raise BadInput(f"{type(self).__name__}: is not changed in place; compute it anew.")
        super().__setattr__(name, value)


class Result(Record):
    """What a verb found.

    A subclass says what its rows are; tables, pages and pictures follow from them.
    """

    provenance: JsonDict = pydantic.Field(default_factory=dict)
    """What made it: versions, command, time, hashes of all that went in."""

    def save(self, path: Path | str) -> None:
        """Write the JSON that the command line writes, whole or not at all; `BadInput` where that cannot be."""
        with writing(path):
            write_atomically(Path(path), self.to_json())

    def to_json(self) -> str:
        """The result as text that `spicekit.load` reads."""
        return self.model_dump_json(indent=1, by_alias=True)

    def __eq__(self, other: object) -> bool:
        """Whether all that is written of both is the same."""
        return type(self) is type(other) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def from_record(cls, record: Any, *, source: str) -> Self:
        """From JSON-ready data; `BadInput` names the source and what is wrong with it."""
        return parse(cls, record, source=source)

    def noting(self, **facts: Any) -> Self:
        """A copy whose provenance has some facts more."""
        return self.model_copy(update={"provenance": {**self.provenance, **facts}})

    @abstractmethod
    def rows(self) -> list[JsonDict]:
        """The result as a table: a mapping for each row, plain values by column."""

    def units(self) -> dict[str, str]:
        """Units of the columns that have any."""
        return {}

    def to_pandas(self) -> "DataFrame":
        """The rows as a pandas DataFrame; `attrs` holds units and provenance."""
        from pandas import DataFrame

        frame = DataFrame(self.rows())
        frame.attrs = {"units": self.units(), "provenance": self.provenance}
        return frame

    @abstractmethod
    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Draw the result with matplotlib; on new axes by default."""

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        units, rows = self.units(), self.rows()
        names = list(dict.fromkeys(name for row in rows for name in row))
        heads = [f"{name}, {units[name]}" if name in units else name for name in names]
        lines = ("".join(f"<td>{_shown(row.get(name, ''))}</td>" for name in names) for row in rows)
        return (
            f"<table><caption>{html.escape(str(self))}</caption>"
            f"<thead><tr>{''.join(f'<th>{html.escape(head)}</th>' for head in heads)}</tr></thead>"
            f"<tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody></table>"
        )


def units_of(*records: type[Record]) -> dict[str, str]:
    """Units of the fields of records, by name, those that are counts or text left out."""
    return {
        name: unit.symbol
        for record in records
        for name, field in record.model_fields.items()
        for unit in _annotations(field)
        if isinstance(unit, Unit)
    }


def new_axes(axes: "Axes | None", *, size: tuple[float, float] = (6.4, 4.0)) -> "Axes":
    """Axes to draw on: those given, or new ones of a figure that no window shows."""
    if axes is not None:
        return axes
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").subplots()


def plain(values: Mapping[str, Any]) -> JsonDict:
    """Nested tables of JSON as one, by dotted names; lists as JSON text."""
    found: JsonDict = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": part for inner, part in plain(value).items()}
        else:
            found[name] = json.dumps(value) if isinstance(value, list | tuple) else value
    return found


def _annotations(field: Any) -> list[Any]:
    """Of a field, also where it may be None."""
    inner = [part for kind in getattr(field.annotation, "__args__", ()) for part in getattr(kind, "__metadata__", ())]
    return [*field.metadata, *inner]


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else html.escape(str(value))


class Report(Protocol):
    """How a long job says how far it is: what begins, then how much of it is done; `total` is 0 if it is not known.

    `note` is put behind the stage's name: what is at hand.
    """

    def __call__(self, stage: str, /, done: int = 0, total: int = 0, *, note: str = "") -> None: ...


def silent(stage: str, /, done: int = 0, total: int = 0, *, note: str = "") -> None:
    """The report that goes nowhere."""


def prefixed(report: Report, prefix: str) -> Report:
    """A report whose stages have a prefix."""

    def told(stage: str, /, done: int = 0, total: int = 0, *, note: str = "") -> None:
        report(f"{prefix}: {stage}", done, total, note=note)

    return told


NORMAL_95 = 1.959964  # standard deviations: 95 % of a normal distribution lie within


def accuracy_interval(accuracy: float, images: int) -> tuple[float, float]:
    """95 % confidence interval of an accuracy, a fraction, measured on so many images drawn at random.

    Wilson's score interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 1927): good for few images and near 0 and 1, too.

    >>> [round(end, 3) for end in accuracy_interval(0.9, 100)]
    [0.826, 0.945]
    >>> accuracy_interval(1.0, 100)[1]
    1.0
    """
    z2 = NORMAL_95**2 / images
    middle = (accuracy + z2 / 2) / (1 + z2)
    half = NORMAL_95 / (1 + z2) * math.sqrt(accuracy * (1 - accuracy) / images + z2 / images / 4)
    return max(0.0, middle - half), min(1.0, middle + half)
