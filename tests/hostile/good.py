"""Good inputs of each kind, to be spoilt."""

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from spicekit.engines import cache
from spicekit.study.results import write_rows

HERE = Path(__file__).parent
SPEC = {"columns": 3, "wires": {"r_bl": 3.2, "r_sl": 3.2}}


def npy(*arrays: np.ndarray) -> list[bytes]:
    buffers = [io.BytesIO() for _ in arrays]
    for buffer, array in zip(buffers, arrays, strict=True):
        np.save(buffer, array)
    return [buffer.getvalue() for buffer in buffers]


def npz() -> list[bytes]:
    origin = json.dumps({"engine": "exact", "spec": SPEC, "table": "t"})
    buffer = io.BytesIO()
    np.savez(buffer, current=np.ones((2, 3)), lsb=1.0, partial_sum=np.ones((2, 3)), provenance=np.array(origin))
    return [buffer.getvalue()]


def parquet() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        words = ("code_sha256", "ngspice", "spicekit", "table", "table_sha256", "weights_sha256")
        numbers = ("accuracy", "software_accuracy", "energy", "partial_sum", "nf", "current", "seconds")
        row = {
            **dict.fromkeys((*words, "run.network", "fault"), ""),
            **dict.fromkeys(numbers, 0.5),
            "images": 10,
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
    from spicekit.networks.runs import Recipe

    recipe = Recipe(network="vgg-small", data="digits", epochs=1, batch=8, shift=0, flip=False)
    tensors = {"network.a": torch.ones(3), "optimizer.0.step": torch.ones(1)}
    header = {"recipe": recipe.model_dump_json(), "state": json.dumps({"step": 1})}
    return [save(tensors, sealed(tensors, header))]


def entry() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SPICEKIT_CACHE"] = folder
        cache.cached("entry", lambda: {"a": np.arange(3.0)})
        return [(Path(folder) / "entry.npz").read_bytes()]


def onnx_file() -> list[bytes]:
    """A convolution, a normalisation and a sign, as a binary network has them."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.sign(np.random.default_rng(0).normal(size=(2, 1, 3, 3))).astype(np.float32)
    shift = np.array([0.5, -0.5], np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Sign", ["x"], ["s"], name="sign"),
            helper.make_node("Conv", ["s", "w"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[1, 1]),
            helper.make_node("BatchNormalization", ["c", "one", "b", "b", "one"], ["y"], name="bn", epsilon=1e-5),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(each, name) for name, each in (("w", weights), ("b", shift), ("one", shift**2))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return [model.SerializeToString()]


def idx(*, packed: bool) -> Callable[[], list[bytes]]:
    def seeds() -> list[bytes]:
        images = np.arange(3 * 4 * 5, dtype=np.uint8).tobytes()
        data = struct.pack(">4B3I", 0, 0, 8, 3, 3, 4, 5) + images
        return [gzip.compress(data) if packed else data]

    return seeds


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
    siemens = np.array([[1e-9, 1e-9], [1e-9, 1e-5]])  # by stored and applied bit
    buffer = io.BytesIO()
    np.savez(buffer, voltage=volt, current=siemens[:, :, None, None] * (volt[:, None] - volt))
    return [buffer.getvalue()]
