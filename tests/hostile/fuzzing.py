"""Fuzzing of all that reads what comes from outside: whatever the bytes, a reader gives a value or one error of ours.

`python tests/hostile/fuzzing.py 10000 --out docs/validation/fuzzing.json` runs it at length, and says how many inputs
were read and how many refused; the tests run a short share with fixed seeds. `corpus/` holds inputs that once did
otherwise.
"""

import argparse
import collections
import contextlib
import gzip
import io
import json
import math
import os
import pickle
import shutil
import struct
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from spicekit.circuits.cells import load_cell
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.decks.source import parse_deck
from spicekit.devices.cards import card_from_text
from spicekit.devices.curves import read_curves
from spicekit.devices.importing import read_models
from spicekit.devices.sheet import read_full_sheet, read_sheet
from spicekit.engines import cache
from spicekit.errors import SpicekitError
from spicekit.evaluation.design import read_design
from spicekit.files import MARKER, read_array
from spicekit.networks.checkpoints import FOLDER, load_network
from spicekit.networks.cifar import read_cifar10
from spicekit.networks.onnx_file import read_onnx
from spicekit.networks.own_data import read_own
from spicekit.networks.runs import read_state
from spicekit.report.results import read_page
from spicekit.resources import shipped_folder
from spicekit.study.cluster import read_cluster
from spicekit.study.plan import read_study
from spicekit.study.results import LOG_FILE, Log, write_rows
from spicekit.tables.ends import read_ends
from spicekit.tables.inventory import import_table, inventory, manifest_faults
from spicekit.tables.plan import read_plan

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
SPEC = {"wires": {"r_bl": 3.2, "r_sl": 3.2}}


@dataclass(frozen=True)
class Reader:
    """Something that reads a file from outside."""

    file: str
    """Name that the file gets."""
    seeds: Callable[[], list[bytes]]
    """Good inputs, to be spoilt."""
    read: Callable[[Path], object]


def npy(*arrays: np.ndarray) -> list[bytes]:
    buffers = [io.BytesIO() for _ in arrays]
    for buffer, array in zip(buffers, arrays, strict=True):
        np.save(buffer, array)
    return [buffer.getvalue() for buffer in buffers]


def npz() -> list[bytes]:
    origin = json.dumps({"engine": "exact", "spec": SPEC, "table": "t"})
    buffer = io.BytesIO()
    np.savez(
        buffer, current=np.ones((2, 3)), lsb=1.0, partial_sum=np.ones((2, 3)), provenance=np.array(origin)
    )
    return [buffer.getvalue()]


def parquet() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        words = (
            "code_sha256",
            "ngspice",
            "spicekit",
            "table",
            "table_sha256",
            "weights_sha256",
            "run.network",
            "fault",
        )
        numbers = (
            "images",
            "accuracy",
            "software_accuracy",
            "energy",
            "partial_sum",
            "nf",
            "current",
            "seconds",
        )
        row = {
            **dict.fromkeys(words, ""),
            **dict.fromkeys(numbers, 0.5),
            "run.mitigation": "none",
            "wires.r_bl": 3.2,
        }
        row |= {"tile.cell": "8t-sram", "converter.reference": "unit", "layers": '{"conv1": {"nf": 0.5}}'}
        write_rows([row, row], path, origin={})
        return [path.read_bytes()]


def batch() -> list[bytes]:
    pixels = np.zeros((3, 3072), np.uint8)
    content = {b"batch_label": b"x", b"labels": [1, 2, 3], b"data": pixels, b"filenames": [b"a", b"b", b"c"]}
    return [pickle.dumps(content, protocol=protocol) for protocol in (2, 4)]


def archive() -> list[bytes]:
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        info = tarfile.TarInfo("cifar-10-batches-py/test_batch")
        info.size = len(batch()[0])
        tar.addfile(info, io.BytesIO(batch()[0]))
    return [gzip.compress(plain.getvalue(), 1)]


def shipped(pattern: str) -> Callable[[], list[bytes]]:
    return lambda: [path.read_bytes() for path in sorted(HERE.parent.parent.glob(pattern))[:3]]


