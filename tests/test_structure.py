"""Data flows one way: a package imports only those to its left."""

import ast
from pathlib import Path

import pytest

import spicekit

ROOT = Path(spicekit.__file__).parent
ORDER = (
    "foundations",
    "spice",
    "devices",
    "circuits",
    "tables",
    "engines",
    "networks",
    "mapping",
    "evaluate",
    "study",
    "report",
    "cli",
)
# One module, or one package, knows each tool.
ONLY_IN = {
    "jinja2": {"circuits/render.py"},
    "PySpice": {"spice/worker.py"},
    "h5py": {"tables/store.py"},
}


def modules() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
    return names


def room(parts: tuple[str, ...]) -> str:
    return parts[0] if parts and parts[0] in ORDER else "foundations"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_left(path):
    here = room(path.relative_to(ROOT).parts)
    for name in imports(path):
        if name.startswith("spicekit."):
            there = room(tuple(name.split(".")[1:]))
            assert ORDER.index(there) <= ORDER.index(here), f"{path.relative_to(ROOT)} imports {name}"


@pytest.mark.parametrize("tool", ONLY_IN)
def test_one_module_knows_each_tool(tool):
    users = {
        str(path.relative_to(ROOT)) for path in modules() if tool in {n.split(".")[0] for n in imports(path)}
    }
    assert users == ONLY_IN[tool]


def test_the_command_line_starts_without_heavy_libraries():
    """`spicekit --help` imports none of what only some verbs need."""
    import subprocess
    import sys

    heavy = "torch", "matplotlib", "PySpice", "numba", "scipy", "dask", "sklearn"
    code = f"import sys, spicekit.cli.app; print([name for name in {heavy} if name in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
