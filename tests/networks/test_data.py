"""The embedded digits, and what every data set has in common."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import interpolate

from spicekit.errors import BadInput
from spicekit.networks.data import Dataset, load_dataset, network_inputs


def test_digits_are_the_same_pixels_everywhere():
    # Recorded from scikit-learn 1.9 and Pillow 13; the shipped networks were trained on exactly these.
    assert load_dataset("digits", "train").sha256 == (
        "43c04ae8423201f0382a2ead604e771353cfadc75799f2ec7de160ad371505cf"
    )
    assert load_dataset("digits", "test").sha256 == ("6a9bd9c1773e8ae4c25ebc2fdb7db65be555d12b5b720a2275690c6e5e0cd31f")


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


def test_network_inputs_refuse_integers_that_are_no_bytes():
    with pytest.raises(BadInput, match="int64 shaped"):
        network_inputs(np.zeros((1, 32, 32, 3), np.int64))


def test_images_have_any_size_and_vectors_and_floats_are_taken():
    labels = np.array([0, 1, 1])
    for shape, expected in (
        ((3, 28, 28, 1), (3, 1, 28, 28)),
        ((3, 5, 7, 4), (3, 4, 5, 7)),
        ((3, 20), (3, 20)),
    ):
        data = Dataset("mine", "test", np.full(shape, 255, np.uint8), labels, ("a", "b"), "me")
        inputs = network_inputs(data)
        assert inputs.shape == expected
        assert (inputs == 1).all()
    floats = np.random.default_rng(0).standard_normal((3, 2, 4, 4)).astype(np.float32)
    assert (network_inputs(Dataset("mine", "test", floats, labels, ("a", "b"), "me")).numpy() == floats).all()


def test_stated_mean_and_deviation_are_applied_channel_by_channel():
    images = np.zeros((1, 2, 2, 3), np.uint8)
    data = Dataset("mine", "test", images, np.array([0]), ("a",), "me", (0.1, 0.2, 0.3), (1.0, 0.5, 0.1))
    np.testing.assert_allclose(network_inputs(data)[0, :, 1, 0], [-0.1, -0.4, -3.0], rtol=1e-6)
    assert [len(part) for part in data.batches(4)] == [1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.array([0, 2])}, "1 labels are outside the 2 classes, the first is 2"),
        ({"labels": np.array([-1, 1])}, "the first is -1"),
        ({"labels": np.array([0])}, "beside 2 images"),
        ({"labels": np.array([0.0, 1.0])}, "pass an integer"),
        ({"images": np.full((2, 1, 4, 4), np.nan, np.float32)}, "NaN or infinite"),
        ({"images": np.zeros((2, 4, 4, 1))}, "float64 shaped"),
        ({"images": np.zeros((2, 4, 4), np.uint8)}, "uint8 images are shaped"),
        ({"mean": (0.5,)}, "1 means and 0 deviations"),
        ({"mean": (0.5,), "deviation": (0.0,)}, "pass finite ones, and these positive"),
        ({"mean": (np.nan,), "deviation": (1.0,)}, "pass finite ones"),
    ],
)
def test_images_and_labels_that_do_not_fit_are_refused(change, message):
    fields = {"images": np.zeros((2, 4, 4, 1), np.uint8), "labels": np.array([0, 1]), **change}
    with pytest.raises(BadInput, match=message):
        Dataset("mine", "test", classes=("a", "b"), source="me", **fields)


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
        ("mnist", "test", None, "an .npz file or a folder of idx files"),
        ("digits", "validation", None, "'train' or 'test'"),
        ("digits", "test", "somewhere", "leave it out"),
        ("cifar10", "test", None, "name the folder"),
    ],
)
def test_a_wrong_request_says_what_would_be_right(name, split, folder, message):
    with pytest.raises(BadInput, match=message):
        load_dataset(name, split, folder=folder)


def test_a_hash_knows_how_images_are_normalised():
    """Else what was counted of one way would be taken for the other."""
    plain = Dataset("mine", "test", np.zeros((1, 2, 2, 3), np.uint8), np.array([0]), ("a",), "me")
    means = [(), (0.5,) * 3, (0.4,) * 3]
    hashes = {replace(plain, mean=mean, deviation=(1.0,) * len(mean)).sha256 for mean in means}
    assert len(hashes) == 3
