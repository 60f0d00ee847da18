"""Change the code of engines and mapping here and there, and see whether a test notices.

    python scripts/mutate.py --count 400 --seed 0 --out mutants.json

Each mutant is one change of one expression, drawn at random, as many in each module. Compiled code is switched off
(`NUMBA_DISABLE_JIT`), so that a changed kernel runs at once, on tests of small tiles: of the tests named for a module,
those that pass unchanged in this way within `SLOWEST` seconds. A mutant is killed if one of them fails, or runs ten
times as long. Survivors are printed, with their line, to be looked at by hand.
"""

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SLOWEST = 5.0  # s of processor time that a test may take without compiled code
EXCLUDED = {
    "engines/fast/gpu_kernels.py": "runs on a GPU; scripts/check_gpu.py holds it to the processor's codes",
    "engines/fast/torch_backend.py": "runs on a GPU; scripts/check_gpu.py holds it to the processor's codes",
    "mapping/torch_backend.py": "runs on a GPU; scripts/check_gpu.py holds it to the processor's codes",
    "engines/fast/lanes.py": "writes machine instructions, which exist in compiled code alone",
    "engines/spice.py": "renders decks for ngspice: what it gives is compared whole",
}
TESTS = {
    "mapping": ("tests/mapping", "tests/evaluation/test_tiled.py", "tests/networks/test_layers.py"),
    "engines/exact": ("tests/engines", "tests/golden"),
    "engines/fast": ("tests/engines", "tests/golden"),
    "engines": ("tests/engines", "tests/golden"),
}
"""Tests of the modules in a folder."""


@dataclass
class Mutant:
    """One change, and what became of it."""

    module: str
    line: int
    before: str
    after: str
    index: int
    """Of the change among all of its module."""
    killed_by: str = ""


_SWAPS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.And: ast.Or, ast.Or: ast.And, ast.Pow: ast.Mult,
}  # fmt: skip


