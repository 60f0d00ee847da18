"""Data sets as one frozen record: the embedded digits, CIFAR, files of one's own, and what Python has."""

import functools
import hashlib
import importlib.util
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from spicekit.errors import BadInput, no_such
from spicekit.networks import cifar

Split = Literal["train", "test"]
DATA_NAMES = ("digits", "cifar10", "cifar100")
SIDE = 32  # pixels of the digits, as of CIFAR's images


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images, or vectors.

    Raises `BadInput` if images and labels do not fit each other, or a label is outside the classes.

    >>> images = Dataset("mine", "test", np.zeros((2, 8, 8, 1), np.uint8), np.array([0, 1]), ("cat", "dog"), "drawn")
    >>> len(images.first(1))
    1
    """

    name: str
    """In results and messages."""
    split: Split
    """Training or test images."""
    images: NDArray[Any]
    """(n, h, w, c) or (n, f) uint8, which a network gets as (n, c, h, w) or (n, f) from 0 to 1; or float32 of any
    shape (n, ..), which it gets as they are."""
    labels: NDArray[Any]
    """(n,) index into `classes`: uint8, of more than 256 classes int64."""
    classes: tuple[str, ...]
    """Names, in the order of a network's outputs."""
    source: str
    """Whose data they are."""
    mean: tuple[float, ...] = ()
    """Of each channel, taken from what a network gets, which is then divided by `deviation`; () if it normalises
    by itself."""
    deviation: tuple[float, ...] = ()
    """Of each channel, with `mean`."""

    def __post_init__(self) -> None:
        what = f"data set {self.name!r} ({self.split})"
        images, labels = np.asarray(self.images), np.asarray(self.labels)
        if images.dtype not in (np.uint8, np.float32) or images.ndim < 2:
            raise BadInput(
                f"{what}: images are {images.dtype} shaped {images.shape}; pass (n, h, w, c) or (n, f) uint8, "
                f"or float32 as the network takes them."
            )
        if images.dtype == np.uint8 and images.ndim not in (2, 4):
            raise BadInput(f"{what}: uint8 images are shaped {images.shape}; pass (n, h, w, c) or (n, f).")
        if images.dtype == np.float32 and not np.isfinite(images).all():
            raise BadInput(f"{what}: some pixels are NaN or infinite; pass finite ones.")
        if labels.shape != (len(images),) or labels.dtype.kind not in "ui" or not len(labels):
            raise BadInput(
                f"{what}: labels are {labels.dtype} shaped {labels.shape} beside {len(images)} images; pass an "
                f"integer for each, of one image at least."
            )
        if labels.min() < 0 or labels.max() >= len(self.classes):
            odd = labels[(labels < 0) | (labels >= len(self.classes))]
            raise BadInput(
                f"{what}: {len(odd)} labels are outside the {len(self.classes)} classes, the first is {odd[0]}; "
                f"labels go from 0 to {len(self.classes) - 1}."
            )
        channels = images.shape[-1 if images.dtype == np.uint8 else 1]
        if len(self.mean) != len(self.deviation) or len(self.mean) not in (0, 1, channels):
            raise BadInput(
                f"{what}: {len(self.mean)} means and {len(self.deviation)} deviations for {channels} channels; "
                f"pass one of each for every channel."
            )
        if not all(0 < value < math.inf for value in self.deviation) or not np.isfinite(self.mean).all():
            raise BadInput(
                f"{what}: means are {self.mean}, deviations {self.deviation}; pass finite ones, and these positive."
            )
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels.astype(np.uint8 if len(self.classes) <= 256 else np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of the pixels followed by the labels, and by mean and deviation where they are stated."""
        digest = hashlib.sha256(self.images.tobytes())
        digest.update(self.labels.tobytes())
        digest.update(repr((self.mean, self.deviation)).encode() if self.mean else b"")
        return digest.hexdigest()

    @functools.cached_property
    def each_sha256(self) -> frozenset[bytes]:
        """SHA-256 of each image's pixels."""
        return frozenset(hashlib.sha256(image.tobytes()).digest() for image in self.images)

    def only(self, index: int) -> "Dataset":
        """One image, or `BadInput` if there is no such."""
        if not 0 <= index < len(self):
            raise BadInput(f"{self.name} {self.split}: asked for image {index}; pass 0 to {len(self) - 1}.")
        return self.part(slice(index, index + 1))

    def first(self, count: int) -> "Dataset":
        """The first `count` images, or `BadInput` if there are fewer."""
        if not 1 <= count <= len(self):
            raise BadInput(f"{self.name} {self.split}: asked for {count} images; pass 1 to {len(self)}.")
        return self.part(slice(count))

    def part(self, cut: slice) -> "Dataset":
        """Some of the images; one at least."""
        return replace(self, images=self.images[cut], labels=self.labels[cut])

    def batches(self, size: int) -> Iterator[Tensor]:
        """What a network gets, `size` images at a time."""
        return (network_inputs(self.part(slice(i, i + size))) for i in range(0, len(self), size))


def require_apart(test: Dataset, calibration: Dataset | None) -> None:
    """`BadInput` if an image that is classified was calibrated on: such an accuracy would prove nothing."""
    shared = test.each_sha256 & calibration.each_sha256 if calibration else frozenset()
    if shared:
        raise BadInput(
            f"{len(shared)} of the {len(test)} images to be classified are among the {len(calibration or ())} of the "
            f"calibration too; pass others, for instance those of the train split, and no image twice."
        )


def check_name(name: str) -> None:
    """`BadInput` if there is no data set of this name, and no file or folder either."""
    if name not in DATA_NAMES and not Path(name).exists():
        raise no_such("data set", name, DATA_NAMES, also="an .npz file or a folder of idx files or class folders")


def load_dataset(name: str, split: str, *, folder: Path | str | None = None) -> Dataset:
    """A data set by name, or from files of one's own.

    Parameters
    ----------
    name : str
        "digits", "cifar10" or "cifar100"; or the path of an .npz file, of a folder with idx files (MNIST's format),
        or of a folder of class folders, see `own_data.read_own`.
    split : "train" or "test"
    folder : path, for cifar10 and cifar100 only
        Holds the python archive or, of CIFAR-10, the binary one, unpacked or not, or the compact copy; see
        `cifar.read_cifar10`.

    Raises
    ------
    BadInput
        If name or split is unknown, the folder is missing, or a file in it is damaged.

    Examples
    --------
    >>> load_dataset("digits", "test").images.shape
    (364, 32, 32, 3)
    """
    check_name(name)
    if split not in get_args(Split):
        raise BadInput(f"load_dataset({name!r}, {split!r}): the split is 'train' or 'test'.")
    which: Split = "train" if split == "train" else "test"
    if name in ("cifar10", "cifar100"):
        if folder is None:
            raise BadInput(f"load_dataset({name!r}): name the folder that holds {name.upper()} (--folder).")
        if name == "cifar10":
            images, labels = cifar.read_cifar10(Path(folder), which)
            return Dataset(name, which, images, labels, cifar.CIFAR10_CLASSES, cifar.CIFAR10_SOURCE)
        images, labels, classes = cifar.read_cifar100(Path(folder), which)
        return Dataset(name, which, images, labels, classes, cifar.CIFAR10_SOURCE)
    if folder is not None:
        raise BadInput(f"load_dataset({name!r}): a folder is for cifar10 and cifar100; leave it out.")
    if name == "digits":
        return digits(which)
    from spicekit.networks.own_data import read_own  # which makes a `Dataset`

    return read_own(Path(name), which)


Data: TypeAlias = Any
"""A `Dataset`, or something else that `as_dataset` takes."""


def as_dataset(data: Data, *, classes: int | Sequence[str] | None = None, split: Split = "test") -> Dataset:
    """What a Python session has, as a data set.

    Parameters
    ----------
    data : Dataset, pair of arrays, torch Dataset, DataLoader, other iterable of batches, or a callable
        Arrays or tensors of images and labels; or something that gives such pairs, image by image (a torch `Dataset`)
        or batch by batch (a `DataLoader`); or a function without arguments that returns one of these. Images are uint8,
        (n, h, w, c) or (n, c, h, w), which become 0 to 1; or floats as the network takes them.
    classes : int or names, optional
        How many, or which; by default as many as the labels show.
    split : "train" or "test"

    Raises
    ------
    BadInput
        If it is none of these, or images and labels do not fit each other.
    """
    if isinstance(data, Dataset):
        return data
    if callable(data):
        return as_dataset(data(), classes=classes, split=split)
    images, labels = _pair_of(data)
    if classes is None:
        classes = int(labels.max()) + 1 if labels.size and labels.dtype.kind in "ui" else 1
    names = tuple(map(str, range(classes))) if isinstance(classes, int) else tuple(classes)
    if images.dtype.kind == "f":
        images = np.asarray(images, np.float32)
    elif images.dtype == np.uint8:
        require_bytes(images, "as_dataset: images")
        images = channels_last(images, "images", "as_dataset")
    return Dataset("own", split, images, labels, names, "given in Python")


def _pair_of(data: Any) -> tuple[NDArray[Any], NDArray[Any]]:
    if isinstance(data, tuple | list) and len(data) == 2 and all(hasattr(each, "dtype") for each in data):
        images, labels = (_array(each) for each in data)
        return images, labels
    one_by_one = hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, list)
    if not one_by_one and not isinstance(data, Iterable):
        raise BadInput(
            f"as_dataset got a {type(data).__name__}; pass (images, labels), a torch Dataset or a DataLoader."
        )
    pairs = (data[index] for index in range(len(data))) if one_by_one else iter(data)
    images_found, labels_found = [], []
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise BadInput(f"as_dataset: got a {type(pair).__name__} where (image, label) is expected.")
        images_found.append(_array(pair[0]))
        labels_found.append(_array(pair[1]))
    if not images_found:
        raise BadInput("as_dataset: got no images; pass one at least.")
    try:
        join: Callable[..., NDArray[Any]] = np.stack if one_by_one else np.concatenate
        return join(images_found), join(labels_found)
    except ValueError as error:
        raise BadInput(f"as_dataset: images differ in shape ({error}); give all of them the same.") from error


