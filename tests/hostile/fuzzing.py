"""Fuzzing of all that reads what comes from outside: whatever the bytes, a reader gives a value or one error of ours.

`python tests/hostile/fuzzing.py 10000 --out docs/validation/fuzzing.json` runs it at length, and says how many inputs
were read and how many refused; the tests run a short share with fixed seeds. `corpus/` holds inputs that once did
otherwise.
"""

import argparse
import collections
import contextlib
import io
import json
import math
import os
import random
import shutil
import struct
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import good
import numpy as np

from spicekit.circuits.cells import load_cell
from spicekit.circuits.spec import TileSpec, Wires
from spicekit.decks.source import parse_deck
from spicekit.devices.cards import card_from_text
from spicekit.devices.importing import read_models
from spicekit.devices.measure import read_curves
from spicekit.devices.sheet import read_full_sheet, read_sheet
from spicekit.engines import cache
from spicekit.errors import SpicekitError
from spicekit.evaluation.design import read_design
from spicekit.files import MARKER, read_array, shipped_folder
from spicekit.networks.checkpoints import FOLDER, load_network
from spicekit.networks.cifar import read_cifar10
from spicekit.networks.onnx_file import read_onnx
from spicekit.networks.own_data import read_own
from spicekit.networks.runs import read_state
from spicekit.report.results import read_page
from spicekit.study.cluster import read_cluster
from spicekit.study.plan import read_study
from spicekit.study.results import LOG_FILE, Log
from spicekit.tables.characterise import read_plan
from spicekit.tables.ends import read_ends
from spicekit.tables.inventory import import_table, inventory, manifest_faults

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"


@dataclass(frozen=True)
class Reader:
    """Something that reads a file from outside."""

    file: str
    """Name that the file gets."""
    seeds: Callable[[], list[bytes]]
    """Good inputs, to be spoilt."""
    read: Callable[[Path], object]


def with_log(path: Path) -> object:
    (path.parent / MARKER).touch()
    with Log(path.parent) as log:
        return log.results


def cached(path: Path) -> object:
    os.environ["SPICEKIT_CACHE"] = str(path.parent)
    cache._remembered.cache_clear()
    return cache._remembered("entry", path.parent)


def card(path: Path) -> object:
    sheet = read_sheet(next(shipped_folder("device_models").glob("nmos-rvt/device.toml")))
    return card_from_text(path.read_bytes().decode("latin-1"), sheet, device="fuzz")


def network(path: Path) -> object:
    """The network of an ONNX file, run on one image if the file is read."""
    import torch

    found = read_onnx(path)
    shape = [side or 1 for side in found.shape]
    return found(torch.zeros(shape)) if math.prod(shape) < 10_000 else None


def with_labels(path: Path) -> object:
    (path.parent / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 3) + bytes(range(3)))
    return read_own(path.parent, "test")


def class_folders(path: Path) -> object:
    for name in "ab":
        folder = path.parent / "set" / name
        if not folder.is_dir():
            folder.mkdir(parents=True)
            for number in range(11):
                (folder / f"{number}.png").write_bytes(good.pictures()[0])
    (path.parent / "set" / "a" / "0.png").write_bytes(path.read_bytes())
    return read_own(path.parent / "set", "train")


def cell_text(path: Path) -> object:
    for each in ("cell.toml", "full.sp"):
        shutil.copy(shipped_folder("cells") / "8t-sram" / each, path.parent)
    return load_cell(str(path.parent / "cell.toml"))


def cell_sheet(path: Path) -> object:
    for each in ("cell.sp", "full.sp"):
        shutil.copy(shipped_folder("cells") / "8t-sram" / each, path.parent)
    return load_cell(str(path))


def imported(path: Path) -> object:
    spec = TileSpec(wires=Wires(r_bl=1, r_sl=1))
    return import_table(path, spec, path.parent / "store", source="fuzz")


