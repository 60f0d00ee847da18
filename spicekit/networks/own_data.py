"""Images of one's own in files: an .npz file, idx files, a folder of class folders.

Files are untrusted: arrays are read without pickles, images by Pillow's decoders of a few formats.
"""

import gzip
import io
import math
import os
import re
import struct
import warnings
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from spicekit.config import Config, parse, read_toml
from spicekit.errors import BadInput
from spicekit.files import open_file, read_arrays, read_file
from spicekit.networks.data import Dataset, Split, channels_last, one_in, require_bytes

# Of a set that comes in one piece, every tenth image of each class is the "train" split, for calibration alone, and the
# others are the "test" split: no image is in both. Assumed: calibration looks at some tens of images.
_CALIBRATION_SHARE = 10
_MOST_PACKED = 50  # bytes that one of a compressed file may stand for; digits, mostly black, reach 8
_LARGEST_PICTURE = 64 << 20  # bytes; networks on tiles take some kB
_LARGEST_SET = 16 << 30  # bytes of all pixels; ImageNet's 50,000 to validate with have 7.5 GB at 224 x 224
# Floats that use less than a hundredth of their stated range were not scaled to it: 0 to 1 of 0 to 255.
_LEAST_CONTRAST = 100
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "PPM", "TIFF")
_SPLITS = {"train": ("train",), "test": ("test", "val", "valid", "validation")}
_IDX = re.compile(r"(?P<part>.+)-images[-.]idx3-ubyte(?P<gz>\.gz)?")
_NPZ_LABELS = ("train_labels", "test_labels", "y_train", "y_test", "labels")


class Preparation(Config):
    """What `data.toml` in a folder of class folders says is done to each image.

    >>> Preparation(resize=(32, 48)).resize
    (32, 48)
    """

    resize: tuple[Annotated[int, Field(ge=1, le=4096)], Annotated[int, Field(ge=1, le=4096)]] | None = None
    """Height and width in pixels that all images get, whatever their proportions; left out, they stay as they are."""
    method: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"] = "bilinear"
    """Pillow's filter of that name; where an image shrinks, all but nearest average over what becomes one pixel."""
    mean: tuple[float, ...] = ()
    """Of each channel, taken from the pixels, which go from 0 to 1."""
    std: tuple[float, ...] = ()
    """Of each channel; they are then divided by it."""


PREPARATION = "data.toml"


def read_own(path: Path, split: Split) -> Dataset:
    """A split of a data set of one's own.

    Parameters
    ----------
    path : path
        * an .npz file with `images` and `labels`, or `train_images`, `train_labels`, `test_images`, `test_labels`, or
          Keras' `x_train`, `y_train`, `x_test`, `y_test`. Images are (n, h, w, c), (n, c, h, w), (n, h, w) or (n, f),
          uint8, or floats beside an array `range`, the two values that become 0 and 1. Further arrays that it may have:
          `layout` ("nhwc" or "nchw", where the shape leaves that open), `classes` (names), `mean` and `std`;
        * a folder with idx files as MNIST is distributed: `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`,
          `t10k-images-idx3-ubyte`, `t10k-labels-idx1-ubyte`, gzipped or not;
        * a folder with a folder of images for each class, or with such folders in `train` and `test` (or `val`); a file
          `data.toml` beside them may say how they are resized and normalised, see `Preparation`.
    split : "train" or "test"
        Of a set in one piece, every tenth image of each class is "train", all others "test".

    Raises
    ------
    BadInput
        If there is no such file, or its content is not what is described here.
    """
    if path.suffix == ".npz" and path.is_file():
        return _read_npz(path, split)
    if path.is_dir():
        if any(_IDX.fullmatch(file.name) for file in path.iterdir()):
            if (path / PREPARATION).exists():
                raise BadInput(f"{path / PREPARATION}: is for class folders, not for idx files; take it away.")
            return _read_idx(path, split)
        return _read_class_folders(path, split)
    raise BadInput(f"{path}: is no data set; name an .npz file, a folder with idx files or a folder of class folders.")


# -- one file -------------------------------------------------------------------------------------------------


def _read_npz(path: Path, split: Split) -> Dataset:
    arrays = read_arrays(path, unpacked=_MOST_PACKED * path.stat().st_size)
    pairs = (f"{split}_images", f"{split}_labels"), (f"x_{split}", f"y_{split}"), ("images", "labels")
    found = next((pair for pair in pairs if set(pair) <= arrays.keys()), None)
    if found is None:
        raise BadInput(
            f"{path}: has arrays {', '.join(sorted(arrays)) or 'none'}; it needs images and labels, or train_images, "
            f"train_labels, test_images and test_labels."
        )
    images_name, labels_name = found
    layout = str(arrays["layout"]).lower() if "layout" in arrays else None
    images = channels_last(arrays[images_name], images_name, str(path), layout)
    labels = arrays[labels_name]
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]  # as Keras has those of CIFAR
    if labels.dtype.kind not in "ui" or labels.shape != (len(images),) or not len(labels):
        raise BadInput(
            f"{path}: {labels_name} is {labels.dtype} shaped {labels.shape} beside {len(images)} images; an integer "
            f"for each is needed."
        )
    if "classes" in arrays:
        classes = arrays["classes"].ravel()
    else:  # as many as the labels of both splits show
        shown = (arrays[name] for name in _NPZ_LABELS if name in arrays)
        classes = np.arange(max(int(each.max()) + 1 for each in shown if each.size and each.dtype.kind in "ui"))
    if images_name == "images":
        own = _share(labels, split)
        images, labels = images[own], labels[own]
    mean, deviation = (tuple(arrays[key].ravel().tolist()) if key in arrays else () for key in ("mean", "std"))
    pixels = _pixels(images, arrays.get("range"), images_name, path)
    return Dataset(path.stem, split, pixels, labels, tuple(map(str, classes)), path.name, mean, deviation)