def _array(values: Any) -> NDArray[Any]:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype == torch.bfloat16 else values
    return np.asarray(values)


def channels_last(images: NDArray[Any], where: str, source: str, layout: str | None = None) -> NDArray[Any]:
    """Images (n, h, w), (n, h, w, c), (n, c, h, w) or vectors (n, f): with channels last."""
    if images.ndim == 3:
        return images[..., None]
    if images.ndim == 4:
        likely = [name for name, axis in (("nchw", 1), ("nhwc", 3)) if images.shape[axis] in (1, 3, 4)]
        if layout is None and len(likely) == 1:
            layout = likely[0]
        if layout not in ("nhwc", "nchw"):
            raise BadInput(
                f"{source}: {where} shaped {images.shape} may be n-h-w-c or n-c-h-w; say which with "
                f"an array layout, 'nhwc' or 'nchw', in the .npz file, or make a Dataset of n-h-w-c in Python."
            )
        return np.moveaxis(images, 1, -1) if layout == "nchw" else images
    if images.ndim != 2:
        raise BadInput(f"{source}: {where} are shaped {images.shape}; pass (n, h, w, c), (n, c, h, w) or (n, f).")
    return images


def require_bytes(images: NDArray[np.uint8], what: str) -> None:
    """`BadInput` for uint8 images that hold 0 and 1 alone: a network would get 0 and 0.004."""
    if images.size and images.max() == 1:
        raise BadInput(
            f"{what} are uint8 and hold 0 and 1 alone, where white is 255; multiply them by 255, or pass floats."
        )


