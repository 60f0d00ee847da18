"""A binary network of your own on tiles: replace `network` and the images by yours."""

import torch
from torch import nn

import spicekit as sk


def signs_of(x):
    """-1 or +1; sign(0) is +1."""
    return torch.where(x >= 0, 1.0, -1.0)


class Sign(nn.Module):
    """Activations of -1 and +1."""

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

test = sk.load_dataset("digits", "test").first(100)
train = sk.load_dataset("digits", "train").first(64)
adopted = sk.adopt(network, next(test.batches(16)), binary=["4"])

design = sk.design(rows_active=16, layer="M6", pitch_nm=108)
result = sk.evaluate(adopted, test, design, calibration=train)
print(f"software {result.software:.1%}, ideal tiles {result.ideal:.1%}")
for run in result.runs:
    print(f"mitigation {run.mitigation}: {run.accuracy:.1%}")
