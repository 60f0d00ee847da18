"""The store's files: what they hold, who can read them, and which ones are refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.devices.cards import Corner
from spicekit.errors import BadTable, MissingTable
from spicekit.files import shipped_folder
from spicekit.provenance import content_hash
from spicekit.spice.simulator import ngspice
from spicekit.tables.calibrate import calibrate
from spicekit.tables.characterise import Characterisation, Sweep
from spicekit.tables.inventory import inventory, locate, manifest_faults, stores, write_manifest
from spicekit.tables.store import SCHEMA, find_table, read_sweep, write_sweep

SPEC = TileSpec(wires=Wires(r_bl=3.2, r_sl=3.2))
TT = Characterisation(SPEC)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    calibrate([TT], folder, workers=1)
    return folder / f"{TT.name}.h5"


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copy(original, tmp_path))


def rewrite(path: Path, **changes) -> None:
    """Write a changed table with a checksum that fits: what only a careful forger, or a bug, would do."""
    sweep = read_sweep(path)
    fields = {name: getattr(sweep, name) for name in ("voltage", "current", "decks", "origin")}
    write_sweep(Sweep(**{**fields, **changes}), path)


def test_a_table_survives_the_disk(original):
    sweep = read_sweep(original)
    assert sweep.current.shape == (2, 2, 57, 57)
    assert sweep.converged.all()
    assert sweep.origin["conditions"] == TT.conditions
    assert sweep.origin["key"] == TT.key(ngspice())
    assert sweep.origin["ngspice_seconds"] > 0
    assert sweep.decks == TT.decks
    assert find_table(SPEC, store=original.parent).sha256 == sweep.table().sha256


def test_plain_h5py_reads_it_with_units_and_dimensions(original):
    with h5py.File(original) as file:
        assert file.attrs["schema"] == SCHEMA
        assert json.loads(file.attrs["origin"])["conditions"]["cell"] == "8t-sram"
        current = file["current"]
        assert [dimension.keys()[0] for dimension in current.dims] == ["w", "a", "v_bl", "v_sl"]
        assert current.attrs["units"] == "A"
        assert file["v_bl"].attrs["units"] == "V"
        assert current.compression == "gzip"
        assert current.chunks == (1, 1, 57, 57)
        assert file["converged"][:].all()
        assert ".model nmos_sram_tt" in file["deck"].asstr()[1]


def test_xarray_reads_it_with_labels(original):
    with xarray.open_dataset(original, engine="h5netcdf") as dataset:
        on = dataset.current.sel(w=1, a=1).sel(v_bl=0.35, v_sl=0.0, method="nearest")
        off = dataset.current.sel(w=0, a=1).sel(v_bl=0.35, v_sl=0.0, method="nearest")
        assert float(on) > 1e5 * float(off) > 0
        assert dataset.current.dims == ("w", "a", "v_bl", "v_sl")
        assert dataset.current.attrs["units"] == "A"
        assert dataset.converged.all()
        assert ".model nmos_sram_tt" in str(dataset.deck.sel(w=0).item())


def test_the_axes_are_bit_line_then_source_line(original):
    """A raised source line cuts the current of an ON cell; a raised bit line does not."""
    on = read_sweep(original).current[1, 1]
    assert on[28, 8] < 0.7 * on[28, 0]
    assert on[40, 0] > on[28, 0]


def test_an_engine_needs_neither_ngspice_nor_its_version(original, monkeypatch):
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    assert find_table(SPEC, store=original.parent).voltage[-1] == 0.7


def test_wires_size_and_read_voltage_share_one_table(original):
    spec = TileSpec(rows=16, rows_active=8, v_read=0.2, wires=Wires(layer="M4", pitch_nm=108))
    assert find_table(spec, store=original.parent).sha256 == read_sweep(original).table().sha256


def test_a_missing_table_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(MissingTable, match=f"make it with: spicekit calibrate --store {tmp_path}$"):
        find_table(SPEC, store=tmp_path)
    cold = SPEC.replace(corner=Corner(temperature=250.0))
    with pytest.raises(MissingTable, match=r"make it with: spicekit calibrate --spec TILE.toml"):
        find_table(cold, store=tmp_path)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def one_byte_flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    with h5py.File(path) as file:
        middle = file["current"].id.get_chunk_info(3).byte_offset + 4000
    content[middle] ^= 1
    path.write_bytes(content)


def current_edited(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["current"][1, 1, 3, 3] *= 1.001


def origin_edited(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["origin"] = file.attrs["origin"].replace('"ngspice": "', '"ngspice": "1')


def deck_edited(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["deck"][0] = "* another deck"


def not_a_number(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["current"][0, 0, 0, 0] = np.nan


def axis_falls(path: Path) -> None:
    sweep = read_sweep(path)
    voltage = sweep.voltage.copy()
    voltage[[3, 4]] = voltage[[4, 3]]
    rewrite(path, voltage=voltage)


def axis_uneven(path: Path) -> None:
    rewrite(path, voltage=read_sweep(path).voltage ** 2)


def point_lost(path: Path) -> None:
    current = read_sweep(path).current.copy()
    current[1, 0, 5, 6] = np.nan
    rewrite(path, current=current)


def newer_schema(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = SCHEMA + 1


def stale_card(path: Path) -> None:
    rewrite(path, origin={**read_sweep(path).origin, "deck_sha256": "0" * 64})


def renamed(path: Path) -> None:
    other = Characterisation(SPEC.replace(v_wl=0.6))
    rewrite(path, origin={**read_sweep(path).origin, "conditions": other.conditions})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (truncated, "is not a readable spicekit table"),
        (empty, "is not a readable spicekit table"),
        (one_byte_flipped, "is not a readable spicekit table|does not match its checksum"),
        (current_edited, "does not match its checksum"),
        (origin_edited, "does not match its checksum"),
        (deck_edited, "does not match its checksum"),
        (not_a_number, "its mask and its currents disagree"),
        (axis_falls, "the voltage axis must rise in equal steps"),
        (axis_uneven, "the voltage axis must rise in equal steps"),
        (newer_schema, f"has schema {SCHEMA + 1}, this spicekit reads up to {SCHEMA}"),
        (stale_card, "is stale: the card or template has changed"),
        (renamed, "holds the table 8t-sram-tt-700mV-298K-[0-9a-f]+ [(]renamed"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_bad_file_is_refused_with_its_reason_and_the_command_that_repairs_it(path, spoil, reason):
    spoil(path)
    with pytest.raises(BadTable, match=reason) as refusal:
        find_table(SPEC, store=path.parent)
    assert str(refusal.value).startswith(str(path))
    assert f"spicekit calibrate --store {path.parent}" in str(refusal.value)
    (entry,) = inventory(path.parent)
    assert entry.fault == str(refusal.value)
    newer = spoil is newer_schema
    if newer:
        content = path.read_bytes()
        with pytest.raises(BadTable, match=reason):
            calibrate([TT], path.parent, workers=1)
        assert path.read_bytes() == content
    assert calibrate([TT], path.parent, workers=1, force=newer).made == (TT.name,)
    assert find_table(SPEC, store=path.parent)


def test_a_point_that_did_not_converge_is_refused_where_it_is(path):
    point_lost(path)
    where = r"1 of 12996 points, the first at w = 1, a = 0, v_bl = 0.0625 V, v_sl = 0.075 V"
    with pytest.raises(BadTable, match=where):
        find_table(SPEC, store=path.parent)


def test_the_shipped_table_stands_in_for_a_spoilt_one(path, monkeypatch):
    truncated(path)
    monkeypatch.setenv("SPICEKIT_TABLES", str(path.parent))
    assert [entry.fault for entry in inventory(stores()[1])] == [""] * 18
    assert find_table(SPEC).voltage[-1] == 0.7


def test_a_table_cannot_be_made_to_say_less_than_it_is_checked_for(path):
    """Schema 1 had no decks and no mask, and a checksum over axis and currents alone."""
    sweep = read_sweep(path)
    with h5py.File(path, "r+") as file:
        del file["deck"], file["converged"]
        file.attrs["schema"] = 1
        file.attrs["sha256"] = content_hash(content_hash(sweep.voltage) + content_hash(sweep.current))
    with pytest.raises(BadTable, match="schema 1, which protects too little"):
        read_sweep(path)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda sweep: replace(sweep, current=-sweep.current), "impossible currents"),
        (lambda sweep: replace(sweep, current=1e4 * sweep.current), "impossible currents: up to 0."),
        (lambda sweep: replace(sweep, decks=(sweep.decks[0], sweep.decks[0])), "its decks are not those"),
    ],
)
def test_tables_that_no_cell_or_deck_can_have_given_are_told_whatever_their_checksum(path, change, fault):
    write_sweep(change(read_sweep(path)), path)
    (entry,) = inventory(path.parent)
    assert fault in entry.fault


def test_the_manifest_tells_missing_changed_and_foreign_files(path):
    folder = path.parent
    shutil.copy(path, folder / "second.h5")
    write_manifest(folder)
    assert manifest_faults(folder) == []
    current_edited(path)
    (folder / "second.h5").rename(folder / "third.h5")
    assert [fault.partition(";")[0] for fault in manifest_faults(folder)] == [
        f"{path}: was changed",
        f"{folder / 'second.h5'}: is missing",
        f"{folder / 'third.h5'}: is not in the manifest",
    ]


def test_what_ships_fits_its_manifest():
    assert manifest_faults(shipped_folder("calibration")) == []


def test_a_table_is_found_by_the_beginning_of_its_name(original):
    assert locate("8t-sram", [original.parent]) == original
    assert locate(str(original), []) == original
    with pytest.raises(MissingTable, match="spicekit tables list"):
        locate("9t", [original.parent])
