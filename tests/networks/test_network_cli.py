"""`spicekit network inspect` and `evaluate --network FILE.onnx`: files in, figures out, no code on the way."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from spicekit.cli.app import app
from spicekit.errors import BadInput
from spicekit.networks.checkpoints import load_network
from spicekit.networks.layers import binary_layers

DESIGN = '[tile]\nrows_active = 16\n[wires]\nlayer = "M2"\npitch_nm = 108\n'


@pytest.fixture
def net(tmp_path):
    """Normalises, signs, a padded binary convolution with stride 2, a real head."""
    rng = np.random.default_rng(0)
    n = helper.make_node
    nodes = [
        n("Sub", ["x", "half"], ["c"], name="centre"),
        n("Sign", ["c"], ["s"], name="sign"),
        n("Conv", ["s", "w"], ["d"], name="binary_conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        n("Flatten", ["d"], ["f"]),
        n("Gemm", ["f", "head"], ["y"], name="head"),
    ]
    constants = {
        "half": np.float32(0.501), "w": np.sign(rng.standard_normal((8, 1, 3, 3))).astype(np.float32),
        "head": rng.standard_normal((72, 4)).astype(np.float32),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 6, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
        tmp_path / "n.onnx",
    )
    np.savez(tmp_path / "mine.npz", images=rng.integers(0, 256, (60, 6, 5), np.uint8), labels=np.arange(60) % 4)
    (tmp_path / "tile.toml").write_text(DESIGN)
    return tmp_path


def test_inspect_says_what_goes_on_tiles_and_what_it_takes(net):
    words = ["network", "inspect", net / "n.onnx", "--spec", net / "tile.toml", "--json"]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert done.exit_code == 0, done.output
    tiled, head = json.loads(done.stdout)
    assert tiled["layer"] == "binary_conv.binary"
    # 9 inputs: one read of 16 rows for each of 3 x 3 pixels and 8 columns; the kernel leaves the image at 7 pixels, by
    # its upper row, its left or its right column, or one of these and the upper row
    assert (tiled["tiles"], tiled["cells"], tiled["reads"]) == (1, 72, 72)
    assert (tiled["additions"], tiled["constants"]) == (7 * 8, 5 * 8)
    assert head["layer"] == "head"
    assert "not of two values" in head["digital"]


@pytest.mark.parametrize("columns", [40, 60])
def test_names_of_layers_stay_whole_in_a_narrow_terminal(columns):
    done = CliRunner().invoke(app, ["network", "inspect", "resnet18"], env={"COLUMNS": str(columns)})
    assert done.exit_code == 0, done.output
    names = binary_layers(load_network("resnet18"))
    assert len(names) == 16
    assert set(names) <= set(done.stdout.split())


def test_an_onnx_network_is_evaluated_on_images_of_ones_own(net):
    words = ["evaluate", "--network", net / "n.onnx", "--data", net / "mine.npz", "--spec", net / "tile.toml"]
    done = CliRunner().invoke(app, [*map(str, words), "--out", str(net / "r.json"), "--mitigation", "both"])
    assert done.exit_code == 0, done.output
    result = json.loads((net / "r.json").read_text())
    assert result["accuracy_software"] == result["accuracy_ideal"]
    assert result["images"] == 52


def test_images_that_the_network_does_not_take_are_refused(net):
    np.savez(
        net / "large.npz",
        images=np.arange(20 * 81, dtype=np.uint8).reshape(20, 9, 9),
        labels=np.arange(20) % 2,
    )
    words = [
        "evaluate",
        "--network",
        net / "n.onnx",
        "--data",
        net / "large.npz",
        "--spec",
        net / "tile.toml",
    ]
    done = CliRunner().invoke(app, list(map(str, words)))
    assert isinstance(done.exception, BadInput)
    assert "takes (n, 1, 6, 5), got" in str(done.exception)
