"""`spicekit report` as a user meets it: a page of each kind of result, and what is none."""

import base64
import csv
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pyarrow
import pyarrow.csv
import pytest
from typer.testing import CliRunner

from spicekit import report
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.cli.app import app
from spicekit.errors import BadInput, BadTable
from spicekit.evaluation.design import Design
from spicekit.provenance import JsonDict
from spicekit.report.page import Table, html
from spicekit.report.results import compare
from spicekit.resources import shipped_folder
from spicekit.results import accuracy_interval
from spicekit.study.results import write_rows

BUNDLE = "d2bbe3248f19952d0d487b5be267ccaaf91e55e8f89fcba90a7d6ac305bdd080"
"""Printed by scripts/vendor_page.sh."""
HOSTILE = "</td></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&$\\frac$"
FIGURES = {
    "reads": 10.0,
    "partial_sum": 4.0,
    "current": 3e-4,
    "ideal_current": 4e-4,
    "nf": 0.25,
    "energy": 1e-9,
}
FAULT = "SpiceFailed: no"
DESIGN = Design(tile=TileSpec(wires=Wires(r_bl=3.2, r_sl=3.2))).model_dump(mode="json")
SPEC = TileSpec(columns=2, wires=Wires(r_bl=3.2, r_sl=3.2)).model_dump(mode="json")


def made(result: Path, out: Path) -> None:
    """Runs the verb; its failure is raised."""
    done = CliRunner().invoke(app, ["report", str(result), "--out", str(out)])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    written = [Path(line) for line in done.stdout.splitlines()]
    assert written == [out, out.with_suffix(".csv")]
    assert out.stat().st_size < 1_500_000
    assert {path.name for path in out.parent.glob(f"{out.stem}*")} == {path.name for path in written}
    for chart in Page(out).charts():  # what the legend picks has a legend
        assert not all(text in json.dumps(chart["spec"]) for text in ('"bind": "legend"', '"legend": null'))


