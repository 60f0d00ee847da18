"""The shipped tables' read port against that of the ASAP7 kit's own cards in BSIM-CMG 107, simulated with VACASK."""

import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.devices.cards import Corner
from spicekit.engines.cell_currents import lsb
from spicekit.tables.store import find_table

# A, at 0.35 V and a word line of 0.7 V.
KIT = {
    ("tt", 298.15): 28.65e-6,
    ("ff", 298.15): 36.02e-6,
    ("ss", 298.15): 22.55e-6,
    ("tt", 398.15): 27.07e-6,
    ("ff", 398.15): 33.69e-6,
    ("ss", 398.15): 21.46e-6,
}


@pytest.mark.parametrize(("process", "temperature"), KIT)
def test_lsb_is_within_a_hundredth_of_the_kits_own_cards(process, temperature):
    spec = TileSpec(wires=Wires(r_bl=3.2, r_sl=3.2), corner=Corner(process=process, temperature=temperature))
    assert lsb(spec, find_table(spec)) == pytest.approx(KIT[process, temperature], rel=0.01)
