"""Networks in ONNX files: each operator against onnx's own reference, networks on ideal tiles, odd files refused."""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from torch import nn
from torch.nn import functional

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.errors import BadInput
from spicekit.evaluation.tiled import Tiles, on_tiles, tiled_layers
from spicekit.networks.checkpoints import load_network, read_and_survey
from spicekit.networks.onnx_file import read_onnx
from spicekit.networks.onnx_operators import OPERATORS

RNG = np.random.default_rng(0)
QONNX = "qonnx.custom_op.general"
SPEC = TileSpec(rows=64, rows_active=16, wires=Wires(r_bl=1, r_sl=1))


def write(path, nodes, constants, shape, *, output="y"):
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(QONNX, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def floats(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int64)


X = floats(2, 4, 7, 6)
CASES = {
    "Conv, uneven pads": ("Conv", [X, floats(6, 2, 3, 2), floats(6)],
        {"pads": [1, 0, 2, 1], "strides": [2, 1], "group": 2}),
    "Conv, same upper": ("Conv", [X, floats(3, 4, 4, 3)], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "Conv, same lower": ("Conv", [X, floats(3, 4, 4, 3)], {"auto_pad": "SAME_LOWER", "dilations": [1, 1]}),
    "Conv, dilated": ("Conv", [X, floats(3, 4, 3, 3)], {"dilations": [2, 1], "pads": [2, 1, 2, 1]}),
    "ConvTranspose": ("ConvTranspose", [X, floats(4, 3, 3, 3)],
        {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    "Gemm": ("Gemm", [floats(3, 5), floats(4, 5), floats(4)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
    "MatMul": ("MatMul", [floats(3, 5), floats(5, 2)], {}),
    "BatchNormalization": ("BatchNormalization", [X, floats(4), floats(4), floats(4), np.abs(floats(4))],
        {"epsilon": 1e-3}),
    "MaxPool": ("MaxPool", [X], {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 1]}),
    "AveragePool": ("AveragePool", [X], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "AveragePool, pads count": ("AveragePool", [X],
        {"kernel_shape": [2, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    "GlobalAveragePool": ("GlobalAveragePool", [X], {}),
    "GlobalMaxPool": ("GlobalMaxPool", [X], {}),
    "Pad": ("Pad", [X, ints(0, 0, 1, 2, 0, 0, 3, 0), np.float32(0.5)], {}),
    "Pad, reflect": ("Pad", [X, ints(0, 0, 1, 2, 0, 0, 3, 0)], {"mode": "reflect"}),
    "Clip": ("Clip", [X, np.float32(-0.5), np.float32(0.25)], {}),
    "PRelu": ("PRelu", [X, floats(4, 1, 1)], {}),
    "Sign": ("Sign", [np.array([-2.0, 0, 3], np.float32)], {}),
    "Reshape": ("Reshape", [X, ints(0, -1, 6)], {}),
    "Flatten": ("Flatten", [X], {"axis": 2}),
    "Transpose": ("Transpose", [X], {"perm": [0, 2, 3, 1]}),
    "Concat": ("Concat", [X, X], {"axis": 1}),
    "Gather": ("Gather", [X, ints(2, 0)], {"axis": 1}),
    "GatherElements": ("GatherElements", [X, RNG.integers(0, 4, (2, 3, 7, 6))], {"axis": 1}),
    "IsNaN": ("IsNaN", [np.where(X > 1, np.float32(np.nan), X)], {}),
    "TopK": ("TopK", [X, ints(3)], {"axis": 1, "largest": 0}),
    "Slice": ("Slice", [X, ints(1), ints(9), ints(2), ints(2)], {}),
    "Squeeze": ("Squeeze", [floats(2, 1, 3, 1), ints(1)], {}),
    "Unsqueeze": ("Unsqueeze", [floats(2, 3), ints(0, 3)], {}),
    "ReduceMean": ("ReduceMean", [X], {"axes": [2, 3], "keepdims": 0}),
    "ReduceSum": ("ReduceSum", [X, ints(1)], {}),
    "Where": ("Where", [X > 0, X, -X], {}),
    "Max": ("Max", [X, floats(4, 1, 1), floats(6)], {}),
    "Softmax": ("Softmax", [floats(3, 5)], {"axis": 1}),
    "HardSigmoid": ("HardSigmoid", [X], {}),
    "Expand": ("Expand", [floats(3, 1), ints(2, 3, 4)], {}),
    "ConstantOfShape": ("ConstantOfShape", [ints(2, 3)], {}),
    "ConstantOfShape of ones": (
        "ConstantOfShape", [ints(2, 3)], {"value": numpy_helper.from_array(np.ones(1, np.float32))}
    ),
    "Shape": ("Shape", [X], {}),
    "Cast": ("Cast", [X], {"to": 7}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_what_onnx_says(name):
    kind, inputs, attributes = CASES[name]
    names = [f"i{place}" for place in range(len(inputs))]
    node = helper.make_node(kind, names, ["y"], **attributes)
    infos = [
        helper.make_tensor_value_info(each, helper.np_dtype_to_tensor_dtype(np.asarray(value).dtype), None)
        for each, value in zip(names, inputs, strict=True)
    ]
    graph = helper.make_graph([node], "g", infos, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    wanted = ReferenceEvaluator(model).run(None, dict(zip(names, inputs, strict=True)))[0]
    attributes = {
        key: torch.from_numpy(numpy_helper.to_array(value).copy()) if isinstance(value, TensorProto) else value
        for key, value in attributes.items()
    }
    got = OPERATORS[kind](*(torch.from_numpy(np.asarray(value)) for value in inputs), **attributes)
    got = got[0] if isinstance(got, tuple) else got
    assert tuple(got.shape) == wanted.shape
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-5, atol=1e-5)


def small_network(path):
    """Padded by a node of its own, norm with negative gains, a linear layer of signs times 0.25."""
    n = helper.make_node
    nodes = [
        n("Conv", ["x", "w0"], ["a"], name="first"),
        n("BatchNormalization", ["a", "g", "b", "m", "v"], ["c"], name="norm"),
        n("Sign", ["c"], ["s"], name="sign"),
        n("Pad", ["s", "pads"], ["p"], name="frame"),
        n("Conv", ["p", "w1"], ["d"], name="/layer1/conv", strides=[2, 2]),
        n("Sign", ["d0"], ["e"], name="sign2"),
        n("Flatten", ["e"], ["f"], name="flat"),
        n("MatMul", ["f", "w2"], ["h"], name="head"),
        n("Add", ["h", "bias"], ["y"], name="bias_add"),
    ]
    nodes.insert(5, n("Add", ["d", "half"], ["d0"], name="shift"))
    constants = {
        "w0": floats(6, 3, 3, 3), "g": floats(6), "b": floats(6), "m": floats(6), "v": np.abs(floats(6)),
        "pads": ints(0, 0, 1, 1, 0, 0, 1, 1), "w1": np.sign(floats(8, 6, 3, 3)), "half": np.float32(0.5),
        "w2": 0.25 * np.sign(floats(32, 10)), "bias": floats(10),
    }  # fmt: skip
    return write(path, nodes, constants, (3, 6, 6))


def test_a_network_from_a_file_is_on_ideal_tiles_what_onnx_computes(tmp_path):
    path = small_network(tmp_path / "net.onnx")
    network, survey = read_and_survey(path)
    assert {found.name: bool(found.layer) for found in survey.found} == {
        "first": False, "layer1_conv.binary": True, "head.binary": True,
    }  # fmt: skip
    tiled = on_tiles(network, Tiles(SPEC, IdealCodes()))
    assert list(tiled_layers(tiled)) == ["layer1_conv.binary", "head.binary"]
    images = floats(5, 3, 6, 6)
    with torch.no_grad():
        got = tiled(torch.from_numpy(images))
    np.testing.assert_allclose(got.numpy(), ReferenceEvaluator(str(path)).run(None, {"x": images})[0], atol=1e-5)


def test_qonnx_quantisers_make_binary_layers(tmp_path):
    n = helper.make_node
    nodes = [
        n("BipolarQuant", ["x", "one"], ["a"], name="in_quant", domain=QONNX),
        n("BipolarQuant", ["w", "scale"], ["wq"], name="w_quant", domain=QONNX),
        n("Conv", ["a", "wq"], ["c"], name="conv", pads=[1, 1, 1, 1]),
        n("Quant", ["c", "two", "zero", "bits"], ["q"], name="quant", signed=1, narrow=1, domain=QONNX),
        n(
            "MultiThreshold",
            ["q", "thresholds"],
            ["t"],
            name="levels",
            out_scale=2.0,
            out_bias=-1.0,
            domain=QONNX,
        ),
        n("Flatten", ["t"], ["f"]),
        n("Gemm", ["f", "wl"], ["y"], name="last", transB=1),
    ]
    weight, last = floats(4, 3, 3, 3), np.sign(floats(10, 64))
    thresholds = floats(4, 1)
    constants = {
        "one": np.float32(1), "w": weight, "scale": np.float32(0.125), "two": np.float32(2), "zero": np.float32(0),
        "bits": np.float32(4), "thresholds": thresholds, "wl": last,
    }  # fmt: skip
    network, survey = read_and_survey(write(tmp_path / "q.onnx", nodes, constants, (3, 4, 4)))
    assert [found.name for found in survey.found if found.layer] == ["conv.binary", "last.binary"]
    images = torch.randn(3, 3, 4, 4)
    signs, kernel = (torch.where(torch.as_tensor(each) >= 0, 1.0, -1.0).double() for each in (images, weight))
    sums = torch.conv2d(signs, kernel * 0.125, padding=1)
    quantised = (sums / 2).clamp(-7, 7).round() * 2
    levels = torch.where(quantised >= torch.from_numpy(thresholds)[:, :, None], 1.0, -1.0).double()
    wanted = levels.flatten(1) @ torch.from_numpy(last).double().T
    tiled = on_tiles(network, Tiles(SPEC, IdealCodes()))
    with torch.no_grad():
        assert torch.equal(tiled(images).double(), wanted)


def test_a_file_that_keras_exported_takes_channels_last(tmp_path):
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        helper.make_node("Sign", ["t"], ["s"]),
        helper.make_node("Conv", ["s", "w"], ["c"], name="conv"),
        helper.make_node("Flatten", ["c"], ["y"]),
    ]
    path = write(tmp_path / "k.onnx", nodes, {"w": np.sign(floats(2, 3, 5, 4))}, (5, 4, 3))
    images = torch.randn(2, 3, 5, 4)
    network = read_onnx(path)
    assert torch.equal(network(images), network(images.movedim(1, -1)))
    with pytest.raises(BadInput, match=r"takes \(n, 5, 4, 3\), got"):
        network(torch.randn(2, 3, 9, 9))


def test_what_larq_exports_is_binary_with_signs_of_zero_pads_of_one_and_folded_norms(tmp_path):
    """Nodes as tf2onnx writes them of QuantConv2D: ste_sign is sign(sign(x) + 0.1), images have channels last."""
    n = helper.make_node
    nodes = []
    for place, (given, gives) in enumerate([("x", "a"), ("h", "b")]):
        nodes += [
            n("Sign", [given], [f"{gives}1"], name=f"ste_sign_{place}/Sign"),
            n("Add", [f"{gives}1", "tenth"], [f"{gives}2"], name=f"ste_sign_{place}/add"),
            n("Sign", [f"{gives}2"], [gives], name=f"ste_sign_{place}/Sign_1"),
        ]
        if place == 0:
            nodes += [
                n("Pad", ["a", "pads", "one"], ["ap"], name="PadV2"),
                n("Transpose", ["ap"], ["at"], perm=[0, 3, 1, 2]),
                n("Conv", ["at", "w"], ["c"], name="QuantConv2D"),
                n("Transpose", ["c"], ["h"], perm=[0, 2, 3, 1]),
            ]
    nodes += [
        n("Transpose", ["b"], ["bt"], perm=[0, 3, 1, 2]),
        n("Conv", ["bt", "v", "bias"], ["d"], name="depthwise", group=4, pads=[1, 1, 1, 1]),
        n("Flatten", ["d"], ["y"]),
    ]
    gains = np.array([0.5, -2, 0.03, 7], np.float32)  # of a norm, folded into the signs
    w, v = np.sign(floats(4, 3, 3, 3)), np.sign(floats(4, 1, 3, 3)) * gains[:, None, None, None]
    constants = {
        "tenth": np.float32(0.1), "pads": ints(0, 1, 1, 0, 0, 1, 1, 0), "one": np.float32(1), "w": w, "v": v,
        "bias": floats(4),
    }  # fmt: skip
    path = write(tmp_path / "larq.onnx", nodes, constants, (6, 5, 3))
    network, survey = read_and_survey(path)
    assert [found.name for found in survey.found if found.layer] == ["QuantConv2D.binary", "depthwise.binary"]
    images = floats(3, 6, 5, 3)
    images[0, :2] = 0  # whose sign is +1
    wanted = ReferenceEvaluator(str(path)).run(None, {"x": images})[0]
    tiled = on_tiles(network, Tiles(SPEC, IdealCodes()))
    with torch.no_grad():
        np.testing.assert_allclose(tiled(torch.from_numpy(images)).numpy(), wanted, rtol=1e-5, atol=1e-5)


def test_odd_files_are_refused_in_one_line(tmp_path):
    node = helper.make_node("Einsum", ["x"], ["y"], name="odd one", equation="ij->i")
    path = write(tmp_path / "odd.onnx", [node], {}, (3,))
    with pytest.raises(BadInput, match=r"odd\.onnx: node odd one \(Einsum\): this operator is not known"):
        load_network(path)
    path.write_bytes(b"no protobuf at all")
    with pytest.raises(BadInput, match="no readable ONNX file"):
        load_network(path)
    write(path, [helper.make_node("Relu", ["elsewhere"], ["y"])], {}, (3,))
    with pytest.raises(BadInput, match="no node before it gives its input 'elsewhere'"):
        load_network(path)
    back = [helper.make_node("Relu", ["h"], ["y"]), helper.make_node("Relu", ["x"], ["h"])]
    write(path, back, {}, (3,))
    with pytest.raises(BadInput, match="no node before it gives its input 'h'"):
        load_network(path)
    write(path, [helper.make_node("Relu", ["x"], ["y"])], {}, (3,), output="elsewhere")
    with pytest.raises(BadInput, match="no node gives its output 'elsewhere'"):
        load_network(path)
    write(path, [helper.make_node("Relu", ["x"], ["y", "more"])], {}, (3,), output="more")
    with pytest.raises(BadInput, match="'more' is an output that its operator does not give"):
        read_onnx(path)(torch.ones(2, 3))
    write(path, [helper.make_node("Reshape", ["x", "to"], ["y"], name="r")], {"to": ints(7, 7)}, (3,))
    with pytest.raises(BadInput, match=r"node r \(Reshape\): cannot be computed as it stands"):
        load_network(path)
    for kind in ("Expand", "ConstantOfShape"):  # of 4 TB
        inputs = ["x", "to"] if kind == "Expand" else ["to"]
        write(path, [helper.make_node(kind, inputs, ["y"], name="big")], {"to": ints(1 << 20, 1 << 20, 1)}, (3,))
        with pytest.raises(BadInput, match=rf"node big \({kind}\): .* is more than 268,435,456"):
            load_network(path)
    for name, message in (
        ("net.pth", "is a pickle, which may run any code"),
        ("net.h5", "tf2onnx"),
        ("gone.onnx", "there is no such file"),
    ):
        with pytest.raises(BadInput, match=message):
            load_network(tmp_path / name)


def test_a_study_and_load_network_take_the_file(tmp_path):
    import spicekit as sk
    from spicekit.study.jobs import _network, checkpoint

    path = small_network(tmp_path / "net.onnx")
    images = torch.from_numpy(floats(5, 3, 6, 6))
    found = _network(checkpoint(str(path), "digits"))
    with torch.no_grad():
        wanted = load_network(path)(images)
        assert torch.equal(found(images), wanted)
        assert torch.equal(sk.load_network(path)(images), wanted)
    assert checkpoint("vgg-small-quarter", "digits").suffix == ".safetensors"


class OneBit(nn.Conv2d):
    def forward(self, x):
        signs, scale = torch.where(x >= 0, 1.0, -1.0), self.weight.abs().mean((1, 2, 3), keepdim=True)
        return functional.conv2d(signs, scale * self.weight.sign(), None, self.stride, self.padding)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8)
        self.conv, self.act = OneBit(8, 8, 3, padding=1), nn.PReLU(8)
        self.head = nn.Linear(16, 4)

    def forward(self, images):
        x = self.norm(self.stem(images))
        x = self.act(x + self.conv(x))
        x = torch.cat([x.mean((2, 3)), functional.adaptive_avg_pool2d(x, 1).flatten(1)], 1)
        return self.head(x.flatten(1)).clamp(-3, 3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("exporter", ["dynamo", "trace"])
def test_what_torch_exports_is_read(tmp_path, exporter):
    if exporter == "dynamo":
        pytest.importorskip("onnxscript")
    torch.manual_seed(0)
    network, images = Residual().eval(), torch.randn(2, 3, 8, 8)
    options = (
        {"dynamo": True, "external_data": False, "dynamic_shapes": ({0: torch.export.Dim("n")},)}
        if exporter == "dynamo"
        else {"dynamo": False, "dynamic_axes": {"images": {0: "n"}}, "input_names": ["images"]}
    )
    torch.onnx.export(network, (images,), tmp_path / "net.onnx", **options)
    read, survey = read_and_survey(tmp_path / "net.onnx")
    assert [each.digital == "" for each in survey.found] == [False, True, False]
    unseen = torch.randn(5, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(read(unseen), network(unseen))
    if exporter == "dynamo":
        torch.onnx.export(network, (images,), tmp_path / "two.onnx", dynamo=True)
        with pytest.raises(BadInput, match=r"tensors in other files.*external_data=False"):
            read_and_survey(tmp_path / "two.onnx")
