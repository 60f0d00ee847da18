"""Scripts that prove something run at their smallest."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from spicekit.compiled import code_folder

ROOT = Path(__file__).parent.parent


def run(script: str, *words: str) -> str:
    done = subprocess.run([sys.executable, ROOT / "scripts" / script, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_kills_lose_nothing(tmp_path):
    run("kills.py", "--kills", "2", "--only", "cache", "--out", str(tmp_path / "kills.json"))
    (count,) = json.loads((tmp_path / "kills.json").read_text()).values()
    assert (count["kills"], count["lost"], count["different"], count["orphans"]) == (2, 0, 0, 0)


@pytest.mark.long
def test_loops_by_hand_and_plain_ones_give_the_same():
    found = json.loads(run("bench_code.py"))["ratios"]
    assert {name: each["that_differ"] for name, each in found.items()} == dict.fromkeys(found, 0.0)
    assert min(each["values"] for each in found.values()) > 10


@pytest.mark.long
def test_a_changed_loop_is_noticed(tmp_path):
    out = tmp_path / "mutants.json"
    tests = ("--tests", "tests/engines/test_small_tiles.py")
    said = run("mutate.py", "--quick", "--count", "60", "--only", "engines/fast/fac", *tests, "--out", str(out))
    assert "killed by tests/engines/test_small_tiles.py" in said
    tried = json.loads(out.read_text())["mutants"]
    assert any(mutant["killed_by"] for mutant in tried)


def test_the_containers_steps_are_those_of_the_package():
    """What holds without a container: its files, extras, pins, packages and command exist, its shell is right."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    steps = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    of = {word: [rest for name, rest in steps if name == word] for word in ("ARG", "COPY", "RUN", "ENTRYPOINT")}
    for source, *_ in map(str.split, of["COPY"]):
        assert (ROOT / source).exists()
    for step in of["RUN"]:
        subprocess.run(["sh", "-n"], input=step, text=True, check=True)
    extras = re.search(r"/src\[(.*)\]", " ".join(of["RUN"]))
    assert extras is not None
    assert set(extras[1].split(",")) <= project["optional-dependencies"].keys()
    assert re.search(r"^torch==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)  # or the CPU build is replaced
    assert any(step.startswith('TORCH="torch --index-url') for step in of["ARG"])
    assert [json.loads(step) for step in of["ENTRYPOINT"]] == [[name] for name in project["scripts"]]
    (system,) = re.findall(r"apt-get install -y -q (.*) >", (ROOT / "scripts" / "setup.sh").read_text())
    (packages,) = re.findall(r"apt-get install .*?--no-install-recommends (.*?) &&", " ".join(of["RUN"]))
    assert {*system.split(), "python3-venv"} <= set(packages.split())
    assert {".git", ".venv"} <= set((ROOT / ".dockerignore").read_text().split())


@pytest.mark.long
def test_an_installed_wheel_needs_nothing_else(tmp_path):
    """Package, data and command, without the checkout and without a home; nothing is written beside them."""
    wheel, site, work = (tmp_path / name for name in ("wheel", "site", "work"))
    work.mkdir()
    python = [sys.executable, "-m"]
    subprocess.run([*python, "hatchling", "build", "-t", "wheel", "-d", wheel], cwd=ROOT, check=True)
    (built,) = wheel.glob("*.whl")
    install = ("pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target")
    subprocess.run([*python, *install, site, built], check=True)
    before = sorted(site.rglob("*"))
    rng = np.random.default_rng(0)
    np.save(work / "w.npy", rng.integers(0, 2, (64, 64), dtype=np.uint8))
    np.save(work / "a.npy", rng.integers(0, 2, (2, 64), dtype=np.uint8))
    given = ("--spec", "tile.toml", "--weights", "w.npy", "--inputs", "a.npy")
    alone = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(site),
        "HOME": "/nonexistent",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    shared = {"NUMBA_CACHE_DIR": str(code_folder().path)}  # so that nothing is compiled for this alone
    for words in (
        ("--version",),
        ("doctor",),
        ("init", "tile"),
        ("netlist", "tile", *given, "-o", "tile.cir", "--expect", "exact", "--read", "0"),
        ("netlist", "run", "tile.cir"),
        ("tile", *given, "--out", "tile.npz"),
        ("report", "tile.npz", "--out", "tile.html"),
        ("tables", "verify"),
        (
            "evaluate",
            "--network",
            "vgg-small-quarter",
            "--spec",
            "tile.toml",
            "--images",
            "2",
            "--out",
            "e.json",
        ),
    ):
        done = subprocess.run(
            [site / "bin" / "spicekit", *words], cwd=work, env=alone | shared, capture_output=True, text=True
        )
        assert done.returncode == 0, (words, done.stdout + done.stderr)
        assert str(ROOT) not in done.stdout + done.stderr
    assert json.loads((work / "e.json").read_text())["images"] == 2
    assert sorted(site.rglob("*")) == before
