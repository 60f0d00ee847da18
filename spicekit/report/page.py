"""Web pages of results: one file that needs nothing but itself.

A page is data, which a template with autoescape and a charting library show: nothing that a result holds can become
markup. Its content security policy has browsers fetch nothing, and run nothing but two scripts that it names by hash.
"""

import base64
import csv
import functools
import gzip
import hashlib
import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spicekit.circuits.spec import TileSpec
from spicekit.report.charts import Chart
from spicekit.results import plain


@dataclass(frozen=True)
class Number:
    """One of the figures that decide."""

    value: str
    label: str
    note: str = ""


@dataclass(frozen=True)
class Column:
    """Of a table: what stands in it, in which unit, and how numbers are written."""

    head: str
    unit: str = ""
    meaning: str = ""
    form: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text and numbers; None is an empty cell."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""
    marked: frozenset[int] = frozenset()
    """Rows that are set off from the others."""

    @property
    def heading(self) -> str:
        """Title and note, a line each."""
        return "\n".join(filter(None, (self.title, self.note)))

    @property
    def heads(self) -> tuple[str, ...]:
        """What stands above the columns: units on a line of their own."""
        return tuple("\n".join(filter(None, (column.head, column.unit))) for column in self.columns)

    def texts(self) -> list[list[str]]:
        """The cells as they are shown."""
        forms = [_form(column, [row[place] for row in self.rows]) for place, column in enumerate(self.columns)]
        return [[_text(cell, form) for cell, form in zip(row, forms, strict=True)] for row in self.rows]


def text_table(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> Table:
    """A table of text alone."""
    return Table(title, tuple(map(Column, heads)), tuple(map(tuple, rows)), note)


def judged_table(
    title: str, columns: Sequence[Column], rows: Iterable[tuple[tuple[Any, ...], bool | None]], note: str = ""
) -> Table:
    """A table whose last column is the verdict: each row comes with whether it passes, None if it is not judged."""
    lines = [(*row, {True: "pass", False: "FAIL", None: ""}[passes]) for row, passes in rows]
    marked = frozenset(place for place, line in enumerate(lines) if line[-1] == "FAIL")
    return Table(title, tuple(columns), tuple(lines), note, marked)


@dataclass(frozen=True)
class Thumb:
    """A small picture with what is to be said of it."""

    png: bytes
    caption: str


@dataclass(frozen=True)
class Strip:
    """Small pictures in a row."""

    title: str
    note: str
    thumbs: tuple[Thumb, ...]


@dataclass(frozen=True)
class Sketch:
    """A tile's column with its wires and terminals: what the drawing says; the page draws it."""

    title: str
    note: str
    driver: str
    sink: str
    drive: str
    """Of the line that the read source feeds, a segment."""
    sense: str
    """Of the line that is sensed, a segment."""
    driven_name: str
    sensed_name: str
    size: str
    bias: str
    far: bool


Part = Chart | Sketch | Table | Strip


@dataclass(frozen=True)
class Page:
    """A result for people: the verdict first, then pictures, then tables, then what made it."""

    title: str
    verdict: str
    numbers: tuple[Number, ...]
    parts: tuple[Part, ...]
    good: bool | None = None
    """Whether the verdict is a pass or a failure; None if it is neither."""
    notes: tuple[str, ...] = ()
    """What the figures rest on."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Design and origin by dotted names, folded away."""
    rows: Sequence[Mapping[str, Any]] = ()
    """The figures behind it, for programs."""

    @property
    def charts(self) -> list[Chart]:
        """Those among the parts."""
        return [part for part in self.parts if isinstance(part, Chart)]


def sketch_of(tile: TileSpec, *, name: str = "") -> Sketch:
    """Of one column with word-line drive, or one row and column with bit-line drive."""
    driven, sensed = tile.segment_names
    first, second = ("bit line", "source line") if tile.drive == "wordline" else ("row", "column")
    return Sketch(
        title=f"The {name} tile".replace("  ", " "),
        note=f"{tile.rows} rows by {tile.columns} columns of {tile.cell} cells, {tile.rows_active} rows asserted in a "
        f"read, {tile.corner.process} corner, {tile.corner.temperature:g} K. Resistances in ohm.",
        driver=_end(tile.wires.r_driver, tile.wires.r_supply),
        sink=_end(tile.wires.r_sink, tile.wires.r_ground),
        drive=f"{tile.wires.segment(driven):.3g} Ω a cell",
        sense=f"{tile.wires.segment(sensed):.3g} Ω a cell",
        driven_name=first,
        sensed_name=second,
        size=f"{tile.rows} cells",
        bias=f"{tile.v_read:g} V",
        far=tile.sense_end == "far",
    )


def _end(own: float, shared: float) -> str:
    return f"{own:g} Ω" + (f", shared {shared:g} Ω" if shared else "")


def html(page: Page, *, made_by: str) -> str:
    """The page as a file."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scripts = [_kept("vendor/bundle.js"), _kept("page.js")]
    policy = (
        "default-src 'none'; img-src data: blob:; style-src 'unsafe-inline'; "
        f"script-src {' '.join(map(_hash, scripts))}; base-uri 'none'; form-action 'none'"
    )
    return environment.get_template("page.html.j2").render(
        page=page,
        made_by=made_by,
        policy=policy,
        style=_kept("page.css"),
        scripts=scripts,
        charts=[_drawing(chart) for chart in page.charts],
        facts=list(flat(page.provenance).items()),
        kind=lambda part: type(part).__name__,
        image=lambda png: f"data:image/png;base64,{base64.b64encode(png).decode()}",
    )


def _drawing(chart: Chart) -> str:
    """A specification and its data apart, names first, as JSON in gzip in base64: safe inside a script element."""
    spec = chart.spec()
    rows = spec["data"].pop("values")
    fields = list(dict.fromkeys(key for row in rows for key in row))
    cells = ([row.get(name) for name in fields] for row in rows)
    data = [[float(f"{cell:.6g}") if isinstance(cell, float) else cell for cell in row] for row in cells]
    text = json.dumps({"spec": spec, "fields": fields, "rows": data}, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows under one head; text that a spreadsheet would take for a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [_as_text(key) for key in dict.fromkeys(key for row in rows for key in row)])
    writer.writeheader()
    writer.writerows({_as_text(key): _as_text(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _as_text(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def flat(values: Mapping[str, Any]) -> dict[str, str]:
    """Leaves of nested tables by dotted names; what is not set is left out."""
    return {name: shown(value) for name, value in plain(values).items() if value is not None}


def shown(value: Any, *, none: str = "none") -> str:
    """A parameter's value, or those of parameters that change together."""
    if isinstance(value, tuple):
        return " / ".join(shown(one, none=none) for one in value)
    return none if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _form(column: Column, cells: Sequence[Any]) -> str:
    """How numbers are written: those of one unit and much the same size with decimals of one length, that line up."""
    sizes = [abs(cell) for cell in cells if isinstance(cell, float | int) and cell]
    if not (column.unit and column.form.endswith("g") and any(size % 1 for size in sizes)):
        return column.form
    least, most = min(sizes), max(sizes)
    if not (least >= 0.01 and most < min(1e5, 1000 * least)):
        return column.form
    return f".{max(0, int(column.form[1:-1]) - 1 - math.floor(math.log10(least)))}f"


def _text(cell: Any, form: str) -> str:
    if cell is None:
        return ""
    number = isinstance(cell, float | int) and not isinstance(cell, bool)
    return format(cell, form) if form and number else str(cell)


_HERE = Path(__file__).parent


@functools.cache
def _kept(name: str) -> str:
    return (_HERE / name).read_text("ascii")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
