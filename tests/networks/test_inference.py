"""What is made of a network's logits."""

import torch

from spicekit.networks.data import load_dataset
from spicekit.networks.inference import accuracy, count_right


def test_accuracy_is_the_very_fraction_of_the_images_read_rightly():
    """In float32 a third would be 0.3333333432674408."""
    digits = load_dataset("digits", "test").first(3)
    labels = torch.from_numpy(digits.labels).long()
    logits = torch.nn.functional.one_hot(labels, 10).float()
    assert accuracy(logits, digits) == 1
    logits[1:] = -logits[1:]
    assert count_right(logits, labels) == 1
    assert accuracy(logits, digits) == 1 / 3
