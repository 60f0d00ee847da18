"""Fits are repeatable: the shipped cards are what `spicekit devices fit` writes."""

import re
import shutil
from pathlib import Path

import pytest

from spicekit.devices.cards import device_folder
from spicekit.devices.fit import fit_device
from spicekit.devices.record import write_device
from spicekit.errors import BadInput


def numbers(path: Path) -> list[float]:
    return [float(value) for value in re.findall(r"=(\S+?)\)?(?:\s|$)", path.read_text())]


def test_refit_gives_the_shipped_cards(tmp_path: Path) -> None:
    rows = write_device(fit_device("nmos-slvt"), tmp_path)
    assert all(row.within for row in rows)
    for name in ("tt.sp", "ff.sp", "ss.sp"):
        # ngspice's tolerances and the platform's rounding; a parameter that moves by 1e-3 moves Idsat by less
        assert numbers(tmp_path / name) == pytest.approx(
            numbers(device_folder("nmos-slvt") / name), rel=1e-3, abs=1e-6
        )


def test_sheet_without_targets_cannot_be_fitted(tmp_path: Path) -> None:
    shutil.copytree(device_folder("nmos-slvt"), tmp_path / "own")
    sheet = tmp_path / "own" / "device.toml"
    sheet.write_text("[geometry]\nwidth = 1e-7\nlength = 2e-8\n")
    with pytest.raises(BadInput, match="'targets' is missing"):
        fit_device(str(tmp_path / "own"))
