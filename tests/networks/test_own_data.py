"""Images of one's own: each layout from small files made here; what does not fit is refused by name."""

import gzip
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from spicekit.errors import BadInput
from spicekit.networks.data import as_dataset, load_dataset, network_inputs

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 6, 5, 3), np.uint8)
LABELS = np.arange(40) % 4


def test_an_npz_in_one_piece_is_split_without_overlap(tmp_path):
    np.savez(tmp_path / "mine.npz", images=IMAGES, labels=LABELS)
    test, train = (load_dataset(str(tmp_path / "mine.npz"), split) for split in ("test", "train"))
    assert (len(test), len(train)) == (36, 4)
    assert not {image.tobytes() for image in train.images} & {image.tobytes() for image in test.images}
    assert sorted(train.labels) == [0, 1, 2, 3]  # one of each class
    assert test.classes == ("0", "1", "2", "3")


def test_an_npz_may_have_channels_first_floats_names_and_normalisation(tmp_path):
    floats = IMAGES.transpose(0, 3, 1, 2).astype(np.float64) / 127.5 - 1
    np.savez(
        tmp_path / "mine.npz",
        **{"train_images": floats, "train_labels": LABELS, "test_images": floats[:8], "test_labels": LABELS[:8]},
        range=[-1, 1], classes=["a", "b", "c", "d"], mean=[0.5] * 3, std=[0.25] * 3,
    )  # fmt: skip
    test = load_dataset(str(tmp_path / "mine.npz"), "test")
    assert test.classes == ("a", "b", "c", "d")
    expected = (torch.from_numpy(IMAGES[:8]).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    torch.testing.assert_close(network_inputs(test), expected, rtol=0, atol=1e-6)


def test_keras_names_and_grey_images_without_a_channel_axis_are_known(tmp_path):
    np.savez(tmp_path / "mnist.npz", x_train=IMAGES[..., 0], y_train=LABELS, x_test=IMAGES[:9, ..., 0],
             y_test=LABELS[:9].reshape(9, 1))  # fmt: skip
    test = load_dataset(str(tmp_path / "mnist.npz"), "test")
    assert test.images.shape == (9, 6, 5, 1)
    assert (test.images[..., 0] == IMAGES[:9, ..., 0]).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pictures": IMAGES}, "has arrays pictures; it needs images and labels"),
        ({"images": IMAGES / 255.0, "labels": LABELS}, "add an array range"),
        ({"images": IMAGES / 100.0, "labels": LABELS, "range": [0, 1]}, "outside its range 0.0 to 1.0"),
        ({"images": IMAGES.astype(np.int32), "labels": LABELS}, "images is int32"),
        ({"images": IMAGES, "labels": LABELS[:3]}, "beside 40 images"),
        ({"images": IMAGES, "labels": LABELS, "classes": ["a", "b"]}, "outside the 2 classes"),
        (
            {"images": np.zeros((4, 3, 9, 3), np.uint8), "labels": LABELS[:4]},
            "say which with an array layout",
        ),
        ({"images": IMAGES[:4], "labels": LABELS[:4]}, "leaves none to classify"),
        ({"images": np.array([object()]), "labels": LABELS}, "is not a plain .npy array"),
        ({"images": IMAGES // 128, "labels": LABELS}, "hold 0 and 1 alone, where white is 255"),
        ({"images": IMAGES / 255, "labels": LABELS, "range": [0, 255]}, "nearly nothing of its range"),
        ({"images": IMAGES / 255, "labels": LABELS, "range": ["0", "1"]}, "add an array range"),
        ({"images": np.full((40, 6, 5, 3), np.nan), "labels": LABELS, "range": [0, 1]}, "outside its range"),
        ({"images": IMAGES, "labels": LABELS, "mean": [np.nan] * 3, "std": [1] * 3}, "pass finite ones"),
        ({"test_images": IMAGES, "test_labels": LABELS - 1}, "the first is -1"),
        ({"images": IMAGES, "labels": LABELS.astype(str)}, "an integer for each is needed"),
    ],
)
def test_an_npz_that_does_not_fit_says_what_is_wrong(tmp_path, arrays, message):
    np.savez(tmp_path / "odd.npz", **arrays)
    with pytest.raises(BadInput, match=message):
        load_dataset(str(tmp_path / "odd.npz"), "test")


def test_a_cut_npz_is_refused(tmp_path):
    np.savez_compressed(tmp_path / "cut.npz", images=IMAGES, labels=LABELS)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:-200])
    with pytest.raises(BadInput, match=r"is not a readable \.npz"):
        load_dataset(str(tmp_path / "cut.npz"), "test")


