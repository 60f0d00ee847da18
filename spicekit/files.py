"""Files from outside, read without trust; files of ours, either whole or not there; files that ship."""

import fcntl
import io
import json
import math
import os
import secrets
import stat
import struct
import tempfile
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from spicekit.errors import BadInput

MARKER = ".spicekit"
"""File in each folder of results: such a folder may be written to again."""


@contextmanager
def writing(path: Path | str, advice: str = "") -> Iterator[None]:
    """Turns what the disk refuses inside this context into `BadInput`, which names the path and says what to do."""
    try:
        yield
    except OSError as error:
        what = f"; {advice}" if advice else ""
        raise BadInput(f"{path}: cannot be written ({error.strerror}){what}.") from error


def take_folder(folder: Path, *, option: str = "--out") -> None:
    """Make a folder for results, or take one that is empty or that spicekit has written to before.

    Raises
    ------
    BadInput
        If it holds anything else, which might be lost, or cannot be written (tried with one byte).
    """
    with writing(folder, f"pass another {option}"):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / MARKER).is_file():
            if foreign := sorted({path.name for path in folder.iterdir()} - {MARKER}):  # another process may
                raise BadInput(
                    f"{folder}: holds {foreign[0]!r} and is no folder of results; pass a new or an empty one to "
                    f"{option}, or, if it is yours to be overwritten, make it one with: touch {folder / MARKER}"
                )
            (folder / MARKER).write_text("Results of spicekit, which it may overwrite.\n")
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0")


def lock(descriptor: int, first: int = 0, length: int = 0, *, wait: bool = False) -> bool:
    """Lock bytes of a file, all by default, against whoever else opened it, in this process too; False if they have it.

    It lasts until `unlock`, or until the file is closed, by us or with the process (open file description locks of
    Linux, fcntl(2); over NFS, too). Processes that are forked off while it is held share it.
    """
    try:
        _lock(descriptor, fcntl.F_WRLCK, first, length, wait=wait)
    except (BlockingIOError, PermissionError):
        return False
    return True


def unlock(descriptor: int, first: int = 0, length: int = 0) -> None:
    """Give back what `lock` took."""
    _lock(descriptor, fcntl.F_UNLCK, first, length, wait=False)


def _lock(descriptor: int, kind: int, first: int, length: int, *, wait: bool) -> None:
    flock = struct.pack("hhqqi0q", kind, os.SEEK_SET, first, length, 0)  # struct flock of fcntl.h
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, flock)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that a kill, a crash or a full disk leaves the old one or the new one, never a part.

    Temporary file `.NAME.RANDOM.part` in the same folder, fsync, rename, fsync of the folder; writers of one path,
    threads or machines, each have their own. Who may read the old file may read the new one. A link stays one, but for
    one that another user put there, which is replaced; what is no file (a device, a pipe) is written into.
    `OSError` that names `path` if the disk refuses.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        is_link = path.is_symlink()
        is_foreign = is_link and path.lstat().st_uid not in (0, os.geteuid())  # root's are those in /dev
        if not is_foreign and _is_special(path):
            with open(path, "wb") as file:
                file.write(data)
        else:
            _replace(Path(os.path.realpath(path)) if is_link and not is_foreign else path, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _replace(path: Path, content: bytes) -> None:
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}.part"
    try:
        with open(temporary, "xb") as file:
            with suppress(FileNotFoundError):
                if stat.S_ISREG(mode := path.lstat().st_mode):
                    os.fchmod(file.fileno(), mode & 0o777)
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


def as_path(value: Any, *, what: str) -> Path:
    """A path as a caller gave it; `BadInput` if it is none.

    >>> as_path("tile.toml", what="read_design")
    PosixPath('tile.toml')
    """
    if isinstance(value, str | Path) and "\0" not in str(value):
        return Path(value)
    raise BadInput(f"{what}: expected a path, got {value!r}.")


