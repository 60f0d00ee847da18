"""Which designs share what their tiles read."""

import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.engines.cell_currents import Variation
from spicekit.engines.converter import Converter
from spicekit.evaluation.costs import Costs
from spicekit.evaluation.design import Ablation, Design, Limits, Mapping, Read

DESIGN = Design(tile=TileSpec(wires=Wires(r_bl=3.2, r_sl=3.2)))


@pytest.mark.parametrize(
    "change",
    [
        {"converter": Converter(bits=3, reference="linear")},
        {"variation": Variation(mismatch=1.0, stuck_at_0=0.1, seed=2)},
        {"read": Read(time=2e-9)},
        {"mapping": Mapping(recalibrate=8)},
        {"ablation": Ablation(layer="conv2")},
        {"limits": Limits(fast_rms=0.1)},
        {"costs": Costs(converter_capacitance=1e-15)},
    ],
)
def test_designs_that_differ_behind_the_cells_share_their_reads(change):
    assert DESIGN.replace(**change).as_read() == DESIGN.as_read()


@pytest.mark.parametrize(
    "change",
    [
        {"tile": DESIGN.tile.replace(rows_active=16)},
        {"tile": DESIGN.tile.replace(wires=Wires(r_bl=3.2, r_sl=3.3))},
        {"mapping": Mapping(flip_rule="position")},
        {"mapping": Mapping(unrolling="kernel-major")},
        {"ablation": Ablation(linear_cells=True)},
    ],
)
def test_designs_that_decide_reads_do_not_share_them(change):
    assert DESIGN.replace(**change).as_read() != DESIGN.as_read()