READERS = {
    "design": Reader("x.toml", good.shipped("spicekit/cli/starters/tile.toml"), read_design),
    "study": Reader("x.toml", good.shipped("spicekit/cli/starters/study.toml"), read_study),
    "plan": Reader("x.toml", lambda: [b'[[grid]]\ncell = ["1t1r"]\nvdd = [0.6, 0.7]\nseed = [1, 2]\n'], read_plan),
    "cluster": Reader("x.toml", lambda: [b'kind = "slurm"\nworkers = 3\n[options]\nqueue = "long"\n'], read_cluster),
    "cell": Reader("cell.toml", good.shipped("cells/8t-sram/cell.toml"), cell_sheet),
    "subcircuit": Reader("cell.sp", good.shipped("cells/8t-sram/cell.sp"), cell_text),
    "models": Reader(
        "x.pm",
        good.shipped("device_models/nmos-*/tt.sp"),
        lambda path: read_models(path.read_text("latin-1"), source="fuzz"),
    ),
    "curves": Reader("curves.npz", good.shipped("device_models/nmos-rvt/curves.npz"), read_curves),
    "ends": Reader("ends.json", good.ends, read_ends),
    "own table": Reader("x.npz", good.own_table, imported),
    "onnx": Reader("x.onnx", good.onnx_file, network),
    "idx": Reader("t10k-images-idx3-ubyte", good.idx(packed=False), with_labels),
    "idx, packed": Reader("t10k-images-idx3-ubyte.gz", good.idx(packed=True), with_labels),
    "own npz": Reader("x.npz", good.own_npz, lambda path: read_own(path, "test")),
    "picture": Reader("x.png", good.pictures, class_folders),
    "sheet": Reader("x.toml", good.shipped("device_models/nmos-*/device.toml"), read_full_sheet),
    "card": Reader("x.sp", good.shipped("device_models/nmos-*/tt.sp"), card),
    "deck": Reader(
        "x.cir",
        good.shipped("tests/circuits/golden/*.cir"),
        lambda path: parse_deck(path.read_text("latin-1")),
    ),
    "npy": Reader("x.npy", lambda: good.npy(np.ones((2, 3), np.uint8), np.arange(4.0)), read_array),
    "npz": Reader("x.npz", good.npz, read_page),
    "parquet": Reader("x.parquet", good.parquet, read_page),
    "json": Reader("x.json", good.evaluation, read_page),
    "table": Reader("x.h5", good.shipped("calibration/8t-sram-tt-*.h5"), lambda path: inventory(path.parent)),
    "manifest": Reader(
        "manifest.json", lambda: [b'{"sha256": {"a.h5": "0"}}'], lambda path: manifest_faults(path.parent)
    ),
    "checkpoint": Reader(
        "x.safetensors",
        lambda: [(FOLDER / "vgg-small-quarter-digits.safetensors").read_bytes()],
        load_network,
    ),
    "state": Reader("x.safetensors", good.state, read_state),
    "log": Reader(LOG_FILE, lambda: [b'["0", "a", {"right": 1}]\n["1", "b", {}]\n'], with_log),
    "cache": Reader("entry.npz", good.entry, cached),
    "batch": Reader("test_batch", good.batch, lambda path: read_cifar10(path.parent, "test", images_per_batch=3)),
    "archive": Reader(
        "cifar-10-python.tar.gz",
        good.archive,
        lambda path: read_cifar10(path.parent, "test", images_per_batch=3),
    ),
}
"""All that reads files from outside."""


_TOKENS = [
    b"[" * 3000, b"{" * 3000, b'{"a":' * 3000, b"9" * 5000, b"a" + b".a" * 40, b"-1", b"1e999", b"nan",
    b"null", b"true", b"[]", b"{}", b'""', b"'", b"\n", b"\n+ ", b".include /etc/passwd\n", b"[/red]",
    b"\x00", b"\xff\xff\xff\x7f", b"\x80\x02}r\xff\xff\xff\x0f",
]  # fmt: skip
_CHANGES = ("flip", "cut", "repeat", "insert", "end")


def drawn(rng: random.Random) -> list[tuple[str, int, int]]:
    """One to six changes: kind, place and number; half of the places are where files have their headers."""
    kinds = rng.choices(_CHANGES, k=rng.randint(1, 6))
    return [(kind, rng.randrange(rng.choice((1 << 8, 1 << 20))), rng.randrange(64)) for kind in kinds]


def changed(data: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    """Spoilt bytes."""
    for kind, place, number in changes:
        at = place % (len(data) + 1)
        if kind == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << number % 8]) + data[at + 1 :]
        elif kind == "cut":
            data = data[:at] + data[at + 1 + number :]
        elif kind == "repeat":
            data = data[:at] + 3 * data[at : at + 1 + number] + data[at + 1 + number :]
        elif kind == "insert":
            data = data[:at] + _TOKENS[number % len(_TOKENS)] + data[at:]
        elif kind == "end":
            data = data[:at]
    return data


def fuzz(name: str, count: int, first: int = 0) -> collections.Counter[str]:
    """Spoil a reader's good inputs, number `first` to `count`; what became of them. Errors not ours are raised."""
    reader, became = READERS[name], collections.Counter[str]()
    seeds = reader.seeds()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / reader.file
        for number in range(first, count):
            rng = random.Random(f"{name} {number}")
            path.write_bytes(changed(rng.choice(seeds), drawn(rng)))
            try:
                became[outcome(reader, path)] += 1
            except Exception as error:
                error.add_note(f"{name}: input {number}, {path.read_bytes()[:200]!r}")
                raise
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
    options.add_argument("--out", type=Path, help="JSON file that counts are added to; what it holds is not run again")
    chosen = options.parse_args()
    found = json.loads(chosen.out.read_text()) if chosen.out and chosen.out.is_file() else {}
    for name in chosen.names or READERS:
        sofar = found.setdefault(name, {"read": 0, "refused": 0, "seconds": 0.0})
        if (first := sofar["read"] + sofar["refused"]) >= chosen.count:
            continue
        began = time.monotonic()
        with contextlib.redirect_stdout(io.StringIO()):
            became = fuzz(name, chosen.count, first)
        print(
            f"{name:12} {sum(became.values()):6} inputs: {dict(became)}, {time.monotonic() - began:.0f} s",
            flush=True,
        )
        for kind in ("read", "refused"):
            sofar[kind] += became[kind]
        sofar["seconds"] = round(sofar["seconds"] + time.monotonic() - began, 1)
        if chosen.out:
            chosen.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
