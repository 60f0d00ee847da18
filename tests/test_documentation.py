"""Tutorials and how-to pages run as they stand, and the site builds without a warning."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from spicekit.cli.app import app
from spicekit.cli.main import ANYWHERE

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
    return "\n".join(re.findall(r"^ *```sh\n(.*?)^ *```", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL))


def run(page: str, folder: Path) -> str:
    """What the commands of a page print on standard output."""
    script = "set -e\n" + commands(page)
    done = subprocess.run(["bash", "-c", script], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def named(text: str) -> Iterator[list[str]]:
    """Words of each `spicekit` command that a page shows or names, without comments."""
    code = re.findall(r"^ *```(?:sh|console|text)?\n(.*?)^ *```|^((?:    .*\n)+)|`(spicekit [^`]+)`", text, re.M | re.S)
    for block in map("".join, code):
        for line in block.replace("\\\n", " ").splitlines():
            if found := re.search(r"(?:^|[;&$] *)spicekit .*", line.strip()):
                words = re.split(r"\s#|[;|>&]", found[0].lstrip("$;& "))[0]
                yield shlex.split(words.replace("...", ""))[1:]


PAGES = sorted(path for path in [ROOT / "README.md", *DOCS.rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_command_of_a_page_has_its_verb_and_options(page):
    for words in named(page.read_text()):
        command, path = typer.main.get_command(app), ["spicekit"]
        words = [word for word in words if word not in ANYWHERE]
        while words and hasattr(command, "commands") and not words[0].startswith("-"):
            path.append(words.pop(0))
            assert path[-1] in command.commands, " ".join(path)
            command = command.commands[path[-1]]
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        given = {word.split("=")[0] for word in words if word.startswith("-") and len(word) > 1}
        assert given <= known | {"-h", "--help"}, " ".join(path)


def test_files_that_pages_name_are_there():
    folders = "cells|calibration|device_models|docs|netlists|scripts|spicekit|tests"
    made = DOCS / "validation.md"  # names modules as they were when they were measured
    missing = [
        (page.name, name)
        for page in [*PAGES, ROOT / "CONTRIBUTING.md"]
        for name in re.findall(rf"(?<![\w./-])((?:{folders})/[\w./*-]*\w)", page.read_text())
        if page != made and not any(ROOT.glob(name))
    ]
    assert not missing


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_first_tutorial_runs_from_calibration_to_report_and_prints_what_it_says(tmp_path):
    said = " ".join(run("tutorials/first-report.md", tmp_path).split())
    assert {"tile.html", "result.html"} <= {path.name for path in tmp_path.iterdir()}
    text = (DOCS / "tutorials" / "first-report.md").read_text()
    shown = re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(shown) >= 2
    for lines in shown:
        assert " ".join(lines.split()) in said


@pytest.mark.long
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