def one_in(step: int, labels: NDArray[Any]) -> NDArray[np.bool_]:
    """(n,) whether an image is one of every `step` of its class, from the first on."""
    chosen = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        chosen[np.flatnonzero(labels == label)[::step]] = True
    return chosen


def fetch_dataset(name: str, folder: Path | None) -> None:
    """Fetch a data set into a folder unless it is there; `BadInput` where there is none to fetch, or no folder."""
    if name != "cifar10" or folder is None:
        raise BadInput(
            f"--download fetches CIFAR-10, got --data {name} and {f'--folder {folder}' if folder else 'no --folder'}; "
            f"pass --data cifar10 and --folder, where to."
        )
    cifar.download_cifar10(folder)


def digits(split: Split) -> Dataset:
    """scikit-learn's 1,797 real handwritten digits (8 x 8 pixels, 17 grey levels), enlarged to 32 x 32.

    Every fifth image of each class, from the first on, is held out for the test: 364 images; 1,433 are left
    to train on. Bilinear enlargement in Pillow's integer arithmetic; grey is repeated in three channels.
    """
    package = importlib.util.find_spec("sklearn")  # to import it takes some seconds
    if package is None or package.origin is None:
        raise ModuleNotFoundError("No module named 'sklearn'", name="sklearn")
    table = np.loadtxt(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    labels = table[:, -1].astype(np.uint8)
    held_out = one_in(5, labels)
    chosen = held_out if split == "test" else ~held_out
    levels = table[chosen, :-1].reshape(-1, 8, 8)  # 0 to 16
    grey = np.rint(levels * (255 / 16)).astype(np.uint8)
    large = [Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for image in grey]
    return Dataset(
        name="digits",
        split=split,
        images=np.repeat(np.stack([np.asarray(image) for image in large])[..., None], 3, axis=3),
        labels=labels[chosen],
        classes=tuple("0123456789"),
        source="E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (scikit-learn)",
    )


def network_inputs(images: Dataset | NDArray[np.uint8] | NDArray[np.float32]) -> Tensor:
    """What a network takes, float32: of uint8 (n, h, w, c) or (n, f), (n, c, h, w) or (n, f) from 0 to 1.

    Floats stay as they are. Where a data set states mean and deviation they are taken off and divided by.
    """
    pixels = images.images if isinstance(images, Dataset) else np.asarray(images)
    if pixels.dtype == np.float32:
        values = torch.from_numpy(np.ascontiguousarray(pixels))
    elif pixels.dtype == np.uint8 and pixels.ndim in (2, 4):
        channels_first = np.moveaxis(pixels, -1, 1)
        values = torch.from_numpy(np.ascontiguousarray(channels_first)).float().div_(255)
    else:
        raise BadInput(
            f"network_inputs got {pixels.dtype} shaped {pixels.shape}; pass (n, h, w, c) or (n, f) uint8, or float32."
        )
    if isinstance(images, Dataset) and images.mean:
        shape = (-1, *(1,) * (values.ndim - 2))
        mean, deviation = (torch.tensor(each).reshape(shape) for each in (images.mean, images.deviation))
        values = (values - mean) / deviation
    return values