def _pixels(images: NDArray[Any], limits: NDArray[Any] | None, name: str, path: Path) -> NDArray[Any]:
    """uint8 as they are; floats to 0..1, channels first, as a network takes them."""
    if images.dtype == np.uint8:
        require_bytes(images, f"{path}: {name}")
        return images
    if images.dtype.kind != "f":
        raise BadInput(f"{path}: {name} is {images.dtype}; pass uint8, or floats beside an array range.")
    if limits is None or limits.shape != (2,) or limits.dtype.kind not in "uif" or not limits[0] < limits[1]:
        raise BadInput(
            f"{path}: {name} holds floats; add an array range with the two values that stand for black and white, "
            f"for example range=[0, 1]."
        )
    low, high = (float(limit) for limit in limits)
    if not (np.isfinite(images).all() and low <= images.min() and images.max() <= high):
        raise BadInput(f"{path}: {name} goes from {images.min()} to {images.max()}, outside its range {low} to {high}.")
    if images.max() - images.min() < (high - low) / _LEAST_CONTRAST:
        raise BadInput(
            f"{path}: {name} goes from {images.min()} to {images.max()}, nearly nothing of its range {low} to {high}; "
            f"give the two values that stand for black and white in these very floats."
        )
    scaled = ((images.astype(np.float64) - low) / (high - low)).astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(scaled, -1, 1))


def _share(labels: NDArray[Any], split: Split) -> NDArray[np.intp]:
    """Places of the images of a split, of a set that comes in one piece."""
    train = one_in(_CALIBRATION_SHARE, labels)
    if train.all():
        raise BadInput(f"a set of {len(labels)} images, one of each class, leaves none to classify; give two splits.")
    return np.flatnonzero(train if split == "train" else ~train)


# -- idx files ------------------------------------------------------------------------------------------------


def _read_idx(folder: Path, split: Split) -> Dataset:
    """As MNIST, Fashion-MNIST, KMNIST and EMNIST are distributed."""
    found = [match for file in sorted(folder.iterdir()) if (match := _IDX.fullmatch(file.name))]
    files = [match for match in found if ("train" in match["part"]) == (split == "train")]
    if len(files) != 1:
        raise BadInput(
            f"{folder}: {len(files)} idx files of the {split} split ({', '.join(m.string for m in files) or 'none'}); "
            f"one is needed, as train-images-idx3-ubyte or t10k-images-idx3-ubyte."
        )
    images = _idx_array(folder / files[0].string, dimensions=3)
    name = files[0].string.replace("images", "labels").replace("idx3", "idx1")
    choices = [folder / name, folder / name.removesuffix(".gz"), folder / f"{name}.gz"]
    labels_path = next((path for path in choices if path.is_file()), None)
    if labels_path is None:
        raise BadInput(f"{folder}: {files[0].string} has no labels beside it; add {name}.")
    labels = _idx_array(labels_path, dimensions=1)
    if len(images) != len(labels):
        raise BadInput(f"{labels_path}: holds {len(labels)} labels beside {len(images)} images.")
    first = int(labels.min())  # EMNIST's letters count from 1
    if first > 1:
        raise BadInput(f"{labels_path}: its labels begin with {first}; they begin with 0 or 1.")
    classes = tuple(str(label) for label in range(max(10, int(labels.max()) + 1)))
    return Dataset(folder.name, split, images[..., None], labels, classes, folder.name)


