"""Cells and tiles as netlists: specification, wires, loads, rendering."""
