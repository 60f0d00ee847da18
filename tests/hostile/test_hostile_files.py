"""Files made to exhaust memory, hang, or reach other files: each does on a naive path, and is refused on ours.

A refusal takes below a second of processor time and 200 MB, whatever the file claims.
"""

import contextlib
import gzip
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import tarfile
import threading
import time
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from click.testing import Result
from good import SPEC
from safetensors.torch import load, save_file
from typer.testing import CliRunner

import spicekit as sk
from spicekit.cli.app import app
from spicekit.config import read_toml
from spicekit.devices.measure import read_curves
from spicekit.errors import BadInput, BadTable
from spicekit.files import MARKER, read_array, read_arrays, take_folder, write_atomically
from spicekit.networks.checkpoints import FOLDER, load_network, read_tensors
from spicekit.networks.cifar import read_cifar10
from spicekit.networks.training import STATE
from spicekit.report.results import read_page
from spicekit.resources import shipped_folder
from spicekit.study.plan import read_study
from spicekit.study.results import read_rows
from spicekit.study.sweep import sweep
from spicekit.tables.characterise import read_plan
from spicekit.tables.inventory import inventory
from spicekit.tables.store import read_sweep

MUCH = 200e6  # bytes


def cost(action: Callable[[], object]) -> tuple[float, float]:
    """Bytes that an action adds to the process at its peak, and seconds of processor time; refusals count as ends."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, began = resident("VmRSS"), time.process_time()
    with contextlib.suppress(BadInput, BadTable):
        action()
    return resident("VmHWM") - before, time.process_time() - began


def resident(what: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return 1024 * float(line.split()[1])


def refused(action: Callable[[], object], reason: str) -> None:
    """In short, without much memory, by name."""
    with pytest.raises((BadInput, BadTable), match=reason):
        action()
    memory, seconds = cost(action)
    assert memory < MUCH
    assert seconds < 1


def exhausting(naive: Callable[[], object]) -> None:
    """A naive path takes much memory."""
    assert cost(naive)[0] > MUCH


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
        lambda file: file.create_dataset(
            "current", shape, "f8", chunks=(1, 1, 4000, 4000), compression="gzip"
        ),
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


# --- TOML and plans


@pytest.mark.parametrize(
    ("text", "naive"),
    [
        ("a = " + "[" * 5000, RecursionError),
        ("a = " + "1" * 5000, ValueError),
        ("a" + ".a" * 5000 + " = 1", None),
        ("[" + "a." * 5000 + "a]", None),
        ("a = [" + "{a = " * 3000, RecursionError),
        ("a = 1\n" * 2, tomllib.TOMLDecodeError),
    ],
)
def test_toml_that_tomllib_does_not_survive(tmp_path, text, naive):
    path = tmp_path / "x.toml"
    path.write_text(text)
    if naive:
        with pytest.raises(naive):
            tomllib.loads(text)
    refused(lambda: read_toml(path), "is not valid TOML")


@pytest.mark.long
def test_a_deep_key_takes_memory_by_its_square_on_a_naive_path():
    text = "a" + ".a" * 9000 + " = 1"

    def naive() -> None:
        with pytest.raises(RecursionError):
            json.dumps(tomllib.loads(text))

    exhausting(naive)


def test_a_large_toml_file_is_not_read(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text("#" * (2 << 20))
    refused(lambda: read_toml(path), "has 2,097,152 bytes; expected at most 1,048,576")


def test_words_of_a_file_do_not_make_a_deep_key(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text('note = "' + "a sentence. " * 100 + '"\n"tile.rows" = [16, 64]\nv = 1.5\n')
    assert read_toml(path)["v"] == 1.5


def test_a_grid_is_counted_before_it_is_made(tmp_path):
    path = tmp_path / "study.toml"
    values = "[" + ", ".join(map(str, range(1, 101))) + "]"
    names = ("rows_active", "rows", "columns", "v_read")
    path.write_text("[[grid]]\n" + "".join(f'"tile.{name}" = {values}\n' for name in names))
    refused(lambda: read_study(path), "asks for 100,000,000 points; a study has at most 100,000")
    plan = tmp_path / "plan.toml"
    plan.write_text(
        "[[grid]]\n" + "".join(f"{name} = {values}\n" for name in ("seed", "fins")) + f"vdd = {values}\n"
    )
    refused(lambda: read_plan(plan), "asks for 18,000,000 tables; a plan has at most 100,000")


def test_thousands_of_unknown_keys_are_ten_faults(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text("\n".join(f"[a{n}]" for n in range(20_000)))
    with pytest.raises(BadInput, match="and 19,990 more"):
        read_plan(plan)
    assert cost(lambda: read_plan(plan))[0] < MUCH


# --- CIFAR-10


def batch(data: bytes, folder: Path) -> Callable[[], object]:
    """Reads a folder whose test batch is this pickle."""
    place = folder / "cifar-10-batches-py"
    place.mkdir()
    (place / "test_batch").write_bytes(data)
    return lambda: read_cifar10(folder, "test")


@pytest.mark.long
def test_a_pickle_that_remembers_at_a_far_place(tmp_path):
    data = b"\x80\x02}r" + struct.pack("<I", 0x01FFFFFF) + b"."
    exhausting(lambda: pickle.loads(data))
    refused(batch(data, tmp_path), "more than a dictionary of labels")


@pytest.mark.long
def test_a_pickle_of_lists_within_lists(tmp_path):
    def wide(levels: int) -> list[Any]:
        value: list[Any] = [1] * 75
        for _ in range(levels):
            value = [value] * 75
        return value

    data = pickle.dumps({b"data": None, b"labels": wide(6)}, protocol=2)
    assert len(data) < 40_000
    exhausting(lambda: np.array(wide(3)))
    refused(batch(data, tmp_path), "labels|no batch of the python archive")


def test_a_pickle_that_goes_deep_ends_python_on_a_naive_path_and_not_on_ours(tmp_path):
    data = b"\x80\x02}" + b"(" + b")" + b"\x85" * 300_000 + b"K\x01u."
    (tmp_path / "deep").write_bytes(data)
    naive = f"import pickle; pickle.loads(open({str(tmp_path / 'deep')!r}, 'rb').read())"
    assert subprocess.run([sys.executable, "-c", naive], stderr=subprocess.DEVNULL).returncode < 0
    refused(batch(data, tmp_path), "more than a dictionary of labels")


@pytest.mark.long
def test_a_tar_whose_header_claims_gigabytes(tmp_path):
    path = tmp_path / "cifar-10-python.tar.gz"
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 30
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(250):
            file.write(bytes(1_000_000))

    def naive() -> None:
        with contextlib.suppress(tarfile.TarError, EOFError, ValueError), tarfile.open(path) as archive:
            archive.getmembers()

    exhausting(naive)
    refused(lambda: read_cifar10(tmp_path, "test"), "claims to hold more than")


def test_a_tar_with_much_before_the_batch(tmp_path):
    path = tmp_path / "cifar-10-python.tar.gz"
    header = tarfile.TarInfo("padding")
    header.size = 1 << 40
    with gzip.open(path, "wb") as file:
        file.write(header.tobuf())
    refused(lambda: read_cifar10(tmp_path, "test"), "claims to hold more than|cannot be unpacked|it lacks")


# --- checkpoints


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "own.safetensors"
    path.write_bytes((FOLDER / "vgg-small-quarter-digits.safetensors").read_bytes())
    return path


def test_tensors_of_other_kinds_are_refused_by_name(checkpoint):
    tensors, header = read_tensors(checkpoint)
    save_file({**tensors, "norm1.bias": tensors["norm1.bias"].to(torch.bfloat16)}, checkpoint, header)
    refused(lambda: load_network(checkpoint), "norm1.bias is torch.bfloat16")


def test_a_deep_card_is_refused(checkpoint):
    from spicekit.networks.checkpoints import sealed

    tensors, header = read_tensors(checkpoint)
    header = {"format": header["format"], "card": '{"a":' * 100_000}
    save_file(tensors, checkpoint, sealed(tensors, header))
    refused(lambda: load_network(checkpoint), "is not readable JSON")


def test_a_header_without_end_is_refused(checkpoint):
    checkpoint.write_bytes(struct.pack("<Q", 90 << 20) + b" " * 100)
    refused(lambda: load_network(checkpoint), "a header of 94,371,840 bytes")


# --- what is written


def test_a_device_stays_one_and_a_link_too(tmp_path):
    device, link, file = tmp_path / "null", tmp_path / "link", tmp_path / "file"
    file.write_text("old")
    link.symlink_to(file)
    write_atomically(link, "new")
    assert (link.is_symlink(), file.read_text()) == (True, "new")
    try:
        os.mknod(device, 0o666 | 0o020000, os.makedev(1, 3))
        open(device, "rb").close()
    except PermissionError:
        device = Path("/dev/null")
    write_atomically(device, "content")
    assert device.is_char_device()


def test_a_pipe_is_written_into(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    said = []
    reader = threading.Thread(target=lambda: said.append((tmp_path / "pipe").read_text()))
    reader.start()
    write_atomically(tmp_path / "pipe", "content")
    reader.join()
    assert said == ["content"]


def test_a_folder_is_taken_only_if_it_is_new_empty_or_ours(tmp_path):
    take_folder(tmp_path / "new" / "one")
    take_folder(tmp_path / "new" / "one")
    (tmp_path / "new" / "one" / "result").write_text("ours")
    take_folder(tmp_path / "new" / "one")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / ".thesis.docx.part").write_text("mine")
    with pytest.raises(BadInput, match=r"holds '\.thesis\.docx\.part' and is no folder of results"):
        take_folder(tmp_path / "thesis")
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written"):
        take_folder(tmp_path / "file")


def test_a_study_refuses_a_folder_of_others_before_it_makes_a_table(tmp_path):
    study, out, store = tmp_path / "study.toml", tmp_path / "out", tmp_path / "store"
    study.write_text(
        '[base]\nrun = {network = "vgg-small-quarter", images = 2}\nwires = {r_bl = 3.2, r_sl = 3.2}\n'
    )
    out.mkdir()
    (out / "jobs.jsonl").write_text("my notes")
    with pytest.raises(BadInput, match=r"holds 'jobs\.jsonl' and is no folder of results"):
        sweep(study, out, store=store)
    assert not store.exists()
    assert (out / "jobs.jsonl").read_text() == "my notes"


def trained(out: Path, *words: str) -> Result:
    """What `spicekit train` of a tiny network says."""
    tiny = ("--width", "0.05", "--epochs", "1", "--batch", "8", "--images", "16", "--threads", "1")
    return CliRunner().invoke(app, ["train", "--network", "vgg-small", "--out", str(out), *tiny, *words])


def test_training_refuses_its_folder_before_it_looks_for_images(tmp_path):
    """The images are not there: whoever looks first says so."""
    nowhere = ("--data", "cifar10", "--folder", str(tmp_path / "nowhere"))
    assert "nowhere" in str(trained(tmp_path / "new", *nowhere).exception)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter").write_text("mine")
    ours = tmp_path / "ours"
    take_folder(ours)
    assert "is no folder of results" in str(trained(tmp_path / "thesis", *nowhere).exception)
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (0, most[1])
    )  # as on a full disk: root may write where others may not
    try:
        full = trained(ours, *nowhere)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    assert f"{ours}: cannot be written (File too large)" in str(full.exception)
    assert [path.name for path in ours.iterdir()] == [MARKER]


def test_a_run_does_not_go_on_from_a_state_with_a_flipped_bit(tmp_path):
    assert trained(tmp_path / "run").exit_code == 0
    path = tmp_path / "run" / STATE
    whole = path.read_bytes()
    right = load(whole)
    place = 8 + int.from_bytes(whole[:8], "little") + 4003  # exponent of the 1,001st number behind the header
    flipped = whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :]
    assert any(not torch.equal(naive, right[name]) for name, naive in load(flipped).items())
    path.write_bytes(flipped)
    for out, words in (("run", ["--resume"]), ("other", ["--begin", str(path)])):
        refused = trained(tmp_path / out, *words).exception
        assert isinstance(refused, BadInput)
        assert "is no readable state of a run" in str(refused)
    path.write_bytes(whole)
    assert trained(tmp_path / "run", "--resume").exit_code == 0
