"""Studies as files: grids, lists, and what is refused."""

from pathlib import Path

import pytest

from spicekit.errors import BadInput
from spicekit.study.plan import Study, read_study

BASE = '[base]\nwires = {layer = "M2", pitch_nm = 108}\n'


def study(folder: Path, text: str) -> Study:
    path = folder / "study.toml"
    path.write_text(text)
    return read_study(path)


def test_a_base_alone_is_one_point(tmp_path):
    (point,) = study(tmp_path, BASE).points
    assert point.run.network == "vgg-small"
    assert point.design.tile.wires.layer == "M2"


def test_a_grid_makes_every_combination_once(tmp_path):
    grid = '[[grid]]\n"tile.rows_active" = [16, 64]\n"run.mitigation" = ["none", "both"]\n"run.seed" = [1, 2, 1]\n'
    points = study(tmp_path, BASE + grid).points
    assert len(points) == 2 * 2 * 2
    assert {point.design.tile.rows_active for point in points} == {16, 64}
    assert {point.design.tile.wires.layer for point in points} == {"M2"}


def test_keys_of_a_grid_need_no_quotes(tmp_path):
    quoted = '[[grid]]\n"tile.rows_active" = [16, 64]\n"run.mitigation" = ["none", "both"]\n'
    assert study(tmp_path, BASE + quoted.replace('"tile.rows_active"', "tile.rows_active")) == study(
        tmp_path, BASE + quoted.replace('"run.mitigation" =', "run.mitigation =")
    )


def test_a_table_varies_as_one(tmp_path):
    grid = '[[grid]]\nwires = [{layer = "M4", r_driver = 20.0}, {layer = "M6", r_driver = 50.0}]\n'
    wires = [point.design.tile.wires for point in study(tmp_path, BASE + grid).points]
    assert [(wire.layer, wire.r_driver, wire.pitch_nm) for wire in wires] == [
        ("M4", 20, 108),
        ("M6", 50, 108),
    ]


def test_grids_and_points_add_up(tmp_path):
    more = '[[grid]]\n"corner.process" = ["ff", "ss"]\n[[point]]\n"corner.process" = "tt"\n"tile.cell" = "1t1r"\n'
    points = study(tmp_path, BASE + more).points
    assert [(point.design.tile.corner.process, point.design.tile.cell) for point in points] == [
        ("ff", "8t-sram"),
        ("ss", "8t-sram"),
        ("tt", "1t1r"),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[[grid]]\n"tile.colour" = ["blue"]', "unknown key 'colour'"),
        ('[[grid]]\n"run.mitigation" = ["some"]', "'mitigation' = 'some'"),
        ('[[grid]]\n"tile.rows_active" = [17]', "must divide rows"),
        ('[[grid]]\n"tile.rows_active" = 16', "'grid.0.tile.rows_active' = 16"),
        ("[[grid]]\ntile = [16]", "'tile' = 16; expected a value for a key"),
        ('[[point]]\n"tile.rows" = {a = 1}', "'tile.rows' = .*expected a value for a key"),
        ("colour = 1", "unknown key 'colour'"),
    ],
)
def test_a_bad_study_is_refused_by_key(tmp_path, text, reason):
    top = text if text.startswith("colour") else ""
    with pytest.raises(BadInput, match=reason):
        study(tmp_path, top + "\n" + BASE + (text if not top else ""))
