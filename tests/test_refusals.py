"""What the verbs refuse, before they do any work: one line that says what to pass instead."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from spicekit.cli.app import app
from spicekit.errors import SpicekitError
from spicekit.files import shipped_folder
from spicekit.tables.store import read_sweep, write_sweep

WIRES = "[wires]\nr_bl = 3.2\nr_sl = 3.2\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tile.toml").write_text(WIRES)
    np.save(tmp_path / "w.npy", np.ones((64, 64), np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(*arguments: str) -> str:
    """Runs a command line; the text of its refusal."""
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, SpicekitError | SystemExit), done.exception
    if isinstance(done.exception, SpicekitError):
        return str(done.exception)
    assert done.exit_code == 2
    return " ".join(done.output.replace("│", " ").split())


def forbid(monkeypatch: pytest.MonkeyPatch, *functions: str) -> None:
    """Makes the test fail if one of them is called."""

    def called(*arguments: object, **options: object) -> None:
        raise AssertionError(f"one of {functions} was called")

    for function in functions:
        monkeypatch.setattr(f"spicekit.{function}", called)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--download",), "--download fetches CIFAR-10, got --data digits and no --folder"),
        (("--download", "--folder", "x"), "--download fetches CIFAR-10, got --data digits and --folder x"),
        (("--spec", "noisy.toml", "--fidelity", "1"), "leave out offset, inl and noise"),
        (("--spec", "mismatched.toml", "--fidelity", "1"), "set mismatch = 0"),
        (("--out", "nowhere/e.json"), "there is no folder nowhere for --out nowhere/e.json"),
        (("--out", "."), "is a directory"),
        (("--images", "2", "--fidelity", "5"), "5"),
        (("--settle", "--energy"), "pass one of them"),
    ],
)
def test_evaluate_refuses_before_it_runs(folder, monkeypatch, options, reason):
    (folder / "noisy.toml").write_text(WIRES + "[converter]\nnoise = 0.5\n")
    (folder / "mismatched.toml").write_text(WIRES + "[variation]\nmismatch = 1.0\n")
    forbid(
        monkeypatch,
        "evaluation.evaluate.software_and_ideal",
        "evaluation.evaluate.measure_read",
        "networks.cifar.download_cifar10",
    )
    assert reason in refused("evaluate", "--network", "vgg-small", "--spec", "tile.toml", *options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--out", "run", "--threads", "-1"), "'--threads'"),
        (("--out", "run", "--threads", "0"), "'--threads'"),
        (("--out", "w.npy"), "is a file"),
        (("--out", "run", "--download", "--data", "cifar10"), "got --data cifar10 and no --folder"),
        (("--out", "run", "--download", "--folder", "x"), "got --data digits and --folder x"),
        (
            ("--out", "run", "--download", "--folder", "x", "--data", "cifar10", "--epochs", "0"),
            "'epochs' = 0",
        ),
    ],
)
def test_train_refuses(folder, monkeypatch, options, reason):
    forbid(monkeypatch, "networks.cifar.download_cifar10")
    assert reason in refused("train", "--network", "vgg-small", *options)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ("tile", "--spec", "tile.toml", "--weights", "w.npy", "--inputs", "a.npy", "--out", "."),
            "is a directory",
        ),
        (("demo", "--out", "w.npy"), "is a file"),
        (("netlist", "cell", "--spec", "tile.toml", "--out", "."), "is a directory"),
        (("netlist", "cell", "--spec", "tile.toml", "--report", "w.npy"), "is a file"),
        (("netlist", "settle", "--spec", "tile.toml", "--picture", "."), "is a directory"),
        (("netlist", "run", "deck.cir", "--out", "w.npy"), "is a file"),
        (("netlist", "run", "deck.cir", "--osdi", "none"), "does not exist"),
    ],
)
def test_a_folder_is_no_file_and_a_file_no_folder(folder, words, reason):
    assert reason in refused(*words)


@pytest.mark.parametrize(
    "words",
    [
        "demo --out",
        "signoff --spec tile.toml --out",
        "netlist run deck.cir --out",
        "netlist run deck.cir --vectors a.npy --out",
        "netlist cell --spec tile.toml --report",
        "netlist export --network vgg-small --spec tile.toml --layer conv3 --out",
        "devices import deck.cir --width 70.5e-9 --length 21e-9 --out",
    ],
)
def test_a_folder_of_the_users_is_refused_before_anything_runs(folder, monkeypatch, words):
    forbid(
        monkeypatch,
        "evaluation.evaluate.run_demo",
        "evaluation.signoff.sign_off",
        "decks.run.run_batch",
        "decks.run.run_vectors",
        "tables.cell_figures.characterise_cell",
        "evaluation.vectors.network_case",
    )
    (folder / "deck.cir").write_text("* a card\n.model mine nmos level=14 toxe=1e-9\n")
    theirs = folder / "theirs"
    theirs.mkdir()
    (theirs / "currents.txt").write_text("mine")
    assert "is no folder of results" in refused(*words.split(), "theirs")
    assert [path.name for path in theirs.iterdir()] == ["currents.txt"]
    assert (theirs / "currents.txt").read_text() == "mine"


def test_inputs_without_vectors_are_told_what_is_missing(folder):
    np.save(folder / "a.npy", np.ones(64, np.uint8))
    files = ("--weights", "w.npy", "--inputs", "a.npy", "--out", "out.npz")
    assert "expected bits shaped (vectors, 64), got (64,)" in refused("tile", "--spec", "tile.toml", *files)


@pytest.mark.parametrize("engine", ["spice", "exact", "fast", "ideal"])
def test_no_vectors_are_no_currents(folder, engine):
    np.save(folder / "a.npy", np.empty((0, 64), np.uint8))
    files = ("--weights", "w.npy", "--inputs", "a.npy", "--out", "out.npz")
    done = CliRunner().invoke(app, ["tile", "--spec", "tile.toml", *files, "--engine", engine])
    assert done.exit_code == 0, done.exception
    with np.load(folder / "out.npz") as out:
        assert out["current"].shape == out["partial_sum"].shape == (0, 64)


@pytest.mark.parametrize(
    ("device", "reason"),
    [
        ('nmos = "nope"', "nope' is not one of nmos-lvt"),
        ('reram = "nope"', "'nope' is not one of hfo2-100k"),
    ],
)
def test_a_device_that_there_is_not_is_told_from_a_table_that_there_is_not(folder, device, reason):
    (folder / "tile.toml").write_text(f'[tile]\ncell = "1t1r"\n{WIRES}[device]\n{device}\n')
    np.save(folder / "a.npy", np.ones((1, 64), np.uint8))
    files = ("--weights", "w.npy", "--inputs", "a.npy", "--out", "out.npz")
    assert reason in refused("tile", "--spec", "tile.toml", *files)


@pytest.mark.parametrize(
    ("study", "reason"),
    [
        ("images_per_job = 0\n", "'images_per_job' = 0: Input should be greater than or equal to 1"),
        (
            '[[grid]]\n"tile.rows_active" = []\n',
            "'grid.0.tile.rows_active' = []: List should have at least 1",
        ),
        ("grid = [1]\n", "'grid.0' = 1: Input should be an object"),
        ("[[grid]]\n", "'grid.0' = {}: Dictionary should have at least 1"),
        (
            '[[grid]]\n"costs.sensing" = [1e-15, 2e-15]\n',
            "'costs.sensing': no result of a study depends on it",
        ),
        ("[[point]]\nlimits = {fast_rms = 0.1}\n", "'limits': no result of a study depends on it"),
    ],
)
def test_a_study_of_nothing_is_refused(folder, study, reason):
    (folder / "study.toml").write_text(study)
    assert reason in refused("sweep", "study.toml", "--out", "results")
    assert not (folder / "results").exists()


def test_local_workers_take_no_options(folder):
    (folder / "study.toml").write_text("[base]\n" + WIRES.replace("wires", "base.wires"))
    (folder / "cluster.toml").write_text('kind = "local"\n[options]\nbogus = 1\n')
    reason = refused("sweep", "study.toml", "--out", "results", "--cluster", "cluster.toml")
    assert "cluster.toml: line 2: 'options' = {'bogus': 1}: kind 'local' takes no options" in reason


@pytest.mark.parametrize("verb", [("list",), ("verify",), ("show", "8t"), ("plot", "8t")])
def test_a_store_that_is_not_there_has_no_tables_to_be_right(folder, verb):
    assert "'nowhere' does not exist" in refused("tables", *verb, "--store", "nowhere")


@pytest.mark.parametrize(
    "words",
    [
        "tables plot 8t-sram-tt-700mV-298K-b85586274a --out",
        "devices plot nmos-lvt --out",
        "netlist settle --spec tile.toml --picture",
    ],
)
def test_a_picture_is_not_given_the_name_of_another_format(folder, words):
    assert "x.pdf: pictures are PNG" in refused(*words.split(), "x.pdf")
    assert not (folder / "x.pdf").exists()


def test_a_table_of_conditions_that_there_are_not_is_listed_as_unusable(folder):
    table = next(shipped_folder("calibration").glob("8t-*.h5"))
    sweep = read_sweep(table)
    for name, conditions in (("other", {"phase": "moon"}), ("none", ["moon"])):
        write_sweep(replace(sweep, origin={**sweep.origin, "conditions": conditions}), folder / f"{name}.h5")
    done = CliRunner().invoke(app, ["tables", "list", "--store", "."])
    assert done.exit_code == 0, done.exception
    assert done.output.count("unusable") == 2
    assert "2 faults" in refused("tables", "verify", "--store", ".")
