"""The log survives what kills leave; Parquet and pictures say what it holds."""

import pyarrow.dataset
import pytest

from spicekit.errors import BadInput
from spicekit.report.study import nf_chart, sensitivity_chart
from spicekit.report.study_findings import describe, main_effects, pareto_front
from spicekit.study.results import LOG_FILE, Log, PointsWriter, StudyResult, read_rows, write_rows


def test_what_was_added_is_there_again(tmp_path):
    with Log(tmp_path) as log:
        log.add("a", {"right": 1})
        log.add("b", {"right": 2})
    with Log(tmp_path) as log:
        assert log.results == {"a": {"right": 1}, "b": {"right": 2}}


@pytest.mark.parametrize("torn", [b"[", b'["0123", "c", {"ri', b'["0123", "c", {}]'])
def test_a_torn_last_line_is_cut_off(tmp_path, torn):
    with Log(tmp_path) as log:
        log.add("a", {"right": 1})
    with open(tmp_path / LOG_FILE, "ab") as file:
        file.write(torn)
    with Log(tmp_path) as log:
        assert log.results == {"a": {"right": 1}}
        log.add("b", {"right": 2})
    assert (tmp_path / LOG_FILE).read_bytes().count(b"\n") == 2


def test_a_damaged_line_costs_only_its_job(tmp_path):
    with Log(tmp_path) as log:
        for key in "abc":
            log.add(key, {"right": 1})
    path = tmp_path / LOG_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\x00\x00\n" + lines[2])
    with Log(tmp_path) as log:
        assert sorted(log.results) == ["a", "c"]


def test_a_folder_of_somebody_else_is_not_taken(tmp_path):
    (tmp_path / LOG_FILE).write_text("my notes")
    with pytest.raises(BadInput, match="is no folder of results"):
        Log(tmp_path)
    assert (tmp_path / LOG_FILE).read_text() == "my notes"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"cannot be written \(Not a directory\)"):
        Log(tmp_path / "file" / "out")


def test_rows_survive_the_disk_with_what_is_missing(tmp_path):
    rows = [{"name": "a", "accuracy": 0.5, "bits": None}, {"name": "b", "bits": 4}]
    write_rows(rows, tmp_path / "rows.parquet", origin={"seed": 1})
    assert read_rows(tmp_path / "rows.parquet") == [
        {"name": "a", "accuracy": 0.5, "bits": None},
        {"name": "b", "accuracy": None, "bits": 4},
    ]


def test_a_notebook_shows_each_value_below_its_name():
    """Of points that differ in their columns, as those of two kinds of tile do."""
    shown = StudyResult(points=({"a": 1, "b": 2, "c": 3}, {"a": 4, "c": 5}))._repr_html_()
    assert "<td>1</td><td>2</td><td>3</td>" in shown
    assert "<td>4</td><td></td><td>5</td>" in shown


def row(accuracy: float, energy: float, **fields) -> dict:
    common = {"run.network": "vgg-small", "run.mitigation": "none", "fault": ""}
    return {**common, **fields, "accuracy": accuracy, "energy": energy}


def test_the_front_holds_what_no_other_beats():
    rows = [row(0.5, 1.0), row(0.4, 2.0), row(0.9, 3.0), row(0.9, 2.5), row(0.6, 1.0)]
    assert [(r["accuracy"], r["energy"]) for r in pareto_front(rows)] == [(0.6, 1.0), (0.9, 2.5)]


def test_the_parameter_that_matters_most_comes_first():
    rows = [
        row(
            base + step,
            1.0,
            **{"tile.rows_active": active, "wires.r_bl": ohm, "wires.r_sl": ohm, "tile.rows": 64},
        )
        for active, base in ((16, 0.9), (64, 0.3))
        for ohm, step in ((1.0, 0.05), (3.2, 0.0))
    ]
    effects = main_effects(rows)
    assert list(effects) == ["tile.rows_active", "wires.r_bl, wires.r_sl"]  # what moves together is one
    assert effects["tile.rows_active"] == pytest.approx({16: 0.925, 64: 0.325})
    assert effects["wires.r_bl, wires.r_sl"] == pytest.approx({1.0: 0.65, 3.2: 0.6})


def test_points_that_differ_in_more_are_not_compared():
    """One heavy point more at M2 alone: M2 and M6 are compared where both are, rows where both are."""
    rows = [
        row(accuracy, 1.0, **{"wires.layer": layer, "tile.rows": tall})
        for layer, tall, accuracy in (("M2", 64, 0.5), ("M6", 64, 0.8), ("M2", 128, 0.1))
    ]
    assert main_effects(rows) == {
        "tile.rows": pytest.approx({64: 0.5, 128: 0.1}),
        "wires.layer": pytest.approx({"M2": 0.5, "M6": 0.8}),
    }
    rows[2] = row(0.1, 1.0, **{"wires.layer": "M4", "tile.rows": 128})
    assert main_effects(rows) == {}


