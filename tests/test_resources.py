"""What ships lies in the wheel where spicekit looks for it."""

import tomllib
from pathlib import Path
from typing import get_args

import pytest

import spicekit
from spicekit import files
from spicekit.errors import BadInput

CHECKOUT = Path(spicekit.__file__).parent.parent


def test_a_folder_of_the_same_name_beside_an_installed_package_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("calibration", "spicekit/_data/calibration", "other/calibration"):
        (tmp_path / place).mkdir(parents=True)
    monkeypatch.setattr(files, "_PACKAGE", tmp_path / "spicekit")
    assert files.shipped_folder("calibration") == tmp_path / "spicekit/_data/calibration"
    monkeypatch.setattr(files, "_PACKAGE", tmp_path / "other/spicekit")  # nothing of ours at all
    with pytest.raises(BadInput, match="reinstall"):
        files.shipped_folder("calibration")


def test_an_installed_package_finds_every_folder_that_the_wheel_takes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    for source, target in build["targets"]["wheel"]["force-include"].items():
        place = tmp_path / target
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(CHECKOUT / source)
    monkeypatch.setattr(files, "_PACKAGE", tmp_path / "spicekit")
    for name in get_args(files.Shipped):
        assert files.shipped_folder(name).samefile(CHECKOUT / name)
