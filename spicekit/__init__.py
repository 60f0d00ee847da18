"""SPICE-backed co-simulation of compute-in-memory accelerators for binary neural networks.

>>> import spicekit as sk
>>> tile = sk.TileSpec(wires=sk.Wires(layer="M2", pitch_nm=108))
>>> tile.rows_active
64

docs/python.md has a session. What this module offers stands in `__init__.pyi`; each name is imported when it is first
used, so that `import spicekit` takes no time.
"""

__version__ = "0.1.0"


def __getattr__(name: str):
    if name == "__all__":
        return sorted([*_places(), "__version__"])
    import importlib

    place = None if name.startswith("__") else _places().get(name)
    if place is None:
        raise AttributeError(f"module 'spicekit' has no attribute {name!r}")
    value = getattr(importlib.import_module(place[0]), place[1])
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_places()})


def _places() -> dict[str, tuple[str, str]]:
    """Module and name there of everything that is offered, from the stub that type checkers read."""
    import ast
    from pathlib import Path

    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text("utf-8"))
    return {
        alias.asname or alias.name: (str(node.module), alias.name)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
