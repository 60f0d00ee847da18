"""`spicekit report` as a user meets it: a page of each kind of result."""

import json

import h5py
import numpy as np
import pytest
from results_of_each_kind import (
    CHECK,
    DESIGN,
    FAILED,
    FAULT,
    HOSTILE,
    ROWS,
    Page,
    check_self_contained,
    costs,
    evaluation,
    kept,
    made,
    point,
    rows_of,
    sign_off,
    study,
    tile,
)
from typer.testing import CliRunner

from spicekit.cli.app import app
from spicekit.errors import BadInput
from spicekit.files import shipped_folder
from spicekit.report.page import Column, Table, html
from spicekit.report.results import compare
from spicekit.results import accuracy_interval


def test_a_study_has_its_points_in_charts_and_a_table(tmp_path):
    made(study(tmp_path, [*ROWS, {**FAILED, "fault": FAULT}]), tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    check_self_contained(page)
    pareto = page.charts()[0]
    marks = {(row["energy"], row["accuracy"]) for row in pareto["rows"] if row["on tiles"]}
    assert marks == {(2000.0, 50.0), (1000.0, 90.0), (3000.0, 10.0)}
    front = [(row["energy"], row["accuracy"]) for row in pareto["rows"] if row["front"]]
    assert front == [(1000.0, 90.0)]  # which beats the others in both
    assert {"tile.rows_active", "50.0", FAULT, "vgg-small", "aa", "bb", "cc", "39"} <= set(page.texts)
    assert any(", at tile.rows_active 16, run.mitigation both" in text for text in page.texts)
    table = rows_of(tmp_path / "page.csv")
    assert [row["accuracy"] for row in table] == ["0.5", "0.9", "0.1", ""]
    assert {row["weights_sha256"] for row in table} == {"bb"}


def test_parameters_without_a_sensitivity_are_named_with_the_reason(tmp_path):
    made(study(tmp_path, [ROWS[0], point(64, "both", 0.9, **{"tile.cell": "1t1r"})]), tmp_path / "page.html")
    texts = " ".join(Page(tmp_path / "page.html").texts)
    assert "Left out" not in texts  # they change together, and are one
    uneven = [point(16, "none", 0.5), point(32, "none", 0.4), point(32, "both", 0.9), point(64, "both", 0.8)]
    made(study(tmp_path, uneven), tmp_path / "page.html")
    reason = "Left out: tile.rows_active: the study has no setting of the others with every value of it."
    assert reason in " ".join(Page(tmp_path / "page.html").texts)


def test_a_study_whose_points_all_failed_says_why(tmp_path):
    made(study(tmp_path, [{**FAILED, "fault": FAULT}]), tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    check_self_contained(page)
    assert FAULT in page.texts


def test_a_study_may_have_one_point(tmp_path):
    made(study(tmp_path, ROWS[:1]), tmp_path / "page.html")
    assert [len(chart["rows"]) for chart in Page(tmp_path / "page.html").charts()] == [
        2,
        1,
    ]  # the front, and the point


def test_a_study_that_runs_has_no_page_yet(tmp_path):
    (tmp_path / "jobs.jsonl").write_text("{}\n{}\n")
    with pytest.raises(BadInput, match="not finished: 2 jobs are"):
        made(tmp_path, tmp_path / "page.html")


def test_an_evaluation_shows_its_runs_layers_cost_and_fidelity(tmp_path):
    compared = {"images": 1, "correlation": 0.999, "worst_logit": 0.1, "predictions_differ": 0}
    compared |= {"codes": 1000, "codes_differ": 3}
    record = {**evaluation(), "signed_off": True, "costs": costs(), "fidelity": {"both": compared}}
    made(kept(tmp_path, record), tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    check_self_contained(page)
    assert {"50.0%", "87.5%", "conv2", "4 nJ", "75.0%", "0.999000", "a read takes 1 ns"} <= set(page.texts)
    assert {"design.tile.rows", "origin.table_origin.ngspice"} <= set(page.texts)
    low, high = accuracy_interval(0.875, 8)
    bars = {row["on"]: row for row in page.charts()[0]["rows"]}
    assert bars["BinSparX"]["low"] == pytest.approx(100 * low, rel=1e-5)
    assert bars["BinSparX"]["high"] == pytest.approx(100 * high, rel=1e-5)
    assert {row["nf"] for row in page.charts()[1]["rows"]} == {25.0}
    assert {row["value"] for chart in page.charts() for row in chart["rows"] if row.get("part") == "bit lines"} == {3.0}
    assert [row["accuracy"] for row in rows_of(tmp_path / "page.csv")] == ["0.5", "0.875"]


def test_an_evaluation_shows_partial_sums_confusions_and_what_was_brought_back(tmp_path):
    record = {**evaluation(), "images": 3, "classes": ["cat", HOSTILE], "labels": [0, 1, 1]}
    for run, predictions in zip(record["runs"], ([1, 1, 0], [0, 1, 1]), strict=True):
        run |= {
            "predictions": predictions,
            "partial_sums": [1.0, 3.0, 0.0],
            "code_errors": [0, 0, 1.0, 4.0, 0],
        }
    record["restored"] = [{"image": 0, "label": "cat", "before": HOSTILE, "png": "iVBORw0KGgo="}]
    made(kept(tmp_path, record), tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    check_self_contained(page)
    sums, errors = [chart for chart in page.charts() if chart["fields"] == ["value", "on tiles", "share"]]
    assert {(row["value"], row["share"]) for row in sums["rows"]} == {(0, 25.0), (1, 75.0)}
    assert {(row["value"], row["share"]) for row in errors["rows"]} == {(0, 20.0), (1, 80.0)}
    first, last = (chart for chart in page.charts() if "taken for" in chart["fields"])
    assert [row["images"] for row in first["rows"]] == [0, 1, 1, 1]
    assert [row["images"] for row in last["rows"]] == [1, 0, 0, 2]
    assert f"cat, taken for {HOSTILE}" in page.texts
    assert page.all("img")


def test_a_demo_shows_every_evaluation(tmp_path):
    both = [{**evaluation(), "network": name, "point": "heavy"} for name in ("vgg-small", "resnet18")]
    made(kept(tmp_path, {"evaluations": both, "provenance": {}}), tmp_path / "page.html")
    assert [row["network"] for row in rows_of(tmp_path / "page.csv")] == ["vgg-small"] * 2 + ["resnet18"] * 2


def test_a_sign_off_shows_its_verdict_and_its_limits(tmp_path):
    made(kept(tmp_path, sign_off()), tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    check_self_contained(page)
    assert {"adversarial, exact: worst 0.0123, limit 0.01.", "0.012", "FAIL", "pass"} <= set(page.texts)
    (verdict,) = [tag for tag in page.all("p") if "verdict" in str(tag.get("class"))]
    assert verdict["class"] == "verdict fail"
    assert [row["worst"] for row in rows_of(tmp_path / "page.csv")] == ["0.01234"] * 2


def test_cards_are_shown_against_their_targets(tmp_path):
    made(kept(tmp_path, CHECK), tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    check_self_contained(page)
    assert {"nmos-rvt", "idsat", "uA", "45", "40", "+12.5%", "FAIL", "1.10"} <= set(page.texts)
    assert any("nmos-rvt ss at 125 °C" in text for text in page.texts)
    _, transfer, output = page.charts()
    assert [row["current"] for row in transfer["rows"]] == [row["current"] for row in output["rows"]] == [1e-3, 40.0]


def test_a_table_is_drawn_and_listed(tmp_path):
    table = next(shipped_folder("calibration").glob("8t-sram-tt*.h5"))
    made(table, tmp_path / "page.html")
    check_self_contained(Page(tmp_path / "page.html"))
    with h5py.File(table) as file:
        points = max(np.prod(data.shape, dtype=int) for data in file.values())
    assert len(rows_of(tmp_path / "page.csv")) == points


def test_tables_side_by_side_are_a_data_sheet_over_corners(tmp_path):
    tables = sorted(shipped_folder("calibration").glob("8t-sram-*.h5"))
    page, _ = compare(tables)
    (tmp_path / "page.html").write_text(html(page, made_by=""))
    check_self_contained(Page(tmp_path / "page.html"))
    on = [row["ON"] for row in page.rows]
    (sheet,) = [part for part in page.parts if isinstance(part, Table)]
    assert sheet.rows[0][2:] == pytest.approx((1e6 * min(on), 28.48, 1e6 * max(on)), rel=1e-3)
    assert page.good


def test_currents_of_a_tile_are_shown_by_column(tmp_path):
    made(tile(tmp_path), tmp_path / "page.html")
    assert {"exact", "1", "2", "3"} <= set(Page(tmp_path / "page.html").texts)
    assert [float(row["current"]) for row in rows_of(tmp_path / "page.csv")] == [1e-6, 3e-6, 3e-6, 3e-6]


def test_evaluations_are_compared_in_design_and_outcome(tmp_path):
    other = evaluation()
    other["design"] = {**DESIGN, "read": {"time": 2e-9}}
    other["runs"][1]["accuracy"] = 0.75
    for name, record in (("one", evaluation()), ("two", other)):
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    out = tmp_path / "page.html"
    done = CliRunner().invoke(
        app, ["report", str(tmp_path / "one.json"), str(tmp_path / "two.json"), "--out", str(out)]
    )
    assert done.exit_code == 0, done.output
    page = Page(out)
    check_self_contained(page)
    texts = set(page.texts)
    assert {"What differs in design", "read.time", "1e-09", "2e-09"} <= texts
    assert any("12.5 points above" in text for text in texts)
    assert len(rows_of(out.with_suffix(".csv"))) == 4


def test_numbers_of_one_unit_line_up_where_they_are_of_a_size():
    columns = (
        Column("current", "uA", form=".4g"),
        Column("error", "LSB", form=".2g"),
        Column("x", form=".4g"),
    )
    cells = ((352.0, 3e-7, 352.0), (90.5, 0.1, 90.5), (None, 0.0, None))
    assert Table("t", columns, cells).texts() == [
        ["352.00", "3e-07", "352"],
        ["90.50", "0.1", "90.5"],
        ["", "0", ""],
    ]
