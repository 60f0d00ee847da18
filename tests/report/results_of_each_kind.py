"""A result of each kind as its verb writes it, and the page that `spicekit report` makes of it."""

import base64
import csv
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.cli.app import app
from spicekit.evaluation.design import Design
from spicekit.provenance import JsonDict
from spicekit.study.results import write_rows

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
        return [one | {"rows": [dict(zip(one["fields"], row, strict=True)) for row in one["rows"]]} for one in found]


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
        "runs": [{**run, "mitigation": name, "layers": {"conv2": {**figures, **parts}}} for name in ("none", "both")],
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


def tile(folder: Path, **other: object) -> Path:
    origin = json.dumps({"engine": "exact", "spec": SPEC, "table": "aa"})
    arrays = {"current": [[1e-6, 3e-6], [3e-6, 3e-6]], "partial_sum": np.ones((2, 2)), "lsb": 1e-6}
    with open(folder / "some-result", "wb") as file:
        np.savez(file, **{**arrays, "provenance": origin, **other})
    return folder / "some-result"