def changed(node: ast.AST) -> ast.AST | None:
    """A changed copy of an expression; None if there is nothing to change."""
    new: Any = copy.deepcopy(node)
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in _SWAPS:
        new.op = _SWAPS[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPS:
        new.ops[0] = _SWAPS[type(node.ops[0])]()
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        new.value = not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        new.value = node.value + 1
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        new = new.operand
    elif isinstance(node, ast.If | ast.IfExp):
        new.test = ast.UnaryOp(ast.Not(), new.test)
    else:
        return None
    return new  # type: ignore[no-any-return]


def places(tree: ast.AST) -> Iterator[ast.AST]:
    """Expressions that can be changed, but for type hints and decorators, in order."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        hints = [getattr(node, name, None) for name in ("annotation", "returns")]
        for hint in [*hints, *getattr(node, "decorator_list", [])]:
            if hint is not None:
                skipped |= {id(inner) for inner in ast.walk(hint)}
        if id(node) not in skipped and changed(node) is not None:
            yield node


class _Change(ast.NodeTransformer):
    def __init__(self, target: ast.AST) -> None:
        self.target = target

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Put the changed expression in the place of the one that is changed."""
        if node is self.target:
            return ast.copy_location(changed(node) or node, node)
        return super().generic_visit(node)


def mutated(source: str, index: int) -> tuple[ast.Module, Mutant]:
    """The tree of a module with its change `index`."""
    tree = ast.parse(source)
    target = list(places(tree))[index]
    before = ast.unparse(target).partition("\n")[0]
    after = ast.unparse(ast.fix_missing_locations(changed(target) or target)).partition("\n")[0]
    line = getattr(target, "lineno", 0)
    new = ast.fix_missing_locations(_Change(target).visit(tree))
    return new, Mutant("", line, before, after, index)


def draw(count: int, seed: int) -> list[Mutant]:
    """Mutants, as many in each module as there are changes for."""
    rng = random.Random(seed)
    drawn: list[Mutant] = []
    package = ROOT / "spicekit"
    modules = [
        str(path.relative_to(package))
        for folder in ("engines", "mapping")
        for path in sorted((package / folder).rglob("*.py"))
        if path.name != "__init__.py" and str(path.relative_to(package)) not in EXCLUDED
    ]
    orders = {}
    for module in modules:
        found = range(len(list(places(ast.parse((package / module).read_text())))))
        orders[module] = rng.sample(found, len(found))
    while len(drawn) < count and any(orders.values()):
        for module, order in orders.items():
            if order and len(drawn) < count:
                _, mutant = mutated((package / module).read_text(), order.pop())
                mutant.module = module
                drawn.append(mutant)
    return drawn


# --- a child process for each mutant: what takes long to import is there already


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module its changed code."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self.name, self.path, self.tree = name, path, tree

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Ours for this module, nothing for all others."""
        found = (
            importlib.util.spec_from_file_location(name, self.path, loader=self)
            if name == self.name
            else None
        )
        return found

    def exec_module(self, module: ModuleType) -> None:
        """Run the changed code."""
        exec(compile(self.tree, str(self.path), "exec"), module.__dict__)


class _Watch:
    """A pytest plugin that notes how long tests take, and which fails first."""

    def __init__(self, chosen: set[str] | None) -> None:
        self.chosen, self.seconds, self.failed = chosen, dict[str, float](), ""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Keep the chosen tests."""
        if self.chosen is not None:
            items[:] = [item for item in items if item.nodeid in self.chosen]

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note an outcome."""
        if report.failed:
            self.failed = self.failed or report.nodeid
        if report.when == "call":
            self.seconds[report.nodeid] = report.duration if report.passed else float("inf")


def run(
    tests: Sequence[str], *, chosen: set[str] | None, mutant: Mutant | None, limit: float
) -> dict[str, Any]:
    """Run tests in a child, with or without a change: which failed first, and how long each took."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(int(limit) + 1)
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        watch = _Watch(chosen)
        if mutant is not None:
            path = ROOT / "spicekit" / mutant.module
            tree, _ = mutated(path.read_text(), mutant.index)
            name = "spicekit." + mutant.module.removesuffix(".py").replace("/", ".")
            sys.meta_path.insert(0, _Finder(name, path, tree))
        import pytest

        options = ["-q", "-p", "no:cacheprovider", "-p", "no:doctest", *(["-x"] if mutant else [])]
        options += ["-o", "addopts=", "-o", f"timeout={SLOWEST * 10:.0f}"]
        status = pytest.main([*options, *tests], plugins=[watch])
        failed = watch.failed or ("" if status in (0, 5) else f"exit status {int(status)}")
        os.write(writing, json.dumps({"failed": failed, "seconds": watch.seconds}).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said) if said else {"failed": "time", "seconds": {}}


def main() -> None:
    """Draw mutants, run tests on each, say which survive."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--count", type=int, default=400)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", default="", help="modules whose path begins so")
    options.add_argument("--tests", nargs="+", help="instead of those of each module")
    options.add_argument("--out", type=Path)
    chosen = options.parse_args()
    os.environ.update({"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)})
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    for name in (
        "numpy",
        "scipy.sparse",
        "numba",
        "torch",
        "h5py",
        "pydantic",
        "jinja2",
    ):
        __import__(name)
    mutants = [mutant for mutant in draw(chosen.count, chosen.seed) if mutant.module.startswith(chosen.only)]
    sound: dict[tuple[str, ...], dict[str, float]] = {}
    for number, mutant in enumerate(mutants, 1):
        tests = tuple(
            chosen.tests or next(TESTS[folder] for folder in TESTS if mutant.module.startswith(folder))
        )
        if tests not in sound:
            seconds = run(tests, chosen=None, mutant=None, limit=3600.0)["seconds"]
            sound[tests] = {name: took for name, took in seconds.items() if took < SLOWEST}
            print(f"{len(sound[tests])} of {len(seconds)} tests in {', '.join(tests)} serve", flush=True)
            if not sound[tests]:
                raise SystemExit("no test can kill a mutant: a score would say nothing")
        began = time.monotonic()
        limit = 60.0 + 10 * sum(sound[tests].values())
        mutant.killed_by = run(tests, chosen=set(sound[tests]), mutant=mutant, limit=limit)["failed"]
        fate = f"killed by {mutant.killed_by}" if mutant.killed_by else "SURVIVED"
        change = f"{mutant.module}:{mutant.line}: {mutant.before}  ->  {mutant.after}"
        print(f"{number:4} {change}: {fate}, {time.monotonic() - began:.0f} s", flush=True)
        if chosen.out:
            chosen.out.write_text(json.dumps([asdict(one) for one in mutants[:number]], indent=1))
    killed = sum(bool(mutant.killed_by) for mutant in mutants)
    print(
        f"{killed} of {len(mutants)} killed, {killed / max(1, len(mutants)):.1%}; excluded: {', '.join(EXCLUDED)}"
    )


if __name__ == "__main__":
    main()
