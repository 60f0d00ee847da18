"""Change the code of engines and mapping here and there, and see whether a test notices.

    python scripts/mutate.py --count 400 --seed 0 --out docs/validation/mutants.json

Each mutant is one change of one expression, drawn at random, as many in each module. Those of compiled loops are
tried with the compiler switched off (`NUMBA_DISABLE_JIT`), on tests of small tiles, with surrogates from a cache; all
others as users run them. All tests run once, unchanged, and their lines are noted: those that pass within `SLOWEST`
seconds serve. Then each mutant is made in a forked process, which runs the tests that reach its line until one fails or
the time is over: it is killed. First come tests that killed others of its module, then one of each function, quickest
first. A test that fails on an unchanged copy of the module, put in its place likewise, kills nothing. A mutant on a
line that no test reaches survives. What `--out` holds of the same change is not run again, and what it holds of other
modules than `--only` is kept while there are such; each mutant names the commit that it was tried with.
"""

import argparse
import ast
import copy
import functools
import gc
import json
import os
import random
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "spicekit"
SLOWEST = {True: 6.0, False: 2.5}  # s of processor time that a test may take with compiled code, and without
MOST = 20.0  # s of processor time, unchanged, of the tests that are run on a mutant: a survivor costs all of it
LONGEST = 15.0  # s of processor time that they may take, beside three times what they took unchanged
EXCLUDED = {
    "engines/fast/gpu_kernels.py": "runs on a GPU; scripts/check_gpu.py holds it to the processor's codes",
    "engines/fast/torch_backend.py": "runs on a GPU; scripts/check_gpu.py holds it to the processor's codes",
    "mapping/torch_backend.py": "runs on a GPU; scripts/check_gpu.py holds it to the processor's codes",
    "engines/lanes.py": "writes machine instructions, which exist in compiled code alone",
    "engines/fast/wire_sum_code.py": "writes machine instructions, which exist in compiled code alone",
    "engines/spice.py": "renders decks for ngspice: what it gives is compared whole",
}
TESTS = {
    True: ("tests/engines", "tests/golden", "tests/mapping", "tests/evaluation/test_tiled.py"),
    False: (
        "tests/engines/test_small_tiles.py",
        "tests/engines/test_small_exact.py",
        "tests/engines/test_rails.py",
        "tests/golden",
        "tests/mapping",
    ),
}
"""By whether there is a compiler."""


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
    compiled: bool = True
    """Whether it was tried with compiled code."""
    tests: int = -1
    """That reach its line; -1 if it was not tried."""
    commit: str = ""
    """Of the code and the tests that it was tried with."""


_SWAPS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.And: ast.Or, ast.Or: ast.And, ast.Pow: ast.Mult,
}  # fmt: skip


def changed(node: ast.AST) -> ast.AST | None:
    """A changed copy of an expression; None if there is nothing to change."""
    kinds = ast.BinOp | ast.BoolOp | ast.AugAssign | ast.Compare | ast.Constant | ast.UnaryOp | ast.If | ast.IfExp
    if not isinstance(node, kinds):
        return None
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
    """Expressions that can be changed, in order: not in type hints, decorators, and functions that write code."""
    skipped: set[int] = set()
    for node in ast.walk(tree):
        hints = [getattr(node, name, None) for name in ("annotation", "returns")]
        decorators = getattr(node, "decorator_list", [])
        writes = [node] if any(ast.unparse(one) == "intrinsic" for one in decorators) else []
        for hint in [*hints, *decorators, *writes]:
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


@functools.cache
def parsed(module: str) -> tuple[ast.Module, list[ast.AST]]:
    """A module's tree, and where it can be changed."""
    tree = ast.parse((PACKAGE / module).read_text())
    return tree, list(places(tree))


def mutated(module: str, index: int) -> tuple[ast.Module, Mutant]:
    """The tree of a module with its change `index`; unchanged if that is below 0."""
    tree, targets = copy.deepcopy(parsed(module))
    if index < 0:
        return tree, Mutant(module, 0, "", "", index)
    target = targets[index]
    before = ast.unparse(target).partition("\n")[0]
    after = ast.unparse(ast.fix_missing_locations(changed(target) or target)).partition("\n")[0]
    line = getattr(target, "lineno", 0)
    new = ast.fix_missing_locations(_Change(target).visit(tree))
    return new, Mutant("", line, before, after, index)


