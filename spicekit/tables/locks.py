"""Locks on tables: of several calibrations on one store, one makes each table and the others wait for it."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from spicekit.errors import BadInput
from spicekit.provenance import content_hash

LOCK_FILE = ".calibrating"


class TableLocks:
    """Locks of this process; the operating system drops them with the process, however it ends.

    A table is a byte of the store's lock file, at an offset from the hash of its name (POSIX record locks, so
    that a store on NFS works too).
    """

    def __init__(self, store: Path) -> None:
        try:
            store.mkdir(parents=True, exist_ok=True)
            self._file = os.open(store / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise BadInput(
                f"{store}: cannot be written ({error.strerror}); make it writable or pass another --store."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)

    def take(self, name: str) -> bool:
        """Lock a table; False if another process has it."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(name))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def wait(self, name: str) -> None:
        """Lock a table as soon as no other process has it."""
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, _offset(name))

    def drop(self, name: str) -> None:
        """Give a lock back."""
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _offset(name))


def _offset(name: str) -> int:
    return int(content_hash(name)[:15], 16)  # below 2^63, the largest offset