def evaluation() -> list[bytes]:
    reads = {"reads": 1, "partial_sum": 1, "current": 1, "ideal_current": 1, "nf": 0.1, "energy": 1}
    run = {
        **reads,
        "mitigation": "none",
        "accuracy": 1,
        "partial_sum_reduction": 0,
        "energy_change": 0,
        "layers": {"a": reads},
    }
    record = {
        "design": {"tile": SPEC},
        "images": 1,
        "accuracy_software": 1,
        "accuracy_ideal": 1,
        "runs": [run],
        "assumptions": [],
    }
    place = {"figure": "idsat", "device": "n", "process": "tt"}
    check = [{**place, "measured": 0.3, "target": 0.3, "deviation": 0.0, "within": True}]
    placed = {**record, "network": "vgg-small", "point": "mild"}
    records = record, {"figures": check, "curves": []}, {"evaluations": [placed], "provenance": {}}
    return [json.dumps(one).encode() for one in records]


def state() -> list[bytes]:
    import torch
    from safetensors.torch import save

    from spicekit.networks.checkpoints import sealed
    from spicekit.networks.recipe import Recipe

    recipe = Recipe(network="vgg-small", data="digits", epochs=1, batch=8, shift=0, flip=False)
    tensors = {"network.a": torch.ones(3), "optimizer.0.step": torch.ones(1)}
    header = {"recipe": recipe.model_dump_json(), "state": json.dumps({"step": 1})}
    return [save(tensors, sealed(tensors, header))]


def with_log(path: Path) -> object:
    (path.parent / MARKER).touch()
    with Log(path.parent) as log:
        return log.results


def cached(path: Path) -> object:
    os.environ["SPICEKIT_CACHE"] = str(path.parent)
    cache._remembered.cache_clear()
    return cache._remembered("entry", path.parent)


def entry() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SPICEKIT_CACHE"] = folder
        cache.cached("entry", lambda: {"a": np.arange(3.0)})
        return [(Path(folder) / "entry.npz").read_bytes()]


def card(path: Path) -> object:
    sheet = read_sheet(next(shipped_folder("device_models").glob("nmos-rvt/device.toml")))
    return card_from_text(path.read_bytes().decode("latin-1"), sheet, device="fuzz")


