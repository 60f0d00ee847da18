"""SPICE-backed co-simulation of compute-in-memory accelerators for binary neural networks."""

__version__ = "0.1.0"
