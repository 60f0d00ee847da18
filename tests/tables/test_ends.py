"""Drivers and sense ends as circuits: what widths give, against ngspice and against designs' resistances."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from spicekit.circuits.render import tile_deck
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.devices.cards import Corner
from spicekit.errors import BadInput
from spicekit.evaluation.design import Design, design, read_design
from spicekit.files import shipped_folder
from spicekit.spice.simulator import Job, Step, simulate
from spicekit.study.plan import read_study
from spicekit.tables.ends import (
    Devices,
    EndCurves,
    Ends,
    end_error,
    end_figures,
    ends,
    find_ends,
    read_ends,
    with_ends,
    write_ends,
)

WIRES = Wires(layer="M2", pitch_nm=108)
SPEC = TileSpec(rows=64, rows_active=16, wires=WIRES)
FINS = {"driver_fins": 64, "sense_fins": 48}


@pytest.fixture(scope="module")
def curves() -> EndCurves:
    return ends(SPEC)


@pytest.fixture
def folder(tmp_path: Path, curves: EndCurves) -> Path:
    write_ends(tmp_path / "ends.json", curves)
    (tmp_path / "tile.toml").write_text(
        '[tile]\nrows_active = 16\n[wires]\nlayer = "M2"\npitch_nm = 108\n'
        '[ends]\nfile = "ends.json"\ndriver_fins = 64\nsense_fins = 48\n'
    )
    return tmp_path


def test_twice_the_fins_are_half_the_resistance(curves: EndCurves) -> None:
    one = curves.resistances(0, **FINS)
    twice = curves.resistances(0, driver_fins=128, sense_fins=96)
    np.testing.assert_allclose(one, 2 * np.array(twice))


def test_a_wider_end_is_nearer_to_ideal_and_never_beyond(curves: EndCurves) -> None:
    currents = [curves.column_current(4, driver_fins=n, sense_fins=n) for n in (1, 8, 64, 512, 10**5)]
    assert np.all(np.diff(currents) > 0)
    assert currents[-1] == pytest.approx(4 * curves.cell, rel=1e-3)


def test_drops_and_cells_share_the_read_voltage(curves: EndCurves) -> None:
    current = curves.column_current(16, **FINS)
    left = SPEC.v_read - sum(curves.drop(current, **FINS))
    assert current == pytest.approx(16 * curves.cell * left / SPEC.v_read)


def test_widths_give_what_ngspice_gives_of_true_transistors(curves: EndCurves) -> None:
    """Resistors at both ends carry what transistors do to a hundredth of an LSB, at the current that they are for."""
    spec = SPEC.replace(rows=16, columns=1)
    weights = np.zeros((16, 1), np.uint8)
    weights[::4] = 1
    bits = np.ones(16, np.uint8)
    driver, sink = curves.resistances(4, **FINS)
    tile = spec.replace(wires=WIRES.replace(r_driver=driver, r_sink=sink))
    deck = tile_deck(tile, weights, bits, batch=False)
    found = [
        simulate(Job(text, (Step("op"),)))[0]["vsense_0#branch"][0]
        for text in (deck, with_ends(deck, tile, Devices(), **FINS))
    ]
    assert abs(found[0] - found[1]) < 0.01 * curves.cell
    crude = tile.replace(wires=WIRES.replace(r_driver=1.5 * driver, r_sink=1.5 * sink))
    (far,) = simulate(Job(tile_deck(crude, weights, bits, batch=False), (Step("op"),)))
    assert abs(far["vsense_0#branch"][0] - found[1]) > 0.05 * curves.cell


def test_the_error_of_resistors_is_stated_and_falls_with_width(curves: EndCurves) -> None:
    narrow, wide = (end_error(curves, SPEC, Devices(), driver_fins=n, sense_fins=n) for n in (32, 128))
    assert wide.rms < narrow.rms < 0.1
    assert wide.worst < 0.03
    figures = end_figures(curves, 16, driver_fins=32, sense_fins=32)
    assert figures.sense[0] < figures.sense[1] < figures.sense[2] < 1.1 * figures.sense[0]


def test_a_design_takes_widths_and_says_so(folder: Path, curves: EndCurves) -> None:
    found = read_design(folder / "tile.toml")
    driver, sink = curves.resistances(4, **FINS)
    assert (found.tile.wires.r_driver, found.tile.wires.r_sink) == (driver, sink)
    record = found.model_dump(mode="json")
    assert record["ends"]["driver_fins"] == 64
    assert record["ends"]["r_driver"] == driver
    assert Design.from_json(json.dumps(record)) == found
    assert Design.from_toml(found.to_toml()) == found
    by_name = design(ends={"file": str(folder / "ends.json"), **FINS}, rows_active=16, layer="M2", pitch_nm=108)
    assert by_name.tile == found.tile
    assert found.as_read().tile == found.tile


def test_a_design_without_widths_is_what_it_was() -> None:
    assert "ends" not in Design(tile=SPEC).model_dump(mode="json")
    assert Ends() == Design(tile=SPEC).ends


def test_a_study_sweeps_widths_with_paths_from_its_own_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "study.toml").write_text(
        '[base.tile]\nrows_active = 16\n[base.wires]\nlayer = "M2"\npitch_nm = 108\n'
        '[base.ends]\nfile = "ends.json"\nsense_fins = 48\n[[grid]]\n"ends.driver_fins" = [32, 64]\n'
    )
    monkeypatch.chdir("/")
    points = read_study(folder / "study.toml").points
    first, second = (point.design.tile.wires.r_driver for point in points)
    assert first > 1.9 * second


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("pitch_nm = 108", "pitch_nm = 108\nr_sink = 10.0", r"given twice: .*\[wires\] has r_sink"),
        ("sense_fins = 48", "", "file, driver_fins and sense_fins together"),
        ("sense_fins = 48", "sense_fins = 0", "sense_fins"),
        ("rows_active = 16", "rows_active = 16\nv_read = 0.3", "no curves of these conditions.*devices ends"),
        ('"ends.json"', '"tile.toml"', "ends|JSON"),
        ("[ends]", "[ende]", "did you mean 'ends'"),
    ],
)
def test_what_does_not_fit_is_refused(folder: Path, old: str, new: str, said: str) -> None:
    path = folder / "tile.toml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(BadInput, match=said):
        read_design(path)


def test_files_hold_curves_of_several_conditions(folder: Path, curves: EndCurves) -> None:
    hot = SPEC.replace(corner=Corner(temperature=398.15))
    write_ends(folder / "ends.json", ends(hot))
    write_ends(folder / "ends.json", curves)
    assert len(read_ends(folder / "ends.json")) == 2
    _, slower = find_ends(folder / "ends.json", hot, Devices()).resistances(0, **FINS)
    assert slower > 1.05 * curves.resistances(0, **FINS)[1]


def test_curves_of_a_card_that_has_changed_are_refused(tmp_path: Path) -> None:
    for name in ("nmos-lvt", "pmos-lvt"):
        shutil.copytree(shipped_folder("device_models") / name, tmp_path / name)
    devices = Devices(nmos=str(tmp_path / "nmos-lvt"), pmos=str(tmp_path / "pmos-lvt"))
    write_ends(tmp_path / "ends.json", ends(SPEC, devices))
    assert find_ends(tmp_path / "ends.json", SPEC, devices).cell > 0
    card = tmp_path / "nmos-lvt" / "tt.sp"
    card.write_text(card.read_text().replace("tnom=25", "tnom=27", 1))
    with pytest.raises(BadInput, match=r"stale.*devices ends"):
        find_ends(tmp_path / "ends.json", SPEC, devices)


def test_bit_line_drive_has_no_such_ends() -> None:
    crossed = TileSpec(cell="1t1r", drive="bitline", wires=Wires(r_row=1, r_col=1))
    with pytest.raises(BadInput, match="bitline"):
        ends(crossed)


@pytest.mark.parametrize("values", [[0.0, 1.0, 0.5], [0.1, 0.2, 0.3], [0.0, 0.1]])
def test_curves_that_cannot_be_are_refused(curves: EndCurves, values: list[float]) -> None:
    with pytest.raises(BadInput, match="rise from 0"):
        EndCurves(**{**curves.model_dump(), "sense": tuple(values)})
