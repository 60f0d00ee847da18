"""The command as a user meets it: what it writes, and what it says to bad input."""

import errno
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.progress import ProgressSample

import spicekit
from spicekit.cli.app import app
from spicekit.cli.display import _Bars, fitted, next_step, print_evaluations, print_tables, stages
from spicekit.cli.main import _options_first, _run
from spicekit.evaluation.design import read_design
from spicekit.report.page import text_table
from spicekit.tables.calibrate import calibrate
from spicekit.tables.characterise import Characterisation

SPEC = """
[tile]
rows = 16
columns = 4
rows_active = 16
[wires]
r_bl = 3.2
r_sl = 3.2
"""


def helps() -> list[str]:
    """Every help text of every verb, its arguments and options."""

    def of(command: click.Command) -> Iterator[str]:
        yield command.help or ""
        yield from (getattr(parameter, "help", None) or "" for parameter in command.params)
        for verb in getattr(command, "commands", {}).values():
            yield from of(verb)

    return list(of(typer.main.get_command(app)))


@pytest.mark.parametrize("columns", [60, 80])
def test_help_fits_the_terminal_and_loses_no_word(monkeypatch, folder, columns):
    """Neither brackets, which some take for markup, nor the end of a long name."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert any("[converter]" in text for text in helps())
    for verb in ("", "signoff", "evaluate", "netlist", "devices"):
        told = run(folder, *verb.split(), "-h").stdout
        assert max(map(len, told.splitlines())) <= columns
        assert "…" not in told
        assert "..." not in told.replace("[ARGS]...", "").replace("order ...", "")
    assert "[converter], [limits]" in " ".join(run(folder, "signoff", "-h").stdout.split())


@pytest.mark.parametrize("columns", [40, 60, 66, 72, 80, 100])
@pytest.mark.parametrize(
    "row",
    [
        [f"a-long-name-{number}" for number in range(4)],
        ["random, 10% ones", "exact", "16", *(f"{number}.4e-07" for number in range(4)), "0.00", "pass"],
        ["name", "a sentence that is longer than all else and may be broken", "1.234e-05", "漢字漢字"],
    ],
)
def test_no_word_of_a_table_is_split(monkeypatch, capsys, columns, row):
    monkeypatch.setenv("COLUMNS", str(columns))
    print_tables([text_table("title", [f"head {place}\nunit" for place in range(len(row))], [row])])
    printed = capsys.readouterr().out
    assert all(word in printed for cell in row for word in cell.split())
    assert max(map(cell_len, printed.splitlines())) <= columns


@pytest.mark.parametrize("columns", [40, 60, 80])
def test_no_figure_of_an_evaluation_is_cut(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    run = SimpleNamespace(mitigation="none", accuracy=1.0, nf=0.123, partial_sum=12.34, energy=1e-4, energy_change=-0.5)
    found = SimpleNamespace(
        images=8, software=1.0, ideal=1.0, runs=[run, SimpleNamespace(**{**vars(run), "mitigation": "both"})]
    )
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()):
        print_evaluations({("vgg-small", "tile"): found})
    printed = out.getvalue()
    assert max(map(len, printed.splitlines())) <= columns
    assert "…" not in printed
    assert all(word in printed for word in ("67.6-100.0", "12.3", "12.34", "1e+05", "-50.0", "ideal tiles", "accuracy"))


def test_progress_does_not_take_time_gone_for_time_left():
    with Console(file=io.StringIO(), force_terminal=True, width=60) as screen:
        bars = _Bars("", screen)
        bars("job", 1, 10)
        bars.bars.tasks[0].start_time = bars.bars.get_time() - 5
        shown = bars.bars.columns[-1](bars.bars.tasks[0])
        assert str(shown) == "5 s"


@pytest.mark.parametrize("columns", [60, 80])
def test_progress_cuts_neither_its_share_nor_the_time_left(columns):
    with Console(file=io.StringIO(), force_terminal=True, width=columns) as screen:
        bars = _Bars("sign-off: ", screen)
        bars("ngspice, 33 vectors on tiles of 16 x 8, and a long name", 12, 100)
        bars.bars.tasks[0]._progress.extend([ProgressSample(0.0, 1.0), ProgressSample(1000.0, 1.0)])
        screen.print(bars.bars.get_renderable())
    shown = screen.file.getvalue()
    assert "12%" in shown
    assert "s left" in shown
    assert "…" not in shown


def test_tables_print_brackets_as_they_are(capsys):
    print_tables([text_table("of [a]", ("[b]", "c"), [("[/d]", "[converter]")])])
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("of [a]", "[b]", "[/d]", "[converter]"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "w.npy", rng.integers(0, 2, (16, 4), dtype=np.uint8))
    np.save(tmp_path / "a.npy", rng.integers(0, 2, (3, 16), dtype=np.uint8))
    (tmp_path / "tile.toml").write_text(SPEC)
    return tmp_path


@dataclass
class Done:
    """What a command that has ended returned and said."""

    returncode: int
    stdout: str
    stderr: str


def run(folder: Path, *arguments: str) -> Done:
    """The command, in this process: all of `main` but the process's end."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["spicekit", *_options_first(list(arguments))])
        status = _run()
    return Done(status, out.getvalue(), err.getvalue())


