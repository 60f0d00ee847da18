"""Bounded least squares where one call evaluates many points at once, as ngspice does with many cards in a deck.

Levenberg-Marquardt (Marquardt, J. SIAM 11 (1963) 431): slopes are differences between points of one call, and a
second call tries several dampings side by side, each step solved within the bounds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_DAMPINGS = np.array([0.1, 1, 10, 100, 1e3])  # tried side by side, times that of the step before
_DIFFERENCE = 1e-3  # of a parameter's scale
_PATIENCE = 3  # steps of little gain, after which it is done


@dataclass(frozen=True, eq=False)
class Solution:
    """Where a search ended."""

    point: Array
    """(n,)"""
    cost: float
    """Sum of squares."""
    steps: int


def least_squares(
    residuals: Callable[[Array], Array],
    start: Array,
    *,
    low: Array,
    high: Array,
    scale: Array,
    most: int,
    gain: float = 1e-3,
) -> Solution:
    """Point within bounds where the sum of squares is smallest, as seen from `start`.

    Parameters
    ----------
    residuals : function
        Points (k, n) to residuals (k, m).
    start, low, high, scale : (n,) arrays
        `scale` is a change of each parameter that matters.
    most : int
        Steps.
    gain : float
        Relative fall of the sum of squares that is little; three such steps end the search.
    """
    from scipy.optimize import lsq_linear

    point, damping, idle, steps = np.clip(start, low, high), 0.01, 0, 0
    (here,) = residuals(point[None])
    cost = float(here @ here)
    while steps < most and idle < _PATIENCE and damping < 1e6:
        steps += 1
        change = np.where(point + _DIFFERENCE * scale > high, -1, 1) * _DIFFERENCE * scale
        slopes = ((residuals(point + np.diag(change)) - here) / change[:, None]).T * scale
        q, r = np.linalg.qr(slopes)
        target = np.append(-(q.T @ here), np.zeros(len(point)))
        bounds = ((low - point) / scale - 1e-12, (high - point) / scale + 1e-12)
        weights = np.diag(np.linalg.norm(r, axis=0) + 1e-3)
        trials = np.array(
            [
                np.clip(
                    point
                    + scale
                    * lsq_linear(np.vstack([r, np.sqrt(each) * weights]), target, bounds, method="bvls").x,
                    low,
                    high,
                )
                for each in damping * _DAMPINGS
            ]
        )
        found = residuals(trials)
        costs = np.einsum("ij,ij->i", found, found)
        best = int(np.argmin(costs))
        if not costs[best] < cost:
            damping *= _DAMPINGS[-1]
            continue
        idle = idle + 1 if costs[best] > (1 - gain) * cost else 0
        damping = max(damping * _DAMPINGS[best], 1e-9)
        point, here, cost = trials[best], found[best], float(costs[best])
    return Solution(point, cost, steps)