def commit() -> str:
    """The commit that is checked out, and whether package or tests differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changes = git("status", "--porcelain", "spicekit", "tests")
        return git("rev-parse", "HEAD") + (" with changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):  # no git, or no checkout
        return "unknown"


def draw(count: int, seed: int) -> list[Mutant]:
    """Mutants, as many in each module as there are changes for."""
    rng = random.Random(seed)
    drawn: list[Mutant] = []
    modules = [
        str(path.relative_to(PACKAGE))
        for folder in ("engines", "mapping")
        for path in sorted((PACKAGE / folder).rglob("*.py"))
        if path.name != "__init__.py" and str(path.relative_to(PACKAGE)) not in EXCLUDED
    ]
    orders = {}
    for module in modules:
        found = range(len(parsed(module)[1]))
        orders[module] = rng.sample(found, len(found))
    while len(drawn) < count and any(orders.values()):
        for module, order in orders.items():
            if order and len(drawn) < count:
                _, mutant = mutated(module, order.pop())
                mutant.module = module
                mutant.compiled = not _in_compiled(module, mutant.line)
                drawn.append(mutant)
    return drawn


# --- in a forked process


def put(mutant: Mutant) -> None:
    """Give what is imported the changed code of a module: functions, methods, their defaults, and constants."""
    path = PACKAGE / mutant.module
    name = "spicekit." + mutant.module.removesuffix(".py").replace("/", ".")
    tree, _ = mutated(mutant.module, mutant.index)
    old, new = sys.modules[name], ModuleType(name)
    new.__file__ = str(path)
    exec(compile(tree, str(path), "exec"), new.__dict__)
    for key, value in vars(new).items():
        _transplant(vars(old).get(key), value)
    for key, value in list(vars(new).items()):
        former = vars(old).get(key)
        plain = isinstance(value, int | float | str | tuple | dict | list | frozenset | np.generic | np.ndarray)
        if plain and not key.startswith("__") and repr(former) != repr(value):
            for module in [each for each in sys.modules.values() if getattr(each, "__dict__", {}).get(key) is former]:
                setattr(module, key, value)
    from spicekit import provenance

    if mutant.compiled and (source := provenance._source(name)) is not None:
        truth = provenance._source

        def other(module: str) -> tuple[str, list[str]] | None:
            return (f"{source[0]}\n{mutant.index}", source[1]) if module == name else truth(module)

        provenance._source = other  # type: ignore[assignment]  # what the change decides is not in the cache
    for each in gc.get_objects():
        if type(each).__name__ == "_lru_cache_wrapper" and str(getattr(each, "__module__", "")).startswith("spicekit"):
            each.cache_clear()


def _transplant(old: Any, new: Any) -> None:
    for unwrap in ("__wrapped__", "__func__", "fget", "func"):
        if isinstance(old, FunctionType | type) or old is None:
            break
        if hasattr(old, unwrap) and hasattr(new, unwrap):
            return _transplant(getattr(old, unwrap), getattr(new, unwrap))
    if isinstance(old, FunctionType) and isinstance(new, FunctionType) and new.__module__ == old.__module__:
        if len(old.__code__.co_freevars) == len(new.__code__.co_freevars):
            old.__code__, old.__defaults__ = new.__code__, new.__defaults__
            old.__kwdefaults__ = new.__kwdefaults__
        _transplant(getattr(old, "__wrapped__", None), getattr(new, "__wrapped__", None))
    elif isinstance(old, type) and isinstance(new, type) and new.__module__ == old.__module__:
        for key, value in vars(new).items():
            former = vars(old).get(key)
            if isinstance(value, int | float | str | tuple) and not key.startswith("__") and former != value:
                setattr(old, key, value)
            else:
                _transplant(former, value)


class Mutation:
    """A pytest plugin: runs all tests once, then those of each mutant in a process of its own."""

    def __init__(self, mutants: list[Mutant], *, compiled: bool, keep: Callable[[], None]) -> None:
        self.mutants, self.compiled, self.keep = mutants, compiled, keep
        self.seconds = dict[str, float]()
        self.unfair = dict[tuple[str, str], bool]()
        self.failed, self.began = "", 0.0

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note an outcome."""
        if report.failed:
            self.failed = self.failed or report.nodeid
        if report.when == "call" and report.passed:
            self.seconds[report.nodeid] = time.process_time() - self.began

    def pytest_runtestloop(self, session: Any) -> bool:
        """In the place of pytest's own loop."""
        import coverage

        watch = coverage.Coverage(data_file=None, include=[f"{PACKAGE}/engines/*", f"{PACKAGE}/mapping/*"])
        watch.start()
        items = {item.nodeid: item for item in session.items}
        signal.signal(signal.SIGPROF, _too_slow)
        self._measure(session.items, watch)
        slow = [item for item in session.items if self.seconds.get(item.nodeid, 0.0) > SLOWEST[self.compiled]]
        self._measure(slow, watch)  # what took long was compiled
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        watch.switch_context("")
        watch.stop()
        serve = {name: took for name, took in self.seconds.items() if took < SLOWEST[self.compiled]}
        print(f"\n{len(serve)} of {len(items)} tests serve", flush=True)
        for name, took in sorted(self.seconds.items(), key=lambda one: -one[1])[:25]:
            print(f"  {took:.1f} s {name}")
        data = watch.get_data()
        if not serve:
            raise SystemExit("no test can kill a mutant: a score would say nothing")
        ours = [mutant for mutant in self.mutants if mutant.compiled == self.compiled and mutant.tests < 0]
        kills = Counter[tuple[str, str]]()
        for number, mutant in enumerate(ours, 1):
            reach = data.contexts_by_lineno(str(PACKAGE / mutant.module))
            at = _reaching(mutant, reach) & set(serve)
            order = _order(at, serve, {name: kills[mutant.module, name] for name in at})
            mutant.tests = len(order)
            usual = sum(serve[name] for name in order)
            mutant.killed_by = self._kill(mutant, {name: items[name] for name in order}, usual)
            kills[mutant.module, mutant.killed_by] += 1
            fate = f"killed by {mutant.killed_by}" if mutant.killed_by else f"SURVIVED {len(order)} tests"
            print(
                f"{number:4} {mutant.module}:{mutant.line}: {mutant.before}  ->  {mutant.after}: {fate}",
                flush=True,
            )
            self.keep()
        return True

    def _measure(self, items: list[Any], watch: Any) -> None:
        for item, following in zip(items, [*items[1:], *items[:1]], strict=True):
            watch.switch_context(item.nodeid)
            self.began = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, 60.0 if self.compiled else SLOWEST[False])
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)

    def _kill(self, mutant: Mutant, items: dict[str, Any], usual: float) -> str:
        """What kills a mutant: no test that fails on an unchanged copy of its module, too."""
        while (killer := self._try(mutant, list(items.values()), usual)) in items:
            control = Mutant(mutant.module, 0, "", "", -1, compiled=mutant.compiled)
            if (mutant.module, killer) not in self.unfair:
                self.unfair[mutant.module, killer] = bool(self._try(control, [items[killer]], usual))
            if not self.unfair[mutant.module, killer]:
                break
            del items[killer]
        return killer

    def _try(self, mutant: Mutant, items: list[Any], usual: float) -> str:
        if not items:
            return ""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            os.setpgrp()
            most = int(LONGEST + 3 * usual) + 1
            resource.setrlimit(resource.RLIMIT_CPU, (most, most))
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            self.failed = ""
            try:
                put(mutant)
                for item, following in zip(items, [*items[1:], items[-1]], strict=True):
                    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                    if self.failed:
                        break
            except BaseException as error:
                self.failed = self.failed or f"{type(error).__name__}: {str(error)[:200]}"
            finally:
                os.write(writing, (self.failed or "-").encode())
                os._exit(0)
        os.close(writing)
        ready, _, _ = select.select([reading], [], [], 20 * (LONGEST + 3 * usual))  # it may wait for ever
        said = os.read(reading, 4096).decode() if ready else ""
        os.close(reading)
        if not ready:
            os.killpg(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        return "" if said == "-" else said or f"time (signal {os.WTERMSIG(status)})"


def _order(names: set[str], seconds: dict[str, float], kills: dict[str, int]) -> list[str]:
    """Tests in the order in which they are run, `MOST` seconds of them."""
    variants = Counter[str]()
    place = {}
    for name in sorted(names, key=lambda name: seconds[name]):
        function = name.partition("[")[0]
        place[name] = (-kills[name], variants[function], seconds[name])
        variants[function] += 1
    order = sorted(names, key=lambda name: place[name])
    spent = list(accumulate(seconds[name] for name in order))
    return [name for name, until in zip(order, spent, strict=True) if until <= MOST]


def _too_slow(number: int, frame: Any) -> None:
    raise TimeoutError("too slow to serve")


def _function(module: str, line: int) -> ast.FunctionDef | None:
    """The innermost function whose body holds a line; its defaults are of what is around it."""
    tree, _ = parsed(module)
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.body[0].lineno <= line <= (node.end_lineno or 0)
    ]
    return max(around, key=lambda node: node.lineno, default=None)