def idx(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_are_read_as_mnist_is_distributed(tmp_path, packed):
    for part, few in (("train", 40), ("t10k", 12)):
        for kind, array in (
            ("images-idx3", IMAGES[:few, ..., 0]),
            ("labels-idx1", LABELS[:few].astype(np.uint8)),
        ):
            data = idx(np.ascontiguousarray(array))
            name = tmp_path / f"{part}-{kind}-ubyte{'.gz' if packed else ''}"
            name.write_bytes(gzip.compress(data) if packed else data)
    test, train = (load_dataset(str(tmp_path), split) for split in ("test", "train"))
    assert (len(test), len(train)) == (12, 40)
    assert (test.images[..., 0] == IMAGES[:12, ..., 0]).all()
    assert (train.labels == LABELS).all()
    assert len(test.classes) == 10
    cut = next(file for file in tmp_path.iterdir() if "t10k-images" in file.name)
    cut.write_bytes(cut.read_bytes()[:-5])
    with pytest.raises(BadInput, match=r"no whole idx file|cannot be read"):
        load_dataset(str(tmp_path), "test")


def save(folder, names, *, shape=(6, 5), mode="RGB"):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = RNG.integers(0, 256, (*shape, 3) if mode == "RGB" else shape, np.uint8)
        Image.fromarray(pixels).save(path)


def test_class_folders_are_classes(tmp_path):
    save(
        tmp_path,
        [f"{split}/{name}/{i}.png" for split in ("train", "val") for name in ("cat", "dog") for i in "123"],
    )
    test = load_dataset(str(tmp_path), "test")
    assert test.images.shape == (6, 6, 5, 3)
    assert test.classes == ("cat", "dog")
    assert test.labels.tolist() == [0, 0, 0, 1, 1, 1]
    expected = np.asarray(Image.open(tmp_path / "val/dog/2.png"))
    assert (test.images[4] == expected).all()


def test_grey_class_folders_in_one_piece_have_one_channel_and_are_split(tmp_path):
    save(tmp_path, [f"{name}/{i:02}.png" for name in "ab" for i in range(11)], mode="L")
    test, train = (load_dataset(str(tmp_path), split) for split in ("test", "train"))
    assert test.images.shape == (18, 6, 5, 1)
    assert len(train) == 4


def test_class_folders_that_do_not_fit_name_the_file(tmp_path):
    with pytest.raises(BadInput, match="0 class folders"):
        load_dataset(str(tmp_path), "test")
    save(tmp_path, [f"{name}/{i}.png" for name in "ab" for i in "123"])
    save(tmp_path, ["b/2.png"], shape=(9, 9))
    with pytest.raises(BadInput, match=r"b/2\.png: has 9 x 9 pixels"):
        load_dataset(str(tmp_path), "test")
    (tmp_path / "b/2.png").write_text("no image")
    with pytest.raises(BadInput, match=r"b/2\.png: is no image"):
        load_dataset(str(tmp_path), "test")
    Image.new("RGBA", (5, 6)).save(tmp_path / "b/2.png")
    with pytest.raises(BadInput, match="without alpha"):
        load_dataset(str(tmp_path), "test")


def test_mixed_sizes_are_resized_only_where_the_folder_says_so_and_the_source_says_how(tmp_path):
    save(tmp_path, [f"{name}/{i}.png" for name in "ab" for i in "123"])
    save(tmp_path, ["b/2.png"], shape=(18, 15))
    with pytest.raises(BadInput, match=r"data\.toml: resize = \[height, width\]"):
        load_dataset(str(tmp_path), "test")
    (tmp_path / "data.toml").write_text('resize = [6, 5]\nmethod = "box"\nmean = [0.5]\nstd = [0.25]\n')
    test = load_dataset(str(tmp_path), "test")
    assert test.images.shape == (4, 6, 5, 3)
    assert test.source == f"{tmp_path.name}, resized to 6 x 5 pixels (box)"
    large = np.asarray(Image.open(tmp_path / "b/2.png")).astype(float)
    means = large.reshape(6, 3, 5, 3, 3).mean((1, 3))  # a box over 3 x 3 pixels is their mean
    assert np.abs(test.images[2] - means).max() <= 1  # integer arithmetic, in two passes
    same = np.asarray(Image.open(tmp_path / "a/2.png"))
    assert (test.images[0] == same).all()
    assert float(network_inputs(test).mean()) == pytest.approx((test.images.mean() / 255 - 0.5) / 0.25, abs=1e-5)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("resize = 32", "resize"),
        ("resize = [0, 4]", "resize"),
        ("resize = [5000, 4]", "resize"),
        ("resize = [4, 4]\nmethod = 'sharp'", "method"),
        ("size = [4, 4]", "size"),
        ("resize = [", "data.toml"),
        ("mean = [0.5]", "1 means and 0 deviations"),
    ],
)
def test_what_data_toml_may_not_say_is_refused(tmp_path, said, message):
    save(tmp_path, [f"{name}/{i}.png" for name in "ab" for i in "123"])
    (tmp_path / "data.toml").write_text(said)
    with pytest.raises(BadInput, match=message):
        load_dataset(str(tmp_path), "test")


