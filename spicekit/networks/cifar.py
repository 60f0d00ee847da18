"""CIFAR-10 and CIFAR-100 as they lie on people's disks: archives, unpacked or not, and a compact copy of the first.

Files are untrusted. The python archive is a pickle, which could run any code: it is read with inert stand-ins
in place of the few names that it needs, and with nothing else.
"""

import functools
import gzip
import hashlib
import io
import pickle
import pickletools
import tarfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from spicekit.errors import BadInput
from spicekit.files import open_file, read_arrays, read_file

CIFAR10_SOURCE = "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, U. of Toronto, 2009"
CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
ARCHIVE_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
# As recorded by torchvision's prototype data sets (_builtin/cifar.py) and TensorFlow Datasets.
ARCHIVE_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"

_SIDE = 32
_PIXELS = 3 * _SIDE * _SIDE  # bytes of an image: red plane, green plane, blue plane
_LARGEST_BATCH = 256 << 20  # bytes; a true batch of CIFAR-10 has 31 MB, all images of CIFAR-100 154 MB
_LARGEST_ARCHIVE = 512 << 20  # bytes, unpacked; a true one has 186 MB
_LARGEST_READ = 1 << 20  # bytes of an archive at once; its own headers have thousands
_LARGEST_MOSAIC = 64 << 20  # pixels; all of CIFAR-10 has 61 million

_read_file = functools.partial(read_file, largest=_LARGEST_BATCH)

Images = npt.NDArray[np.uint8]
Batch = tuple[Images, Images]
"""Images (n, 32, 32, 3) and labels (n,), uint8."""


def read_cifar10(folder: Path, split: Literal["train", "test"], *, images_per_batch: int = 10_000) -> Batch:
    """Images and labels of one split, in the order of the original batches.

    Parameters
    ----------
    folder : path
        Holds `cifar-10-batches-py` or `cifar-10-batches-bin`, or their files, or `cifar-10-python.tar.gz` or
        `cifar-10-binary.tar.gz`, or a compact copy: `SHA256SUMS`, `labels.npz` and mosaics of 32 x 32 tiles,
        `test_*.webp` and `train_*.avif`.
    split : "train" or "test"
    images_per_batch : int
        What each batch file of the archives must hold.

    Returns
    -------
    (n, 32, 32, 3) uint8 array, RGB; (n,) uint8 array, labels 0 to 9

    Raises
    ------
    BadInput
        If no layout is recognised, or a file is missing, cut short or damaged.
    """
    if (folder / "SHA256SUMS").is_file():
        images, labels = _read_compact(folder, split)
    else:
        for layout in (_PYTHON, _BINARY):
            if files := _find(folder, layout, layout.names(split)):
                break
        else:
            raise BadInput(
                f"{folder}: no CIFAR-10 {split} split found; name a folder with {_PYTHON.folder}, {_BINARY.folder}, "
                f"{_PYTHON.archive}, {_BINARY.archive} or a compact copy with SHA256SUMS."
            )
        batches = [layout.decode(data, where) for where, data in files]
        for (where, _), (_, batch_labels) in zip(files, batches, strict=True):
            if len(batch_labels) != images_per_batch:
                raise _damaged(where, f"it holds {len(batch_labels)} images, not {images_per_batch}")
        images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    if len(labels) and labels.max() >= len(CIFAR10_CLASSES):
        raise _damaged(str(folder), f"a label is {labels.max()}; labels go from 0 to 9")
    return images, labels


def read_cifar100(
    folder: Path, split: Literal["train", "test"], *, images_in: int | None = None
) -> tuple[Images, Images, tuple[str, ...]]:
    """Images, labels 0 to 99 and names of the fine classes of one split, of the python archive, unpacked or not.

    `images_in` is what the split must hold, by default 50,000 or 10,000; raises as `read_cifar10` does.
    """
    layout = _Layout("cifar-100-python.tar.gz", "cifar-100-python", "", _decode_pickle)
    files = _find(folder, layout, [split, "meta"])
    if files is None:
        raise BadInput(f"{folder}: no CIFAR-100 found; name a folder with {layout.folder} or {layout.archive}.")
    (where, data), (where_meta, meta) = files
    images, labels = _decode_pickle(data, where)
    if len(labels) != (images_in or (50_000 if split == "train" else 10_000)):
        raise _damaged(where, f"it holds {len(labels)} images")
    try:
        names = _InertUnpickler(io.BytesIO(meta), encoding="bytes").load()[b"fine_label_names"]
        classes = tuple(name.decode("ascii") for name in names)
    except Exception as error:  # a damaged pickle fails in any way it likes
        raise _damaged(where_meta, f"it lists no classes ({error})") from error
    return images, labels, classes


