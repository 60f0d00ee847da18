"""What is made of a network's logits."""

import threading
import time
from dataclasses import replace

import numba
import pytest
import torch
from torch import nn

from spicekit.errors import BadInput
from spicekit.networks.data import as_dataset, load_dataset, network_inputs
from spicekit.networks.inference import accuracy, count_right, predict_logits
from spicekit.networks.models import Architecture, build


def test_accuracy_is_the_very_fraction_of_the_images_read_rightly():
    """In float32 a third would be 0.3333333432674408."""
    digits = load_dataset("digits", "test").first(3)
    labels = torch.from_numpy(digits.labels).long()
    logits = torch.nn.functional.one_hot(labels, 10).float()
    assert accuracy(logits, digits) == 1
    logits[1:] = -logits[1:]
    assert count_right(logits, labels) == 1
    assert accuracy(logits, digits) == 1 / 3


class Remembering(nn.Module):
    """Keeps what it was given while it computes, as no network should that several threads share."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.threads = set()

    def forward(self, values):
        self.threads.add((threading.get_ident(), torch.get_num_threads(), numba.get_num_threads()))
        self.given = values.flatten(1)[:, :64]
        for _ in range(20):
            torch.relu(values)  # others' turn
        return self.linear(self.given)


def test_batches_side_by_side_are_run_by_threads_with_a_network_each():
    network, digits = Remembering().eval(), load_dataset("digits", "test").first(50)
    own = torch.get_num_threads(), numba.get_num_threads()
    try:
        torch.set_num_threads(3)
        one_by_one = predict_logits(network, digits, batch=4)
        network.threads.clear()
        assert torch.equal(predict_logits(network, digits, batch=4, batch_per_thread=True), one_by_one)
        assert len(network.threads) == 1  # the others' are copies
        assert {(own, compiled) for _, own, compiled in network.threads} == {(1, 1)}
        assert threading.get_ident() not in {thread for thread, *_ in network.threads}
        assert torch.get_num_threads() == 3
        assert numba.get_num_threads() == own[1]
        found = []
        begun = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        begun.start()
        begun.join()
        assert found == [3]  # of a thread that begins later
    finally:
        torch.set_num_threads(own[0])


def test_whoever_interrupts_waits_for_the_batches_begun_and_not_for_all():
    run = []

    class Counting(nn.Module):
        def __deepcopy__(self, memo):
            return self  # so that all batches are counted

        def forward(self, values):
            run.append(len(values))
            time.sleep(0.05)
            return values.flatten(1)[:, :10]

    def interrupt(done, total):
        if done:
            raise KeyboardInterrupt

    own = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(KeyboardInterrupt):
            predict_logits(
                Counting(),
                load_dataset("digits", "test").first(60),
                batch=1,
                batch_per_thread=True,
                report=interrupt,
            )
    finally:
        torch.set_num_threads(own)
    assert 0 < len(run) < 30


def test_logits_that_are_no_numbers_are_refused_for_a_class_would_be_made_of_them():
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    network[1].weight.data[:, 5] = torch.nan
    with pytest.raises(BadInput, match="NaN for 3 of 3 images"):
        predict_logits(network, load_dataset("digits", "test").first(3))


def test_a_network_that_normalises_by_itself_refuses_images_that_were_normalised_before():
    network = build(Architecture(name="vgg-small", width=1 / 16)).eval()
    digits = load_dataset("digits", "test").first(2)
    pixels = network_inputs(digits)
    scaled = as_dataset((pixels.numpy(), digits.labels), classes=10)
    assert torch.equal(predict_logits(network, scaled), predict_logits(network, digits))
    for images in (replace(digits, mean=(0.5,) * 3, deviation=(0.25,) * 3),
                   as_dataset((255 * pixels, digits.labels), classes=10)):  # fmt: skip
        with pytest.raises(BadInput, match="takes 0 to 1 and normalises by itself"):
            predict_logits(network, images)


def test_named_classes_are_all_that_the_network_tells_apart():
    """Labels of ten folders are no places among a thousand outputs."""
    network, digits = (
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 12)),
        load_dataset("digits", "test").first(3),
    )
    assert predict_logits(network, digits).shape == (3, 12)  # digits are numbers
    named = replace(digits, classes=tuple("abcdefghij"))
    with pytest.raises(BadInput, match="tells 12 classes apart and the images have 10, 'a' to 'j'"):
        predict_logits(network, named)