def process(folder: Path, *arguments: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, behind some Python."""
    code = f"{before}\nfrom spicekit.cli.main import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True)


FILES = ("tile", "--spec", "tile.toml", "--weights", "w.npy", "--inputs", "a.npy", "--out", "out.npz")


def tile(folder: Path, *more: str) -> Done:
    return run(folder, *FILES, *more)


def refused(result: Done | subprocess.CompletedProcess[str], folder: Path, message: str) -> None:
    """One line on stderr, beside those on what was begun, exit status 2, nothing written."""
    assert result.returncode == 2, result.stderr
    assert message in result.stderr
    assert result.stderr.strip().splitlines()[-1].startswith("spicekit: ")
    assert "Traceback" not in result.stderr
    assert not (folder / "out.npz").exists()
    assert not list(folder.glob(".*part"))


def test_tile_writes_the_arrays_of_the_contract(folder):
    result = process(folder, *FILES, "--engine", "exact")
    assert result.returncode == 0, result.stderr
    with np.load(folder / "out.npz") as out:
        assert out["current"].shape == out["partial_sum"].shape == (3, 4)
        assert out["current"].dtype == np.float64
        counts = np.load(folder / "a.npy").astype(int) @ np.load(folder / "w.npy")
        assert (abs(out["partial_sum"] - counts) < 1.5).all()
        assert 1e-6 < out["lsb"] < 1e-4
        origin = json.loads(str(out["provenance"]))
        assert origin["engine"] == "exact"
        assert origin["table_origin"]["ngspice"]


def test_a_wrong_shape_is_refused(folder):
    np.save(folder / "a.npy", np.zeros((3, 15), np.uint8))
    refused(tile(folder), folder, "Tile of 16 rows got bits shaped (3, 15); pass (b, 16)")


def test_a_weight_that_is_no_bit_is_refused(folder):
    np.save(folder / "w.npy", np.full((16, 4), 2, np.uint8))
    refused(tile(folder), folder, "weights: expected bits, bool or integers 0 and 1, got uint8 from 2 to 2")


def test_a_pickled_array_is_refused_and_not_executed(folder):
    np.save(folder / "w.npy", np.array([{"a": 1}], object), allow_pickle=True)
    refused(tile(folder), folder, "w.npy: is not a plain .npy array")


def test_an_unknown_key_is_refused_by_name(folder):
    (folder / "tile.toml").write_text(SPEC.replace("columns", "colums"))
    refused(tile(folder), folder, "unknown key 'colums'")


def test_an_unknown_engine_is_refused(folder):
    refused(tile(folder, "--engine", "hspice"), folder, "is not one of spice, exact, fast, ideal")


def test_a_missing_table_names_the_command_that_makes_it(folder):
    (folder / "tile.toml").write_text(SPEC + "[corner]\nvdd = 0.66\n")
    refused(tile(folder), folder, "spicekit calibrate")


def test_a_missing_ngspice_is_named_with_its_cure(folder):
    """Where the linker finds no libngspice."""
    hidden = "import ctypes.util; ctypes.util.find_library = lambda name: None"
    result = process(folder, *FILES, "--engine", "spice", before=hidden)
    refused(result, folder, "apt-get install ngspice libngspice0")


def test_an_unknown_network_is_refused(folder):
    result = run(folder, "evaluate", "--network", "alexnet", "--spec", "tile.toml")
    refused(result, folder, "'alexnet' is not one of resnet18, ")


def test_a_mistyped_data_set_is_named_and_not_the_checkpoint(folder):
    result = run(folder, "evaluate", "--network", "vgg-small", "--spec", "tile.toml", "--data", "digit")
    refused(result, folder, "class folders; did you mean digits?")


def test_a_calibrated_store_serves_a_tile(folder):
    calibrate([Characterisation(read_design(folder / "tile.toml").tile)], folder / "store")
    assert tile(folder, "--store", "store").returncode == 0


@pytest.mark.parametrize(
    ("out", "reason"),
    [("nowhere/deck.cir", "No such file or directory"), ("w.npy/deck.cir", "Not a directory")],
)
def test_a_place_that_cannot_be_written_is_named_in_one_line(folder: Path, out: str, reason: str) -> None:
    refused(run(folder, "netlist", *FILES[:-1], out), folder, f"spicekit: {out}: {reason}; pass another path.")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "out.npz"),
            "out.npz: No space left on device; pass another path.",
        ),
        (
            OSError(errno.EROFS, "Read-only file system", "out"),
            "out: Read-only file system; pass another path.",
        ),
        (OSError("cannot load library"), "cannot load library"),
    ],
)
def test_any_error_of_the_system_is_one_line(monkeypatch, capsys, error, line):
    def fail() -> None:
        raise error

    monkeypatch.setattr("spicekit.cli.app.app", fail)
    assert _run() == 2
    assert capsys.readouterr().err == f"spicekit: {line}\n"


def test_the_version_is_told_and_h_is_help(folder):
    assert run(folder, "--version").stdout == f"spicekit {spicekit.__version__}\n"
    assert "Usage" in run(folder, "tile", "-h").stdout


def test_advice_goes_to_stderr_and_not_at_all_when_quiet(folder):
    told, quiet = run(folder, "tables", "list"), run(folder, "tables", "list", "--quiet")
    assert told.stderr.startswith("next: spicekit ")
    assert "next:" not in told.stdout
    assert quiet.stderr == ""
    assert quiet.stdout == told.stdout
    with redirect_stderr(io.StringIO()) as after:
        next_step("the next command in this process is not quiet")
    assert after.getvalue()


def test_debug_shows_where_an_error_arose(folder):
    (folder / "tile.toml").write_text("")
    plain, debug = tile(folder), tile(folder, "--debug")
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr
    assert debug.stderr.strip().splitlines()[-1] == plain.stderr.strip()


def test_a_library_that_is_not_there_comes_with_the_extra_that_brings_it(folder):
    (folder / "results.parquet").write_bytes(b"PAR1")
    hidden = "import sys; sys.modules['pyarrow'] = None"
    result = process(folder, "report", "results.parquet", "--out", "page.html", before=hidden)
    assert result.returncode == 2
    assert "pip install 'spicekit-cim[study]'" in result.stderr


def test_ctrl_c_while_ngspice_starts_says_how_far_it_was_and_nothing_else(folder):
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # which a shell may have taken
    code += "from spicekit.cli.main import main; main()"
    command = [sys.executable, "-c", code, *FILES, "--engine", "spice"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        said = [process.stderr.readline(), process.stderr.readline()]
        process.send_signal(signal.SIGINT)
        said += process.stderr.readlines()
    assert process.returncode == 130
    assert said[:2] == ["spice: 3 vectors\n", "spice: reads in ngspice\n"]
    assert len(said) == 3, said
    assert said[2].startswith("spicekit: stopped at spice: reads in ngspice, ")


def test_where_there_is_no_terminal_a_stage_is_a_line(capsys):
    with stages("job") as report:
        report("first")
        for done in range(10):
            report("second", done, 10)
    printed = capsys.readouterr()
    assert printed.err.splitlines() == ["job: first", "job: second"]
    assert printed.out == ""


def test_sentences_end_their_lines_between_words_on_a_terminal(monkeypatch):
    text = f"spicekit: BadInput: expected something else than --a-long-option {'x' * 70}\n\n  two"
    terminal = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    assert fitted(text, to=terminal).split() == text.split()
    assert [len(line) for line in fitted(text, to=terminal).splitlines() if len(line) > 60] == [70]
    assert fitted(text) == text  # for who searches a file
    monkeypatch.setenv("COLUMNS", "0")  # nobody knows
    assert fitted(text, to=terminal) == text


def test_a_number_stays_with_its_unit(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    heads = ("process", "supply", "temp.", "on", "off (w=0)", "idle (a=0)", "on/off")
    print_tables([text_table("t", heads, [["ss", "0.70 V", "-40 C", "23.7 uA", "3.54 fA", "15.6 pA", "6.7e+09"]])])
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("0.70 V", "-40 C", "23.7 uA", "3.54 fA", "15.6 pA"))
    assert "process:" not in printed  # as a block
