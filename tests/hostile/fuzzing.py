"""Fuzzing of all that reads what comes from outside: whatever the bytes, a reader gives a value or one error of ours.

`python tests/hostile/fuzzing.py 10000` runs it at length, and says how many inputs were read and how many refused; the
tests run a short share with fixed seeds. `corpus/` holds inputs that once did otherwise.
"""

import collections
import contextlib
import gzip
import io
import json
import os
import pickle
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from spicekit.decks.source import parse_deck
from spicekit.devices.cards import card_from_text
from spicekit.devices.sheet import read_full_sheet, read_sheet
from spicekit.engines import cache
from spicekit.errors import SpicekitError
from spicekit.evaluation.design import read_design
from spicekit.files import MARKER, read_array
from spicekit.networks.checkpoints import FOLDER, load_network
from spicekit.networks.cifar import read_cifar10
from spicekit.networks.runs import read_state
from spicekit.report.results import read_page
from spicekit.resources import shipped_folder
from spicekit.study.cluster import read_cluster
from spicekit.study.plan import read_study
from spicekit.study.results import LOG_FILE, Log, write_rows
from spicekit.tables.inventory import inventory, manifest_faults
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
    return [gzip.compress(plain.getvalue(), 1), plain.getvalue()]


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
    return [json.dumps(one).encode() for one in (record, check, {"evaluations": [record], "provenance": {}})]


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


READERS = {
    "design": Reader("x.toml", shipped("spicekit/cli/starters/tile.toml"), read_design),
    "study": Reader("x.toml", shipped("spicekit/cli/starters/study.toml"), read_study),
    "plan": Reader(
        "x.toml", lambda: [b'[[grid]]\ncell = ["1t1r"]\nvdd = [0.6, 0.7]\nseed = [1, 2]\n'], read_plan
    ),
    "cluster": Reader(
        "x.toml", lambda: [b'kind = "slurm"\nworkers = 3\n[options]\nqueue = "long"\n'], read_cluster
    ),
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
    """Fuzz readers at length: COUNT [NAME...]."""
    count, *names = sys.argv[1:]
    for name in names or READERS:
        began = time.monotonic()
        with contextlib.redirect_stdout(io.StringIO()):
            became = fuzz(name, int(count))
        print(
            f"{name:12} {sum(became.values()):6} inputs: {dict(became)}, {time.monotonic() - began:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
