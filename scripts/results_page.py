"""Write docs/results.md from the models of results: `python scripts/results_page.py`."""

import ast
import inspect
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

from spicekit import Evaluation, NetworkCosts, SignOff
from spicekit.evaluation.costs import Figures, LayerEvents
from spicekit.evaluation.network_costs import Change, Constant, CostedRun, Response
from spicekit.evaluation.records import (
    Demo,
    Fidelity,
    PlacedEvaluation,
    ReadStatistics,
    Restored,
    SpiceEvidence,
    TileRun,
)
from spicekit.evaluation.signoff import EngineError
from spicekit.results import Record, Result, units_of
from spicekit.study.results import StudyResult

PAGE = Path(__file__).parents[1] / "docs/results.md"
RECORDS: tuple[type[Record], ...] = (
    Evaluation,
    TileRun,
    ReadStatistics,
    Restored,
    Fidelity,
    SpiceEvidence,
    NetworkCosts,
    CostedRun,
    Figures,
    Change,
    Response,
    Constant,
    SignOff,
    EngineError,
    Demo,
    PlacedEvaluation,
    StudyResult,
)
HEAD = """# Result files, field by field

`spicekit evaluate --out`, `signoff --out`, `demo --out` and `result.save(path)` write the same JSON. `sk.load(path)`
reads it back. Units are SI. A number that does not exist is null. Fields that this page does not name are ignored.
Words are in the [glossary](explanation/glossary.md). `python scripts/results_page.py` writes this page from the code.

**A study**, `results.parquet`, has a row for each point:

* the design's fields by table and name (`tile.rows`), and those of `run`;
* `images`, `accuracy`, `software_accuracy`, and the fields of ReadStatistics without errors;
* `layers`: the same of each layer, as JSON;
* `seconds`, `fault` (empty where the point did not fail), and what made it.

**The currents of a tile**, `.npz`:

| array | shape | unit | meaning |
|---|---|---|---|
| `current` | vectors, columns | A | sum over the reads of a vector |
| `read_current` | vectors, reads, columns | A | of each read |
| `lsb` | | A | |
| `partial_sum`, `ideal_sum` | vectors, columns | ON cells | measured, and counted |
| `provenance` | | | JSON |
| `v_bl`, `v_sl` | rows, columns | V | with maps, first vector |
| `cell_current`, `cell_ideal` | rows, columns | A | likewise |
| `lost` | parts | LSB | likewise: what each part of `lost_to` takes |
| `lost_to` | parts | | their names |

**An I-V table**, `.h5`, is described in [I-V tables](tables.md#the-files-schema-2).
"""


def results_page() -> str:
    """The page's text."""
    return HEAD + "".join(map(_section, RECORDS)) + _events()


def _section(record: type[Record]) -> str:
    bases = [base for base in record.__bases__ if issubclass(base, Record) and base not in (Record, Result)]
    inherited = {name for base in bases for name in base.model_fields}
    units = units_of(record)
    rows = [
        (field.alias or name, _kind(field.annotation), units.get(name, ""), field.description)
        for name, field in record.model_fields.items()
        if name not in inherited
    ]
    rows += [
        (name, _kind(field.return_type), _unit(field.return_type), field.description)
        for name, field in record.model_computed_fields.items()
        if name not in {other for base in bases for other in base.model_computed_fields}
    ]
    also = f" All fields of {', '.join(base.__name__ for base in bases)}, and" if bases else ""
    lines = "\n".join(f"| `{name}` | {kind} | {unit} | {_line(text)} |" for name, kind, unit, text in rows)
    head = "| field | type | unit | meaning |\n|---|---|---|---|\n"
    return f"\n## {record.__name__}\n\n{_line(record.__doc__)}{also}\n\n{head}{lines}\n"


def _events() -> str:
    """`LayerEvents`, a dataclass, whose fields' meanings stand in its source."""
    (made,) = ast.parse(inspect.getsource(LayerEvents)).body
    assert isinstance(made, ast.ClassDef)
    rows = [
        f"| `{ast.unparse(field.target)}` | {ast.unparse(field.annotation)} | {_line(ast.literal_eval(text.value))} |"
        for field, text in pairwise(made.body)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    ]
    head = "| field | type | meaning |\n|---|---|---|\n"
    return f"\n## LayerEvents\n\n{_line(LayerEvents.__doc__)}\n\n{head}" + "\n".join(rows) + "\n"


def _kind(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    arguments = [part for part in get_args(annotation)]
    if hasattr(annotation, "__metadata__"):
        return _kind(arguments[0])
    if getattr(annotation, "__name__", "") == "Literal" or str(annotation).startswith("typing.Literal"):
        return ", ".join(f'"{choice}"' for choice in arguments)
    if arguments:
        origin = getattr(getattr(annotation, "__origin__", annotation), "__name__", "")
        names = [_kind(part) for part in arguments if part is not Ellipsis]
        if origin in ("tuple", "list"):
            return f"list of {names[0]}"
        if origin == "dict":
            return f"{names[1]} by name"
        return " or ".join(name if name != "NoneType" else "null" for name in names)
    return str(getattr(annotation, "__name__", annotation))


def _unit(annotation: Any) -> str:
    return next((part.symbol for part in getattr(annotation, "__metadata__", ())), "")


def _line(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(results_page())
    print(PAGE)
