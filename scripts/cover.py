"""Lines of the package that a test runs, in whatever process.

    python scripts/cover.py --out docs/validation/coverage.json

The suite runs once as it is, and the tests of small tiles once more without a compiler (`NUMBA_DISABLE_JIT`), where the
lines of compiled loops can be seen. What a caged worker of ngspice runs is not: it may write no file.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

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
COMPILED = "-m 'long or not long'"
PLAIN = (
    "-o", "addopts=", "-W", "ignore::RuntimeWarning",
    "tests/engines/test_small_tiles.py", "tests/engines/test_small_exact.py", "tests/mapping/test_packed.py",
)  # fmt: skip


def main() -> None:
    """Run the tests, write what share of each module's lines ran."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--tests", default=COMPILED, help="words for pytest, in place of the whole suite")
    given = options.parse_args()
    out = given.out.resolve()
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings"
        settings.write_text(SETTINGS.replace("[run]", f"[run]\ndata_file = {folder}/data"))
        coverage = [sys.executable, "-m", "coverage"]
        for switch, tests in (("0", shlex.split(given.tests)), ("1", PLAIN)):
            environment = {**os.environ, "NUMBA_DISABLE_JIT": switch, "PYTHONPATH": str(ROOT)}
            pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--durations=60", *tests]
            subprocess.run([*coverage, "run", f"--rcfile={settings}", *pytest], cwd=ROOT, env=environment)
        for words in (["combine", "-q"], ["json", "-q", "-o", f"{folder}/found.json"]):
            subprocess.run([*coverage, *words, f"--rcfile={settings}"], cwd=ROOT, check=True)
        found = json.loads((Path(folder) / "found.json").read_text())
    modules = {
        name: {"lines": each["summary"]["num_statements"], "missed": each["missing_lines"]}
        for name, each in sorted(found["files"].items())
    }
    total = found["totals"]
    record = {
        "command": "python scripts/cover.py --out docs/validation/coverage.json",
        "lines": total["num_statements"],
        "covered": total["covered_lines"],
        "omitted": OMITTED,
        "modules": modules,
    }
    out.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{total['covered_lines']} of {total['num_statements']} lines, {total['percent_covered']:.1f} %")


if __name__ == "__main__":
    main()
