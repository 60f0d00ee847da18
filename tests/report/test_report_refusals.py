"""What `spicekit report` refuses, and text that stays text."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.csv
import pytest
from results_of_each_kind import (
    CHECK,
    COMPARISON,
    FAILED,
    FIGURES,
    HOSTILE,
    ROWS,
    SPEC,
    Page,
    check_self_contained,
    costs,
    evaluation,
    kept,
    made,
    rows_of,
    sign_off,
    study,
    tile,
    with_run,
)

from spicekit import report
from spicekit.errors import BadInput, BadTable
from spicekit.files import shipped_folder
from spicekit.report.results import compare

BUNDLE = "d2bbe3248f19952d0d487b5be267ccaaf91e55e8f89fcba90a7d6ac305bdd080"
"""Printed by scripts/vendor_page.sh."""


def test_predictions_that_name_no_class_are_refused(tmp_path):
    record = {**evaluation(), "images": 1, "classes": ["cat"], "labels": [1]}
    with pytest.raises(BadInput, match="name a class for each image"):
        made(kept(tmp_path, record), tmp_path / "page.html")


@pytest.mark.parametrize("accuracy", [-11, 1.5])
def test_accuracies_that_there_cannot_be_are_refused(tmp_path, accuracy):
    with pytest.raises(BadInput, match=f"accuracy_software.*{accuracy}"):
        made(kept(tmp_path, {**evaluation(), "accuracy_software": accuracy}), tmp_path / "page.html")


def test_a_damaged_table_is_refused(tmp_path):
    table = tmp_path / "table.h5"
    table.write_bytes(next(shipped_folder("calibration").glob("8t-sram-tt*.h5")).read_bytes()[:2000])
    with pytest.raises(BadTable, match="not a readable"):
        made(table, tmp_path / "page.html")


@pytest.mark.parametrize("kind", ["study", "evaluation", "sign-off", "cards", "tile"])
def test_hostile_text_is_shown_and_never_markup(tmp_path, kind):
    if kind == "study":
        names = {"run.network": HOSTILE, "tile.cell": HOSTILE, f"tile.{HOSTILE}": 1, "table": HOSTILE}
        rows = [{**row, **names, "tile.cell": f"{HOSTILE}{place}"} for place, row in enumerate(ROWS)]
        path = study(tmp_path, [*rows, {**FAILED, **names, "fault": HOSTILE}])
    elif kind == "evaluation":
        record = {
            **evaluation(),
            "assumptions": [HOSTILE],
            "provenance": {"network": HOSTILE, HOSTILE: [HOSTILE]},
        }
        record["runs"][0]["layers"] = {HOSTILE: FIGURES}
        path = kept(tmp_path, record)
    elif kind == "sign-off":
        record = {**sign_off(), "failures": [HOSTILE], "provenance": {HOSTILE: HOSTILE}}
        record["errors"][0]["kind"] = HOSTILE
        path = kept(tmp_path, record)
    elif kind == "cards":
        path = kept(tmp_path, {**CHECK, "figures": [{**COMPARISON, "device": HOSTILE}]})
    else:
        origin = {"engine": HOSTILE, "spec": SPEC, "table": HOSTILE}
        path = tile(tmp_path, provenance=json.dumps(origin))
    made(path, tmp_path / "page.html")
    page = Page(tmp_path / "page.html")
    check_self_contained(page)
    assert any(HOSTILE in text for text in page.texts)
    assert page.all("script").count({"type": "application/gzip"}) == len(page.charts())


FORMULAS = ("=cmd|' /C calc'!A0", "@SUM(1+1)", "+1+1", "-1+1", "\t=1", "\r=1")


def test_text_that_a_spreadsheet_would_run_is_text(tmp_path):
    """As cell and as head of a column; a number below 0 stays one."""
    rows = [
        {**ROWS[0], "run.network": text, "tile.=cell": text, "tile.v_read": -0.1, "key": str(place)}
        for place, text in enumerate(FORMULAS)
    ]
    naive = tmp_path / "naive.csv"
    pyarrow.csv.write_csv(pyarrow.Table.from_pylist(rows), naive)
    assert any(cell.startswith("=cmd") for row in rows_of(naive) for cell in row.values())
    made(study(tmp_path, rows), tmp_path / "page.html")
    found = rows_of(tmp_path / "page.csv")
    assert [row["run.network"] for row in found] == [f"'{text}" for text in FORMULAS]
    for row in found:
        for cell in (*row, *row.values()):
            assert cell[:1] not in {"=", "+", "-", "@", "\t", "\r"} or float(cell) < 0


def test_what_is_no_evaluation_is_not_compared(tmp_path):
    (tmp_path / "one.json").write_text(json.dumps(evaluation()))
    (tmp_path / "two.json").write_text(json.dumps(sign_off()))
    with pytest.raises(BadInput, match=r"two\.json: several results are compared if all are evaluations"):
        compare([tmp_path / "one.json", tmp_path / "two.json"])


def test_the_vendored_scripts_are_those_that_were_reviewed():
    bundle = Path(report.__file__).parent / "vendor" / "bundle.js"
    assert hashlib.sha256(bundle.read_bytes()).hexdigest() == BUNDLE


@pytest.mark.parametrize(
    "content",
    [
        "not JSON",
        "[" * 100_000,
        "{}",
        "[]",
        "[1]",
        '{"runs": []}',
        '\ufeff{"runs": []}',
        json.dumps({**evaluation(), "runs": []}),
        json.dumps({**evaluation(), "images": "8"}),
        json.dumps({**evaluation(), "costs": {**costs(), "response": {"x": {"first_run": {}, "runs": {}}}}}),
        json.dumps({**sign_off(), "errors": [{"kind": "x"}]}),
        json.dumps({**evaluation(), "provenance": {"x": "\ud800"}}),
        json.dumps(with_run(ideal_current=0.0)),
        json.dumps(with_run(energy=1e308)),
        json.dumps({**evaluation(), "restored": [{"image": 0, "label": "a", "before": "b", "png": "x"}]}),
        json.dumps({"curves": [], "figures": [{**COMPARISON, "figure": "colour"}]}),
    ],
)
def test_what_is_no_result_is_refused_and_leaves_nothing(tmp_path, content):
    path = tmp_path / "some-result"
    path.write_text(content)
    with pytest.raises(BadInput, match="some-result"):
        made(path, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "rows",
    [
        [{"a": 1}],
        [{**ROWS[0], "accuracy": "high"}],
        [{**ROWS[0], "accuracy": None}],
        [{**ROWS[0], "energy": float("nan")}],
        [{**ROWS[0], "run.network": None}],
        [{**ROWS[0], "tile.rows": [1, 2]}],
        [{**ROWS[0], "tile.cell": b"\xff"}],
    ],
)
def test_a_parquet_file_that_is_no_study_is_refused(tmp_path, rows):
    path = study(tmp_path, rows) / "results.parquet"
    with pytest.raises(BadInput, match=r"results\.parquet"):
        made(path, tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("content", [b"PAR1 and more", b"PK and more", b"PK\x03\x04 and more"])
def test_a_torn_file_is_refused(tmp_path, content):
    (tmp_path / "torn").write_bytes(content)
    with pytest.raises(BadInput, match="torn"):
        made(tmp_path / "torn", tmp_path / "page.html")


@pytest.mark.parametrize(
    "other",
    [
        {"current": np.zeros(3)},
        {"current": np.full((2, 2), np.inf)},
        {"current": np.zeros((2, 2), complex)},
        {"current": np.zeros((0, 2)), "partial_sum": np.zeros((0, 2))},
        {"current": np.zeros((2, 3)), "partial_sum": np.zeros((2, 3))},
        {"partial_sum": np.array([[1, np.nan], [0, 0]])},
        {"lsb": np.zeros(2)},
        {"lsb": 0.0},
        {"lsb": np.nan},
        {"ideal_sum": np.full((2, 2), "x")},
        {"ideal_sum": np.full((2, 2), np.nan)},
        {"lost": np.array([np.nan]), "lost_to": np.array(["wires"])},
        {"lost": np.array([1.0]), "lost_to": np.array([1])},
        {"lost": np.zeros((2, 2)), "lost_to": np.full((2, 2), "a")},
        {"lost": np.array([1.0])},
        {"v_bl": np.zeros((64, 2))},
        dict.fromkeys(("v_bl", "v_sl", "cell_current", "cell_ideal"), np.zeros((0, 0))),
        {"provenance": "{"},
        {"provenance": "{}"},
    ],
)
def test_an_archive_that_holds_no_currents_is_refused(tmp_path, other):
    with pytest.raises(BadInput, match="some-result"):
        made(tile(tmp_path, **other), tmp_path / "page.html")


@pytest.mark.parametrize("out", ["page", "page.pdf", "nowhere/page.html"])
def test_a_page_that_cannot_be_written_is_refused_first(tmp_path, out):
    with pytest.raises(BadInput, match="--out"):
        made(tmp_path / "missing", tmp_path / out)


def test_a_folder_without_a_result_or_with_several_is_refused(tmp_path):
    with pytest.raises(BadInput, match="got one without"):
        made(tmp_path, tmp_path / "page.html")
    for name in ("signoff.json", "demo.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(BadInput, match="several results"):
        made(tmp_path, tmp_path / "page.html")
