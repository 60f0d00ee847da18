"""`spicekit devices`: exit status and what it prints."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spicekit.cli.devices import devices
from spicekit.devices.cards import device_folder
from spicekit.errors import BadInput

run = CliRunner().invoke


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return Path(shutil.copytree(device_folder("nmos-rvt"), tmp_path / "own"))


def test_check_of_a_shipped_device_passes_and_shows_its_targets() -> None:
    result = run(devices, ["check", "nmos-rvt"])
    assert result.exit_code == 0
    assert "37.85" in result.stdout


def test_check_fails_where_a_target_is_out_of_reach(own: Path) -> None:
    sheet = own / "device.toml"
    sheet.write_text(sheet.read_text().replace("value = 37.85e-6", "value = 40e-6"))
    result = run(devices, ["check", str(own), "--json"])
    assert result.exit_code == 1
    rows = json.loads(result.stdout)
    assert [row["figure"] for row in rows["figures"] if not row["within"]] == ["idsat"]
    assert all(row["within"] for row in rows["curves"])


def test_check_fails_where_a_card_is_off_its_curves(own: Path) -> None:
    (own / "tt.sp").write_text((own / "ss.sp").read_text())
    result = run(devices, ["check", str(own), "--json"])
    assert result.exit_code == 1
    off = [row for row in json.loads(result.stdout)["curves"] if not row["within"]]
    assert {(row["process"], row["celsius"]) for row in off} == {("tt", -40), ("tt", 25), ("tt", 125)}


def test_fit_of_a_single_card_says_what_it_needs(own: Path) -> None:
    card = (own / "tt.sp").rename(own / "mine.sp")
    before = card.read_text()
    result = run(devices, ["fit", str(card)])
    assert isinstance(result.exception, BadInput)
    message = str(result.exception)
    assert str(card) in message
    assert "expected a folder with a sheet, device.toml" in message
    assert f"spicekit devices check {card}" in message
    assert card.read_text() == before


def test_plot_writes_a_png(tmp_path: Path) -> None:
    result = run(devices, ["plot", "nmos-sram", "--out", str(tmp_path / "a.png")])
    assert result.exit_code == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
