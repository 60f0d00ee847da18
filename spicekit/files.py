"""Files from outside, read without trust; files of ours, either whole or not there."""

import io
import os
import secrets
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from spicekit.errors import BadInput


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that a kill, a crash or a full disk leaves the old one or the new one, never a part.

    Temporary file `.NAME.RANDOM.part` in the same folder, fsync, rename, fsync of the folder; writers of one path,
    threads or machines, each have their own. `OSError` that names `path` if the disk refuses.
    """
    try:
        _replace(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _replace(path: Path, content: bytes) -> None:
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}.part"
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_array(path: Path) -> npt.NDArray[Any]:
    """The array of an .npy file. Nothing in the file is ever executed.

    Raises
    ------
    BadInput
        If it cannot be read, or is no plain .npy file.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}); pass an .npy file.") from error
    except (ValueError, EOFError) as error:
        raise BadInput(f"{path}: is not a plain .npy array ({error}).") from error
    if not isinstance(array, np.ndarray):
        raise BadInput(f"{path}: holds several arrays; pass an .npy file with one.")
    return array


def write_array(path: Path, array: npt.NDArray[Any]) -> None:
    """Write an .npy file, whole or not at all."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    write_atomically(path, buffer.getvalue())


def write_arrays(path: Path, **arrays: npt.NDArray[Any]) -> None:
    """Write an .npz file of named arrays, whole or not at all."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())
