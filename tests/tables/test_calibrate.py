"""Calibrations that are killed, interrupted, run twice at once, or meet a full disk: nothing is lost or broken."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from spicekit.circuits import cells
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.devices import cards
from spicekit.devices.cards import Corner
from spicekit.errors import BadInput, BadTable, MissingTable
from spicekit.spice.simulator import Simulator
from spicekit.tables.calibrate import CalibrationSummary, TableLocks, calibrate
from spicekit.tables.characterise import Characterisation
from spicekit.tables.inventory import inventory
from spicekit.tables.store import find_table, read_sweep

SPEC = TileSpec(wires=Wires(r_bl=3.2, r_sl=3.2))
TT = Characterisation(SPEC)
FF = Characterisation(SPEC.replace(corner=Corner(process="ff")))
RERAM = Characterisation(SPEC.replace(cell="1t1r"))

PLAN = """
[[grid]]
temperature = [273.15, 293.15, 313.15]
process = ["tt"]
"""
TABLES = 6
PATIENCE = 200  # s, on a machine that has much else to do


def command(store: Path, *options: str) -> list[str]:
    """`spicekit calibrate` of the plan, on one worker."""
    plan = store.parent / "plan.toml"
    plan.write_text(PLAN)
    start = "from spicekit.cli.main import main; main()"
    return [
        sys.executable,
        "-c",
        start,
        "calibrate",
        "--plan",
        plan,
        "--store",
        store,
        "--jobs",
        "1",
        *options,
    ]


def started(store: Path, tables: int) -> subprocess.Popen:
    """The command under way, with some tables written."""
    with open(store.parent / "out", "w") as out, open(store.parent / "err", "w") as err:
        process = subprocess.Popen(command(store), stdout=out, stderr=err, start_new_session=True)
    deadline = time.monotonic() + PATIENCE
    while len(list(store.glob("*.h5"))) < tables:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def finished(store: Path) -> tuple[int, int]:
    """Run the command to its end; how many tables it made and kept."""
    done = subprocess.run(command(store), capture_output=True, text=True, check=True)
    made, kept, failed = map(int, re.search(r"(\d+) made, (\d+) kept, (\d+) failed", done.stdout).groups())
    assert failed == 0
    return made, kept


def times(store: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in store.glob("*.h5")}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    summary = calibrate([TT, FF], folder, workers=1)
    assert set(summary.made) == {TT.name, FF.name}
    assert not summary.failed
    assert not summary.incomplete
    return folder


def test_what_is_there_is_kept(store):
    before = times(store)
    summary = calibrate([TT, FF, TT], store, workers=1)
    assert set(summary.kept) == {TT.name, FF.name}
    assert not summary.made
    assert times(store) == before


def test_force_makes_it_again(store):
    before = times(store)
    summary = calibrate([TT], store, workers=1, force=True)
    assert summary.made == (TT.name,)
    after = times(store)
    assert after[f"{TT.name}.h5"] > before[f"{TT.name}.h5"]
    assert after[f"{FF.name}.h5"] == before[f"{FF.name}.h5"]


def test_the_same_sweep_gives_the_same_currents(store, tmp_path):
    calibrate([TT], tmp_path, workers=2)
    first, second = (read_sweep(folder / f"{TT.name}.h5") for folder in (store, tmp_path))
    assert first.table().sha256 == second.table().sha256


def test_only_what_depends_on_a_changed_card_is_made_again(tmp_path, monkeypatch):
    models = tmp_path / "device_models"
    shutil.copytree(cards.shipped_folder("device_models"), models)
    monkeypatch.setattr(cards, "shipped_folder", lambda name: models)

    def again() -> CalibrationSummary:
        return calibrate([Characterisation(TT.spec), Characterisation(FF.spec)], tmp_path / "store", workers=1)

    again()
    card = models / "nmos-sram" / "ff.sp"
    card.write_text("* only a comment\n" + card.read_text())
    assert not again().made
    card.write_text(re.sub(r"vth0=\S+", "vth0=0.25", card.read_text()))
    summary = again()
    assert (summary.made, summary.kept) == ((FF.name,), (TT.name,))


def test_another_ngspice_makes_it_again(store, monkeypatch):
    assert calibrate([RERAM], store, workers=1).made == (RERAM.name,)
    monkeypatch.setattr("spicekit.tables.calibrate.simulator_at_hand", lambda name: Simulator("1000", ""))
    assert calibrate([RERAM], store, workers=1).made == (RERAM.name,)
    monkeypatch.undo()
    assert calibrate([RERAM], store, workers=1).kept == (RERAM.name,)


def test_a_killed_calibration_loses_nothing_and_goes_on(tmp_path):
    folder = tmp_path / "store"
    for tables in (1, 3):
        process = started(folder, tables)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not [entry.fault for entry in inventory(folder) if entry.fault]
    survivors = times(folder)
    (folder / f".{TT.name}.h5.1.part").write_bytes(b"what a kill in the middle of a write leaves")
    made, kept = finished(folder)
    assert kept == len(survivors) >= 3
    assert made + kept == TABLES
    assert {name: when for name, when in times(folder).items() if name in survivors} == survivors
    assert not list(folder.glob(".*.part"))


def test_an_interrupt_stops_and_says_how_to_go_on(tmp_path):
    folder = tmp_path / "store"
    process = started(folder, 2)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.wait(timeout=PATIENCE) == 130
    said = (tmp_path / "err").read_text()
    how = rf"spicekit: stopped at I-V tables, \d+ of \d+; {folder} has what was finished, repeat the command to go on"
    assert re.fullmatch(how, said.splitlines()[-1])
    assert len(times(folder)) >= 2
    assert not [entry.fault for entry in inventory(folder) if entry.fault]
    assert not list(folder.glob(".*.part"))


def test_two_calibrations_share_a_store(tmp_path):
    folder = tmp_path / "store"
    first = started(folder, 1)
    made, kept = finished(folder)
    assert first.wait(timeout=PATIENCE) == 0
    theirs = int(re.search(r"(\d+) made", (tmp_path / "out").read_text()).group(1))
    assert made + kept == TABLES
    assert made + theirs == TABLES  # none was made twice
    assert not [entry.fault for entry in inventory(folder) if entry.fault]


def test_two_calibrations_in_one_process_do_not_share_a_table(tmp_path):
    with TableLocks(tmp_path) as first:
        with TableLocks(tmp_path) as second:
            assert first.take("one")
            assert not second.take("one")
            assert second.take("other")
        with TableLocks(tmp_path) as third:  # what the second closed is not the first's
            assert not third.take("one")
            assert third.take("other")
            first.drop("one")
            third.wait("one")


def test_a_full_disk_is_named_and_leaves_no_part(tmp_path):
    """The operating system refuses files beyond 40 kB; a table has 100."""
    folder = tmp_path / "store"
    limited = subprocess.run(
        ["bash", "-c", 'ulimit -f 40; exec "$@"', "bash", *command(folder)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert limited.returncode == 2
    assert re.search(r"BadInput: .*\.h5: cannot be written \(File too large\)", limited.stderr)
    assert {path.name for path in folder.iterdir()} == {".calibrating"}


OWN_MOUNTS = ["unshare", "--map-root-user", "--mount"]
may_mount = shutil.which("unshare") and not subprocess.run([*OWN_MOUNTS, "true"], capture_output=True).returncode


@pytest.mark.skipif(not may_mount, reason="needs a mount namespace of its own")
def test_on_a_disk_that_is_full_what_was_finished_stays_whole(tmp_path):
    """A file system of 160 kB: it takes one table, not two."""
    folder = tmp_path / "store"
    folder.mkdir()
    start = "from spicekit.cli.main import main; main()"
    script = f"""
        mount -t tmpfs -o size=160k none {folder} && "$@"
        echo "status $?"
        {sys.executable} -c '{start}' tables verify --store {folder} && ls -A {folder}
    """
    done = subprocess.run([*OWN_MOUNTS, "bash", "-c", script, "bash", *command(folder)], capture_output=True, text=True)
    assert re.search(r"BadInput: .*\.h5: cannot be written \(No space left on device\)", done.stderr)
    assert "status 2" in done.stdout
    assert "1 tables, 0 faults" in done.stdout.replace("\n", " ")
    left = done.stdout.splitlines()[-2:]
    assert left[0] == ".calibrating"
    assert left[1].endswith(".h5")


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match=r"cannot be written \(Not a directory\)"):
        calibrate([TT], tmp_path / "file" / "store", workers=1)


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/sys").is_dir(), reason="root may write anywhere")
def test_a_read_only_folder_is_named():
    folder = Path("/proc/sys") if os.geteuid() == 0 else Path("/")
    with pytest.raises(BadInput, match="cannot be written"):
        calibrate([TT], folder, workers=1)


def test_a_read_only_store_that_lacks_nothing_is_fine(store):
    (store / ".calibrating").unlink()
    assert calibrate([TT], store, workers=1).kept == (TT.name,)
    assert not (store / ".calibrating").exists()


def test_a_card_that_ngspice_refuses_fails_by_name_and_costs_no_other(tmp_path):
    bad = tmp_path / "bad.sp"
    bad.write_text(".model nbad nmos (level=14 version=4.8 toxe=0)\n")
    bad.with_suffix(".toml").write_text("[geometry]\nwidth = 70.5e-9\nlength = 21e-9\n")
    broken = Characterisation(SPEC.replace(device=SPEC.device.replace(nmos=str(bad))))
    summary = calibrate([broken, TT], tmp_path / "store", workers=1)
    assert summary.made == (TT.name,)
    assert list(summary.failed) == [broken.name]
    assert "weight 0: ngspice" in summary.failed[broken.name]
    with pytest.raises(MissingTable):
        find_table(broken.spec, store=tmp_path / "store")


@pytest.fixture
def comparator_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell without an operating point where its bit line is above 0.6 V, its source line below 0.03 V, q high."""
    own = tmp_path / "cells"
    shutil.copytree(cells.shipped_folder("cells"), own)
    template = own / "8t-sram" / "cell.sp"
    port = "B1 x rsl i={v(x) > 0.6 && v(rsl) < 0.03 && v(q) > 0.1 ? 1e-3 : 0}\nR1 rbl x 1k\n.ends read_port"
    template.write_text(template.read_text().replace(".ends read_port", port))
    monkeypatch.setattr(cells, "shipped_folder", lambda name: own)


