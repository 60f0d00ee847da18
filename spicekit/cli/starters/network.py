"""A binary network of your own on tiles: replace `network` and the images by yours."""

from torch import nn

from spicekit.evaluation.design import design_from_tables
from spicekit.evaluation.evaluate import evaluate
from spicekit.networks.adopt import adopt
from spicekit.networks.data import load_dataset, network_inputs
from spicekit.networks.layers import signs_of
from spicekit.tables.store import find_table


class Sign(nn.Module):
    """Activations of -1 and +1; sign(0) is +1."""

    def forward(self, x):
        return signs_of(x)


network = nn.Sequential(
    nn.Conv2d(3, 16, 3, stride=2),  # the first layer stays digital
    nn.BatchNorm2d(16),
    Sign(),
    nn.ConstantPad2d(1, -1.0),  # pad with -1: zeros are no bits
    nn.Conv2d(16, 32, 3, stride=2, bias=False),  # "4", a binary layer: it goes on tiles
    nn.BatchNorm2d(32),
    nn.Flatten(),
    nn.Linear(32 * 8 * 8, 10),
)
network[4].weight.data = 0.1 * signs_of(network[4].weight.data)  # your training leaves weights of -s and +s

test = load_dataset("digits", "test").first(100)
train = load_dataset("digits", "train").first(64)
adopted = adopt(network, network_inputs(test.images[:16]), binary=["4"])

design = design_from_tables(
    {"tile": {"rows_active": 16}, "wires": {"layer": "M6", "pitch_nm": 108}}, source="network.py"
)
result = evaluate(
    adopted, test, design, find_table(design.tile), calibration=train, mitigations=("none", "both")
)
print(f"software {result.software:.1%}, ideal tiles {result.ideal:.1%}")
for run in result.runs:
    print(f"BinSparX {run.mitigation}: {run.accuracy:.1%}")
