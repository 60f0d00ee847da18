"""Scripts that prove something run at their smallest."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(script: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / script, *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_kills_lose_nothing(tmp_path):
    run("kills.py", "--kills", "2", "--only", "cache", "--out", str(tmp_path / "kills.json"))
    (count,) = json.loads((tmp_path / "kills.json").read_text()).values()
    assert (count["kills"], count["lost"], count["different"], count["orphans"]) == (2, 0, 0, 0)


@pytest.mark.long
def test_a_changed_loop_is_noticed(tmp_path):
    out = tmp_path / "mutants.json"
    tests = ("--tests", "tests/engines/test_small_tiles.py")
    said = run(
        "mutate.py", "--quick", "--count", "60", "--only", "engines/fast/fac", *tests, "--out", str(out)
    )
    assert "killed by tests/engines/test_small_tiles.py" in said
    tried = json.loads(out.read_text())["mutants"]
    assert any(mutant["killed_by"] for mutant in tried)