def test_colour_among_grey_images_is_refused_and_grey_among_colour_kept(tmp_path):
    save(tmp_path / "grey", [f"{name}/{i}.png" for name in "ab" for i in "123"], mode="L")
    save(tmp_path / "grey", ["b/3.png"])
    with pytest.raises(BadInput, match=r"b/3\.png: is in colour"):
        load_dataset(str(tmp_path / "grey"), "test")
    save(tmp_path / "colour", [f"{name}/{i}.png" for name in "ab" for i in "123"])
    save(tmp_path / "colour", ["b/3.png"], mode="L")
    last = load_dataset(str(tmp_path / "colour"), "test").images[-1]
    assert (last == last[..., :1]).all()


def picture(path, pixels=(6, 5), **options):
    Image.fromarray(RNG.integers(0, 256, (*pixels, 3), np.uint8)).save(path, **options)


def clear(path):
    image = Image.fromarray(RNG.integers(0, 4, (6, 5), np.uint8), mode="P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.save(path, transparency=1)


def turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(path, exif=exif)


def deep(path):
    """A PNG of 16 bits a channel, which Pillow would read as 8."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 5, 6, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + RNG.bytes(5 * 3 * 2) for _ in range(6))
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + parts)


def moving(path):
    frames = [Image.new("RGB", (5, 6), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def cut(path):
    picture(path, (60, 50))
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (clear, "odd.png", "without alpha or transparency"),
        (turned, "odd.jpg", "is turned by its EXIF orientation"),
        (deep, "odd.png", "has 16 bits a channel"),
        (lambda path: Image.new("I;16", (5, 6)).save(path), "odd.png", "is a I;16 image"),
        (lambda path: Image.new("CMYK", (5, 6)).save(path), "odd.jpg", "is a CMYK image"),
        (moving, "odd.tif", "holds 2 images"),
        (cut, "odd.png", "is no image that can be read"),
        (cut, "odd.jpg", "is no image that can be read"),
        (lambda path: path.mkdir(), "odd", "is a folder within a class"),
        (lambda path: path.symlink_to("/dev/zero"), "odd.png", "no regular file"),
        (lambda path: path.symlink_to("nowhere.png"), "odd.png", "cannot be read"),
    ],
)
def test_a_picture_that_would_be_read_otherwise_than_it_looks_is_refused(tmp_path, make, name, message):
    save(tmp_path, [f"{label}/{i}.png" for label in "ab" for i in "123"])
    make(tmp_path / "b" / name)
    with pytest.raises(BadInput, match=message):
        load_dataset(str(tmp_path), "test")


def test_splits_with_other_classes_are_refused_since_labels_are_places(tmp_path):
    save(tmp_path, [f"train/{name}/1.png" for name in ("ant", "bee", "cat")])
    save(tmp_path, [f"test/{name}/1.png" for name in ("ant", "cat")])
    with pytest.raises(BadInput, match="test and train differ in class 'bee'"):
        load_dataset(str(tmp_path), "test")


def test_numbers_that_sort_otherwise_by_name_are_no_plain_labels(tmp_path):
    save(tmp_path / "few", [f"{label}/{i}.png" for label in range(3) for i in "123"])
    assert load_dataset(str(tmp_path / "few"), "test").classes == ("0", "1", "2")
    save(tmp_path / "many", [f"{label}/{i}.png" for label in range(11) for i in "123"])
    with pytest.raises(BadInput, match="sorted by name they are 0, 1, 10, 2"):
        load_dataset(str(tmp_path / "many"), "test")


def test_a_set_that_no_memory_holds_is_refused_before_it_is_read(tmp_path):
    save(tmp_path, [f"{label}/{i}.png" for label in "ab" for i in range(300)], shape=(1, 1))
    (tmp_path / "data.toml").write_text("resize = [4096, 4096]\n")
    with pytest.raises(BadInput, match=r"more than 17,179,869,184; say in .* how small"):
        load_dataset(str(tmp_path), "test")


TENSORS = torch.from_numpy(IMAGES).permute(0, 3, 1, 2), torch.from_numpy(LABELS)


@pytest.mark.parametrize(
    "given",
    [
        TENSORS,
        (IMAGES, LABELS),
        TensorDataset(*TENSORS),
        DataLoader(TensorDataset(*TENSORS), batch_size=7),
        [(TENSORS[0][:30], TENSORS[1][:30]), (TENSORS[0][30:], TENSORS[1][30:])],
        lambda: (IMAGES, LABELS),
    ],
    ids=["tensors", "arrays", "dataset", "loader", "batches", "callable"],
)
def test_what_python_has_becomes_the_same_data_set(given):
    data = as_dataset(given)
    assert (data.images == IMAGES).all()
    assert (data.labels == LABELS).all()
    assert data.classes == ("0", "1", "2", "3")


def test_floats_from_python_are_what_the_network_takes():
    data = as_dataset((TENSORS[0].to(torch.bfloat16), TENSORS[1]), classes=("a", "b", "c", "d"))
    assert (network_inputs(data) == TENSORS[0].float()).all()
    assert data.classes[3] == "d"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (7, "got a int; pass"),
        ([], "got no images"),
        ([1, 2, 3], "got a int where"),
        ([(IMAGES, LABELS), (IMAGES[:, :2], LABELS)], "images differ in shape"),
        ((IMAGES.astype(np.int64), LABELS), "int64 shaped"),
        ((IMAGES // 128, LABELS), "hold 0 and 1 alone"),
        ((IMAGES, LABELS.astype(str)), "pass an integer for each"),
    ],
)
def test_what_is_no_data_set_is_refused(given, message):
    with pytest.raises(BadInput, match=message):
        as_dataset(given)
