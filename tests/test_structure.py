"""Data flows one way: a package imports only those to its left."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import spicekit

ROOT = Path(spicekit.__file__).parent
ORDER = (
    "foundations",
    "spice",
    "devices",
    "circuits",
    "decks",
    "tables",
    "engines",
    "networks",
    "mapping",
    "evaluation",
    "study",
    "report",
    "cli",
)
# Inside a package: (what, must not import).
APART = (("engines/exact", "engines/fast"),)
# One module, or one package, knows each tool.
ONLY_IN = {
    "jinja2": {"circuits/render.py", "report/page.py"},
    "PySpice": {"spice/worker.py"},
    "h5py": {"tables/store.py"},
    "onnx": {"networks/onnx_file.py"},
    "triton": {"engines/fast/gpu_kernels.py"},
    "vl_convert": {"report/charts.py"},
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


@pytest.mark.parametrize(("inner", "outer"), APART)
def test_imports_inside_a_package_point_inwards(inner, outer):
    for path in (ROOT / inner).rglob("*.py"):
        for name in imports(path):
            assert not name.startswith(f"spicekit.{outer.replace('/', '.')}"), f"{path} imports {name}"


@pytest.mark.parametrize("tool", ONLY_IN)
def test_one_module_knows_each_tool(tool):
    users = {str(path.relative_to(ROOT)) for path in modules() if tool in {n.split(".")[0] for n in imports(path)}}
    assert users == ONLY_IN[tool]


def loaded(code: str, names: tuple[str, ...]) -> list[str]:
    """Which modules of `names` a process has that runs `code`."""
    report = f"; import sys; print(*[name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_command_line_starts_without_heavy_libraries():
    """`spicekit --help` imports none of what only some verbs need."""
    heavy = (
        "torch",
        "matplotlib",
        "PySpice",
        "numba",
        "scipy",
        "dask",
        "sklearn",
        "numpy",
        "rich",
        "vl_convert",
    )
    assert loaded("import spicekit.cli.app", heavy) == []


def test_the_server_of_workers_starts_before_the_verbs_and_numpy_are_there():
    assert loaded("import spicekit.cli.main, spicekit.spice.server", ("typer", "numpy")) == []


def test_a_calibration_begins_without_what_only_its_end_needs():
    late = ("h5py", "rich", "numba", "torch", "scipy")
    assert loaded("import spicekit.tables.calibrate, spicekit.cli.display", late) == []