def download_cifar10(folder: Path) -> Path:
    """Fetch the python archive into a folder unless it is there, check its SHA-256, return the folder."""
    import pooch

    try:
        pooch.retrieve(ARCHIVE_URL, known_hash=f"sha256:{ARCHIVE_SHA256}", fname=_PYTHON.archive, path=folder)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"download_cifar10({str(folder)!r}): {error}; fetch {ARCHIVE_URL} otherwise and name its folder."
        ) from error
    return folder


# -- the archives --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Layout:
    archive: str
    folder: str
    suffix: str
    decode: Callable[[bytes, str], Batch]

    def names(self, split: str) -> list[str]:
        stems = ["test_batch"] if split == "test" else [f"data_batch_{i}" for i in range(1, 6)]
        return [stem + self.suffix for stem in stems]


def _find(folder: Path, layout: _Layout, names: list[str]) -> list[tuple[str, bytes]] | None:
    """(where, content) of the named files of a layout, unpacked or in its archive; None if it is not there."""
    for place in (folder / layout.folder, folder):
        if any((place / name).is_file() for name in names):
            return [(str(place / name), _read_file(place / name)) for name in names]
    if (folder / layout.archive).is_file():
        contents = _read_tar(folder / layout.archive, names)
        return [(f"{folder / layout.archive}:{name}", contents[name]) for name in names]
    return None


class _Unpacked(io.RawIOBase):
    """A compressed file that ends the reading of more than an archive holds, before it takes the memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=file)

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_READ or self._file.tell() + size > _LARGEST_ARCHIVE:
            raise OSError(f"it claims to hold more than {_LARGEST_ARCHIVE:,} bytes")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if offset > _LARGEST_ARCHIVE:
            raise OSError(f"it claims to hold more than {_LARGEST_ARCHIVE:,} bytes")
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _read_tar(path: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Contents of the named members, whatever folder they lie in; nothing is extracted to disk."""
    wanted, found = set(names), {}
    try:
        with open_file(path) as file, tarfile.open(fileobj=_Unpacked(file), mode="r:") as archive:
            for member in archive:
                name = member.name.rsplit("/", 1)[-1]
                if name not in wanted or not member.isfile() or member.size > _LARGEST_BATCH:
                    continue
                content = archive.extractfile(member)
                assert content is not None  # it is a file
                found[name] = b"".join(iter(lambda: content.read(_LARGEST_READ), b""))  # noqa: B023 (run at once)
    except (tarfile.TarError, OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        if isinstance(error, BadInput):
            raise
        raise _damaged(str(path), f"it cannot be unpacked ({error})") from error
    if missing := wanted - found.keys():
        raise _damaged(str(path), f"it lacks {', '.join(sorted(missing))}")
    return found


def _decode_binary(data: bytes, where: str) -> Batch:
    """Records of one label byte and 3,072 pixel bytes."""
    record = 1 + _PIXELS
    if len(data) % record:
        raise _damaged(where, f"its {len(data)} bytes are not whole records of {record}")
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    return _planes_to_images(records[:, 1:]), records[:, 0].copy()


def _decode_pickle(data: bytes, where: str) -> Batch:
    """A pickled dictionary with b"data", (n, 3072) uint8, and b"labels" or b"fine_labels", a list of n integers."""
    try:
        _require_small(data)
        batch = _InertUnpickler(io.BytesIO(data), encoding="bytes").load()
        pixels = batch[b"data"].content()
        labels = batch[b"labels" if b"labels" in batch else b"fine_labels"]
        if type(labels) is not list or not all(type(label) is int for label in labels):
            raise ValueError("its labels are no list of integers")
        labels = np.array(labels, dtype=np.uint8)
        images = _planes_to_images(pixels.reshape(len(labels), _PIXELS))
    except Exception as error:  # a damaged pickle fails in any way it likes
        raise _damaged(where, f"it is no batch of the python archive ({error})") from error
    return images, labels


def _require_small(data: bytes) -> None:
    """Refuse a pickle that would take much memory or a deep stack although it is short.

    A batch is one dictionary of a list of integers, one of names, and an array. Memory goes to wherever a pickle says
    that it remembers something, and CPython descends into nested tuples without a limit.
    """
    nested = 0
    for count, (operation, argument, _) in enumerate(pickletools.genops(data)):
        nested += operation.name.startswith(("TUPLE", "EMPTY_TUPLE", "FROZENSET"))
        remembers = operation.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > _MOST_OPERATIONS
        if count > _MOST_OPERATIONS or nested > _MOST_NESTED or remembers:
            raise ValueError("it is more than a dictionary of labels, names and an array")


_MOST_OPERATIONS = 200_000  # of a true batch: 20,000 for labels, 20,000 for names, twice that in protocol 2
_MOST_NESTED = 100


class _InertUnpickler(pickle.Unpickler):
    """Reads dictionaries, lists, numbers and bytes; records arrays without making them; refuses the rest."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }:
            return _PickledArray
        if (module, name) == ("_codecs", "encode"):  # how Python 3 writes bytes in protocol 2
            return _encode_latin1
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch needs")


class _PickledArray:
    """What a pickle says about an array or its type; inert."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def content(self) -> Images:
        """The array, if it is uint8 in C order."""
        _version, shape, dtype, fortran, raw = self.state
        if dtype.arguments[0] not in ("u1", b"u1") or fortran:
            raise ValueError("its pixels are not uint8 in C order")
        return np.frombuffer(raw, np.uint8).reshape(shape)


def _encode_latin1(text: str, _encoding: str) -> bytes:
    return text.encode("latin1")


def _planes_to_images(planes: Images) -> Images:
    """(n, 3072) colour planes to (n, 32, 32, 3)."""
    return np.ascontiguousarray(planes.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1))


