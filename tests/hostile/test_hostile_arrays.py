"""Tables, arrays and results made to exhaust memory, hang, or reach other files; each is refused.

A refusal takes below a second of processor time and 200 MB, whatever the file claims.
"""

import json
import os
import struct
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from good import SPEC
from refusing import exhausting, refused

import spicekit as sk
from spicekit.config import read_toml
from spicekit.devices.measure import read_curves
from spicekit.files import read_array, read_arrays, shipped_folder
from spicekit.networks.checkpoints import read_tensors
from spicekit.report.results import read_page
from spicekit.study.results import read_rows
from spicekit.tables.inventory import inventory
from spicekit.tables.store import read_sweep

# --- HDF5


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A copy of a table that ships, to be spoilt."""
    source = next(shipped_folder("calibration").glob("8t-sram-tt-700mV-298K*.h5"))
    (tmp_path / source.name).write_bytes(source.read_bytes())
    return tmp_path / source.name


def naive_table(path: Path) -> Any:
    with h5py.File(path) as file:
        return [np.asarray(file[name]) for name in ("v_bl", "current", "converged")]


def replaced(path: Path, name: str, make: Callable[[h5py.File], object]) -> None:
    with h5py.File(path, "r+") as file:
        del file[name]
        make(file)


@pytest.mark.long
def test_a_gzip_bomb_of_a_table(table):
    shape = (2, 2, 4000, 4000)
    replaced(
        table,
        "current",
        lambda file: file.create_dataset("current", shape, "f8", chunks=(1, 1, 4000, 4000), compression="gzip"),
    )
    assert table.stat().st_size < 4e6
    exhausting(lambda: naive_table(table))
    refused(lambda: read_sweep(table), "current is float64 shaped")


def test_a_table_that_claims_more_than_there_is_memory(table):
    replaced(table, "v_bl", lambda file: file.create_dataset("v_bl", (1 << 45,), "f8", chunks=(1 << 20,)))
    with pytest.raises(MemoryError):
        naive_table(table)
    refused(lambda: read_sweep(table), "an axis of 35184372088832 points")


@pytest.mark.parametrize("kind", ["external link", "soft link", "external storage", "virtual"])
def test_a_table_that_lies_in_another_file(table, kind, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["v_bl"] = np.linspace(0, 0.7, 57)

    def make(file: h5py.File) -> None:
        if kind == "external link":
            file["v_bl"] = h5py.ExternalLink(str(secret), "v_bl")
        elif kind == "soft link":
            file["v_bl"] = h5py.SoftLink("/v_sl")
        elif kind == "external storage":
            file.create_dataset("v_bl", (57,), "f8", external=[(str(secret), 0, 57 * 8)])
        else:
            layout = h5py.VirtualLayout((57,), "f8")
            layout[:] = h5py.VirtualSource(str(secret), "v_bl", (57,))
            file.create_virtual_dataset("v_bl", layout)

    replaced(table, "v_bl", make)
    assert naive_table(table)[0].shape == (57,)  # the other file is read
    refused(lambda: read_sweep(table), "v_bl (is a link to something else|lies in another file)")


def hangs(action: Callable[[], object]) -> bool:
    """Whether an action still runs after a second."""
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(1.0)
    return thread.is_alive()


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("x.h5", read_sweep),
        ("x.toml", read_toml),
        ("x.npy", read_array),
        ("x.npz", read_arrays),
        ("x.parquet", read_rows),
        ("x.json", read_page),
        ("x.safetensors", read_tensors),
        ("curves.npz", read_curves),
        ("currents.npz", sk.load),
    ],
)
def test_a_pipe_is_not_waited_for(tmp_path, name, read):
    path = tmp_path / name
    os.mkfifo(path)
    assert hangs(lambda: open(path, "rb").close())
    with open(path, "wb"):  # lets the naive reader go
        pass
    refused(lambda: read(path), "it is no regular file")


def origin_of(change: Callable[[Any], Any]) -> Callable[[h5py.File], None]:
    def make(file: h5py.File) -> None:
        file.attrs["origin"] = json.dumps(change(json.loads(file.attrs["origin"])))

    return make


def deep_origin(file: h5py.File) -> None:
    file.attrs["origin"] = "[" * 20_000 + "]" * 20_000


def loop(file: h5py.File) -> None:
    del file["current"]
    file["current"] = h5py.SoftLink("/current")


def infinite_schema(file: h5py.File) -> None:
    file.attrs["schema"] = np.inf


def text_axis(file: h5py.File) -> None:
    del file["v_bl"]
    file["v_bl"] = np.array([b"a"] * 57)


FAULTS = {
    "origin is a list": origin_of(lambda origin: [origin]),
    "conditions are a list": origin_of(lambda origin: {**origin, "conditions": []}),
    "origin is deep": deep_origin,
    "a loop of links": loop,
    "schema is infinite": infinite_schema,
    "an axis of text": text_axis,
    "markup": origin_of(lambda origin: {**origin, "conditions": {"[/red]": 1}}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_bad_file_does_not_stop_the_list_of_a_store(table, fault):
    good = table.with_name("good.h5")
    good.write_bytes(table.read_bytes())
    with h5py.File(table, "r+") as file:
        FAULTS[fault](file)
    entries = {entry.path.name: entry for entry in inventory(table.parent)}
    assert entries[table.name].fault
    assert "renamed" in entries["good.h5"].fault
    refused(lambda: read_sweep(table), "8t-sram") if fault != "markup" else None


# --- NumPy


def npy(shape: str, data: bytes = b"", descr: str = "'|u1'") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04 no archive",
        b"\x80\x04N.",
        npy("(4398046511104,)"),
        npy("(-1,)"),
        npy("(2, 2", b"1234"),
        npy("(3,)", b"12"),
        npy("(1,)", b"12345678", "'|O'"),
        npy("(" + "(" * 5000),
        b"\x93NUMPY\x03\x00\xff\xff\xff\xff",
        b"",
    ],
)
def test_no_npy_file_is_believed(tmp_path, content):
    path = tmp_path / "w.npy"
    path.write_bytes(content)
    refused(lambda: read_array(path), "is not a plain .npy array")


def test_an_npy_file_claims_memory_on_a_naive_path(tmp_path):
    (tmp_path / "w.npy").write_bytes(npy("(4398046511104,)"))
    with pytest.raises(MemoryError):
        np.load(tmp_path / "w.npy")


def test_plain_arrays_are_read_as_numpy_reads_them(tmp_path):
    for array in (
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.asfortranarray(np.random.default_rng(0).random((3, 4))),
        np.empty((0, 5)),
        np.float64(3.0),
        np.array(["text", "longer"]),
    ):
        np.save(tmp_path / "w.npy", array)
        read, expected = read_array(tmp_path / "w.npy"), np.load(tmp_path / "w.npy")
        assert read.dtype == expected.dtype
        np.testing.assert_array_equal(read, expected)
        assert read.shape == expected.shape


@pytest.mark.long
def test_an_npz_bomb(tmp_path):
    path = tmp_path / "currents.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("current.npy", "w") as member,
    ):
        member.write(npy("(300000000,)"))
        for _ in range(300):
            member.write(bytes(1_000_000))
    with zipfile.ZipFile(path, "a") as archive:
        for name in ("lsb", "partial_sum", "provenance"):
            archive.writestr(f"{name}.npy", npy("()", b"1"))
    exhausting(lambda: np.load(path)["current"])
    refused(lambda: read_page(path), "claims to hold 300,0")
    refused(lambda: sk.load(path), "claims to hold 300,0")


# --- reports


def tile_npz(path: Path, provenance: str, **changes: Any) -> None:
    arrays = {"current": np.ones((2, 3)), "lsb": 1.0, "partial_sum": np.ones((2, 3)), **changes}
    np.savez(path, provenance=np.array(provenance), **arrays)


ORIGIN = json.dumps({"engine": "exact", "spec": SPEC, "table": "t"})


def test_deep_provenance_is_a_fault_of_the_file(tmp_path):
    path = tmp_path / "deep.npz"
    tile_npz(path, "[" * 100_000)
    with np.load(path) as file, pytest.raises(RecursionError):
        json.loads(str(file["provenance"]))
    refused(lambda: read_page(path), "is not readable JSON")
    refused(lambda: sk.load(path), "is not readable JSON")


def test_a_report_says_where_a_tile_holds_no_numbers(tmp_path):
    path = tmp_path / "nan.npz"
    tile_npz(path, ORIGIN, current=np.array([[1.0, np.nan, 1.0], [1.0, 1.0, np.inf]]))
    refused(lambda: read_page(path), "holds no finite current in columns 1, 2")


@pytest.mark.long
def test_a_parquet_bomb(tmp_path):
    path = tmp_path / "bomb.parquet"
    rows = 30_000_000
    column = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(rows, np.int8)), pyarrow.array([1.0]))
    pyarrow.parquet.write_table(pyarrow.table({"a": column}), path)
    assert path.stat().st_size < 1e6
    exhausting(lambda: pyarrow.parquet.read_table(path).column("a").cast(pyarrow.float64()))
    refused(lambda: read_rows(path), "claims 30,000,000 rows")


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"", b"PAR1\x00PAR1"])
def test_what_is_no_parquet_is_refused(tmp_path, content):
    (tmp_path / "x.parquet").write_bytes(content)
    refused(lambda: read_rows(tmp_path / "x.parquet"), "is not a readable Parquet file")
