"""How far lost current moves the dot products of several number formats (docs/decisions/four-bits.md).

    python scripts/number_formats.py

Reads of 16 rows lose a S^2 of their S ON cells, as IR drop does to first order, and are rounded. Weights and inputs are
independent normal variables, quantised as spicekit.networks.layers does.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spicekit.networks.layers import STEP_OF_16, STEP_OF_32

INPUTS, ROWS = 1152, 16  # of VGG-small's conv3
VECTORS, COLUMNS = 2000, 16
Array = NDArray[np.float64]
Planes = list[tuple[float, Array]]
"""Bits, each plane with what it stands for."""


def main() -> None:
    """Print the table: errors in standard deviations of the dot product, over the vectors that a column meets."""
    print("| format | ON cells of a read | NF at 4 ON cells | mean error | its variation |\n|---|---|---|---|---|")
    for nf in (0.03, 0.06, 0.11):
        for name, dots, weights, inputs in formats(np.random.default_rng(0)):
            lost, ones = losses(weights, inputs, a=nf / 4)
            slope = ((dots - dots.mean(0)) * lost).mean(0) / dots.var(0)  # a gain: batch norms do not see it
            rest = (lost - slope * dots).std(0)
            figures = np.abs(lost.mean(0)) / dots.std(0), rest / dots.std(0)
            print(f"| {name} | {ones:.2f} | {nf:.0%} | " + " | ".join(f"{x.mean():.3f}" for x in figures) + " |")


def formats(rng: np.random.Generator) -> Iterator[tuple[str, Array, Planes, Planes]]:
    """Name, dot products (vectors, columns), planes of weights and of inputs: of the same numbers in each format."""
    w, x = rng.standard_normal((INPUTS, COLUMNS)), rng.standard_normal((VECTORS, INPUTS))
    # a product of signs is 4 u_w u_a and sums that are counted, not read
    sign_w, sign_x = np.where(w < 0, -1.0, 1.0), np.where(x < 0, -1.0, 1.0)
    yield "1 bit, signs", sign_x @ sign_w, [(4, (sign_w + 1) / 2)], [(1, (sign_x + 1) / 2)]
    odd_w, odd_x = (np.clip(2 * np.floor(each / STEP_OF_16) + 1, -15, 15) for each in (w, x))
    places = planes((odd_w + 15) / 2)
    yield "4 bits, each a sign", odd_x @ odd_w, [(4 * v, u) for v, u in places], planes((odd_x + 15) / 2)
    levels, inputs = np.clip(np.round(w / STEP_OF_16), -8, 7), np.clip(np.round(x / STEP_OF_32), 0, 15)
    dots, bits = inputs @ levels, planes(inputs)
    yield "4 bits, unsigned x offset by 8", dots, planes(levels + 8), bits
    yield "4 bits, unsigned x two's complement", dots, planes(levels, top=-8), bits
    negative = [(-v, u) for v, u in planes(np.maximum(-levels, 0))]
    yield "4 bits, unsigned x two magnitudes", dots, [*planes(np.maximum(levels, 0)), *negative], bits


def planes(levels: Array, *, top: float = 8) -> Planes:
    """Four planes of integers, the upper one standing for `top`."""
    code = levels.astype(np.int64)
    return [(v, (code >> place & 1).astype(float)) for place, v in enumerate((1, 2, 4, top))]


def losses(weights: Planes, inputs: Planes, *, a: float) -> tuple[Array, float]:
    """What each dot product (vectors, columns) loses, and the mean number of ON cells of a read."""
    lost, ones = np.zeros((VECTORS, COLUMNS)), []
    for q, bits in inputs:
        groups = bits.reshape(VECTORS, -1, ROWS).transpose(1, 0, 2)
        for v, cells in weights:
            s = groups @ cells.reshape(-1, ROWS, COLUMNS)
            lost += v * q * (s - np.floor(s - a * s**2 + 0.5)).sum(0)
            ones.append(s.mean())
    return lost, float(np.mean(ones))


if __name__ == "__main__":
    main()
