"""Tables made elsewhere: taken in with their source, and told from ours."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.errors import BadInput, BadTable, MissingTable
from spicekit.files import shipped_folder
from spicekit.tables import inventory as inventory_module
from spicekit.tables.characterise import Characterisation
from spicekit.tables.inventory import import_table, inventory, simulated_faults
from spicekit.tables.store import find_table, read_sweep, write_sweep

SPEC = TileSpec(wires=Wires(r_bl=3.2, r_sl=3.2))
NAME = f"{Characterisation(SPEC).name}.h5"


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """A table with an axis of its own: cells that conduct in proportion to the voltage across."""
    v = np.linspace(0, 0.5, 11)
    current = np.array([[0.0, 1e-9], [1e-10, 8e-5]])[:, :, None, None] * (v[:, None] - v)
    np.savez(tmp_path / "silicon.npz", voltage=v, current=current)
    return tmp_path / "silicon.npz"


def test_an_imported_table_is_found_and_says_where_it_is_from(measured: Path, tmp_path: Path) -> None:
    path = import_table(measured, SPEC, tmp_path / "store", source="wafer 7, die 3")
    table = find_table(SPEC, store=path.parent)
    assert table.current[1, 1, -1, 0] == pytest.approx(4e-5)
    assert table.origin["imported"]["source"] == "wafer 7, die 3"
    (entry,) = inventory(path.parent)
    assert (entry.fault, entry.devices) == ("", "imported: wafer 7, die 3")
    assert simulated_faults([entry]) == []
    with pytest.raises(MissingTable):
        find_table(SPEC.replace(v_wl=0.6), store=path.parent)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"voltage": np.linspace(0, 0.3, 11)}, "to the read voltage"),
        ({"voltage": np.linspace(0, 0.5, 10)}, r"expected|pass \(k,\)"),
        ({"voltage": np.linspace(0, 0.7, 11) ** 2}, "equal steps"),
        ({"current": np.full((2, 2, 11, 11), np.nan)}, "finite"),
        ({"current": np.array([None])}, "pickles"),
        ({"voltage": np.linspace(0, 500, 11)}, "divide mV by 1000"),
        ({"current": np.ones((2, 2, 11, 11))}, "impossible currents"),
    ],
)
def test_what_is_no_table_is_refused(measured: Path, tmp_path: Path, fields: dict, fault: str) -> None:
    with np.load(measured) as file:
        np.savez(measured, **{**file, **fields})
    with pytest.raises(BadInput, match=fault):
        import_table(measured, SPEC, tmp_path / "store", source="wafer 7")


def test_states_or_terminals_that_are_exchanged_are_refused(measured: Path, tmp_path: Path) -> None:
    with np.load(measured) as file:
        voltage, current = file["voltage"], file["current"]
    for changed, fault in (
        (current.swapaxes(2, 3), "impossible currents"),
        (current[::-1], "must be the larger"),
    ):
        np.savez(measured, voltage=voltage, current=changed)
        with pytest.raises(BadInput, match=fault):
            import_table(measured, SPEC, tmp_path / "store", source="wafer 7")


def test_a_source_must_be_given(measured: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="source"):
        import_table(measured, SPEC, tmp_path, source=" ")


def test_a_forged_table_passes_for_ours_until_ngspice_is_asked(tmp_path: Path) -> None:
    """Today's decks and a checksum that fits, but other currents."""
    ours = read_sweep(shipped_folder("calibration") / NAME)
    write_sweep(dataclasses.replace(ours, current=1.01 * ours.current), tmp_path / NAME)
    write_sweep(ours, tmp_path / "true" / NAME)
    (forged,), (true,) = inventory(tmp_path), inventory(tmp_path / "true")
    assert forged.fault == true.fault == ""
    (fault,) = simulated_faults([forged])
    assert "ngspice gives other currents" in fault
    assert simulated_faults([true]) == []


def test_a_table_forged_between_the_usual_points_is_found_out(tmp_path: Path) -> None:
    ours = read_sweep(shipped_folder("calibration") / NAME)
    current = 1.01 * ours.current
    for a, bl, sl in inventory_module._SPOTS:
        current[:, a, bl, sl] = ours.current[:, a, bl, sl]
    write_sweep(dataclasses.replace(ours, current=current), tmp_path / NAME)
    (fault,) = simulated_faults(inventory(tmp_path), rng=np.random.default_rng(0))
    assert "ngspice gives other currents" in fault


def test_a_table_that_names_no_simulator_is_no_sweep_of_ours(tmp_path: Path) -> None:
    ours = read_sweep(shipped_folder("calibration") / NAME)
    origin = {key: value for key, value in ours.origin.items() if key != "ngspice"}
    write_sweep(dataclasses.replace(ours, current=1.01 * ours.current, origin=origin), tmp_path / NAME)
    (fault,) = simulated_faults(inventory(tmp_path))
    assert "says neither which simulator made it" in fault


def test_a_table_of_other_voltages_is_no_sweep_of_ours(tmp_path: Path) -> None:
    ours = read_sweep(shipped_folder("calibration") / NAME)
    half = dataclasses.replace(ours, voltage=ours.voltage[:29], current=ours.current[..., :29, :29])
    write_sweep(half, tmp_path / NAME)
    with pytest.raises(BadTable, match="voltages"):
        find_table(SPEC, store=tmp_path)


def test_a_table_may_not_shed_its_mark(measured: Path, tmp_path: Path) -> None:
    path = import_table(measured, SPEC, tmp_path, source="wafer 7")
    sweep = read_sweep(path)
    origin = {key: value for key, value in sweep.origin.items() if key != "imported"}
    write_sweep(dataclasses.replace(sweep, origin=origin), path)
    with pytest.raises(BadTable, match="stale"):
        find_table(SPEC, store=tmp_path)
