"""The wires of a tile: which nodes its cells sit at, the resistors between them, and what a read has to charge.

Nodes and resistors are named after row and column: `Rbl_i_j` joins `b_i_j` and `b_{i+1}_j`. A wire without
resistance joins nothing: its nodes are one node, which takes the name of the one nearest the terminal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spicekit.circuits.cells import load_cell
from spicekit.circuits.spec import WIRE_CAPACITANCE, WIRE_RESISTANCE, Layer, TileSpec
from spicekit.errors import BadInput
from spicekit.units import NANO


@dataclass(frozen=True)
class Resistor:
    """A wire segment, a driver or a sink."""

    name: str
    a: str
    b: str
    ohm: float


@dataclass(frozen=True)
class Wiring:
    """Nodes of a tile's cells and the resistors that join them."""

    drive: NDArray[np.object_]
    """(r, c) node names where the cells take their current: bit line, or row in bit-line drive."""
    sense: NDArray[np.object_]
    """(r, c) node names where they give it: source line, or column in bit-line drive."""
    resistors: tuple[Resistor, ...]
    returns: tuple[str, ...]
    """(c,) node that each column's virtual ground is held at."""


def wiring(spec: TileSpec) -> Wiring:
    """Wires of a tile.

    Terminals are `vread`, the read source of all columns (in bit-line drive `in_i`, one for each row), and
    `out_j`, the virtual ground of column j. Behind shared rails they are `supply_k`, for the columns of rail k, and
    `ground_k`, which their virtual grounds are held at. Where a read discharges its lines, each column has a
    capacitance at `line_j` in the place of the source.
    """
    rows, columns, wires = range(spec.rows), range(spec.columns), spec.wires
    drive, sense = (np.empty((spec.rows, spec.columns), object) for _ in range(2))
    resistors: list[Resistor] = []
    drive_segment, sense_segment = (wires.segment(name) for name in spec.segment_names)
    each = spec.columns, spec.rail_columns
    supplies = _rails(resistors, "supply", "vread", *each, wires.r_supply)
    if spec.discharge:
        supplies = tuple(f"line_{j}" for j in columns)
    returns = _rails(resistors, "ground", "0", *each, wires.r_ground)
    if spec.drive == "wordline":
        for j in columns:
            names = [f"Rdrv_{j}", *(f"Rbl_{i}_{j}" for i in rows[:-1])]
            nodes = [f"b_{i}_{j}" for i in rows]
            drive[:, j] = _line(resistors, supplies[j], names, nodes, wires.r_driver, drive_segment)
    else:
        for i in rows:
            names = [f"Rdrv_{i}", *(f"Rrow_{i}_{j}" for j in columns[:-1])]
            nodes = [f"x_{i}_{j}" for j in columns]
            drive[i, :] = _line(resistors, f"in_{i}", names, nodes, wires.r_driver, drive_segment)

    node, segment = ("s", "Rsl") if spec.drive == "wordline" else ("y", "Rcol")
    outward = slice(None, None, -1 if spec.sense_end == "far" else 1)
    for j in columns:
        names = [f"Rsink_{j}", *(f"{segment}_{i}_{j}" for i in rows[:-1][outward])]
        nodes = [f"{node}_{i}_{j}" for i in rows[outward]]
        sense[outward, j] = _line(resistors, f"out_{j}", names, nodes, wires.r_sink, sense_segment)
    return Wiring(drive, sense, tuple(resistors), returns)


