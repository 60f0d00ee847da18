"""Cells and tiles as netlists: specification, rendering, electrical rule check."""
