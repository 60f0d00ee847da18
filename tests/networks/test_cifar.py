"""Each layout of CIFAR-10 from small files made here in its format; damaged and hostile ones are refused."""

import functools
import hashlib
import http.server
import io
import os
import pickle
import struct
import tarfile
import threading

import numpy as np
import pytest
from PIL import Image

from spicekit.errors import BadInput
from spicekit.networks import cifar
from spicekit.networks.cifar import read_cifar10

COUNT = 4  # images in a batch file


def batch(seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (COUNT, 32, 32, 3), np.uint8), rng.integers(0, 10, COUNT, np.uint8)


TRAIN = [batch(seed) for seed in range(5)]
TEST = batch(5)


def planes(images):
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(len(images), 3072)


def python2_pickle(images, labels):
    """A batch as Python 2 pickled it, opcode by opcode: the published archive's format."""

    def text(value):
        return b"U" + bytes([len(value)]) + value

    raw = planes(images).tobytes()
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        b"(K\x01" + b"M" + struct.pack("<H", len(images)) + b"M\x00\x0c\x86"
        b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<I", len(raw)) + raw + b"tb"
    )
    items = text(b"batch_label") + text(b"testing batch 1 of 1")
    items += text(b"labels") + b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    items += text(b"data") + array
    return b"\x80\x02}(" + items + b"u."


def python3_pickle(images, labels):
    return pickle.dumps({b"data": planes(images), b"labels": labels.tolist()}, protocol=2)


def binary(images, labels):
    return np.hstack([labels[:, None], planes(images)]).tobytes()


def archive_files(encode, suffix):
    files = {f"data_batch_{i}{suffix}": encode(*part) for i, part in enumerate(TRAIN, start=1)}
    return files | {f"test_batch{suffix}": encode(*TEST)}


LAYOUTS = {
    "python2": ("cifar-10-batches-py", "cifar-10-python.tar.gz", archive_files(python2_pickle, "")),
    "python3": ("cifar-10-batches-py", "cifar-10-python.tar.gz", archive_files(python3_pickle, "")),
    "binary": ("cifar-10-batches-bin", "cifar-10-binary.tar.gz", archive_files(binary, ".bin")),
}


@pytest.fixture(params=[(layout, packing) for layout in LAYOUTS for packing in ("folder", "files", "tar.gz")])
def archive(request, tmp_path):
    layout, packing = request.param
    folder, name, files = LAYOUTS[layout]
    if packing == "tar.gz":
        with tarfile.open(tmp_path / name, "w:gz") as tar:
            for file, data in files.items():
                member = tarfile.TarInfo(f"{folder}/{file}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    else:
        place = tmp_path / folder if packing == "folder" else tmp_path
        place.mkdir(exist_ok=True)
        for file, data in files.items():
            (place / file).write_bytes(data)
    return tmp_path


def test_every_archive_gives_the_images_in_their_order(archive):
    images, labels = read_cifar10(archive, "train", images_per_batch=COUNT)
    assert (images == np.concatenate([part[0] for part in TRAIN])).all()
    assert (labels == np.concatenate([part[1] for part in TRAIN])).all()
    images, labels = read_cifar10(archive, "test", images_per_batch=COUNT)
    assert (images == TEST[0]).all()
    assert (labels == TEST[1]).all()


@pytest.fixture
def compact(tmp_path):
    """Two files of 2 x 2 tiles to train on (lossy), two columns of 3 tiles to test (lossless)."""
    rng = np.random.default_rng(7)
    smooth = np.cumsum(rng.integers(0, 3, (64, 64, 3), np.uint8), axis=0, dtype=np.uint8)
    column = rng.integers(0, 256, (96, 32, 3), np.uint8)
    files = {}
    for i in range(2):
        for name, pixels, options in (
            (f"train_{i:02d}.avif", smooth + 60 * np.uint8(i), {"quality": 90, "subsampling": "4:4:4"}),
            (f"test_{i:02d}.webp", np.roll(column, i, axis=0), {"lossless": True}),
        ):
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, format=name.rsplit(".")[-1].upper(), **options)
            files[name] = buffer.getvalue()
    buffer = io.BytesIO()
    np.savez(buffer, train=np.arange(8, dtype=np.uint8), test=np.arange(6, dtype=np.uint8))
    files["labels.npz"] = buffer.getvalue()
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    write_sums(tmp_path)
    return tmp_path, smooth, column


def write_sums(folder):
    names = sorted(path.name for path in folder.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


def test_the_compact_copy_is_cut_into_tiles_row_by_row(compact):
    folder, smooth, column = compact
    images, labels = read_cifar10(folder, "test")
    assert (images[:3] == column.reshape(3, 32, 32, 3)).all()
    assert labels.tolist() == [0, 1, 2, 3, 4, 5]
    images, labels = read_cifar10(folder, "train")
    assert images.shape == (8, 32, 32, 3)
    lossy = np.abs(images[1].astype(int) - smooth[:32, 32:].astype(int))  # first row, second column
    assert lossy.mean() < 10
    assert labels.tolist() == list(range(8))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "test_01.webp").write_bytes(b"RIFF"), "SHA-256 is not the one"),
        (lambda f: (f / "test_01.webp").unlink(), r"test_01\.webp: cannot be read"),
        (lambda f: (f / "SHA256SUMS").write_text(""), "lists no test_"),
        (lambda f: ((f / "test_01.webp").write_bytes(b"RIFF"), write_sums(f)), "cannot be decoded"),
        (lambda f: ((f / "labels.npz").write_bytes(b"PK"), write_sums(f)), "cannot be read"),
        (lambda f: ((f / "test_00.webp").unlink(), write_sums(f)), r"shaped \(6,\) beside 3 images"),
    ],
)
def test_a_damaged_compact_copy_is_refused(compact, damage, message):
    damage(compact[0])
    with pytest.raises(BadInput, match=message):
        read_cifar10(compact[0], "test")


