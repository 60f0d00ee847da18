"""What a read has to charge: capacitance of the wires, per cell. Gates and drains are in the device models."""

from dataclasses import dataclass

from spicekit.circuits.cells import load_cell
from spicekit.circuits.spec import WIRE_CAPACITANCE, WIRE_RESISTANCE, Layer, TileSpec
from spicekit.units import NANO

COLUMN_LAYER: Layer = "M2"
"""Layer of the wires along the columns where a spec gives segments in ohm alone. Assumed: the lowest one."""

ROW_LAYER: Layer = "M3"
"""Layer of the word lines. Assumed: the next one, which runs across."""


@dataclass(frozen=True)
class Loads:
    """Capacitance of wires per cell, F, and the resistance that a word line has up to its far end, ohm."""

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
