"""Transistor and ReRAM models: cards, corners, target sheets, fitting."""
