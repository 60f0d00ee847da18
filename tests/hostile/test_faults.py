"""Faults of the machine, made to happen: each costs what it touches, and says so in one line."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from spicekit.engines.cache import cached
from spicekit.errors import MissingTool
from spicekit.spice import simulator
from spicekit.spice.batch import run_batch
from spicekit.spice.simulator import Job, Step

DIVIDER = "* a divider\nv1 a 0 1.5\nr1 a b 1k\nr2 b 0 2k\n.end\n"
ONE_VOLT = f"""
from spicekit.spice.simulator import Job, Step, simulate
from spicekit.errors import SpicekitError
try:
    print(simulate(Job({DIVIDER!r}, (Step("op"),), keep=("b",)))[0]["b"][0])
except (SpicekitError, OSError) as error:
    print(type(error).__name__, error)
"""


def said(script: str, *, before: str = "", **environment: str) -> str:
    """What a script prints, behind some shell commands."""
    command = ["bash", "-c", f'{before} exec "$0" -c "$1"', sys.executable, script]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    return done.stdout + done.stderr


@pytest.fixture
def comma(tmp_path: Path) -> str:
    """Folder of a locale that writes one and a half with a comma."""
    made = subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "UTF-8", tmp_path / "de_DE.UTF-8"], capture_output=True, text=True
    )
    if not (tmp_path / "de_DE.UTF-8").exists():
        pytest.skip(f"no such locale can be made: {made.stderr}")
    return str(tmp_path)


def test_decimal_commas_change_no_number(comma):
    environment = {"LOCPATH": comma, "LC_ALL": "de_DE.UTF-8"}
    german = "import locale; print(locale.setlocale(locale.LC_ALL, ''), locale.str(1.5))\n"
    assert "1,5" in said(german, **environment)
    assert said(german + ONE_VOLT, **environment).splitlines()[1] == "1.0"
    deck = DIVIDER.replace(".end", ".control\nop\nprint v(b)\nquit 0\n.endc\n.end")
    batch = f"from spicekit.spice.batch import run_batch; print(run_batch({deck!r}, timeout=60.0).output)"
    assert "v(b) = 1.000000e+00" in said(german + batch, **environment)


def test_a_library_that_hangs_at_its_start_is_given_up(tmp_path, monkeypatch):
    source, library = tmp_path / "hang.c", tmp_path / "libhang.so"
    source.write_text("#include <unistd.h>\nint ngSpice_Init(void) { sleep(1000); return 0; }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    monkeypatch.setattr(simulator, "_START", 1.0)
    monkeypatch.setattr(simulator, "_library", lambda: str(library))
    with pytest.raises(MissingTool, match="does not start"):
        simulator.simulate(Job(DIVIDER, (Step("op"),)))


@pytest.mark.parametrize("descriptors", [64, 12])
def test_few_descriptors_are_enough_or_the_reason(descriptors):
    """Twelve are too few for Python and its pipes; either way there is a number or one line."""
    output = said(ONE_VOLT, before=f"ulimit -n {descriptors};")
    assert output == "1.0\n" if descriptors == 64 else "Too many open files" in output or output == "1.0\n"


def test_a_folder_for_temporary_files_that_cannot_be_written_is_named(tmp_path):
    """Root may write anywhere, so the place is a file."""
    (tmp_path / "file").write_text("")
    script = "import tempfile; tempfile.tempdir = None\n" + ONE_VOLT
    hide = "import tempfile; tempfile._candidate_tempdir_list = lambda: ['/nowhere']"
    (tmp_path / "sitecustomize.py").write_text(hide)
    output = said(script, PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    assert "No usable temporary directory" in output


def test_threads_and_processes_share_a_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPICEKIT_CACHE", str(tmp_path))
    script = (
        "import numpy as np; from spicekit.engines.cache import cached\n"
        "for key in range(20): print(cached(f'k{key}', lambda: {'a': np.full(1000, key)})['a'].sum())"
    )
    other = threading.Thread(target=lambda: outputs.append(said(script)))
    outputs: list[str] = []
    other.start()
    ours = [cached(f"k{key}", lambda key=key: {"a": np.full(1000, key)})["a"].sum() for key in range(20)]
    other.join()
    assert outputs == ["".join(f"{value}\n" for value in ours)]
    assert not list(tmp_path.glob(".*.part"))


def test_a_clock_in_the_past_makes_no_other_result():
    """Time decides names and provenance, never a number."""
    frozen = "import time; time.time = lambda: 86400.0\n"
    assert said(frozen + ONE_VOLT) == "1.0\n"


def test_a_solution_that_ngspice_does_not_find_is_no_number():
    """A current through nothing but a capacitor, and an element whose value is no number."""
    deck = "* no path\ni1 0 a 1\nc1 a 0 1p\nb1 b 0 v={log(-1)}\nr1 b 0 1k\n"
    deck += ".control\nop\nprint v(b)\nquit 0\n.endc\n.end\n"
    assert "v(b) = 1.0" not in run_batch(deck, timeout=60.0).output
    bare = deck[: deck.index(".control")] + ".end\n"
    ((_, outcome),) = simulator.simulate_all([Job(bare, (Step("op"),))], workers=1)
    assert getattr(outcome, "reason", "") or outcome.runs[0].trouble
