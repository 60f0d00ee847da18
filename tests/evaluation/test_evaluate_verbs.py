"""`spicekit signoff` and `spicekit evaluate` as a user meets them."""

import json
import shlex
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from spicekit.cli.app import app
from spicekit.evaluation.design import read_design
from spicekit.evaluation.evidence import evidence_path
from spicekit.evaluation.signoff import ENGINES
from spicekit.networks.data import Dataset, load_dataset

SPEC = """
[tile]
rows = 8
columns = 8
rows_active = 8
[wires]
r_bl = 3.2
r_sl = 3.2
"""
IMAGES = 8
NETWORK = "vgg-small-quarter"


def run(*arguments: object) -> Result:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a tile, and a store that holds its table only."""
    folder = tmp_path_factory.mktemp("verbs")
    (folder / "tile.toml").write_text(SPEC)
    (folder / "strict.toml").write_text(SPEC + "[limits]\nexact_worst = 1e-12\n")
    done = run("calibrate", "--spec", folder / "tile.toml", "--store", folder / "store", "--jobs", 1)
    assert done.exit_code == 0
    return folder


def sign_off(folder: Path, spec: str, *more: object) -> Result:
    where = ("--spec", folder / spec, "--store", folder / "store", "--out", folder / "out")
    return run("signoff", *where, "--vectors", 2, "--jobs", 1, *more)


def evaluate(folder: Path, *more: object) -> Result:
    what = ("--network", NETWORK, "--spec", folder / "tile.toml", "--store", folder / "store")
    done = run("evaluate", *what, "--images", IMAGES, *more)
    assert done.exit_code == 0, done.output
    return done


def test_a_tile_that_keeps_its_limits_is_signed_off(folder):
    done = sign_off(folder, "tile.toml")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == "signed off"
    record = json.loads((folder / "out" / "signoff.json").read_text())
    assert record["passed"]
    assert not record["faults"]
    assert {error["engine"] for error in record["errors"]} == set(ENGINES)
    assert all(0 < error["worst"] < 0.25 for error in record["errors"])
    assert record["provenance"]["seed"] == 0
    assert record["provenance"]["ngspice"]
    assert json.loads(evidence_path(folder / "store", read_design(folder / "tile.toml").tile).read_text()) == record


def test_a_tile_that_does_not_is_not_and_is_told_why(folder):
    done = sign_off(folder, "strict.toml")
    assert done.exit_code == 1
    *_, fault, verdict = done.stdout.splitlines()
    assert verdict == "NOT signed off"
    assert "exact: worst" in fault
    assert fault.endswith("limit 1e-12")
    record = json.loads((folder / "out" / "signoff.json").read_text())
    assert not record["passed"]
    assert fault.strip() in record["faults"]


def test_evaluate_says_whether_it_lies_within_what_was_signed_off(folder):
    evidence = evidence_path(folder / "store", read_design(folder / "tile.toml").tile)
    evidence.unlink(missing_ok=True)
    again = (
        f"next: spicekit signoff --spec {folder / 'tile.toml'} --network {NETWORK} --data digits "
        f"--store {folder / 'store'}"
    )
    plain = ("--mitigation", "none")
    said = evaluate(folder, *plain)
    assert "outside what was signed off: no sign-off of this tile\n" in said.stdout
    assert again in said.stderr
    sign_off(folder, "tile.toml")
    said = evaluate(folder, *plain)
    assert "inside what was signed off, though without vectors of a network\n" in said.stdout
    assert again in said.stderr
    sign_off(folder, "tile.toml", "--network", NETWORK)
    assert "inside what was signed off\n" in evaluate(folder, *plain).output
    evidence.write_text(evidence.read_text().replace('"table": "', '"table": "0'))
    assert "the sign-off of another I-V table" in evaluate(folder, *plain).output


def test_the_sign_off_that_evaluate_asks_for_runs_as_it_is_printed(folder, monkeypatch):
    """With the folder that holds CIFAR-10; here the digits stand for it."""

    def images(name: str, split: str, *, folder: Path | None) -> Dataset:
        assert (name, folder) == ("cifar10", Path("my pictures"))
        return load_dataset("digits", split)

    monkeypatch.setattr("spicekit.load_dataset", images)
    evidence_path(folder / "store", read_design(folder / "tile.toml").tile).unlink(missing_ok=True)
    plain = ("--mitigation", "none", "--data", "cifar10", "--folder", "my pictures")
    (line,) = (line for line in evaluate(folder, *plain).stderr.splitlines() if "signoff" in line)
    program, *words = shlex.split(line.removeprefix("next: "))
    assert program == "spicekit"
    assert run(*words, "--vectors", 2, "--jobs", 1).stdout.endswith("signed off\n")
    assert "inside what was signed off\n" in evaluate(folder, *plain).output


def test_evaluate_keeps_its_result_with_its_cost_and_fidelity(folder):
    out = folder / "evaluation.json"
    done = evaluate(folder, "--energy", "--fidelity", 1, "--out", out, "--mitigation", "none")
    assert done.stdout.splitlines()[-1] == str(out)
    record = json.loads(out.read_text())
    (compared,) = record["fidelity"].values()
    assert compared["images"] == 1
    assert 0 <= compared["codes_differ"] < 0.05 * compared["codes"]
    assert f"of {compared['codes']:,} codes differ" in done.output
    assert record["costs"]
    assert 1e-12 < record["design"]["read"]["time"] < 1e-9
    assert record["provenance"]["table"]
    assert record["provenance"]["data"]


def test_settling_sets_the_time_of_a_read(folder):
    """A column of 8 rows settles within picoseconds, and takes less energy than in the assumed nanosecond."""
    records = []
    for options in ((), ("--settle",)):
        evaluate(folder, *options, "--mitigation", "none", "--out", folder / "evaluation.json")
        records.append(json.loads((folder / "evaluation.json").read_text()))
    usual, settled = (record["design"]["read"]["time"] for record in records)
    assert usual == 1e-9
    assert 1e-13 < settled < 1e-10
    accuracy = [record["runs"][0]["accuracy"] for record in records]
    assert accuracy[0] == accuracy[1]


def test_evaluate_states_how_many_of_its_codes_ngspice_gives_otherwise(folder):
    out = folder / "spice.json"
    done = evaluate(folder, "--mitigation", "both", "--spice", 4, "--out", out)
    assert "ngspice against this evaluation, BinSparX both: 0 of 4 codes differ" in done.output
    found = json.loads(out.read_text())["spice"]["both"]
    assert (found["reads"], found["near"], found["failures"]) == (4, 2, [])
