"""The tutorials run as they stand, and the site builds without a warning."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TUTORIALS = ROOT / "docs" / "tutorials"
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    "NO_MKDOCS_2_WARNING": "1",
    "DISABLE_MKDOCS_2_WARNING": "true",
}


def blocks(page: str, language: str) -> list[str]:
    """Code of a language on a page, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", (TUTORIALS / page).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.timeout(900)
def test_the_first_tutorial_runs_from_calibration_to_report(tmp_path):
    script = "set -e\n" + "\n".join(blocks("first-report.md", "sh"))
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert {"tile.html", "result.html"} <= {path.name for path in tmp_path.iterdir()}
    assert "BinSparX" in done.stdout


@pytest.mark.timeout(300)
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("material")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "site" / "reference" / "command-line" / "index.html").read_text()
    assert "spicekit evaluate" in text
    assert "--fidelity" in text
