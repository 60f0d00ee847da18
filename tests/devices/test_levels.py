"""Which models this ngspice runs."""

import pytest

from spicekit.devices.bsim4 import card_level, require_runnable, supported_levels
from spicekit.errors import BadInput
from spicekit.spice.simulator import supports_osdi


def test_level_is_one_where_none_is_given() -> None:
    assert card_level(".model n nmos (vto=0.4)") == 1


def test_this_ngspice_runs_bsim4_and_not_every_level() -> None:
    levels = supported_levels()
    assert {1, 14, 54} <= levels
    assert 98 not in levels


def test_osdi_is_told_with_yes_or_no() -> None:
    assert supports_osdi() in (True, False)


def test_level_beyond_ngspice_is_refused_although_ngspice_would_take_level_1_instead() -> None:
    with pytest.raises(BadInput, match="level 999"):
        require_runnable(".model n nmos (level=999)", source="mine.sp")


def test_a_card_whose_level_was_forgotten_is_refused_where_ngspice_would_drop_its_parameters() -> None:
    require_runnable(".model n nmos (vto=0.4 kp=1e-4)\n", source="old.sp")
    with pytest.raises(BadInput, match=r"leaves vth0, toxe out: MOS level 1 .*write the level"):
        require_runnable(".model n nmos (vth0=0.4 toxe=2n)\n", source="mine.sp")
