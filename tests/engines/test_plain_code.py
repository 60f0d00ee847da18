"""What the compiled loops write in machine code is what plain Python says it is: the same codes, bit for bit."""

import os
import subprocess
import sys
from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "golden"
sys.path.insert(0, str(GOLDEN))

from cases import product_cases  # noqa: E402

CASES = (
    "fast-8t-sram-16-both",
    "fast-1t1r-64-linear",
    "fast-8t-sram-64-near-both",
    "die-1t1r-16-all",
    "die-8t-sram-8-cells",
)


def test_loops_give_the_recorded_codes_without_a_compiler():
    """What surrogates are fitted to takes compiled code: these cases fill the cache, which Python then reads."""
    known = dict(product_cases())
    for name in CASES:
        known[name]()
    chosen = " or ".join(f"recorded[{name}]" for name in CASES)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", GOLDEN, "-k", chosen]
    environment = {
        **os.environ,
        "SPICEKIT_TESTS_CACHE": os.environ["SPICEKIT_CACHE"],
        "NUMBA_DISABLE_JIT": "1",
    }
    done = subprocess.run([*command, "-W", "ignore::RuntimeWarning"], env=environment, capture_output=True, text=True)
    assert f"{len(CASES)} passed" in done.stdout, done.stdout[-3000:]


def test_every_function_that_writes_machine_code_is_said_in_plain_python():
    import plain_code
    from numba.core.extending import _Intrinsic

    found = {
        f"{each.__module__}.{each.__name__}"
        for name, module in list(sys.modules.items())
        if name.startswith("spicekit.")
        for each in vars(module).values()
        if isinstance(each, _Intrinsic)
    }
    assert found == set(plain_code.PLAIN)
