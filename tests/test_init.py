"""Starter files: what they are for takes them as they are."""

import pytest
from typer.testing import CliRunner

from spicekit.cli.app import app
from spicekit.cli.init import FILES, STARTERS, Starter
from spicekit.evaluation.design import Design, read_design
from spicekit.study.plan import read_study


def written(folder, what):
    path = folder / FILES[what]
    result = CliRunner().invoke(app, ["init", what.value, "--out", str(path)])
    assert result.exit_code == 0, result.output
    return path


def test_a_starter_is_written_for_each_thing_and_never_over_another_file(tmp_path):
    for what in Starter:
        path = written(tmp_path, what)
        assert path.read_bytes() == (STARTERS / FILES[what]).read_bytes()
        assert CliRunner().invoke(app, ["init", what.value, "--out", str(path)]).exception


def test_a_tile_starter_is_a_design_and_so_is_every_line_it_comments_out(tmp_path):
    path = written(tmp_path, Starter.TILE)
    assert isinstance(read_design(path), Design)
    text = path.read_text()
    for line in text.splitlines():
        if line.startswith("# ") and "=" in line.partition("#")[2].partition("#")[0]:
            path.write_text(text.replace(line, line[2:]))
            read_design(path)


def test_a_study_starter_is_a_study(tmp_path):
    assert len(read_study(written(tmp_path, Starter.STUDY)).points) == 12


@pytest.mark.timeout(600)
def test_a_network_starter_runs(tmp_path, capsys):
    code = written(tmp_path, Starter.NETWORK).read_text()
    exec(compile(code, "network.py", "exec"), {"__name__": "starter"})
    assert "BinSparX both:" in capsys.readouterr().out
