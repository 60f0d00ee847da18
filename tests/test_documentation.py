"""Tutorials and how-to pages run as they stand, and the site builds without a warning."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SMALL = "[tile]\nrows = 16\ncolumns = 8\nrows_active = 16\n[wires]\nlayer = 'M2'\npitch_nm = 108\n"
"""Design for pages that begin with one: ngspice solves it in no time."""
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "PYTHONPATH": str(ROOT),
    "NO_MKDOCS_2_WARNING": "1",
    "DISABLE_MKDOCS_2_WARNING": "true",
}


def commands(page: str) -> str:
    """All shell commands of a page, in order."""
    return "\n".join(
        re.findall(r"^ *```sh\n(.*?)^ *```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    )


def run(page: str, folder: Path) -> str:
    """What the commands of a page print on standard output."""
    script = "set -e\n" + commands(page)
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(900)
def test_the_first_tutorial_runs_from_calibration_to_report_and_prints_what_it_says(tmp_path):
    said = " ".join(run("tutorials/first-report.md", tmp_path).split())
    assert {"tile.html", "result.html"} <= {path.name for path in tmp_path.iterdir()}
    text = (DOCS / "tutorials" / "first-report.md").read_text()
    shown = re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(shown) >= 2
    for lines in shown:
        assert " ".join(lines.split()) in said


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", ["own-cell", "own-card", "own-images", "sign-off"])
def test_a_how_to_page_runs_as_it_stands(tmp_path, page):
    if page == "sign-off":
        (tmp_path / "tile.toml").write_text(SMALL)
    run(f"howto/{page}.md", tmp_path)


@pytest.mark.timeout(300)
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("material")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "site" / "reference" / "command-line" / "index.html").read_text()
    assert "spicekit evaluate" in text
    assert "--fidelity" in text
