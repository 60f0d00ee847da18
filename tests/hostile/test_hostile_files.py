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
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from refusing import MUCH, cost, exhausting, refused
from safetensors.torch import load, save_file
from typer.testing import CliRunner

from spicekit.cli.app import app
from spicekit.config import read_toml
from spicekit.errors import BadInput
from spicekit.files import MARKER, take_folder, write_atomically
from spicekit.networks.checkpoints import FOLDER, load_network, read_tensors
from spicekit.networks.cifar import read_cifar10
from spicekit.networks.training import STATE
from spicekit.study.plan import read_study
from spicekit.study.sweep import sweep
from spicekit.tables.characterise import read_plan

# --- TOML and plans


@pytest.mark.parametrize(
    ("text", "naive"),
    [
        ("a = " + "[" * 5000, RecursionError),
        ("a = " + "1" * 5000, ValueError),
        ("a" + ".a" * 5000 + " = 1", None),
        ("[" + "a." * 5000 + "a]", None),
        ('"a b"' + ' . "a b"' * 5000 + " = 1", None),
        ("'\u00e4'" + ".'\u00e4'" * 5000 + " = 1", None),
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
    path.write_text(f"v = 1.5\nlong = '{'x' * 900_000}'\n")  # minutes, if each letter could begin a key
    assert read_toml(path)["v"] == 1.5


def test_a_grid_is_counted_before_it_is_made(tmp_path):
    path = tmp_path / "study.toml"
    values = "[" + ", ".join(map(str, range(1, 101))) + "]"
    names = ("rows_active", "rows", "columns", "v_read")
    path.write_text("[[grid]]\n" + "".join(f'"tile.{name}" = {values}\n' for name in names))
    refused(lambda: read_study(path), "asks for 100,000,000 points; a study has at most 100,000")
    plan = tmp_path / "plan.toml"
    plan.write_text("[[grid]]\n" + "".join(f"{name} = {values}\n" for name in ("seed", "fins")) + f"vdd = {values}\n")
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
    study.write_text('[base]\nrun = {network = "vgg-small-quarter", images = 2}\nwires = {r_bl = 3.2, r_sl = 3.2}\n')
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
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, most[1]))  # as on a full disk: root may write where others may not
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
