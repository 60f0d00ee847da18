"""I-V table: the current of one cell in its four states, as a function of both terminal voltages."""

import json
from dataclasses import dataclass
from functools import cached_property
from math import comb
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from spicekit.errors import BadTable
from spicekit.provenance import JsonDict, content_hash
from spicekit.results import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from xarray import DataArray

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class IVTable:
    """Current that enters at the bit line and leaves at the source line, for each state (w, a).

    Bit-line drive calls the two terminals row and column; the first axis is always the terminal at the
    ReRAM element or access transistor, the second the one at the source of the storage transistor.

    >>> import spicekit as sk
    >>> table = sk.load_table(sk.design(layer="M2", pitch_nm=108))
    >>> bool(table.current[1, 1, -1, 0] > 1e4 * table.current[1, 0, -1, 0])  # an asserted cell, and one that is not
    True
    """

    voltage: Array
    """(k,) V, uniform and rising: the axis of both terminal voltages."""
    current: Array
    """(2, 2, k, k) A, indexed [w, a, v_bl, v_sl]."""
    origin: JsonDict
    """What made it: key, cell, corner, device, hashes of deck and card, ngspice version, command."""

    def __post_init__(self) -> None:
        v, i = self.voltage, self.current
        if v.ndim != 1 or len(v) < 5 or i.shape != (2, 2, len(v), len(v)):
            raise BadTable(
                f"IVTable: expected voltage (k,) with k >= 5 and current (2, 2, k, k), got {v.shape} and {i.shape}."
            )
        if not (np.isfinite(v).all() and np.isfinite(i).all()):
            raise BadTable("IVTable: the table holds values that are not finite.")
        steps = np.diff(v)
        if not (steps > 0).all() or np.ptp(steps) > 1e-9 * v[-1]:
            raise BadTable("IVTable: the voltage axis must rise in equal steps.")

    def to_xarray(self) -> "DataArray":
        """The currents with their axes: (w, a, v_bl, v_sl), A; `attrs` holds units and what made the table."""
        from xarray import DataArray

        axes = {"w": [0, 1], "a": [0, 1], "v_bl": self.voltage, "v_sl": self.voltage}
        array = DataArray(self.current, axes, tuple(axes), name="current")
        array.attrs = {"units": "A", "origin": json.dumps(self.origin)}
        for name in ("v_bl", "v_sl"):
            array[name].attrs["units"] = "V"
        return array

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Current of each state (w, a) over the bit-line voltage, with the source line at 0 V."""
        axes = new_axes(axes)
        for w, a in np.ndindex(2, 2):
            axes.plot(self.voltage, np.abs(self.current[w, a, :, 0]), label=f"w = {w}, a = {a}")
        axes.set(xlabel="bit-line voltage, V", ylabel="current, A", yscale="log")
        axes.legend(frameon=False)
        return axes

    @property
    def step(self) -> float:
        """Grid step, V."""
        return float(self.voltage[-1] - self.voltage[0]) / (len(self.voltage) - 1)

    @cached_property
    def spline(self) -> Array:
        """(4, k+2, k+2) coefficients, A, of the bicubic B-spline through the table; state = 2 w + a."""
        k = len(self.voltage)
        return _spline_through(self.current.reshape(4, k, k))

    @cached_property
    def patches(self) -> Array:
        """(4, k-1, k-1, 16) the same spline as a polynomial, A, in each interval of both voltages, see `patches_of`."""
        return patches_of(self.spline)

    @cached_property
    def conductance(self) -> Array:
        """(8, k+2, k+2) coefficients, S, of bicubic B-splines through current over voltage; state = 2 w + a.

        The first four hold where v_bl >= v_sl, the others where v_bl <= v_sl. A transistor's current is smooth on
        either side of equal voltages and not across: there the second derivative jumps. So each half goes on beyond
        them as a polynomial, and its spline knows nothing of the other; and at equal voltages no current flows.
        """
        v = self.voltage
        across = v[:, None] - v
        np.fill_diagonal(across, 1.0)  # to be filled in
        ratio = self.current.reshape(4, len(v), len(v)) / across
        above, below = (_continued(half) for half in (ratio, ratio.transpose(0, 2, 1)))
        return _spline_through(np.concatenate([above, below.transpose(0, 2, 1)]))

    @cached_property
    def conductance_patches(self) -> Array:
        """(8, k-1, k-1, 16) `conductance` as polynomials, S."""
        return patches_of(self.conductance)

    @cached_property
    def sha256(self) -> str:
        """Hash of axis and currents."""
        return content_hash(content_hash(self.voltage) + content_hash(self.current))


def interpolate(table: IVTable, state: NDArray[np.integer], v_bl: Array, v_sl: Array) -> Array:
    """Cell currents by the table's bicubic spline; the slow, obvious version of the compiled kernels.

    Parameters
    ----------
    state : (n,) integer array
        2 w + a.
    v_bl, v_sl : (n,) float arrays, V
        Inside the table's range.

    Returns
    -------
    (n,) float64 array, A
    """
    weights, first = zip(*(_basis(table, v) for v in (v_bl, v_sl)), strict=True)
    rows = first[0][:, None] + np.arange(4)
    columns = first[1][:, None] + np.arange(4)
    patches = table.spline[state[:, None, None], rows[:, :, None], columns[:, None, :]]
    return np.asarray(np.einsum("ni,nij,nj->n", weights[0], patches, weights[1]))


def linear(table: IVTable, v_read: float) -> IVTable:
    """The table of linear cells that conduct what these do at `v_read` and 0 V, in each state.

    What a tile does with it and without shows what the cells' non-linearity costs.
    """
    v = table.voltage
    state = np.arange(4)
    at_read = interpolate(table, state, np.full(4, v_read), np.zeros(4)).reshape(2, 2, 1, 1)
    return IVTable(v, at_read / v_read * (v[:, None] - v[None, :]), {**table.origin, "linear_at": v_read})


def _basis(table: IVTable, v: Array) -> tuple[Array, NDArray[np.intp]]:
    """(n, 4) weights of the cubic B-splines that are not zero at v, and (n,) index of the first."""
    x = (np.asarray(v, float) - table.voltage[0]) / table.step
    first = np.clip(x.astype(np.intp), 0, len(table.voltage) - 2)
    t = x - first
    weights = np.stack([(1 - t) ** 3, 4 + t**2 * (3 * t - 6), 1 + t * (3 + t * (3 - 3 * t)), t**3], axis=1)
    return weights / 6, first


# Points that a half is continued from. With a polynomial of fourth degree the conductance at equal voltages up to 70 mV
# is right to 8e-6, with one of second degree to 1e-4 (hfo2-10k and hfo2-low, against a table of 1.25 mV steps).
_FROM = 5
# Points that it is continued by. A spline forgets a point by a factor of 3.7 for every one that lies between.
_BY = 8


def _continued(half: Array) -> Array:
    """(n, k, k) with what lies on and beyond the diagonal, where the second index is not below the first, made anew."""
    k = half.shape[1]
    made = half.copy()
    for beyond in range(k):
        for i in range(k - beyond):
            j = i + beyond
            along = max(made[:, i + 1 : i + 1 + _FROM, j], made[:, i, :j][:, ::-1][:, :_FROM], key=np.size)
            if beyond > _BY:
                made[:, i, j] = made[:, i + 1, j]
            else:  # the polynomial through n points has no n-th difference
                n = along.shape[1]
                made[:, i, j] = along @ [(-1) ** m * comb(n, m + 1) for m in range(n)]
    return made


def _spline_through(values: Array) -> Array:
    """(n, k+2, k+2) coefficients of the bicubic B-splines through values (n, k, k)."""
    k = values.shape[1]
    to_coefficients = np.linalg.inv(_interpolation_matrix(k))[:, :k]
    return np.ascontiguousarray(to_coefficients @ values @ to_coefficients.T)


def patches_of(spline: Array) -> Array:
    """(n, k-1, k-1, 16) factors of t^i u^j at place 4 j + i, for coefficients (n, k+2, k+2) of bicubic B-splines.

    t and u, from 0 to 1, say where in its interval the first and the second voltage lies.
    """
    windows = sliding_window_view(spline, (4, 4), (1, 2))
    found = np.einsum("nxykl,ki,lj->nxyji", windows, _POWERS, _POWERS, optimize=True)
    return np.ascontiguousarray(found.reshape(*found.shape[:3], 16))


_POWERS = np.array([[1, -3, 3, -1], [4, 0, -6, 3], [1, 3, 3, -3], [0, 0, 0, 1]]) / 6
"""Of each of the four cubic B-splines that are not zero in an interval, the factors of 1, t, t^2, t^3 (de Boor)."""


def _interpolation_matrix(k: int) -> Array:
    """(k+2, k+2): coefficients to values at k uniform knots, then the two not-a-knot conditions.

    At a knot the cubic B-spline weighs its neighbours 1/6, 4/6, 1/6 (de Boor, A Practical Guide to
    Splines, 1978); the third derivative is continuous at the second knot from each end.
    """
    matrix = np.zeros((k + 2, k + 2))
    knots = np.arange(k)
    for offset, weight in enumerate((1 / 6, 4 / 6, 1 / 6)):
        matrix[knots, knots + offset] = weight
    matrix[k, :5] = matrix[k + 1, -5:] = (1, -4, 6, -4, 1)
    return matrix
