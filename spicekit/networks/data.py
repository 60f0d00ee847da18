"""Data sets as one frozen record: the embedded handwritten digits, and CIFAR-10 from a folder."""

import difflib
import functools
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from spicekit.errors import BadInput
from spicekit.networks.cifar import CIFAR10_CLASSES, CIFAR10_SOURCE, download_cifar10, read_cifar10

DataName = Literal["digits", "cifar10"]
Split = Literal["train", "test"]
DATA_NAMES: tuple[DataName, ...] = get_args(DataName)
SIDE = 32  # pixels: what both networks take


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images.

    `images` is (n, 32, 32, c) uint8, `labels` (n,) uint8, an index into `classes`; `source` says whose data
    they are.
    """

    name: DataName
    split: Split
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]
    classes: tuple[str, ...]
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of the pixels followed by the labels."""
        digest = hashlib.sha256(self.images.tobytes())
        digest.update(self.labels.tobytes())
        return digest.hexdigest()

    def only(self, index: int) -> "Dataset":
        """One image, or `BadInput` if there is no such."""
        if not 0 <= index < len(self):
            raise BadInput(f"{self.name} {self.split}: asked for image {index}; pass 0 to {len(self) - 1}.")
        return replace(self, images=self.images[index : index + 1], labels=self.labels[index : index + 1])

    def first(self, count: int) -> "Dataset":
        """The first `count` images, or `BadInput` if there are fewer."""
        if not 1 <= count <= len(self):
            raise BadInput(f"{self.name} {self.split}: asked for {count} images; pass 1 to {len(self)}.")
        return replace(self, images=self.images[:count], labels=self.labels[:count])


def check_name(name: str) -> None:
    """`BadInput` if there is no data set of this name."""
    if name not in DATA_NAMES:
        near = difflib.get_close_matches(name, DATA_NAMES, n=1)
        advice = f"did you mean {near[0]}?" if near else f"choose from {', '.join(DATA_NAMES)}."
        raise BadInput(f"{name!r}: no such data set; {advice}")


def load_dataset(name: str, split: str, *, folder: Path | str | None = None) -> Dataset:
    """A data set by name.

    Parameters
    ----------
    name : "digits" or "cifar10"
    split : "train" or "test"
    folder : path, for cifar10 only
        Holds the python or binary archive, unpacked or not, or the compact copy; see `read_cifar10`.

    Raises
    ------
    BadInput
        If name or split is unknown, the folder is missing, or a file in it is damaged.
    """
    check_name(name)
    if split not in get_args(Split):
        raise BadInput(f"load_dataset({name!r}, {split!r}): the split is 'train' or 'test'.")
    if name == "digits":
        if folder is not None:
            raise BadInput("load_dataset('digits'): the digits ship with scikit-learn; leave the folder out.")
        return digits("train" if split == "train" else "test")
    if folder is None:
        raise BadInput("load_dataset('cifar10'): name the folder that holds CIFAR-10 (--folder).")
    return cifar10(Path(folder), "train" if split == "train" else "test")


def fetch_dataset(name: str, folder: Path | None) -> None:
    """Fetch a data set into a folder unless it is there; `BadInput` where there is none to fetch, or no folder."""
    if name != "cifar10" or folder is None:
        raise BadInput(
            f"--download fetches CIFAR-10, got --data {name} and {f'--folder {folder}' if folder else 'no --folder'}; "
            f"pass --data cifar10 and --folder, where to."
        )
    download_cifar10(folder)


def digits(split: Split) -> Dataset:
    """scikit-learn's 1,797 real handwritten digits (8 x 8 pixels, 17 grey levels), enlarged to 32 x 32.

    Every fifth image of each class, from the first on, is held out for the test: 364 images; 1,433 are left
    to train on. Bilinear enlargement in Pillow's integer arithmetic; grey is repeated in three channels.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels = bunch.target.astype(np.uint8)
    held_out = np.zeros(len(labels), dtype=bool)
    for digit in range(10):
        held_out[np.flatnonzero(labels == digit)[::5]] = True
    chosen = held_out if split == "test" else ~held_out
    grey = np.rint(bunch.images[chosen] * (255 / 16)).astype(np.uint8)  # levels 0..16
    large = [Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for image in grey]
    return Dataset(
        name="digits",
        split=split,
        images=np.repeat(np.stack([np.asarray(image) for image in large])[..., None], 3, axis=3),
        labels=labels[chosen],
        classes=tuple("0123456789"),
        source="E. Alpaydin, C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (scikit-learn)",
    )


def cifar10(folder: Path, split: Split) -> Dataset:
    """CIFAR-10 from any layout that `read_cifar10` knows."""
    images, labels = read_cifar10(folder, split)
    return Dataset("cifar10", split, images, labels, CIFAR10_CLASSES, CIFAR10_SOURCE)


def network_inputs(images: Dataset | npt.NDArray[np.uint8]) -> Tensor:
    """What a network takes: (n, c, 32, 32) float32, pixels from 0 to 1, from (n, 32, 32, c) uint8.

    The network normalises by itself, so every data set goes through this one function.
    """
    pixels = images.images if isinstance(images, Dataset) else images
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[1:3] != (SIDE, SIDE):
        raise BadInput(
            f"network_inputs got {pixels.dtype} shaped {pixels.shape}; pass (n, {SIDE}, {SIDE}, c) uint8."
        )
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float().div_(255)
