"""`spicekit calibrate` and `spicekit tables` as a user meets them."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.cli.app import app
from spicekit.errors import BadInput, BadTable
from spicekit.tables.characterise import Characterisation

SPEC = """
[tile]
cell = "8t-sram"
[wires]
layer = "M2"
pitch_nm = 108
"""
NAME = Characterisation(TileSpec(wires=Wires(layer="M2", pitch_nm=108))).name


def spicekit(*arguments: object) -> str:
    """What the command prints; failures come as exceptions, as they reach `main`."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verbs")
    (folder / "tile.toml").write_text(SPEC)
    said = spicekit("calibrate", "--spec", folder / "tile.toml", "--store", folder / "store", "--jobs", 1)
    assert f"{folder / 'store'}: 1 made, 0 kept, 0 failed" in said.replace("\n", "")
    return folder / "store"


def test_repeating_keeps(store):
    said = spicekit("calibrate", "--spec", store.parent / "tile.toml", "--store", store)
    assert "0 made, 1 kept, 0 failed" in said


def test_spec_and_plan_together_are_refused(tmp_path):
    with pytest.raises(BadInput, match="--spec or --plan, not both"):
        spicekit("calibrate", "--spec", tmp_path / "a.toml", "--plan", tmp_path / "b.toml")


def test_list_names_the_table_and_its_on_current(store):
    said = spicekit("tables", "list", "--store", store)
    assert NAME in said
    assert "uA" in said
    assert "ok" in said


def test_show_tells_what_made_it(store):
    said = spicekit("tables", "show", NAME[:20], "--store", store)
    assert "12996 points converged" in said
    assert '"ngspice": "' in said
    assert "Mstorage" in spicekit("tables", "show", NAME, "--deck", 1, "--store", store)


def test_plot_draws_a_picture(store, tmp_path):
    spicekit("tables", "plot", NAME, "--store", store, "--out", tmp_path / "table.png")
    assert (tmp_path / "table.png").read_bytes().startswith(b"\x89PNG")


def test_verify_passes_what_is_intact_and_names_what_is_not(store, tmp_path):
    assert "1 tables, 0 faults" in spicekit("tables", "verify", "--store", store)
    spoilt = tmp_path / f"{NAME}.h5"
    spoilt.write_bytes((store / f"{NAME}.h5").read_bytes()[:3000])
    with pytest.raises(BadTable, match="1 faults"):
        spicekit("tables", "verify", "--store", tmp_path)
