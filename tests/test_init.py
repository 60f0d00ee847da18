"""Starter files: what they are for takes them as they are."""

import pytest
from typer.testing import CliRunner

from spicekit.circuits.cells import load_cell
from spicekit.cli.app import FILES, STARTERS, app
from spicekit.evaluation.design import Design, read_design
from spicekit.study.plan import read_study


def written(folder, what):
    path = folder / FILES[what]
    result = CliRunner().invoke(app, ["init", what, "--out", str(path)])
    assert result.exit_code == 0, result.output
    return path


def test_a_starter_is_written_for_each_thing_and_never_over_another_file(tmp_path):
    for what in FILES:
        path = written(tmp_path, what)
        for one in path.iterdir() if path.is_dir() else [path]:
            assert one.read_bytes() == (STARTERS / FILES[what] / one.relative_to(path)).read_bytes()
        assert CliRunner().invoke(app, ["init", what, "--out", str(path)]).exception


def test_a_tile_starter_is_a_design_and_so_is_every_line_it_comments_out(tmp_path):
    path = written(tmp_path, "tile")
    assert isinstance(read_design(path), Design)
    text = path.read_text()
    for line in text.splitlines():
        if line.startswith("# ") and "=" in line.partition("#")[2].partition("#")[0]:
            path.write_text(text.replace(line, line[2:]))
            read_design(path)


def test_a_study_starter_is_a_study(tmp_path):
    assert len(read_study(written(tmp_path, "study")).points) == 12


@pytest.mark.timeout(600)
def test_a_network_starter_runs(tmp_path, capsys):
    code = written(tmp_path, "network").read_text()
    exec(compile(code, "network.py", "exec"), {"__name__": "starter"})
    assert "mitigation both:" in capsys.readouterr().out


@pytest.mark.long
def test_a_cell_starter_calibrates_as_it_stands_and_passes_against_ngspice(tmp_path):
    folder = written(tmp_path, "cell")
    spec, store = folder / "tile.toml", tmp_path / "tables"
    for words in (["calibrate"], ["signoff", "--vectors", "1"]):
        done = CliRunner().invoke(app, [*words, "--spec", str(spec), "--store", str(store)])
        assert done.exit_code == 0, done.output


def test_a_cell_starter_may_have_every_line_that_it_comments_out(tmp_path):
    sheet = written(tmp_path, "cell") / "cell.toml"
    text = sheet.read_text()
    assert load_cell(str(sheet)).sheet.bitline is False
    sheet.write_text(text.replace("# bitline", "bitline"))
    assert load_cell(str(sheet)).sheet.bitline
    ports = ("q", "vdd", "wwl", "vss")
    for port in ports:
        text = text.replace(f"# {port} =", f"{port} =")
    sheet.write_text(text)
    deck = sheet.with_name("cell.sp")
    deck.write_text(deck.read_text().replace("bl wl sl", f"bl wl sl {' '.join(ports)}"))
    assert len(load_cell(str(sheet)).sheet.ports) == 3 + len(ports)
