"""A tile for people: bits of any kind in, labelled currents and voltages out."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spicekit.circuits.spec import TileSpec
from spicekit.engines.cell_currents import Variation, lsb
from spicekit.engines.exact.maps import losses, read_maps
from spicekit.engines.tile import EngineName, check_engine, one_read_each, partial_sums, read_currents
from spicekit.engines.tile import Tile as Cells
from spicekit.errors import BadInput
from spicekit.evaluation.design import Design, as_design
from spicekit.files import write_arrays
from spicekit.provenance import provenance
from spicekit.results import Report, silent
from spicekit.tables.store import find_table, table_for
from spicekit.tables.table import IVTable

if TYPE_CHECKING:
    from xarray import DataArray, Dataset

Bits = NDArray[np.uint8]


class Tile(Cells):
    """Stored bits in a tile, ready to be read by any engine.

    Parameters
    ----------
    spec : TileSpec or Design
        Of a design its tile and variation.
    weights : (r, c) array of 0 and 1
        Stored bits: bool, any integers, or nested lists.
    table : IVTable, optional
        Of the spec's cell and corner; by default the one that the stores have.
    variation : Variation, optional
        Of the cells; by default the design's, or none.

    Raises
    ------
    BadInput
        If the weights are not (r, c), or hold anything but 0 and 1.
    MissingTable
        If there is no I-V table for the spec.

    Examples
    --------
    >>> import spicekit as sk
    >>> spec = sk.TileSpec(rows=4, columns=2, wires=sk.Wires(r_bl=3.2, r_sl=3.2))
    >>> tile = sk.Tile(spec, [[1, 0], [1, 0], [1, 1], [1, 1]])
    >>> current = tile.currents([1, 1, 1, 0])
    >>> current.dims, current.attrs["units"], bool(current[0, 0, 0] > 2.5 * current[0, 0, 1])
    (('vector', 'read', 'column'), 'A', True)
    """

    def __init__(
        self,
        spec: TileSpec | Design,
        weights: ArrayLike,
        *,
        table: IVTable | None = None,
        variation: Variation | None = None,
    ) -> None:
        design = as_design(spec)
        bits = as_bits("weights", weights)
        super().__init__(design.tile, table_for(design.tile, table), bits, variation or design.variation)

    @property
    def lsb(self) -> float:
        """Current step of one ON cell without parasitics, A."""
        return lsb(self.spec, self.table)

    def vectors(self, bits: ArrayLike) -> Bits:
        """Activations of any kind as (b, r) uint8; `BadInput` if they are no vectors of this tile."""
        found = np.atleast_2d(as_bits("bits", bits))
        if found.ndim != 2 or found.shape[1] != self.spec.rows:
            raise BadInput(
                f"Tile of {self.spec.rows} rows got bits shaped {np.shape(bits)}; pass (b, {self.spec.rows})."
            )
        return found

    def currents(self, bits: ArrayLike, *, engine: EngineName = "exact", report: Report = silent) -> "DataArray":
        """Currents into the sense points, of each read.

        Parameters
        ----------
        bits : (b, r) or (r,) array of 0 and 1
            Activations: bool, any integers, or lists.
        engine : {"spice", "exact", "fast", "ideal"}
            As in `engines.tile.column_currents`.
        report : Report
            Told how far ngspice is.

        Returns
        -------
        DataArray (vector, read, column), A
            A vector's current is the sum over its reads; `attrs` has units, LSB, engine and provenance.
        """
        from xarray import DataArray

        name = check_engine(engine)
        current = read_currents(self, self.vectors(bits), engine=name, report=report)
        dims = ("vector", "read", "column")
        coords = {dim: np.arange(size) for dim, size in zip(dims, current.shape, strict=True)}
        return DataArray(current, coords, dims, name="current", attrs=self._attributes("A", engine=name))

    def partial_sums(self, bits: ArrayLike, *, engine: EngineName = "exact") -> "DataArray":
        """Number of ON cells (vector, column) that the currents stand for: over a column of zeros, in LSB."""
        reads = self.currents(bits, engine=engine)
        sums = reads.sum("read").rename("partial_sum").assign_attrs({**reads.attrs, "units": "1"})
        return sums.copy(data=partial_sums(self, sums.values, self.vectors(bits)))

    def solve(self, bits: ArrayLike) -> "Dataset":
        """Voltages at both terminals of every cell, and the current through it, by the exact engine's equations.

        Parameters
        ----------
        bits : (b, r) or (r,) array of 0 and 1

        Returns
        -------
        Dataset
            `v_bl`, `v_sl` in V, `cell_current` and `cell_ideal`, between ideal terminals, in A, all (vector, read, row,
            column); with bit-line drive `v_bl` is that of the row's wire and `v_sl` that of the column's. `current` in
            A, (vector, read, column), is what flows into the sense points.

        Raises
        ------
        NotConverged
            If Newton's method misses its tolerance.
        """
        from xarray import DataArray, Dataset

        vectors, spec = self.vectors(bits), self.spec
        crossbar = self.crossbar
        found = [read_maps(crossbar, read) for read in one_read_each(spec, vectors)]
        dims = ("vector", "read", "row", "column")
        shape = (len(vectors), spec.groups, spec.rows, spec.columns)
        coords = {dim: np.arange(size) for dim, size in zip(dims, shape, strict=True)}
        names = {
            **{"v_bl": ("v_bl", "V"), "v_sl": ("v_sl", "V")},
            **{"cell_current": ("current", "A"), "cell_ideal": ("ideal", "A")},
        }
        parts = {}
        for name, (field, units) in names.items():
            values = np.reshape([getattr(read, field) for read in found], shape)
            parts[name] = DataArray(values, coords, dims, attrs={"units": units})
        whole = parts["cell_current"].sum("row").assign_attrs(units="A")
        return Dataset({**parts, "current": whole}, attrs=self._attributes(engine="exact"))

    def write(
        self,
        path: Path | str,
        bits: ArrayLike,
        *,
        engine: EngineName = "exact",
        maps: bool = True,
        report: Report = silent,
    ) -> "DataArray":
        """Keep currents in a file (.npz), as `spicekit tile` does, for `spicekit report` and `spicekit.load`.

        Parameters
        ----------
        bits, engine, report : as in `currents`
            Whose result is returned, too.
        maps : bool
            Also voltages and currents of every cell for the first vector, and what takes the current away: of word-line
            drive without discharge, by the exact engine's equations.

        Examples
        --------
        >>> import spicekit as sk
        >>> tile = sk.Tile(sk.design(rows=4, columns=2, layer="M2", pitch_nm=108), np.ones((4, 2), int))
        >>> current = tile.write("currents.npz", [1, 1, 0, 0])
        >>> bool((sk.load("currents.npz").current == current.sum("read")).all())
        True
        """
        vectors, reads = self.vectors(bits), self.currents(bits, engine=engine, report=report)
        current = reads.values.sum(axis=1)
        inside: dict[str, NDArray[Any]] = {}
        if maps and len(vectors) and self.spec.drive == "wordline" and not self.spec.discharge:
            lost = losses(self.crossbar, one_read_each(self.spec, vectors[:1]))
            inside = {"lost": np.array(list(lost.values())), "lost_to": np.array(list(lost))}
            solved, row = self.solve(vectors[0]), np.arange(self.spec.rows)
            for name in ("v_bl", "v_sl", "cell_current", "cell_ideal"):  # of each row in its own read
                inside[name] = solved[name].values[0, row // self.spec.rows_active, row]
        write_arrays(
            Path(path),
            current=current,
            read_current=reads.values,
            lsb=np.array(self.lsb),
            partial_sum=partial_sums(self, current, vectors),
            ideal_sum=vectors.astype(np.int64) @ self.held,
            **inside,
            provenance=np.array(reads.attrs["provenance"]),
        )
        return reads

    def _attributes(self, units: str | None = None, **facts: Any) -> dict[str, Any]:
        origin = provenance(
            {
                "spec": self.spec.model_dump(mode="json"),
                "variation": self.variation.model_dump(mode="json"),
                **facts,
                "table": self.table.sha256,
                "table_origin": self.table.origin,
            }
        )
        unit = {"units": units} if units else {}
        return {**unit, "lsb": self.lsb, **facts, "provenance": json.dumps(origin)}

    def __repr__(self) -> str:
        spec = self.spec
        ones = self.weights.mean()
        return f"Tile({spec.rows} x {spec.columns} {spec.cell}, {spec.rows_active} rows a read, {ones:.0%} ones)"


def load_table(spec: TileSpec | Design, *, store: Path | str | None = None) -> IVTable:
    """The I-V table of a tile's cell, devices, corner and word-line voltage.

    Parameters
    ----------
    spec : TileSpec or Design
    store : path, optional
        Folder of tables; by default the user's, then those that ship.

    Raises
    ------
    MissingTable
        If there is none; names the command that makes it.
    BadTable
        If it is damaged, stale or incomplete.

    Examples
    --------
    >>> import spicekit as sk
    >>> table = sk.load_table(sk.design(layer="M2", pitch_nm=108))
    >>> table.to_xarray().dims
    ('w', 'a', 'v_bl', 'v_sl')
    """
    return find_table(as_design(spec).tile, store=None if store is None else Path(store))


def as_bits(name: str, values: ArrayLike) -> Bits:
    """Bits as uint8, from bool, integers or lists that hold nothing but 0 and 1.

    >>> as_bits("bits", [True, False]).tolist()
    [1, 0]

    Raises
    ------
    BadInput
        If they hold anything else.
    """
    try:
        found = np.asarray(values)
    except ValueError as error:
        raise BadInput(f"{name}: expected an array of 0 and 1, got rows of different lengths.") from error
    numbers = found.dtype.kind in "bui"
    if not numbers or (found.size and (found.min() < 0 or found.max() > 1)):
        held = f" from {found.min()} to {found.max()}" if numbers else ""
        raise BadInput(f"{name}: expected bits, bool or integers 0 and 1, got {found.dtype}{held}.")
    return found.astype(np.uint8)