def _idx_array(path: Path, *, dimensions: int) -> NDArray[np.uint8]:
    """Big-endian: 0, 0, type 8 (unsigned byte), number of dimensions; the sides; the bytes, in C order."""
    wrong = BadInput(f"{path}: is no whole idx file of {dimensions} dimensions of bytes; fetch it again.")
    try:
        with open_file(path) as packed:
            largest = _MOST_PACKED * os.fstat(packed.fileno()).st_size
            file = gzip.GzipFile(fileobj=packed) if path.suffix == ".gz" else packed
            header = file.read(4 + 4 * dimensions)
            if len(header) != 4 + 4 * dimensions or header[:4] != bytes((0, 0, 8, dimensions)):
                raise wrong
            sides = struct.unpack(f">{dimensions}I", header[4:])
            if math.prod(sides) > largest:
                raise wrong
            data = file.read(math.prod(sides) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: cannot be read ({error}); fetch it again.") from error
    if len(data) != math.prod(sides):
        raise wrong
    return np.frombuffer(data, np.uint8).reshape(sides)


# -- class folders --------------------------------------------------------------------------------------------


def _read_class_folders(folder: Path, split: Split) -> Dataset:
    roots = {
        one: next((folder / name for name in names if (folder / name).is_dir()), None) for one, names in _SPLITS.items()
    }
    split_apart = any(roots.values())
    root = roots[split] if split_apart else folder
    if root is None:
        raise BadInput(f"{folder}: has no folder {' or '.join(_SPLITS[split])}; add one with the {split} images.")
    classes = _class_names(root)
    for other in filter(None, roots.values()):
        if odd := set(classes) ^ set(_class_names(other)):
            raise BadInput(
                f"{folder}: {root.name} and {other.name} differ in class {min(odd)!r}; a class's label is its place "
                f"among the folders, so both need the same ones."
            )
    files, labels = [], []
    for label, name in enumerate(classes):
        inside = sorted(file for file in (root / name).iterdir() if not file.name.startswith("."))
        if not inside:
            raise BadInput(f"{root / name}: holds no images.")
        if nested := next(filter(Path.is_dir, inside), None):
            raise BadInput(f"{nested}: is a folder within a class; put its images into {root / name} itself.")
        files += inside
        labels += [label] * len(inside)
    places = np.arange(len(labels)) if split_apart else _share(np.array(labels), split)
    said = folder / PREPARATION
    prepare = parse(Preparation, read_toml(said), source=str(said)) if said.exists() else Preparation()
    first = _decode(files[places[0]])
    mode = "L" if first.mode in ("1", "L") else "RGB"
    height, width = prepare.resize or (first.height, first.width)
    shape = (len(places), height, width, 1 if mode == "L" else 3)
    if math.prod(shape) > _LARGEST_SET:
        raise BadInput(
            f"{root}: {len(places):,} images of {height} x {width} pixels take {math.prod(shape):,} bytes, more than "
            f"{_LARGEST_SET:,}; say in {said} how small the network takes them: resize = [height, width]."
        )
    images = np.empty(shape, np.uint8)
    for image, place in zip(images, places, strict=True):
        picture = _decode(files[place])
        if mode == "L" and picture.mode == "RGB":
            raise BadInput(
                f"{files[place]}: is in colour, {files[places[0]].name} is grey; save all as one or the other."
            )
        picture = picture.convert(mode)
        if prepare.resize:
            picture = picture.resize((width, height), Image.Resampling[prepare.method.upper()])
        elif picture.size != first.size:
            raise BadInput(
                f"{files[place]}: has {picture.width} x {picture.height} pixels, {files[places[0]].name} "
                f"{first.width} x {first.height}; give all images the size that the network takes, or say in {said}: "
                f"resize = [height, width]."
            )
        image[:] = np.asarray(picture).reshape(image.shape)
    done = f", resized to {height} x {width} pixels ({prepare.method})" if prepare.resize else ""
    kept, source = np.array(labels)[places], folder.name + done
    return Dataset(folder.name, split, images, kept, tuple(classes), source, prepare.mean, prepare.std)


def _class_names(root: Path) -> list[str]:
    names = sorted(entry.name for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if len(names) < 2:
        raise BadInput(f"{root}: holds {len(names)} class folders; two at least are needed, each with images.")
    if all(map(str.isdecimal, names)) and names != sorted(names, key=int):
        raise BadInput(
            f"{root}: its classes are numbers, and sorted by name they are {', '.join(names[:4])} ...: which label "
            f"each has is not plain; give all names as many digits (00, 01, ...)."
        )
    return names


def _decode(path: Path) -> Image.Image:
    try:
        data = io.BytesIO(read_file(path, largest=_LARGEST_PICTURE))
        # a decoder that warns has met damage
        with warnings.catch_warnings(action="error"), Image.open(data, formats=_FORMATS) as picture:
            if odd := _oddity(picture):
                raise BadInput(f"{path}: {odd}.")
            return picture.convert("RGB") if picture.mode == "P" else picture.copy()
    except Exception as error:  # decoders fail in any way they like on damaged files
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{path}: is no image that can be read ({error}); formats are {', '.join(_FORMATS)}.") from error


def _oddity(picture: Image.Image) -> str:
    """What a decoder would change or pass over in silence."""
    if picture.mode not in ("1", "L", "P", "RGB") or "transparency" in picture.info:
        return f"is a {picture.mode} image; pass grey or RGB ones of 8 bits, without alpha or transparency"
    if any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ())):
        return "has 16 bits a channel; save it with 8"
    if picture.getexif().get(_ORIENTATION, 1) != 1:
        return "is turned by its EXIF orientation, which networks do not see; save it upright"
    if (frames := getattr(picture, "n_frames", 1)) > 1:
        return f"holds {frames} images; save the one that is meant"
    return ""


_ORIENTATION = 0x0112  # of EXIF
