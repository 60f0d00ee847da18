"""Files of ours are whole or not there, whoever else writes them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spicekit.files import write_atomically

WRITERS = 6


def test_threads_that_write_one_file_all_succeed_and_leave_one_of_their_contents(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    contents = [bytes([writer]) * 100_000 for writer in range(WRITERS)]
    together = threading.Barrier(WRITERS)

    def write(content: bytes) -> None:
        together.wait()
        for _ in range(15):
            write_atomically(path, content)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, contents))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["folder", ".", "nowhere/result.json", "file/result.json"])
def test_a_place_that_takes_no_file_is_named_as_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("file").touch()
    with pytest.raises(OSError) as failure:  # noqa: PT011 (which one, the system says)
        write_atomically(Path(name), "new")
    assert failure.value.filename == name
    assert {path.name for path in tmp_path.rglob("*")} == {"folder", "file"}


def test_a_write_that_fails_leaves_the_old_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    write_atomically(path, "old")
    during: list[str] = []

    def full(descriptor: int) -> None:
        during.extend(part.name for part in tmp_path.glob(".result.json.*.part"))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left") as failure:
        write_atomically(path, "new")
    assert failure.value.filename == str(path)
    assert len(during) == 1  # by the name that those who tidy up look for
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
