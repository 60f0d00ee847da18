"""`spicekit doctor`: what is wrong comes with its cure, and nothing that is missing stops it."""

import ctypes.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spicekit.evaluation.doctor import Finding, examine
from spicekit.spice import simulator
from spicekit.spice.simulator import supports_osdi


@pytest.fixture
def _afresh() -> Iterator[None]:
    """Forget which libngspice was found, before and after."""
    for forget in (simulator._library.cache_clear, simulator._probed.cache_clear):
        forget()
    yield
    for forget in (simulator._library.cache_clear, simulator._probed.cache_clear):
        forget()


def problems() -> dict[str, Finding]:
    """What is wrong, by the first word."""
    return {finding.what.split()[0].rstrip(":"): finding for finding in examine() if finding.cure}


def test_nothing_required_is_wrong_here_but_the_tables_that_tests_do_not_have() -> None:
    wrong = {word for word, finding in problems().items() if finding.required}
    assert wrong <= {"default"}


def test_the_namesake_on_the_package_index_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is installed over this package: its metadata lies in site-packages."""
    place = tmp_path / "spicekit-9.9.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: spicekit\nVersion: 9.9\nSummary: NAIF kernels\n")
    monkeypatch.syspath_prepend(tmp_path)
    finding = problems()["packages"]
    assert "spicekit 9.9 (NAIF kernels), is installed over this one, spicekit-cim" in finding.what
    assert finding.required
    assert "pip uninstall spicekit" in str(finding.cure)


def test_osdi_is_told_with_its_cure() -> None:
    told = {finding.what: finding for finding in examine() if "Verilog-A" in finding.what}
    (mine,) = [finding for what, finding in told.items() if what.startswith("cards")]
    assert (mine.cure is None) == supports_osdi()
    assert not mine.required


def test_a_program_that_is_no_ngspice_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    impostor = tmp_path / "ngspice"
    impostor.write_text("#!/bin/sh\necho ready\n")
    impostor.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert "reinstall" in str(problems()["ngspice"].cure)


@pytest.mark.usefixtures("_afresh")
@pytest.mark.parametrize("library", [None, "libm.so.6"])
def test_a_missing_or_wrong_libngspice_is_cured_by_its_package(
    monkeypatch: pytest.MonkeyPatch, library: str | None
) -> None:
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: library)
    found = problems()["libngspice"]
    assert found.required
    assert "apt-get install" in str(found.cure)


def test_a_missing_torch_is_cured_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    found = problems()["torch"]
    assert "spicekit-cim[networks]" in str(found.cure)
    assert not found.required  # single tiles do without


@pytest.mark.long
def test_what_is_prepared_is_all_that_an_evaluation_calls(tmp_path: Path) -> None:
    """Loops with the types that they are compiled for; what one process compiled, others load (test_compiled.py)."""
    evaluation = """
import spicekit as sk
design = sk.design(layer="M4", pitch_nm=108, rows_active=ROWS)
sk.evaluate(sk.load_network("vgg-small"), sk.load_dataset("digits", "test").first(2), design)
"""
    listed = """
import gc, json
from numba.core.registry import CPUDispatcher
loops = [each for each in gc.get_objects() if type(each) is CPUDispatcher]
found = {f"{each.__module__}.{each.__qualname__} {types}" for each in loops for types in each.signatures}
print(json.dumps(sorted(found)))
"""

    environment = {**os.environ, "SPICEKIT_CACHE": str(tmp_path)}  # surrogates are fitted by loops, too

    def called(script: str) -> set[str]:
        command = [sys.executable, "-c", script + listed]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return set(json.loads(done.stdout))

    prepared = called("from spicekit.evaluation.doctor import prepare; prepare()")
    for rows in ("16", "64"):
        used = called(evaluation.replace("ROWS", rows))
        assert len(used) > 5
        assert used <= prepared