def _rails(
    resistors: list[Resistor], name: str, terminal: str, columns: int, per_rail: int, ohm: float
) -> tuple[str, ...]:
    """(c,) node of each column's rail; adds the resistors between them and the terminal, which it is where 0 ohm."""
    if not ohm:
        return (terminal,) * columns
    rails = range(-(-columns // per_rail))
    resistors += [Resistor(f"R{name}_{k}", terminal, f"{name}_{k}", ohm) for k in rails]
    return tuple(f"{name}_{j // per_rail}" for j in range(columns))


def one_read(spec: TileSpec, inputs: NDArray[Any], *, vector: int = 0, read: int | None = None) -> NDArray[Any]:
    """(r,) what one read applies: a vector's bits in the rows that the read asserts, 0 in all others.

    Parameters
    ----------
    inputs : (b, r) or (r,) array
    vector : int
        Row of `inputs`.
    read : int, optional
        Which group of `rows_active` rows, from 0 on; may be left out where all ones of the vector are in one.

    Raises
    ------
    BadInput
        If there is no such vector or read, or the vector takes several reads and none is picked.

    >>> from spicekit.circuits.spec import Wires
    >>> halves = TileSpec(rows=4, rows_active=2, wires=Wires(r_bl=1, r_sl=1))
    >>> one_read(halves, np.array([1, 1, 0, 1]), read=1).tolist()
    [0, 0, 0, 1]
    """
    vectors: NDArray[Any] = np.atleast_2d(inputs)
    if vectors.ndim != 2 or vectors.shape[1] != spec.rows or not 0 <= vector < len(vectors):
        raise BadInput(
            f"inputs shaped {inputs.shape} hold no vector {vector} of {spec.rows} rows; "
            f"pass bits shaped (vectors, {spec.rows}) or ({spec.rows},)."
        )
    bits: NDArray[Any] = vectors[vector]
    group = np.arange(spec.rows) // spec.rows_active
    taken = np.unique(group[bits != 0]).tolist()
    if read is None and len(taken) > 1:
        raise BadInput(
            f"vector {vector} has ones in {len(taken)} reads of {spec.rows_active} rows ({taken}), "
            f"and a deck is of one: pick it with --read, or set rows_active = {spec.rows} to assert all rows at once."
        )
    if read is not None and not 0 <= read < spec.groups:
        raise BadInput(f"--read {read}: a vector takes {spec.groups} reads; pass 0 to {spec.groups - 1}.")
    return np.where(group == ((taken or [0])[0] if read is None else read), bits, 0).astype(bits.dtype)


def _line(
    resistors: list[Resistor],
    terminal: str,
    names: Sequence[str],
    nodes: Sequence[str],
    r_end: float,
    r_segment: float,
) -> list[str]:
    """Add the resistors of one line, from its terminal outward; the line's nodes, merged where 0 ohm."""
    here, merged = terminal, []
    for name, node, ohm in zip(names, nodes, [r_end, *[r_segment] * (len(nodes) - 1)], strict=True):
        if ohm > 0:
            resistors.append(Resistor(name, here, node, ohm))
            here = node
        merged.append(here)
    return merged


COLUMN_LAYER: Layer = "M2"
"""Layer of the wires along the columns where a spec gives segments in ohm alone. Assumed: the lowest one."""

ROW_LAYER: Layer = "M3"
"""Layer of the word lines. Assumed: the next one, which runs across."""


@dataclass(frozen=True)
class Loads:
    """Capacitance of wires per cell, F, and the resistance that a word line has up to its far end, ohm.

    Gates and drains are in the device models.
    """

    drive: float
    """Bit line; in bit-line drive the row."""
    sense: float
    """Source line; in bit-line drive the column."""
    word_line: float
    r_word_line: float
    """Driver and half the wire: with the whole capacitance behind it, it has the far end's Elmore delay."""


def loads(spec: TileSpec, *, row_cells: int) -> Loads:
    """Loads of a tile whose word lines pass `row_cells` cells."""
    wires, sheet = spec.wires, load_cell(spec.cell).sheet
    column_layer = wires.layer or COLUMN_LAYER
    height = sheet.height if wires.pitch_nm is None else wires.pitch_nm * NANO
    along_column = _capacitance(column_layer) * height
    along_row = _capacitance(ROW_LAYER) * sheet.width
    r_row = WIRE_RESISTANCE[ROW_LAYER] * sheet.width * row_cells
    return Loads(
        drive=along_column if spec.drive == "wordline" else along_row,
        sense=along_column,
        word_line=along_row * row_cells,
        r_word_line=wires.r_driver + r_row / 2,
    )


def line_load(spec: TileSpec) -> float:
    """F, at a bit line that is discharged: its load and its wire; those of its cells are in the device models."""
    assert spec.discharge is not None
    return spec.discharge.load + spec.rows * loads(spec, row_cells=1).drive


def _capacitance(layer: Layer) -> float:
    """F per metre; M5 to M7 taken as M4. Assumed: wires of one aspect ratio differ little."""
    return WIRE_CAPACITANCE.get(layer, WIRE_CAPACITANCE["M4"])
