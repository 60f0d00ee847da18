"""docs/design.md against the models that read a design file."""

import re
import tomllib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from spicekit.circuits.cells import shipped_cells
from spicekit.circuits.spec import TileSpec
from spicekit.cli.results import evaluate
from spicekit.config import Config
from spicekit.evaluation.design import Design, Limits, read_design
from spicekit.study.plan import read_study

PAGE = (Path(__file__).parents[2] / "docs/design.md").read_text()
TABLES: dict[str, type[Config]] = {
    name: kind
    for model in (Design, TileSpec)
    for name, field in model.model_fields.items()
    for kind in (field.annotation, *get_args(field.annotation))
    if isinstance(kind, type) and issubclass(kind, Config)
}
SECTIONS = dict(re.findall(r"^## \[(\w+)\]\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
RELATIVE = {"rows_active": "`rows`"}
"""Fields whose default is another field."""
NARROWER = {"full_scale": "1 to 256", "cell": ", ".join(f'`"{name}"`' for name in shipped_cells())}
"""Ranges of which a design file allows a part only."""


def rows_of(table: str) -> dict[str, list[str]]:
    """Default, unit, range and meaning of each field, as the page has them."""
    lines = re.findall(r"^\| `(\w+)` \|(.*)\|$", SECTIONS[table], re.MULTILINE)
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in lines}


def choices(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return [f'`"{choice}"`' for choice in get_args(kind)]
    return [choice for part in get_args(kind) for choice in choices(part)]


def range_of(field: Any) -> str:
    bound = {
        kind: f"{getattr(limit, kind):g}"
        for limit in field.metadata
        for kind in ("ge", "gt", "le")
        if hasattr(limit, kind)
    }
    lower = bound.get("ge") or ("above " + bound["gt"] if "gt" in bound else "")
    if "le" in bound:
        return f"{lower} to {bound['le']}"
    return f"from {lower}" if "ge" in bound else lower or ", ".join(choices(field.annotation))


def test_the_page_has_every_table_and_nothing_else():
    assert set(SECTIONS) == set(TABLES)


@pytest.mark.parametrize("table", TABLES)
def test_every_field_stands_there_with_its_default_and_range(table):
    fields = {name: field for name, field in TABLES[table].model_fields.items() if name not in TABLES}
    rows = rows_of(table)
    assert list(rows) == list(fields)
    for name, field in fields.items():
        default, _, values, meaning = rows[name]
        if name in RELATIVE:
            assert default == RELATIVE[name]
            continue
        assert meaning
        assert values == NARROWER.get(name, range_of(field)), name
        if field.default is None or field.is_required():
            assert default == "", name
            continue
        stated = tomllib.loads(f"it = {default.strip('`')}")["it"]
        if isinstance(field.default, float):
            assert stated == pytest.approx(field.default, rel=1e-3), name  # a third has four digits
        else:
            assert stated == (list(field.default) if isinstance(field.default, tuple) else field.default), name


def test_the_example_is_what_its_comments_say(tmp_path):
    (example,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "design.toml"
    path.write_text(example)
    design = read_design(path)
    assert set(tomllib.loads(example)) == set(TABLES) - {
        "ends",
        "discharge",
    }  # other ends, another way to read
    said = {line.split("=")[0].strip(): line.partition("#")[2] for line in example.splitlines()}
    assert design.tile.groups == 4
    assert "four reads" in said["rows_active"]
    wires = design.tile.wires
    assert f" {wires.segment('r_bl'):.2f} ohm" in said["pitch_nm"]
    assert wires.segment("r_sl") == 1.0
    assert "goes before" in said["r_sl"]
    assert f"{design.tile.corner.temperature - 273.15:.0f} degrees Celsius" in said["temperature"]
    assert design.converter.full_scale == 2**design.converter.bits - 1 == design.tile.rows_active - 1
    assert f"one cell in {1 / design.variation.stuck_at_0:,.0f}" in said["stuck_at_0"]
    assert design.limits.fast_rms == 2 * Limits().fast_rms
    assert design.converter.bits * design.costs.converter_bit_time == pytest.approx(1e-9)
    assert "1.0 ns for five bits" in said["converter_bit_time"]


def test_help_and_docstring_name_every_table():
    assert read_study.__doc__ is not None
    (_, option) = get_args(get_type_hints(evaluate, include_extras=True)["spec"])
    for table in TABLES:
        assert re.search(rf"\b{table}\b", option.help), table
        assert f"`{table}`" in read_study.__doc__, table