_PYTHON = _Layout("cifar-10-python.tar.gz", "cifar-10-batches-py", "", _decode_pickle)
_BINARY = _Layout("cifar-10-binary.tar.gz", "cifar-10-batches-bin", ".bin", _decode_binary)


# -- the compact copy ----------------------------------------------------------------------------------------


def _read_compact(folder: Path, split: str) -> Batch:
    """Mosaics of tiles, row by row, and labels; each file is checked against SHA256SUMS, then decoded."""
    sums_path = folder / "SHA256SUMS"
    lines = _read_file(sums_path).decode("ascii", errors="replace").split("\n")
    sums = {parts[1].lstrip("*"): parts[0] for line in lines if len(parts := line.split()) == 2}

    def checked(name: str) -> bytes:
        data = _read_file(folder / name)
        if hashlib.sha256(data).hexdigest() != sums.get(name):
            raise _damaged(str(folder / name), "its SHA-256 is not the one in SHA256SUMS")
        return data

    names = sorted(name for name in sums if name.startswith(f"{split}_") and "/" not in name)
    if not names:
        raise _damaged(str(sums_path), f"it lists no {split}_* image")
    images = np.concatenate([_decode_mosaic(checked(name), str(folder / name)) for name in names])
    try:
        checked("labels.npz")
        labels = read_arrays(folder / "labels.npz", [split])[split]
    except BadInput as error:
        raise _damaged(str(folder / "labels.npz"), f"labels of '{split}' cannot be read ({error})") from error
    if labels.dtype != np.uint8 or labels.shape != (len(images),):
        raise _damaged(
            str(folder / "labels.npz"),
            f"'{split}' is {labels.dtype} shaped {labels.shape} beside {len(images)} images",
        )
    return images, labels


def _decode_mosaic(data: bytes, where: str) -> Images:
    """(n, 32, 32, 3) tiles of one WebP or AVIF image, row by row."""
    try:
        with Image.open(io.BytesIO(data), formats=("WEBP", "AVIF")) as picture:
            if picture.width * picture.height > _LARGEST_MOSAIC:
                raise ValueError(f"it claims {picture.width} x {picture.height} pixels")
            mosaic = np.asarray(picture.convert("RGB"))
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise _damaged(where, f"it cannot be decoded ({error}); AVIF needs Pillow 11.3 or later") from error
    height, width, _ = mosaic.shape
    if height % _SIDE or width % _SIDE:
        raise _damaged(where, f"its {width} x {height} pixels are not whole tiles of {_SIDE} x {_SIDE}")
    tiles = mosaic.reshape(height // _SIDE, _SIDE, width // _SIDE, _SIDE, 3).swapaxes(1, 2)
    return tiles.reshape(-1, _SIDE, _SIDE, 3)


def _damaged(where: str, reason: str) -> BadInput:
    return BadInput(f"{where}: {reason}; fetch this file again.")