def test_a_pickle_that_wants_to_run_code_is_refused_and_runs_nothing(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    (tmp_path / "test_batch").write_bytes(pickle.dumps({b"data": Hostile(), b"labels": [1]}, protocol=2))
    with pytest.raises(BadInput, match=r"it asks for \w+\.mkdir"):
        read_cifar10(tmp_path, "test", images_per_batch=1)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"no pickle",
        python2_pickle(*TEST)[:-2000],
        pickle.dumps([1, 2]),
        pickle.dumps({b"data": planes(TEST[0]).astype(np.int32), b"labels": [0] * COUNT}, protocol=2),
        pickle.dumps({b"data": planes(TEST[0]), b"labels": [0] * (COUNT + 1)}, protocol=2),
        pickle.dumps({b"data": planes(TEST[0]), b"labels": [300] * COUNT}, protocol=2),
        pickle.dumps({b"data": None, b"labels": []}, protocol=2),
    ],
)
def test_a_damaged_pickle_is_refused(tmp_path, value):
    (tmp_path / "test_batch").write_bytes(value)
    with pytest.raises(BadInput, match=r"test_batch: it is no batch .* fetch this file again"):
        read_cifar10(tmp_path, "test", images_per_batch=COUNT)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (binary(*TEST)[:-1], "not whole records of 3073"),
        (binary(*TEST)[: -2 * 3073], "holds 2 images, not 4"),
        (binary(TEST[0], np.full(COUNT, 10, np.uint8)), "a label is 10"),
    ],
)
def test_a_damaged_binary_batch_is_refused(tmp_path, value, message):
    (tmp_path / "test_batch.bin").write_bytes(value)
    with pytest.raises(BadInput, match=message):
        read_cifar10(tmp_path, "test", images_per_batch=COUNT)


def test_a_missing_batch_is_named(tmp_path):
    (tmp_path / "data_batch_1.bin").write_bytes(binary(*TEST))
    with pytest.raises(BadInput, match=r"data_batch_2\.bin: cannot be read"):
        read_cifar10(tmp_path, "train", images_per_batch=COUNT)


def test_an_archive_cut_short_is_refused(archive):
    for path in archive.glob("*.tar.gz"):
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(BadInput, match="cannot be unpacked"):
            read_cifar10(archive, "test", images_per_batch=COUNT)


def test_an_empty_folder_is_told_what_it_should_hold(tmp_path):
    with pytest.raises(BadInput, match=r"no CIFAR-10 test split found.*cifar-10-python\.tar\.gz"):
        read_cifar10(tmp_path, "test")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A folder served on loopback in place of the data set's home."""
    served = tmp_path / "served"
    served.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=served)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as home:
        threading.Thread(target=home.serve_forever).start()
        monkeypatch.setattr(cifar, "ARCHIVE_URL", f"http://127.0.0.1:{home.server_port}/archive")
        yield served
        home.shutdown()


def test_a_download_is_kept_only_if_its_checksum_is_the_published_one(tmp_path, server, monkeypatch):
    (server / "archive").write_bytes(b"not the archive")
    with pytest.raises(BadInput, match=r"download_cifar10.*hash"):
        cifar.download_cifar10(tmp_path / "data")
    assert not list((tmp_path / "data").iterdir())

    monkeypatch.setattr(cifar, "ARCHIVE_SHA256", hashlib.sha256(b"not the archive").hexdigest())
    folder = cifar.download_cifar10(tmp_path / "data")
    assert (folder / "cifar-10-python.tar.gz").read_bytes() == b"not the archive"


def test_a_failed_download_says_what_to_do(tmp_path, server):
    with pytest.raises(BadInput, match=r"404.*otherwise and name its folder"):
        cifar.download_cifar10(tmp_path / "data")


def test_cifar100_is_read_as_it_is_distributed(tmp_path):
    images, labels = batch(9)
    content = {
        b"data": planes(images),
        b"fine_labels": (labels + 90).tolist(),
        b"coarse_labels": labels.tolist(),
    }
    names = [f"class {index}".encode() for index in range(100)]
    inside = {"test": content, "meta": {b"fine_label_names": names, b"coarse_label_names": []}}
    with tarfile.open(tmp_path / "cifar-100-python.tar.gz", "w:gz") as archive:
        for name, value in inside.items():
            data = pickle.dumps(value, protocol=2)
            member = tarfile.TarInfo(f"cifar-100-python/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    found, fine, classes = cifar.read_cifar100(tmp_path, "test", images_in=COUNT)
    assert (found == images).all()
    assert (fine == labels + 90).all()
    assert classes[99] == "class 99"
    with pytest.raises(BadInput, match="it holds 4 images"):
        cifar.read_cifar100(tmp_path, "test")
    with pytest.raises(BadInput, match="it lacks train"):
        cifar.read_cifar100(tmp_path, "train")
    with pytest.raises(BadInput, match="no CIFAR-100 found"):
        cifar.read_cifar100(tmp_path / "elsewhere", "test")