def open_file(path: Path, *, largest: int | None = None) -> BinaryIO:
    """Open a regular file to read it: nothing that blocks, as a pipe does, or that has no end.

    Raises
    ------
    BadInput
        If it is not there, is no regular file, or has more than `largest` bytes.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}).") from error
    except ValueError as error:  # characters that no name has
        raise BadInput(f"{str(path)!r}: cannot be read ({error}).") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise BadInput(f"{path}: cannot be read (it is no regular file).")
    file = os.fdopen(descriptor, "rb")
    if largest is not None and status.st_size > largest:
        file.close()
        raise BadInput(f"{path}: has {status.st_size:,} bytes; expected at most {largest:,}.")
    return file


def read_file(path: Path, *, largest: int) -> bytes:
    """The bytes of a regular file; errors as from `open_file`."""
    with open_file(path, largest=largest) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise BadInput(f"{path}: grows while it is read; expected at most {largest:,} bytes.")
    return content


def read_json(path: Path, *, largest: int = 64 << 20) -> Any:
    """What a JSON file holds; `BadInput` if it is none, is too large or too deep."""
    return parse_json(read_file(path, largest=largest), source=str(path))


def parse_json(text: bytes | str, *, source: str) -> Any:
    """What JSON from outside holds; `BadInput` if it is none or too deep."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # a number of too many digits is a ValueError
        raise BadInput(f"{source}: is not readable JSON ({error}).") from error


def read_array(path: Path) -> npt.NDArray[Any]:
    """The array of an .npy file. Nothing in the file is ever executed.

    Raises
    ------
    BadInput
        If it cannot be read, or is no plain .npy file of the size that its header says.
    """
    with open_file(path) as file:
        return read_array_from(file, os.fstat(file.fileno()).st_size, source=str(path))


_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_array_from(file: Any, size: int, *, source: str) -> npt.NDArray[Any]:
    """The array of an open .npy file of `size` bytes; `BadInput` if its header claims another size, or objects."""
    try:
        version = np.lib.format.read_magic(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a header as Python 2 wrote it is as good
            shape, fortran, dtype = _HEADERS[version](file, max_header_size=10_000)
        claimed = math.prod(shape) * dtype.itemsize
        rest = size - file.tell()
        if dtype.hasobject or claimed != rest or min(shape, default=0) < 0:
            raise ValueError(f"its header says {dtype} shaped {shape}, of {claimed:,} bytes; {rest:,} follow")
        data = file.read(claimed)
        if len(data) != claimed:
            raise ValueError("it is cut short")
        array = np.frombuffer(bytearray(data), dtype) if claimed else np.empty(0, dtype)
        return array.reshape(shape, order="F" if fortran else "C")
    except (
        ValueError,
        KeyError,
        TypeError,
        SyntaxError,
        tokenize.TokenError,
        RecursionError,
        OverflowError,
    ) as error:
        raise BadInput(f"{source}: is not a plain .npy array ({error}).") from error


def read_arrays(
    path: Path, names: Sequence[str] | None = None, *, unpacked: int = 64 << 20
) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an .npz file, by name.

    Raises
    ------
    BadInput
        If it is no such file, lacks one of `names` (all by default), or claims to hold more bytes than it has and more
        than `unpacked`.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            with zipfile.ZipFile(file) as archive:
                members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
                if missing := set(names or ()) - members.keys():
                    raise BadInput(f"{path}: lacks {', '.join(sorted(missing))}.")
                wanted = {name: members[name] for name in names or members}
                claimed = sum(info.file_size for info in wanted.values())
                if claimed > max(size, unpacked):
                    raise BadInput(f"{path}: has {size:,} bytes and claims to hold {claimed:,}; it is not read.")
                arrays = {}
                for name, info in wanted.items():
                    with archive.open(info) as member:
                        arrays[name] = read_array_from(member, info.file_size, source=f"{path}, {name}")
                return arrays
        except (
            zipfile.BadZipFile,
            NotImplementedError,
            ValueError,
            EOFError,
            OSError,
            RuntimeError,
            zlib.error,
        ) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(f"{path}: is not a readable .npz archive ({error}).") from error


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


Shipped = Literal["netlists", "device_models", "cells", "calibration"]

_PACKAGE = Path(__file__).resolve().parent


def shipped_folder(name: Shipped) -> Path:
    """Folder of shipped files: templates, device models, cells, calibrated tables.

    In a checkout they are the repository's own folders, so that an edit takes effect at once; in a wheel they lie in
    `spicekit/_data`. What lies beside an installed package is not ours: any distribution may put a folder there.

    Raises
    ------
    BadInput
        If neither the checkout nor the installed package holds it.
    """
    installed = (_PACKAGE / "_data").is_dir()
    if installed or (_PACKAGE.parent / "pyproject.toml").is_file():
        candidate = (_PACKAGE / "_data" if installed else _PACKAGE.parent) / name
        if candidate.is_dir():
            return candidate
    raise BadInput(
        f"shipped_folder({name!r}): found neither in a checkout nor in the installed package at "
        f"{_PACKAGE}; reinstall spicekit."
    )