def test_what_changes_together_is_one_parameter_with_both_values():
    rows = [row(0.5, 1.0, **{"wires.layer": "M2", "wires.r_driver": 100.0, "mapping.later": 1})]
    rows += [row(0.7, 1.0, **{"wires.layer": "M6", "wires.r_driver": 10.0, "mapping.later": 2})]
    (name,) = effects = main_effects(rows)
    assert name == "wires.layer, wires.r_driver, mapping.later"  # of any table that a design may have
    assert effects[name] == pytest.approx({("M2", 100.0, 1): 0.5, ("M6", 10.0, 2): 0.7})


def test_a_sentence_about_a_point_names_what_matters_most():
    rows = [
        row(
            0.1 * (7 - place) if on else 0.9,
            1.0,
            **{f"table.field{other}": int(on and other == place) for other in range(7)},
        )
        for place in range(7)
        for on in (False, True)
    ]
    told = describe(rows[1], rows)
    assert told.startswith("accuracy 70.0%, ")
    assert told.endswith(" and 2 parameters more")
    assert told.count("table.field") == 5
    assert "table.field6 0" in told  # the one that costs most


def test_a_sentence_about_a_point_names_no_part_that_its_cell_lacks():
    """Two ReRAM presets beside an 8T cell, whose rows hold a preset's name as well: the default."""
    rows = [
        row(accuracy, 1.0, **{"tile.cell": cell, "device.reram": reram})
        for cell, reram, accuracy in (("8t-sram", "slow", 0.9), ("1t1r", "slow", 0.8), ("1t1r", "fast", 0.7))
    ]
    assert describe(rows[0], rows).endswith(" at tile.cell 8t-sram")
    assert describe(rows[1], rows).endswith(" at tile.cell 1t1r, device.reram slow")


def test_no_name_in_the_chart_of_sensitivities_covers_another():
    rows = [row(0.5 + 0.001 * seed, 1.0, **{"variation.seed": f"die number {seed}"}) for seed in range(5)]
    rows.append(row(0.9, 1.0, **{"variation.seed": "far away"}))
    sides = {one["value"]: one["side"] for one in sensitivity_chart(rows).rows}
    assert sides["die number 0"] == sides["far away"] == "above"
    assert sorted(sides.values()) == ["", "", "", "above", "above", "below"]


def test_accuracy_over_nf_has_a_mark_for_each_cell_and_mitigation():
    common = {"converter.reference": "unit"}
    rows = [
        row(accuracy, 1.0, **common, **{"tile.cell": cell, "run.mitigation": mitigation}, nf=nf)
        for cell, mitigation, nf, accuracy in (
            ("8t-sram", "none", 0.11, 0.1),
            ("8t-sram", "none", 0.04, 0.5),
            ("1t1r", "both", 0.09, 0.7),
        )
    ]
    drawn = nf_chart(rows).rows
    assert [(one["kind"], one["on tiles"], one["nf"], one["accuracy"]) for one in drawn] == [
        ("8t-sram", "plain tiles", pytest.approx(11), pytest.approx(10)),
        ("8t-sram", "plain tiles", pytest.approx(4), pytest.approx(50)),
        ("1t1r", "BinSparX", pytest.approx(9), pytest.approx(70)),
    ]


def test_points_are_read_while_others_are_written(tmp_path):
    """120,000 rows: only whole files are there, no more than a file's rows are held, and types do not change."""
    like = [{"k": 0, "wires.layer": None, "nf": 0.0}, {"k": 0, "wires.layer": "M2", "nf": 0.0}]
    folder = tmp_path / "points"
    with PointsWriter(folder, like) as points:
        for k in range(120_000):
            if k % 25_000 == 0:
                assert len(pyarrow.dataset.dataset(folder).to_table()) == k // 10_000 * 10_000 if k else True
                assert len(points._rows) < 10_000
            points.add({"k": k, "wires.layer": "M2" if k > 70_000 else None, "nf": k % 7})
    table = pyarrow.dataset.dataset(folder).to_table()
    assert table["k"].to_pylist() == list(range(120_000))
    assert [str(kind) for kind in table.schema.types] == ["int64", "string", "double"]
    assert max(len(read_rows(path)) for path in folder.iterdir()) == 10_000
    with pytest.raises(BadInput, match="has 120,000 rows"):
        read_rows(folder)


def test_points_of_an_earlier_run_are_not_mixed_with_those_of_this(tmp_path):
    for count in (25, 7):
        with PointsWriter(tmp_path / "points", [{"k": 0}], most=10) as points:
            for k in range(count):
                points.add({"k": k})
        assert [row["k"] for row in read_rows(tmp_path / "points")] == list(range(count))


def test_a_row_waits_no_longer_than_the_writers_patience(tmp_path):
    with PointsWriter(tmp_path / "points", [{"k": 0}], patience=0.0) as points:
        points.add({"k": 1})
        assert read_rows(tmp_path / "points") == [{"k": 1}]
