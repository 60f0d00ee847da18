"""Surrogates that are kept: made once, right whoever makes them, and made again where the file is not as written."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from spicekit.engines import cache
from spicekit.engines.cache import Arrays, cached
from spicekit.errors import BadInput

MADE = {"quiet": np.arange(6.0).reshape(2, 3), "leak": np.array([np.pi])}


class Builder:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Arrays:
        self.calls += 1
        return MADE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPICEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def made(found: Arrays) -> bool:
    return found.keys() == MADE.keys() and all(np.array_equal(found[name], MADE[name]) for name in MADE)


def forget() -> None:
    """As a new process would."""
    cache._remembered.cache_clear()


def test_an_entry_is_made_once_and_read_back_to_the_bit(folder: Path) -> None:
    build = Builder()
    for _ in range(2):
        forget()
        assert made(cached("key", build))
    assert build.calls == 1
    assert [path.name for path in folder.iterdir()] == ["key.npz"]


def test_entries_made_at_the_same_time_are_all_right(folder: Path) -> None:
    together = threading.Barrier(6)

    def build() -> Arrays:
        together.wait()
        return MADE

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(lambda _: made(cached("key", build)), range(6)))
    forget()
    assert made(cached("key", Builder()))
    assert [path.name for path in folder.iterdir()] == ["key.npz"]


def _other_names(path: Path) -> None:
    np.savez(path, other=np.zeros(3))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_other_names, _cut, _one_bit, lambda path: path.write_bytes(b"")])
def test_an_entry_that_is_not_as_it_was_written_is_made_again(folder: Path, damage) -> None:
    cached("key", Builder())
    damage(folder / "key.npz")
    forget()
    build = Builder()
    assert made(cached("key", build))
    assert build.calls == 1
    forget()
    assert made(cached("key", build))
    assert build.calls == 1


@pytest.mark.parametrize("place", ["/proc/nope", "a-file"])
def test_a_folder_that_cannot_be_written_is_named_before_anything_is_built(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("SPICEKIT_CACHE", str(tmp_path / place))
    build = Builder()
    with pytest.raises(BadInput, match=f"{place}: .*; set SPICEKIT_CACHE to a folder"):
        cached("key", build)
    assert build.calls == 0


def test_a_disk_that_fills_up_is_named_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write_atomically", full)
    with pytest.raises(BadInput, match="No space left on device"):
        cached("key", Builder())


def test_without_a_folder_of_ones_own_the_users_is_made_or_a_fresh_one_taken(tmp_path, monkeypatch):
    monkeypatch.delenv("SPICEKIT_CACHE")
    for place, made in (("new/inner", True), ("new/inner", True), ("file", False)):
        (tmp_path / "file").touch()
        usual = tmp_path / place
        monkeypatch.setattr(cache.platformdirs, "user_cache_dir", lambda name, usual=usual: str(usual))
        cache._writable.cache_clear()
        assert (cache.cache_folder() == usual) == made
        assert cache.cache_folder().is_dir()
