"""The embedded digits, and what every data set has in common."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import interpolate

from spicekit.errors import BadInput
from spicekit.networks.data import load_dataset, network_inputs


def test_digits_are_the_same_pixels_everywhere():
    # Recorded from scikit-learn 1.9 and Pillow 13; the shipped networks were trained on exactly these.
    assert load_dataset("digits", "train").sha256 == (
        "43c04ae8423201f0382a2ead604e771353cfadc75799f2ec7de160ad371505cf"
    )
    assert load_dataset("digits", "test").sha256 == (
        "6a9bd9c1773e8ae4c25ebc2fdb7db65be555d12b5b720a2275690c6e5e0cd31f"
    )


def test_digits_are_split_without_overlap_and_evenly_over_the_classes():
    train, test = load_dataset("digits", "train"), load_dataset("digits", "test")
    assert len(train) + len(test) == 1797
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}
    share = np.bincount(test.labels) / (np.bincount(train.labels) + np.bincount(test.labels))
    assert share == pytest.approx(np.full(10, 0.2), abs=0.01)


def test_digits_are_enlarged_bilinearly_and_grey():
    small = torch.from_numpy(load_digits().images[0])  # the first image is held out
    large = load_dataset("digits", "test").images[0]
    expected = interpolate(small[None, None] * (255 / 16), scale_factor=4, mode="bilinear")[0, 0]
    assert large.shape == (32, 32, 3)
    assert np.ptp(large, axis=2).max() == 0
    # Rounded once to 8 bits before and twice while enlarging.
    np.testing.assert_allclose(large[..., 0], expected, atol=1.5)


def test_network_inputs_are_pixels_from_zero_to_one_channels_first():
    images = np.zeros((1, 32, 32, 3), np.uint8)
    images[0, 4, 7, 1] = 255
    inputs = network_inputs(images)
    assert inputs.dtype == torch.float32
    assert inputs.nonzero().tolist() == [[0, 1, 4, 7]]
    assert inputs.max() == 1


def test_network_inputs_refuse_anything_but_uint8_images():
    with pytest.raises(BadInput, match="float64 shaped"):
        network_inputs(np.zeros((1, 32, 32, 3)))


def test_a_part_of_a_data_set_is_its_beginning():
    digits = load_dataset("digits", "test")
    part = digits.first(5)
    assert (part.images == digits.images[:5]).all()
    assert part.sha256 != digits.sha256
    with pytest.raises(BadInput, match="pass 1 to 364"):
        digits.first(365)


@pytest.mark.parametrize(
    ("name", "split", "folder", "message"),
    [
        ("mnist", "test", None, "choose from digits, cifar10"),
        ("digits", "validation", None, "'train' or 'test'"),
        ("digits", "test", "somewhere", "leave the folder out"),
        ("cifar10", "test", None, "name the folder"),
    ],
)
def test_a_wrong_request_says_what_would_be_right(name, split, folder, message):
    with pytest.raises(BadInput, match=message):
        load_dataset(name, split, folder=folder)
