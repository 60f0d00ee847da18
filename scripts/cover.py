"""Lines of the package that a test runs, in whatever process.

    python scripts/cover.py --out docs/validation/coverage.json

The suite runs in parts, a folder of tests each, one after the other; the tests of small tiles run once more without a
compiler (`NUMBA_DISABLE_JIT`), where the lines of compiled loops can be seen. Each part leaves its data in a folder of
its commit, so that the command, repeated, goes on where it was cut; `--only` runs some parts, `--without` all but some.
The record says which parts ran and how they ended. What a caged worker of ngspice runs is not seen: it may write no
file.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from mutate import commit

ROOT = Path(__file__).resolve().parent.parent
OMITTED = {"spicekit/engines/fast/gpu_kernels.py": "imports Triton, which comes with torch for CUDA alone"}
SETTINGS = f"""[run]
source = spicekit
omit = {" ".join(f"*/{name}" for name in OMITTED)}
parallel = true
patch = subprocess
sigterm = true
[report]
exclude_also =
    if TYPE_CHECKING:
    @overload
"""
PLAIN = "without a compiler"
COVERAGE = (sys.executable, "-m", "coverage")


def parts() -> dict[str, list[str]]:
    """Words for pytest, by what they run."""
    tests = ROOT / "tests"
    folders = sorted(path.name for path in tests.iterdir() if any(path.glob("test_*.py")))
    small = ("engines/test_small_tiles.py", "engines/test_small_exact.py", "mapping/test_packed.py")
    return {
        **{f"tests/{name}": [f"tests/{name}"] for name in folders},
        "tests/test_*.py": sorted(str(path.relative_to(ROOT)) for path in tests.glob("test_*.py")),
        "examples of docstrings": ["spicekit"],
        PLAIN: ["-o", "addopts=", "-W", "ignore::RuntimeWarning", *(f"tests/{name}" for name in small)],
    }


def run(words: list[str], folder: Path, *, compiled: bool) -> None:
    """Run a part, if an earlier run did not, and leave in `folder` its data and how it ended."""
    if (folder / "ended").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob("data.*"):  # of a run that was cut
        left.unlink()
    settings = folder / "settings"
    settings.write_text(SETTINGS.replace("[run]", f"[run]\ndata_file = {folder}/data"))
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "0" if compiled else "1", "PYTHONPATH": str(ROOT)}
    marker = ["-m", "long or not long"] if compiled else []
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "timeout=1800", *marker, *words]
    command = [*COVERAGE, "run", f"--rcfile={settings}", *pytest]
    with open(folder / "log", "w") as log:
        subprocess.run(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    lines = (folder / "log").read_text().splitlines()
    (folder / "ended").write_text(lines[-1].strip("= ") if lines else "said nothing")


def main() -> None:
    """Run the tests, write what share of each module's lines ran."""
    known = parts()
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--data", type=Path, default=ROOT / ".coverage-parts", help="where parts are kept")
    options.add_argument("--only", nargs="+", choices=known, default=[*known], metavar="PART")
    options.add_argument("--without", nargs="+", choices=known, default=[], metavar="PART")
    given = options.parse_args()
    now = commit()
    kept = given.data.resolve() / now.replace(" ", "-")
    where = {part: kept / part.replace("/", "-").replace("*", "all").replace(" ", "-") for part in known}
    for part in given.only:
        if part not in given.without:
            run(known[part], where[part], compiled=part != PLAIN)
            print(f"{part}: {(where[part] / 'ended').read_text()}", flush=True)
    ended = {part: (where[part] / "ended").read_text() for part in known if (where[part] / "ended").is_file()}
    settings, found = where[next(iter(ended))] / "settings", kept / "found.json"
    data = [str(path) for part in ended for path in where[part].glob("data.*")]
    for words in (["combine", "-q", "--keep", *data], ["json", "-q", "-o", str(found)]):
        own = [*COVERAGE, words[0], f"--rcfile={settings}", f"--data-file={kept}/all", *words[1:]]
        subprocess.run(own, cwd=ROOT, check=True)
    measured = json.loads(found.read_text())
    total = measured["totals"]
    record = {
        "command": "python scripts/cover.py --out docs/validation/coverage.json",
        "commit": now,
        "parts": ended,
        "not run": [part for part in known if part not in ended],
        "lines": total["num_statements"],
        "covered": total["covered_lines"],
        "omitted": OMITTED,
        "modules": {
            name: {"lines": each["summary"]["num_statements"], "missed": each["missing_lines"]}
            for name, each in sorted(measured["files"].items())
        },
    }
    text = re.sub(r"(?<=\d),\s+(?=\d)", ", ", json.dumps(record, indent=1))  # a module's lines on one
    given.out.write_text(text + "\n")
    print(f"{total['covered_lines']} of {total['num_statements']} lines, {total['percent_covered']:.1f} %")


if __name__ == "__main__":
    main()
