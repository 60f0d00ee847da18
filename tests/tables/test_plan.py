"""Plans: grids from TOML, and what comes by default."""

import shutil
from pathlib import Path

import pytest

from spicekit.errors import BadInput
from spicekit.evaluation.design import read_design
from spicekit.files import shipped_folder
from spicekit.tables.characterise import Characterisation, default_plan, read_plan


def plan(folder: Path, text: str):
    path = folder / "plan.toml"
    path.write_text(text)
    return read_plan(path)


def test_the_default_is_both_cells_three_corners_three_temperatures():
    conditions = [request.conditions for request in default_plan()]
    corners = {(c["cell"], c["corner"]["process"], c["corner"]["temperature"]) for c in conditions}
    assert len(conditions) == len(corners) == 18


def test_an_empty_plan_is_the_default(tmp_path):
    assert plan(tmp_path, "") == default_plan()


def test_every_combination_of_a_grid_is_made_once(tmp_path):
    requests = plan(
        tmp_path,
        """
        [[grid]]
        nmos = ["nmos-sram", "nmos-lvt"]
        reram = ["hfo2-10k", "hfo2-100k", "hfo2-low"]
        process = ["tt"]
        temperature = [298.15]
        [[grid]]  # all of this is in the first
        cell = ["1t1r"]
        process = ["tt"]
        temperature = [298.15]
        """,
    )
    assert len(requests) == 2 + 2 * 3  # an 8T cell has no ReRAM preset


def test_the_word_line_follows_the_supply_unless_it_is_given(tmp_path):
    grid = '[[grid]]\ncell = ["8t-sram"]\nprocess = ["tt"]\ntemperature = [298.15]\nvdd = [0.6, 0.7]\n'
    assert [r.spec.v_wl for r in plan(tmp_path, grid)] == [0.6, 0.7]
    assert [r.spec.v_wl for r in plan(tmp_path, grid + "v_wl = [0.5]\n")] == [0.5, 0.5]


def test_each_seed_is_a_cell(tmp_path):
    grid = '[[grid]]\ncell = ["8t-sram"]\nprocess = ["ff", "ss"]\ntemperature = [298.15]\nseed = [0, 1, 2]\n'
    requests = plan(tmp_path, grid)
    assert [(r.spec.corner.process, r.seed) for r in requests] == [(p, k) for p in ("ff", "ss") for k in range(3)]


def test_paths_count_from_the_plans_folder_as_those_of_a_spec_do(tmp_path, monkeypatch):
    shutil.copytree(shipped_folder("cells") / "8t-sram", tmp_path / "mine")
    shutil.copytree(shipped_folder("device_models") / "nmos-lvt", tmp_path / "card")
    (tmp_path / "tile.toml").write_text(
        '[wires]\nr_bl = 1.0\nr_sl = 1.0\n[cell]\nfile = "mine/cell.toml"\n[device]\nnmos = "card"\n'
    )
    monkeypatch.chdir("/")
    (request,) = plan(
        tmp_path,
        '[[grid]]\ncell = ["mine/cell.toml"]\nnmos = ["card"]\nprocess = ["tt"]\ntemperature = [298.15]\n',
    )
    assert request.name == Characterisation(read_design(tmp_path / "tile.toml").tile).name


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[[grid]]\ncolour = ['blue']", "unknown key 'grid.0.colour'"),
        ("[[grid]]\nprocess = ['xx']", "'grid.0.process.0' = 'xx'"),
        ("[[grid]]\ntemperature = [25.0]", "'corner.temperature' = 25.0"),
        ("[[grid]]\nseed = [-1]", "'grid.0.seed.0' = -1"),
        ("[[grid]]\nvdd = []", "'grid.0.vdd' = .*at least 1"),
        ("grid = []", "'grid' = .*at least 1"),
        ("[[grid", "is not valid TOML"),
    ],
)
def test_a_bad_plan_is_refused_by_key(tmp_path, text, reason):
    with pytest.raises(BadInput, match=reason):
        plan(tmp_path, text)