def onnx_file() -> list[bytes]:
    """A convolution, a normalisation and a sign, as a binary network has them."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.sign(np.random.default_rng(0).normal(size=(2, 1, 3, 3))).astype(np.float32)
    shift = np.array([0.5, -0.5], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Sign", ["x"], ["s"], name="sign"),
            helper.make_node("Conv", ["s", "w"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[1, 1]),
            helper.make_node(
                "BatchNormalization", ["c", "one", "b", "b", "one"], ["y"], name="bn", epsilon=1e-5
            ),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(each, name)
            for name, each in (("w", weights), ("b", shift), ("one", shift**2))
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return [model.SerializeToString()]


def network(path: Path) -> object:
    """The network of an ONNX file, run on one image if the file is read."""
    import torch

    found = read_onnx(path)
    shape = [side or 1 for side in found.shape]
    return found(torch.zeros(shape)) if math.prod(shape) < 10_000 else None


def idx(*, packed: bool) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        images = np.arange(3 * 4 * 5, dtype=np.uint8).tobytes()
        data = struct.pack(">4B3I", 0, 0, 8, 3, 3, 4, 5) + images
        return [gzip.compress(data) if packed else data]

    return seeds


def with_labels(path: Path) -> object:
    (path.parent / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 3) + bytes(range(3)))
    return read_own(path.parent, "test")


def own_npz() -> list[bytes]:
    buffer = io.BytesIO()
    images = np.zeros((12, 5, 4, 3), np.uint8)
    np.savez(buffer, images=images, labels=np.arange(12) % 3, classes=np.array(["a", "b", "c"]))
    return [buffer.getvalue()]


def pictures() -> list[bytes]:
    buffers = [io.BytesIO() for _ in range(4)]
    for buffer, form in zip(buffers, ("PNG", "BMP", "GIF", "TIFF"), strict=True):
        Image.new("RGB", (5, 4), (1, 2, 3)).save(buffer, form)
    return [buffer.getvalue() for buffer in buffers]


def class_folders(path: Path) -> object:
    good = pictures()[0]
    for place, name in enumerate(("a", "b")):
        folder = path.parent / "set" / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(11):
            (folder / f"{number}.png").write_bytes(path.read_bytes() if number == place == 0 else good)
    return read_own(path.parent / "set", "train")


def cell_text(path: Path) -> object:
    for each in ("cell.toml", "full.sp"):
        shutil.copy(shipped_folder("cells") / "8t-sram" / each, path.parent)
    return load_cell(str(path.parent / "cell.toml"))


def cell_sheet(path: Path) -> object:
    for each in ("cell.sp", "full.sp"):
        shutil.copy(shipped_folder("cells") / "8t-sram" / each, path.parent)
    return load_cell(str(path))


def ends() -> list[bytes]:
    rising = [0, 1e-6, 3e-6]
    curves = {
        "conditions": {"cell": "8t-sram"},
        "voltage": rising,
        "driver": rising,
        "sense": rising,
        "cell": 1e-5,
    }
    return [json.dumps({"kind": "ends", "entries": [curves]}).encode()]


def own_table() -> list[bytes]:
    volt = np.linspace(0, 0.7, 8)
    buffer = io.BytesIO()
    np.savez(buffer, voltage=volt, current=np.ones((2, 2, 1, 1)) * 1e-5 * (volt[:, None] - volt))
    return [buffer.getvalue()]


def imported(path: Path) -> object:
    spec = TileSpec(wires=Wires(r_bl=1, r_sl=1))
    return import_table(path, spec, path.parent / "store", source="fuzz")


READERS = {
    "design": Reader("x.toml", shipped("spicekit/cli/starters/tile.toml"), read_design),
    "study": Reader("x.toml", shipped("spicekit/cli/starters/study.toml"), read_study),
    "plan": Reader(
        "x.toml", lambda: [b'[[grid]]\ncell = ["1t1r"]\nvdd = [0.6, 0.7]\nseed = [1, 2]\n'], read_plan
    ),
    "cluster": Reader(
        "x.toml", lambda: [b'kind = "slurm"\nworkers = 3\n[options]\nqueue = "long"\n'], read_cluster
    ),
    "cell": Reader("cell.toml", shipped("cells/8t-sram/cell.toml"), cell_sheet),
    "subcircuit": Reader("cell.sp", shipped("cells/8t-sram/cell.sp"), cell_text),
    "models": Reader(
        "x.pm",
        shipped("device_models/nmos-*/tt.sp"),
        lambda path: read_models(path.read_text("latin-1"), source="fuzz"),
    ),
    "curves": Reader("curves.npz", shipped("device_models/nmos-rvt/curves.npz"), read_curves),
    "ends": Reader("ends.json", ends, read_ends),
    "own table": Reader("x.npz", own_table, imported),
    "onnx": Reader("x.onnx", onnx_file, network),
    "idx": Reader("t10k-images-idx3-ubyte", idx(packed=False), with_labels),
    "idx, packed": Reader("t10k-images-idx3-ubyte.gz", idx(packed=True), with_labels),
    "own npz": Reader("x.npz", own_npz, lambda path: read_own(path, "test")),
    "picture": Reader("x.png", pictures, class_folders),
    "sheet": Reader("x.toml", shipped("device_models/nmos-*/device.toml"), read_full_sheet),
    "card": Reader("x.sp", shipped("device_models/nmos-*/tt.sp"), card),
    "deck": Reader(
        "x.cir", shipped("tests/circuits/golden/*.cir"), lambda path: parse_deck(path.read_text("latin-1"))
    ),
    "npy": Reader("x.npy", lambda: npy(np.ones((2, 3), np.uint8), np.arange(4.0)), read_array),
    "npz": Reader("x.npz", npz, read_page),
    "parquet": Reader("x.parquet", parquet, read_page),
    "json": Reader("x.json", evaluation, read_page),
    "table": Reader("x.h5", shipped("calibration/8t-sram-tt-*.h5"), lambda path: inventory(path.parent)),
    "manifest": Reader(
        "manifest.json", lambda: [b'{"sha256": {"a.h5": "0"}}'], lambda path: manifest_faults(path.parent)
    ),
    "checkpoint": Reader(
        "x.safetensors",
        lambda: [(FOLDER / "vgg-small-quarter-digits.safetensors").read_bytes()],
        load_network,
    ),
    "state": Reader("x.safetensors", state, read_state),
    "log": Reader(LOG_FILE, lambda: [b'["0", "a", {"right": 1}]\n["1", "b", {}]\n'], with_log),
    "cache": Reader("entry.npz", entry, cached),
    "batch": Reader("test_batch", batch, lambda path: read_cifar10(path.parent, "test", images_per_batch=3)),
    "archive": Reader(
        "cifar-10-python.tar.gz", archive, lambda path: read_cifar10(path.parent, "test", images_per_batch=3)
    ),
}
"""All that reads files from outside."""


_TOKENS = [
    b"[" * 3000, b"{" * 3000, b'{"a":' * 3000, b"9" * 5000, b"a" + b".a" * 40, b"-1", b"1e999", b"nan",
    b"null", b"true", b"[]", b"{}", b'""', b"'", b"\n", b"\n+ ", b".include /etc/passwd\n", b"[/red]",
    b"\x00", b"\xff\xff\xff\x7f", b"\x80\x02}r\xff\xff\xff\x0f",
]  # fmt: skip
_PLACE = st.integers(0, 1 << 20)
_CHANGE = st.one_of(
    st.tuples(st.just("flip"), _PLACE, st.integers(0, 7)),
    st.tuples(st.just("cut"), _PLACE, st.integers(1, 64)),
    st.tuples(st.just("repeat"), _PLACE, st.integers(1, 64)),
    st.tuples(st.just("insert"), _PLACE, st.integers(0, len(_TOKENS) - 1)),
    st.tuples(st.just("end"), _PLACE, st.just(0)),
)


def changed(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    """Spoilt bytes."""
    for kind, place, number in changes:
        at = place % (len(data) + 1)
        if kind == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << number]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at] + data[at + number :]
        elif kind == "repeat":
            data = data[:at] + 3 * data[at : at + number] + data[at + number :]
        elif kind == "insert":
            data = data[:at] + _TOKENS[number] + data[at:]
        elif kind == "end":
            data = data[:at]
    return data


def fuzz(name: str, count: int, *, start: int = 0) -> collections.Counter[str]:
    """Spoil a reader's good inputs `count` times; what became of them. Any other error than ours is raised."""
    reader, became = READERS[name], collections.Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / reader.file

        @seed(start)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.sampled_from(reader.seeds()), st.lists(_CHANGE, min_size=1, max_size=6))
        def one(good: bytes, changes: list[tuple[str, int, int]]) -> None:
            path.write_bytes(changed(good, changes))
            became[outcome(reader, path)] += 1

        one()
    return became


def outcome(reader: Reader, path: Path) -> str:
    """`read` or `refused`."""
    try:
        reader.read(path)
    except SpicekitError:
        return "refused"
    return "read"


def main() -> None:
    """Fuzz readers at length."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("count", type=int, help="inputs of each reader")
    options.add_argument("names", nargs="*", metavar="reader", help="all by default")
    options.add_argument(
        "--out", type=Path, help="JSON file that counts are added to; what it holds is not run again"
    )
    chosen = options.parse_args()
    found = json.loads(chosen.out.read_text()) if chosen.out and chosen.out.is_file() else {}
    for name in chosen.names or READERS:
        if sum(found.get(name, {}).get(kind, 0) for kind in ("read", "refused")) >= chosen.count:
            continue
        began = time.monotonic()
        with contextlib.redirect_stdout(io.StringIO()):
            became = fuzz(name, chosen.count)
        print(
            f"{name:12} {sum(became.values()):6} inputs: {dict(became)}, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        seconds = round(time.monotonic() - began, 1)
        found[name] = {"read": became["read"], "refused": became["refused"], "seconds": seconds}
        if chosen.out:
            chosen.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