def test_points_that_do_not_converge_are_marked_and_refused(comparator_template, tmp_path):
    folder, request = tmp_path / "store", Characterisation(SPEC)
    summary = calibrate([request], folder, workers=1)
    assert summary.made == (TT.name,)
    assert "v_bl = 0.6125 V" in summary.incomplete[TT.name]
    sweep = read_sweep(folder / f"{TT.name}.h5")
    lost = np.argwhere(~sweep.converged)
    assert lost.min(axis=0).tolist() == [1, 0, 49, 0]  # w, a, v_bl = 0.6125 V, v_sl = 0 V
    assert lost.max(axis=0).tolist() == [1, 1, 56, 2]  # v_sl = 0.025 V
    assert len(lost) == 2 * 8 * 3
    with pytest.raises(BadTable, match="did not converge at 48 of 12996 points"):
        find_table(TT.spec, store=folder)
    again = calibrate([request], folder, workers=1)
    assert again.kept == (TT.name,)
    assert list(again.incomplete) == [TT.name]


def test_a_sweep_that_takes_too_long_fails_by_name(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("spicekit.tables.characterise.POINTS", 1001)  # half a minute in ngspice
        slow = TT.name
        summary = calibrate([TT], tmp_path, workers=1, timeout=0.2)
    assert summary.failed == {slow: "weight 0: ngspice took longer than 0.2 s and was stopped"}
    assert calibrate([TT], tmp_path, workers=1).made == (TT.name,)