class Page(HTMLParser):
    """Elements, attributes and text as a browser would find them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def charts(self) -> list[dict]:
        """What Vega-Lite is handed, its data as rows."""
        texts = [text for text in self.texts if text.startswith("H4sI")]  # how gzip begins, in base64
        found = [json.loads(gzip.decompress(base64.b64decode(text))) for text in texts]
        return [
            one | {"rows": [dict(zip(one["fields"], row, strict=True)) for row in one["rows"]]}
            for one in found
        ]


def check_self_contained(page: Page) -> None:
    """A style, and two scripts which the policy knows by their hashes; nothing else runs or is fetched."""
    kinds = ("style", "link", "iframe", "object", "base")
    assert [len(page.all(tag)) for tag in kinds] == [1, 0, 0, 0, 0]
    scripts = [tag for tag in page.all("script") if tag.get("type") != "application/gzip"]
    assert scripts == [{}, {}]
    (policy,) = [str(tag["content"]) for tag in page.all("meta") if "http-equiv" in tag]
    assert policy.startswith("default-src 'none'; ")
    (allowed,) = [rule for rule in policy.split("; ") if rule.startswith("script-src")]
    assert "unsafe" not in allowed
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in page.texts}
    found = set(re.findall(r"sha256-([^']+)", allowed))
    assert len(found) == 2
    assert found <= hashes
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert all(str(tag["src"]).startswith("data:image/png;base64,") for tag in page.all("img"))
    assert not page.all("a")


def point(active: int, mitigation: str, accuracy: float, **other: object) -> JsonDict:
    row = {"tile.rows": 64, "tile.rows_active": active, "tile.cell": "8t-sram", "converter.reference": "unit"}
    row |= {"run.network": "vgg-small", "run.mitigation": mitigation}
    row |= {
        **FIGURES,
        "images": 10,
        "accuracy": accuracy,
        "software_accuracy": 1.0,
        "layers": "{}",
        "seconds": 1.0,
    }
    row |= {
        "fault": "",
        "key": "0",
        "table": "8t",
        "table_sha256": "aa",
        "ngspice": "39",
        "weights_sha256": "bb",
    }
    return {**row, "spicekit": "0.1.0", "code_sha256": "cc", **other}


ROWS = [
    point(16, "none", 0.5, energy=2e-6),
    point(16, "both", 0.9, energy=1e-6),
    point(64, "none", 0.1, energy=3e-6),
]
FAILED = {**point(64, "both", 0.0), **dict.fromkeys((*FIGURES, "images", "accuracy", "software_accuracy"))}


def study(folder: Path, rows: list[JsonDict]) -> Path:
    write_rows(rows, folder / "results.parquet", origin={})
    return folder


def evaluation() -> JsonDict:
    runs = [
        {
            "mitigation": mitigation,
            "accuracy": accuracy,
            **FIGURES,
            "partial_sum_reduction": 0.0,
            "energy_change": 0.0,
            "layers": {"conv2": FIGURES},
        }
        for mitigation, accuracy in (("none", 0.5), ("both", 0.875))
    ]
    return {
        "design": DESIGN,
        "images": 8,
        "accuracy_software": 1.0,
        "accuracy_ideal": 1.0,
        "runs": runs,
        "assumptions": ["a read takes 1 ns"],
        "provenance": {"spicekit": "0.1.0", "network": "vgg-small", "table_origin": {"ngspice": "39"}},
    }


def with_run(**changes: object) -> JsonDict:
    """An evaluation whose first run is damaged."""
    first, *others = evaluation()["runs"]
    return {
        **evaluation(),
        "runs": [{**first, **changes, "layers": {"conv2": {**FIGURES, **changes}}}, *others],
    }


def costs() -> JsonDict:
    figures = {"energy": 4e-9, "time": 1e-6, "area": 1e-9}
    parts = {"energy_parts": {"bit lines": 3e-9, "converter": 1e-9}, "area_parts": {"cells": 1e-9}}
    change = {"energy": 0.0, "time": 0.0, "area": 0.0}
    run = {**figures, **parts, "change": change, "overhead": 0.0, "break_even": None}
    return {
        "settling": 2e-11,
        "conversion_time": 8e-10,
        "conduction_time": 8e-10,
        "converter_bits": 7,
        "constants": {"flip_timing": {"value": "pipelined", "source": "Assumed."}},
        "assumptions": [],
        "not_counted": [],
        "runs": [
            {**run, "mitigation": name, "layers": {"conv2": {**figures, **parts}}}
            for name in ("none", "both")
        ],
        "response": {"flip_timing = x": {"first_run": change, "runs": {"none": change, "both": change}}},
    }


def sign_off() -> JsonDict:
    errors = {"reads": 512, "worst": 0.01234, "p99": 0.005, "rms": 0.002, "codes_differ": 0.0}
    return {
        "design": {**DESIGN, "limits": {"exact_worst": 0.01}},
        "fast_reads": [1.0],
        "table": "aa",
        "passed": False,
        "vectors": 16,
        "failures": [],
        "errors": [{"kind": "adversarial", "engine": engine, **errors} for engine in ("exact", "fast")],
        "provenance": {"ngspice": "39"},
    }


COMPARISON = {
    "device": "nmos-rvt",
    "process": "tt",
    "figure": "idsat",
    "measured": 4.5e-5,
    "target": 4.0e-5,
    "deviation": 0.125,
    "within": False,
}
CHECK = {
    "figures": [COMPARISON],
    "curves": [
        {
            "device": "nmos-rvt",
            "process": "ss",
            "celsius": 125.0,
            "errors": dict.fromkeys(("rms", "worst", "idsat", "ieff", "idlin", "subthreshold"), 0.011),
            "within": False,
        }
    ],
    "families": [
        {
            "device": "nmos-rvt",
            "process": "tt",
            "celsius": 25.0,
            "v_gate": gate,
            "voltage": [0.0, 0.7],
            "current": [1e-9, 4e-5],
        }
        for gate in (None, 0.5)
    ],
}


def kept(folder: Path, record: object) -> Path:
    path = folder / "some-result"
    path.write_text(json.dumps(record))
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


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
    assert {
        row["value"] for chart in page.charts() for row in chart["rows"] if row.get("part") == "bit lines"
    } == {3.0}
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


def test_predictions_that_name_no_class_are_refused(tmp_path):
    record = {**evaluation(), "images": 1, "classes": ["cat"], "labels": [1]}
    with pytest.raises(BadInput, match="name a class for each image"):
        made(kept(tmp_path, record), tmp_path / "page.html")


@pytest.mark.parametrize("accuracy", [-11, 1.5])
def test_accuracies_that_there_cannot_be_are_refused(tmp_path, accuracy):
    with pytest.raises(BadInput, match=f"accuracy_software.*{accuracy}"):
        made(kept(tmp_path, {**evaluation(), "accuracy_software": accuracy}), tmp_path / "page.html")


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
    assert (
        [row["current"] for row in transfer["rows"]]
        == [row["current"] for row in output["rows"]]
        == [1e-3, 40.0]
    )


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


def test_a_damaged_table_is_refused(tmp_path):
    table = tmp_path / "table.h5"
    table.write_bytes(next(shipped_folder("calibration").glob("8t-sram-tt*.h5")).read_bytes()[:2000])
    with pytest.raises(BadTable, match="not a readable"):
        made(table, tmp_path / "page.html")


def tile(folder: Path, **other: object) -> Path:
    origin = json.dumps({"engine": "exact", "spec": SPEC, "table": "aa"})
    arrays = {"current": [[1e-6, 3e-6], [3e-6, 3e-6]], "partial_sum": np.ones((2, 2)), "lsb": 1e-6}
    with open(folder / "some-result", "wb") as file:
        np.savez(file, **{**arrays, "provenance": origin, **other})
    return folder / "some-result"


def test_currents_of_a_tile_are_shown_by_column(tmp_path):
    made(tile(tmp_path), tmp_path / "page.html")
    assert {"exact", "1", "2", "3"} <= set(Page(tmp_path / "page.html").texts)
    assert [float(row["current"]) for row in rows_of(tmp_path / "page.csv")] == [1e-6, 3e-6, 3e-6, 3e-6]


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