def _in_compiled(module: str, line: int) -> bool:
    """Whether a line is in a compiled loop, or decides a constant of a module that has some."""
    kinds = ("_kernel", "_inlined", "_parallel_kernel", "compiled", "numba.njit")
    function = _function(module, line)
    tree, _ = parsed(module)
    inside = [function] if function else [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    return any(ast.unparse(one).startswith(kinds) for node in inside for one in node.decorator_list)


def _reaching(mutant: Mutant, reach: dict[int, list[str]]) -> set[str]:
    """Tests that run a line; where it is no line of its own, or runs at import, those that run any around it."""
    if tests := {name for name in reach.get(mutant.line, []) if name}:
        return tests
    function = _function(mutant.module, mutant.line)
    lines = range(function.body[0].lineno, (function.end_lineno or 0) + 1) if function else reach
    around = {name for line in lines for name in reach.get(line, [])}
    if not around:  # it runs at import alone, or never
        around = {name for names in reach.values() for name in names}
    return around - {""}


def main() -> None:
    """Draw mutants, run tests on each, say which survive."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--count", type=int, default=400)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", nargs="+", default=[""], help="modules whose path begins so")
    options.add_argument("--tests", nargs="+", help="instead of those that are named in this file")
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--quick", action="store_true", help="all without a compiler: seconds a mutant, and weaker")
    options.add_argument("--compiled", choices=["yes", "no"], help="one of the two halves alone")
    chosen = options.parse_args()
    if chosen.compiled is None:
        with tempfile.TemporaryDirectory() as folder:
            for half in ("no",) if chosen.quick else ("yes", "no"):
                compiler = {
                    "SPICEKIT_TESTS_CACHE": folder,
                    "NUMBA_DISABLE_JIT": "0" if half == "yes" else "1",
                    "NUMBA_THREADING_LAYER": "workqueue",  # GNU's OpenMP ends what was forked
                }
                environment = {**os.environ, "PYTHONPATH": str(ROOT), **compiler}
                command = [sys.executable, __file__, *sys.argv[1:], "--compiled", half]
                subprocess.run(command, check=True, env=environment, cwd=ROOT)
        return
    import pytest

    mutants = [mutant for mutant in draw(chosen.count, chosen.seed) if mutant.module.startswith(tuple(chosen.only))]
    known = json.loads(chosen.out.read_text())["mutants"] if chosen.out.is_file() else []
    found = {(one["module"], one["index"], one["before"], one["after"]): one for one in known}
    others = [
        one for one in known if (PACKAGE / one["module"]).is_file() and not one["module"].startswith(tuple(chosen.only))
    ]
    now = commit()
    for mutant in mutants:
        mutant.compiled = mutant.compiled and not chosen.quick
        if one := found.get((mutant.module, mutant.index, mutant.before, mutant.after)):
            mutant.killed_by, mutant.tests, mutant.commit = one["killed_by"], one["tests"], one["commit"]
        if mutant.tests < 0:
            mutant.commit = now

    def keep() -> None:
        ours = {
            "command": f"python scripts/mutate.py --count {chosen.count} --seed {chosen.seed}",
            "mutants": sorted([*map(asdict, mutants), *others], key=lambda one: one["module"]),
        }
        chosen.out.write_text(json.dumps(ours, indent=1) + "\n")

    plain = ["-q", "-s", "-p", "no:cacheprovider", "-p", "no:doctest", "-o", "addopts="]
    plugin = Mutation(mutants, compiled=chosen.compiled == "yes", keep=keep)
    pytest.main(
        [
            *plain,
            *(["-W", "ignore::RuntimeWarning"] * (not plugin.compiled)),
            *(chosen.tests or TESTS[plugin.compiled]),
        ],
        plugins=[plugin],
    )
    tried = [mutant for mutant in mutants if mutant.tests >= 0]
    killed = sum(bool(mutant.killed_by) for mutant in tried)
    print(f"{killed} of {len(tried)} killed, {killed / max(1, len(tried)):.1%}; excluded: {', '.join(EXCLUDED)}")


if __name__ == "__main__":
    main()
