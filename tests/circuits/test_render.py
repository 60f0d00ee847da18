"""Decks solved by ngspice: what the tile's topology promises."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from spicekit.circuits.render import Expected, cell_deck, tile_deck
from spicekit.circuits.spec import TileSpec, Wires, read_header
from spicekit.decks.check import check
from spicekit.decks.source import parse_deck
from spicekit.errors import BadInput
from spicekit.files import shipped_folder
from spicekit.spice.simulator import Job, Step, simulate

WIRES = Wires(r_bl=3.2, r_sl=3.2, r_row=3.2, r_col=3.2)
KINDS = [
    TileSpec(rows=2, columns=3, rows_active=2, cell=cell, drive=drive, sense_end=end, wires=WIRES)
    for cell, drive in (("8t-sram", "wordline"), ("1t1r", "wordline"), ("1t1r", "bitline"))
    for end in ("far", "near")
]

EXAMPLE = KINDS[0], np.array([[1, 0, 1], [0, 1, 1]], np.uint8), np.array([1, 1], np.uint8)


def currents(spec: TileSpec, weights: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    (waves,) = simulate(Job(tile_deck(spec, weights, inputs, batch=False), (Step("op"),)))
    return np.array([waves[f"vsense_{j}#branch"][0] for j in range(spec.columns)])


def one_hot(rows: int, columns: int, at: tuple[int, int]) -> np.ndarray:
    weights = np.zeros((rows, columns), np.uint8)
    weights[at] = 1
    return weights


@pytest.mark.parametrize("spec", KINDS, ids=lambda s: f"{s.cell}-{s.drive}-{s.sense_end}")
def test_one_on_cell_feeds_its_own_column_only(spec: TileSpec) -> None:
    current = currents(spec, one_hot(2, 3, (0, 2)), np.array([1, 0], np.uint8))
    assert current[2] > 10 * abs(current[:2]).max()


@pytest.mark.parametrize(("end", "best_row"), [("far", 15), ("near", 0)])
def test_the_cell_nearest_the_sense_point_gives_most(end: str, best_row: int) -> None:
    spec = TileSpec(rows=16, columns=1, rows_active=16, sense_end=end, wires=Wires(r_bl=0, r_sl=30))
    inputs = np.ones(16, np.uint8)
    first, last = (currents(spec, one_hot(16, 1, (row, 0)), inputs)[0] for row in (0, 15))
    assert max((first, 0), (last, 15))[1] == best_row


def test_wires_without_resistance_give_the_sum_of_the_cells() -> None:
    wires = Wires(r_driver=0, r_sink=0, r_bl=0, r_sl=0)
    spec = TileSpec(rows=8, columns=2, rows_active=8, wires=wires)
    weights = np.array([[1, 0]] * 8, np.uint8)
    (cell,) = simulate(Job(cell_deck(spec, weight=1), (Step("op"),)))
    current = currents(spec, weights, np.ones(8, np.uint8))
    np.testing.assert_allclose(current[0], 8 * cell["vsl#branch"][0], rtol=1e-6)


def test_whole_64x64_tile_is_solved() -> None:
    rng = np.random.default_rng(7)
    weights = rng.integers(0, 2, (64, 64), dtype=np.uint8)
    inputs = rng.integers(0, 2, 64, dtype=np.uint8)
    current = currents(TileSpec(wires=WIRES), weights, inputs)
    partial_sum = inputs @ weights.astype(int)
    assert np.corrcoef(current, partial_sum)[0, 1] > 0.95


def test_a_deck_runs_unmodified_in_batch_mode(tmp_path: Path) -> None:
    spec = KINDS[0]
    weights, inputs = one_hot(2, 3, (0, 2)), np.array([1, 1], np.uint8)
    (tmp_path / "deck.cir").write_text(tile_deck(spec, weights, inputs))
    subprocess.run(["ngspice", "-b", "deck.cir"], cwd=tmp_path, check=True, capture_output=True)
    lines = (tmp_path / "currents.txt").read_text().splitlines()[1:]
    written = [float(line.split(" = ")[1]) for line in lines]
    np.testing.assert_allclose(written, currents(spec, weights, inputs), rtol=1e-9, atol=1e-18)


def test_the_header_holds_the_spec() -> None:
    text = tile_deck(KINDS[3], np.ones((2, 3), np.uint8), np.ones(2, np.uint8))
    assert read_header(parse_deck(text).comments).spec == KINDS[3]


def test_the_same_call_gives_the_same_text() -> None:
    assert tile_deck(*EXAMPLE) == tile_deck(*EXAMPLE)


def test_full_detail_holds_every_bit_and_gives_the_currents_of_the_read_ports() -> None:
    rng = np.random.default_rng(3)
    weights = rng.integers(0, 2, (16, 16), dtype=np.uint8)
    inputs = rng.integers(0, 2, 16, dtype=np.uint8)
    spec = TileSpec(rows=16, columns=16, rows_active=16, wires=WIRES)
    (waves,) = simulate(Job(tile_deck(spec, weights, inputs, detail="full", batch=False), (Step("op"),)))
    level = np.array([[waves[f"xc_{i}_{j}.q"][0] for j in range(16)] for i in range(16)])
    assert ((level > spec.corner.vdd / 2) == weights).all()
    full = np.array([waves[f"vsense_{j}#branch"][0] for j in range(16)])
    # 1e-6 of full scale: a stored level is off its rail by nanovolts, leakage through the core.
    np.testing.assert_allclose(full, currents(spec, weights, inputs), atol=1e-6 * full.max())


@pytest.mark.parametrize(("offset", "status"), [(0.0, 0), (1e-7, 1)])
def test_a_deck_checks_its_own_currents(tmp_path: Path, offset: float, status: int) -> None:
    expected = Expected(currents(*EXAMPLE) + offset, tolerance=1e-9)
    (tmp_path / "deck.cir").write_text(tile_deck(*EXAMPLE, expected=expected))
    run = subprocess.run(["ngspice", "-b", "deck.cir"], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == status
    assert ("PASS" in run.stdout) is (status == 0)


@pytest.mark.parametrize("inputs", [np.ones(3, np.uint8), np.array([0, 2], np.uint8)])
def test_what_is_not_a_row_of_bits_is_refused(inputs: np.ndarray) -> None:
    with pytest.raises(BadInput, match="inputs must be bits"):
        tile_deck(KINDS[0], np.ones((2, 3), np.uint8), inputs)


def test_a_card_under_a_path_in_any_script_can_be_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "Kärtchen 😀\x7f"
    shutil.copytree(shipped_folder("device_models") / "nmos-sram", folder)
    device = KINDS[0].device.replace(nmos=str(folder))
    spec = KINDS[0].replace(device=device)
    deck = parse_deck(tile_deck(spec, *EXAMPLE[1:]))
    assert read_header(deck.comments).spec == spec
    assert check(deck) == ()
