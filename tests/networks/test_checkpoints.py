"""Networks in files: what is loaded is what was saved, to the bit, or it is refused."""

import hashlib
import json
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from spicekit.errors import BadInput
from spicekit.networks.checkpoints import (
    FOLDER,
    checkpoint_path,
    load_network,
    pack,
    read_tensors,
    save_checkpoint,
    sealed,
)
from spicekit.networks.data import load_dataset
from spicekit.networks.inference import accuracy, predict_logits
from spicekit.networks.layers import binary_layers
from spicekit.networks.models import Architecture, Card, NetworkName, build


def card_of(network):
    return Card(
        architecture=network.architecture,
        data="digits",
        source="made up for a test",
        classes=tuple("0123456789"),
        train_images=2,
        train_sha256="0",
        test_images=1,
        test_sha256="0",
        accuracy=0.5,
        recipe={"epochs": 1, "seed": 3},
        made_by={"spicekit": "0"},
    )


def lived_in(name, *, bits=1):
    """A small network whose norms have seen something."""
    torch.manual_seed(5)
    network = build(Architecture(name=name, width=1 / 16, bits=bits))
    network(torch.rand(8, 3, 32, 32))
    return network.eval()


@pytest.fixture
def saved(tmp_path):
    network = lived_in("vgg-small")
    path = tmp_path / "own.safetensors"
    save_checkpoint(network, path, card=card_of(network))
    return path


@pytest.mark.parametrize(("name", "bits"), [("vgg-small", 1), ("resnet18", 1), ("vgg-small", 4)])
def test_logits_survive_the_file_bit_for_bit(name, bits, tmp_path):
    network = lived_in(name, bits=bits)
    path = tmp_path / "own.safetensors"
    save_checkpoint(network, path, card=card_of(network))
    loaded = load_network(path)
    images = torch.rand(4, 3, 32, 32)
    assert not loaded.training
    assert torch.equal(loaded(images), network(images))
    assert loaded.card == card_of(network)


def test_binary_weights_take_one_bit_each(saved):
    tensors, _ = read_tensors(saved)
    network = load_network(saved)
    for name, layer in binary_layers(network).items():
        assert tensors[f"{name}.weight_bits"].nbytes == -(-layer.weight.numel() // 8)
        assert f"{name}.weight" not in tensors
    assert {value.dtype for value in tensors.values()} == {torch.uint8, torch.float32}


def test_the_card_beside_a_checkpoint_states_its_sha256_recipe_and_accuracy(saved):
    text = saved.with_suffix(".md").read_text()
    for words in (hashlib.sha256(saved.read_bytes()).hexdigest(), "| recipe: epochs | 1 |", "50.00%"):
        assert words in text


def tampered(path, change, *, keep_digest=False):
    """The same file with tensors or header changed."""
    tensors, header = read_tensors(path)
    tensors = {name: value.clone() for name, value in tensors.items()}
    change(tensors, header)
    if not keep_digest:
        header.pop("sha256")
        header = sealed(tensors, header)
    save_file(tensors, path, header)


def of_card(**changes):
    def change(_, header):
        header["card"] = json.dumps(json.loads(header["card"]) | changes)

    return change


FAULTS = {
    "norm1.bias": lambda tensors, _: tensors.pop("norm1.bias"),
    "extra": lambda tensors, _: tensors.update(extra=torch.zeros(1)),
    "conv2.weight_bits is": lambda tensors, _: tensors.update({"conv2.weight_bits": torch.zeros(3).byte()}),
    "norm2.weight is": lambda tensors, _: tensors.update({"norm2.weight": torch.full((8,), np.nan)}),
    "conv1.weight is torch.float64": lambda t, _: t.update({"conv1.weight": t["conv1.weight"].double()}),
    "format 'other'": lambda _, header: header.update(format="other"),
    "card: is not readable JSON": lambda _, header: header.update(card="{"),
    "vgg-large": of_card(architecture={"name": "vgg-large"}),
    "less than or equal to 4": of_card(architecture={"name": "vgg-small", "width": 1000}),
    "unknown key 'author'": of_card(author="nobody"),
}


@pytest.mark.parametrize("message", FAULTS)
def test_a_file_that_does_not_fit_is_refused_with_the_reason(saved, message):
    tampered(saved, FAULTS[message])
    with pytest.raises(BadInput, match=message):
        load_network(saved)


def test_an_edited_weight_is_noticed(saved):
    tampered(saved, lambda tensors, _: tensors["conv2.weight_bits"].bitwise_xor_(1), keep_digest=True)
    with pytest.raises(BadInput, match="does not match its checksum"):
        load_network(saved)


@pytest.mark.parametrize("length", [0, 5, 200, -1])
def test_a_file_cut_short_is_refused(saved, length):
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(BadInput, match="not a readable safetensors file"):
        load_network(saved)


def test_a_missing_network_names_those_that_ship(tmp_path):
    with pytest.raises(BadInput, match=r"trained on digits: 'alexnet' is not one of .*vgg-small"):
        load_network("alexnet")
    with pytest.raises(BadInput, match="no such checkpoint"):
        load_network(tmp_path / "none.safetensors")


@pytest.mark.long
@pytest.mark.parametrize("name", get_args(NetworkName))
def test_shipped_networks_read_at_least_97_percent_of_held_out_digits(name):
    network, digits = load_network(name, data="digits"), load_dataset("digits", "test")
    assert network.card.test_sha256 == digits.sha256
    assert network.architecture.width == 1
    measured = accuracy(predict_logits(network, digits), digits)
    assert measured >= 0.97
    assert measured == pytest.approx(network.card.accuracy, abs=1e-6)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.safetensors")), ids=lambda path: path.stem)
def test_shipped_cards_belong_to_their_files(path):
    text = path.with_suffix(".md").read_text()
    card = load_network(path).card
    assert hashlib.sha256(path.read_bytes()).hexdigest() in text
    assert f"{card.accuracy:.2%}" in text
    name = path.stem.removesuffix(f"-{card.data}")
    assert path == checkpoint_path(name, card.data)
    assert name.startswith(card.architecture.name)
    assert (name == card.architecture.name) == (card.architecture == Architecture(name=card.architecture.name))


def test_logits_do_not_depend_on_the_batch():
    network, digits = lived_in("resnet18"), load_dataset("digits", "test").first(7)
    # Classifier and first layer are float sums, whose order may change with the batch.
    torch.testing.assert_close(predict_logits(network, digits, batch=3), predict_logits(network, digits))


def test_packing_leaves_the_network_as_it_was():
    network = lived_in("vgg-small")
    before = network.state_dict()
    pack(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
