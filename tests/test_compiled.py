"""Compiled code is kept where nobody else can put any, and what works does so without such a place."""

import ast
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import spicekit
from spicekit.compiled import MEMORY_ENVIRONMENT, code_folder, compiled, refusal
from spicekit.provenance import _source

TWICE = """
import sys, os
from spicekit.compiled import code_folder, compiled
import kernel_module
print(kernel_module.twice(21), code_folder().path, code_folder().fault or "lasting", sep="|")
"""
KERNEL = "from spicekit.compiled import compiled\n\n@compiled()\ndef twice(number):\n    return 2 * number\n"


def run(folder: Path, **environment: str) -> list[str]:
    """What a process prints that compiles a kernel of the folder, with no HOME but what is passed."""
    (folder / "kernel_module.py").write_text(KERNEL)
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", TWICE],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env=kept | environment,
    )
    assert not done.stderr
    return done.stdout.strip().split("|")


def test_a_folder_of_the_users_own_is_kept_from_others_and_used_again(tmp_path: Path) -> None:
    place = tmp_path / "code"
    assert run(tmp_path, NUMBA_CACHE_DIR=str(place)) == ["42", str(place), "lasting"]
    assert place.stat().st_mode & 0o777 == 0o700
    made = sorted(place.rglob("*.nbc"))
    assert made
    run(tmp_path, NUMBA_CACHE_DIR=str(place))
    assert sorted(place.rglob("*.nbc")) == made


def test_another_checkout_of_the_same_code_compiles_nothing(tmp_path: Path) -> None:
    place, one, other = (tmp_path / name for name in ("code", "one", "other"))
    for folder in (one, other):
        folder.mkdir()
        run(folder, NUMBA_CACHE_DIR=str(place))
        made = sorted(place.rglob("*.nbc"))
        assert len(made) == 1


def test_a_home_that_cannot_be_written_costs_a_fresh_folder_that_goes_with_the_process(
    tmp_path: Path,
) -> None:
    answer, place, why = run(tmp_path, HOME="/proc/nowhere")
    assert answer == "42"
    assert "cannot be written" in why
    assert not Path(place).exists()


def _open_to_others(path: Path) -> None:
    path.mkdir(mode=0o700)
    path.chmod(0o770)


def _below_a_loose_folder(path: Path) -> None:
    path.parent.chmod(0o777)


def _a_link(path: Path) -> None:
    (path.parent / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(path.parent / "elsewhere")


def _a_file(path: Path) -> None:
    path.touch()


def _another_users(path: Path) -> None:
    path.mkdir(mode=0o700)
    os.chown(path, 12345, 12345)


@pytest.mark.parametrize("prepare", [_open_to_others, _below_a_loose_folder, _a_link, _a_file, _another_users])
def test_a_folder_that_others_could_fill_is_refused(tmp_path: Path, prepare) -> None:
    if prepare is _another_users and os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    assert refusal(tmp_path / "safe") is None
    (tmp_path / "loose").mkdir()
    prepare(tmp_path / "loose" / "code")
    assert refusal(tmp_path / "loose" / "code")


def test_a_safe_folder_inside_a_sticky_one_is_taken(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    assert refusal(tmp_path / "tmp" / "code") is None


def test_this_process_has_a_folder() -> None:
    assert code_folder().path.is_dir()


def test_code_compiled_from_other_sources_is_kept_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = set()
    for digest in ("a" * 64, "b" * 64):
        monkeypatch.setattr("spicekit.compiled.code_hash_of", lambda module, digest=digest: digest)
        folders.add(compiled()(lambda x: x + 1).stats.cache_path)
    assert len(folders) == 2


def test_imports_are_those_that_a_parser_finds() -> None:
    """What decides a cache's key is found without parsing: every import within the package, of every module."""
    package = Path(spicekit.__file__).parent
    for path in package.rglob("*.py"):
        found = _source(".".join(["spicekit", *path.relative_to(package).with_suffix("").parts]))
        assert found is not None
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                wanted = {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom):
                wanted = {f"{node.module}.{each.name}" for each in node.names} | {str(node.module)}
            else:
                continue
            assert {name for name in wanted if name.split(".")[0] == "spicekit"} <= set(found[1]), path


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_memory_that_is_kept_is_not_fetched_anew():
    script = """
import resource, sys
import numpy as np
from spicekit.compiled import keep_memory
if sys.argv[1:]:
    keep_memory()
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(3 << 20, np.uint8) for _ in range(30)]
    del arrays
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""
    environment = {name: value for name, value in os.environ.items() if name not in MEMORY_ENVIRONMENT}
    counts = [
        int(
            subprocess.run(
                [sys.executable, "-c", script, *kept], env=environment, capture_output=True, check=True
            ).stdout
        )
        for kept in ([], ["kept"])
    ]
    assert counts[1] < counts[0] / 20
