"""Networks learn on tiles: forward through the circuit, the gradient straight through."""

import pytest
import torch
from torch.nn import functional

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.fast.ideal import IdealCodes
from spicekit.evaluation.convert import convert
from spicekit.evaluation.design import Design
from spicekit.evaluation.tiled import Tiles, on_tiles
from spicekit.networks.checkpoints import checkpoint_path, load_network
from spicekit.networks.data import load_dataset, network_inputs
from spicekit.networks.inference import accuracy, predict_logits
from spicekit.networks.runs import recipe_for
from spicekit.networks.training import CHECKPOINT, train

HEAVY = Design.from_tables(
    {
        "tile": {"rows_active": 16},
        "wires": {"layer": "M2", "pitch_nm": 108, "r_driver": 100.0, "r_sink": 100.0},
    },
    source="test",
)
TRAIN, TEST = load_dataset("digits", "train"), load_dataset("digits", "test").first(100)
BEGIN = checkpoint_path("vgg-small-quarter", "digits")
RECIPE = recipe_for(
    "vgg-small",
    "digits",
    changes={"width": 0.25, "epochs": 1, "learning_rate": 2e-3, "warmup_epochs": 0.0, "begin": str(BEGIN)},
)


def test_ideal_tiles_have_the_software_layers_gradients():
    spec = TileSpec(rows=64, rows_active=16, wires=Wires(r_bl=1, r_sl=1))
    network = load_network(BEGIN)
    tiled = on_tiles(network, Tiles(spec, IdealCodes())).train()
    network.train()
    pixels, labels = network_inputs(TRAIN.first(4)), torch.from_numpy(TRAIN.labels[:4]).long()
    for each in (network, tiled):
        functional.cross_entropy(each(pixels), labels).backward()
    found = dict(tiled.named_parameters())
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(found[name].grad, parameter.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.long
def test_an_epoch_on_tiles_brings_a_network_up_from_chance(tmp_path):
    before = predict_logits(convert(load_network(BEGIN), HEAVY), TEST)
    assert accuracy(before, TEST) < 0.3
    card = train(RECIPE, tmp_path, train_set=TRAIN, test_set=TEST, place=lambda fresh: convert(fresh, HEAVY))
    learnt = load_network(tmp_path / CHECKPOINT)
    after = accuracy(predict_logits(convert(learnt, HEAVY), TEST), TEST)
    assert after == card.accuracy, "the card is of the network on its tiles"
    assert after > 0.45  # 0.59 after 22 steps
