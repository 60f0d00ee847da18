"""Fits reach their limits from their own start, and refuse what they cannot fit."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spicekit.devices import fit as fitting
from spicekit.devices.cards import card_from_text, device_folder
from spicekit.devices.fit import fit_device, least_squares, write_device
from spicekit.devices.measure import gate_capacitances, read_curves
from spicekit.errors import BadInput


def test_a_fit_of_one_corner_and_temperature_is_near_its_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A short fit from the starting values; the whole one takes minutes, and its result ships."""
    own = tmp_path / "own"
    shutil.copytree(device_folder("nmos-sram"), own)
    whole = read_curves(own / "curves.npz")
    np.savez(
        own / "curves.npz",
        process=["tt"],
        celsius=[25.0],
        v_ds=whole.v_ds,
        v_gs=whole.v_gs,
        current=whole.current[:1, 1:2],
    )
    monkeypatch.setattr(fitting, "_MOST", 6)
    found = fit_device(str(own))
    (row,) = found.errors["tt"]
    assert row.rms < 0.005
    write_device(found, own)
    card = card_from_text((own / "tt.sp").read_text(), found.sheet, device="own")
    assert gate_capacitances([card])[0] == pytest.approx(found.sheet.gate.capacitance.tt, rel=1e-3)


def test_least_squares_stop_at_a_bound_and_find_a_minimum_within() -> None:
    """Rosenbrock's valley, whose minimum is at (1, 1); bounded at 0.5 the best there is (0.5, 0.25)."""

    def residuals(points: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.stack([10 * (points[:, 1] - points[:, 0] ** 2), 1 - points[:, 0]], axis=1)

    low, scale = np.full(2, -2.0), np.ones(2)
    for high, at in ((2.0, (1, 1)), (0.5, (0.5, 0.25))):
        bounds = np.full(2, high)
        found = least_squares(residuals, np.array([-1.0, 0.4]), low=low, high=bounds, scale=scale, most=100, gain=1e-9)
        assert found.point == pytest.approx(at, abs=1e-2)


def test_sheet_without_curves_cannot_be_fitted(tmp_path: Path) -> None:
    shutil.copytree(device_folder("nmos-slvt"), tmp_path / "own")
    sheet = tmp_path / "own" / "device.toml"
    sheet.write_text("[geometry]\nwidth = 1e-7\nlength = 2e-8\n")
    with pytest.raises(BadInput, match=r"'curves' is missing|'gate' is missing|'polarity' is missing"):
        fit_device(str(tmp_path / "own"))


def test_curve_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "curves.npz"
    for content in (b"", b"PK\x03\x04 torn", b"not an archive"):
        path.write_bytes(content)
        with pytest.raises(BadInput, match="no curve file"):
            read_curves(path)
    np.savez(path, process=np.array(["tt"], object), celsius=[1], v_ds=[1], v_gs=[1], current=[1])
    with pytest.raises(BadInput, match=r"no curve file.*not a plain"):
        read_curves(path)
