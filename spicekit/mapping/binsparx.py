"""BinSparX (Malhotra and Gupta, arXiv 2412.03553): invert what holds more ones than zeros, correct digitally.

A read adds, in one column, the products of the bits u_w that a group of n rows stores and the bits u_a that are
applied to it. Stored or applied inverted, the column measures m, and the sum that was wanted is

    stored    applied    sum(u_w u_a)
    as is     as is       m
    inverted  as is      -m + sum(u_a)
    as is     inverted   -m + sum(u_w)
    inverted  inverted    m + sum(u_w) + sum(u_a) - n

so with flip bits f (column, known when weights are written) and d (sub-vector, from its popcount):

    sum(u_w u_a) = (-1)^(f+d) m + f (sum(u_a) - d n) + d sum(u_w)

The sums are popcounts: of the weights, stored; of the activations, taken anyway to decide d.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from spicekit.config import Config
from spicekit.errors import BadInput, no_such

FlipRule = Literal["count", "position"]


class BinSparX(Config):
    """Which flips are on and what decides them, and what else is done against losses without training.

    All of it is exact on ideal tiles.
    """

    static: bool = False
    """Store a column of a group inverted where it has more ones than zeros."""
    dynamic: bool = False
    """Apply a sub-vector, what one read asserts, inverted where it has more ones than zeros."""
    flip_rule: FlipRule = "count"
    """`count`: more ones than zeros, as published. `position`: more predicted error, see `positions`."""
    joint: bool = False
    """Static flips of all bit planes of a multi-bit weight are chosen together, see `positions.invert_together`."""
    faults: bool = False
    """Store a column of a group inverted where fewer of its cells then hold a wrong bit, on a die whose stuck cells are
    known; where both have as many, `static` decides. After BNN-Flip (Malhotra, Wang, Gupta, ASP-DAC 2024) and
    arXiv 2512.18459."""
    order: bool = False
    """Lay inputs out so that rows of many ones share the least resistance, see `positions.row_order`. After WAGONN
    (arXiv 2406.14706)."""

    @property
    def stores_inverted(self) -> bool:
        """Whether columns may be stored inverted."""
        return self.static or self.faults

    @property
    def flips(self) -> bool:
        """Whether anything is corrected digitally."""
        return self.stores_inverted or self.dynamic


Mitigation = Literal[
    "none",
    "static",
    "dynamic",
    "both",
    "joint",
    "joint+dynamic",
    "order",
    "order+both",
    "order+joint+dynamic",
    "faults",
    "faults+both",
    "order+faults+both",
]


def _mitigation(name: str) -> BinSparX:
    parts = set(name.replace("both", "static+dynamic").split("+")) - {"none"}
    return BinSparX(**dict.fromkeys(parts | ({"static"} if "joint" in parts else set()), True))


MITIGATIONS: dict[Mitigation, BinSparX] = {name: _mitigation(name) for name in get_args(Mitigation)}

_LABELS = {
    "none": "plain tiles",
    "static": "static flips",
    "dynamic": "dynamic flips",
    "both": "BinSparX",
    "joint": "static flips of all planes",
    "order": "ordered rows",
    "faults": "flips against faults",
}
MITIGATION_LABELS: dict[str, str] = {name: ", ".join(_LABELS[part] for part in name.split("+")) for name in MITIGATIONS}
"""For people."""


def check_mitigations(names: Sequence[str]) -> list[Mitigation]:
    """The names as mitigations; `BadInput` for one that does not exist or comes twice."""
    if unknown := [name for name in names if name not in MITIGATIONS]:
        raise no_such("mitigation", unknown[0], MITIGATIONS)
    if not names or len(set(names)) < len(names):
        raise BadInput(f"mitigations {list(names)}: pass some of {list(MITIGATIONS)}, each once.")
    return [name for name in MITIGATIONS if name in names]


@register_jitable
def to_invert(ones, rows):  # type: ignore[no-untyped-def]
    """Whether that which holds so many ones in so many rows is inverted: if it holds more ones than zeros.

    The rule, for numbers, arrays and tensors, in compiled code and elsewhere. `ones` may be weighed, with weights whose
    mean is 1 (`positions`).
    """
    return 2 * ones > rows


@register_jitable
def corrections_of(inverted, asserted, rows):  # type: ignore[no-untyped-def]
    """What digital correction takes from sub-vectors: sum(u_a) - d n, which f is multiplied with, and sum(u_a).

    Numbers, arrays and tensors alike: d, 0 or 1; ones as applied, after inversion; rows in use, n.

    The bits 1 0 1, as they are and inverted:

    >>> corrections_of(0, 2, 3), corrections_of(1, 1, 3)
    ((2, 2), (-1, 2))
    """
    signed = asserted * (1 - 2 * inverted)
    return signed, signed + rows * inverted


def restore(
    measured: NDArray[np.integer],
    *,
    stored_inverted: NDArray[np.bool_],
    applied_inverted: NDArray[np.bool_],
    weight_ones: NDArray[np.integer],
    activation_ones: NDArray[np.integer],
    rows: int,
) -> NDArray[np.integer]:
    """The sums that were wanted, from what columns measured; arrays broadcast against one another.

    The slow, obvious version of what `packed` does on the processor and `torch_backend` on a GPU. `weight_ones` and
    `activation_ones` count the ones before any inversion, `rows` those of the group.

    >>> w, a = np.array([1, 1, 0]), np.array([1, 0, 1])
    >>> ones = {"weight_ones": w.sum(), "activation_ones": a.sum(), "rows": 3}
    >>> bool(restore((1 - w) @ a, stored_inverted=True, applied_inverted=False, **ones) == w @ a)
    True
    """
    f = np.asarray(stored_inverted).astype(np.int64)
    d = np.asarray(applied_inverted).astype(np.int64)
    sign = 1 - 2 * (f ^ d)
    return np.asarray(sign * measured + f * (activation_ones - d * rows) + d * weight_ones)
