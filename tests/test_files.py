"""Files of ours are whole or not there, whoever else writes them; files from outside are read at one place."""

import os
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import spicekit
from spicekit.circuits.cells import load_cell
from spicekit.errors import BadInput
from spicekit.files import open_file, shipped_folder, write_atomically

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


def test_who_may_read_the_old_file_may_read_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.touch(mode=0o600)
    write_atomically(path, "new")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a link of another user's")
def test_a_link_that_another_user_put_there_is_not_followed(tmp_path: Path) -> None:
    """In a folder of theirs the kernel follows it, as it does not in /tmp itself."""
    victim, link = tmp_path / "victim", tmp_path / "result.json"
    victim.write_text("precious")
    link.symlink_to(victim)
    write_atomically(link, "ours")
    assert link.is_symlink()
    assert victim.read_text() == "ours"
    victim.write_text("precious")
    os.chown(link, 65534, 65534, follow_symlinks=False)
    write_atomically(link, "theirs")
    assert not link.is_symlink()
    assert (victim.read_text(), link.read_text()) == ("precious", "theirs")
    assert link.stat().st_mode & 0o111 == 0


@pytest.mark.parametrize("name", ["nul\0", "half a letter \ud800"])
def test_a_name_that_no_file_has_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        open_file(Path(name))


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


OPENED_ELSEWHERE = {
    "__init__.py": "its own stub",
    "circuits/render.py": "templates that ship",
    "cli/app.py": "starters that ship",
    "config.py": "a line number, of a file that `read_file` has read",
    "devices/cards.py": "a compiled model, which its user trusts with all else",
    "devices/bsim4.py": "parameters that ship",
    "engines/cache.py": "the user's own cache",
    "provenance.py": "the package's own code",
    "report/page.py": "the page's own files",
    "report/results.py": "the log of a study, in a folder of ours",
    "spice/batch.py": "what ngspice wrote in its private folder, and VACASK's own bytes",
    "spice/cage.py": "folders that the cage opens to ngspice",
    "spice/server.py": "pipes and /dev/null",
    "spice/worker.py": "/proc/self and /dev/null",
    "study/jobs.py": "a network that `load_network` has read",
    "study/results.py": "the log of a study, in a folder of ours",
    "tables/calibrate.py": "the lock of the user's own store",
    "tables/inventory.py": "tables of a store, whose folder was listed",
}


def test_files_from_outside_are_opened_at_one_place():
    """`files.open_file` refuses what blocks or has no end; who opens a file otherwise says here what it is."""
    package = Path(spicekit.__file__).parent
    opening = re.compile(r"(?<![\w.])open\(|\.read_text\(|\.read_bytes\(|np\.load\(|os\.open\(")
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if opening.search(path.read_text("utf-8")) and path.name != "files.py"
    }
    assert found == set(OPENED_ELSEWHERE)


@pytest.mark.parametrize("what", ["pipe", "device", "outside"])
def test_a_cells_sheet_names_a_file_beside_it(tmp_path, what):
    """Naively read, a pipe blocks for ever, /dev/zero takes all memory, and a path reads any file."""
    folder = tmp_path / "cell"
    shutil.copytree(shipped_folder("cells") / "1t1r", folder)
    (folder / "cell.sp").unlink()
    if what == "pipe":
        os.mkfifo(folder / "cell.sp")
    elif what == "device":
        (folder / "cell.sp").symlink_to("/dev/zero")
    else:
        (tmp_path / "cell.sp").write_text("secret")
        sheet = (folder / "cell.toml").read_text()
        (folder / "cell.toml").write_text(f'file = "../cell.sp"\n{sheet}')
    with pytest.raises(BadInput, match=r"no regular file|'file' = '\.\./cell\.sp'") as refused:
        load_cell(str(folder / "cell.toml"))
    assert "secret" not in str(refused.value)
