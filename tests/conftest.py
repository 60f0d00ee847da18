"""What many tests need: I-V tables swept afresh, and caches that are thrown away."""

import os
import signal
from collections.abc import Iterator

import pytest

from spicekit.circuits.spec import TileSpec, Wires
from spicekit.compiled import ENVIRONMENT, code_folder
from spicekit.tables.characterise import Characterisation, characterise
from spicekit.tables.table import IVTable

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A suite that a shell runs in the background ignores Ctrl-C, and so would every process that a test interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


if os.environ.get("NUMBA_DISABLE_JIT") == "1":
    import plain_code

    plain_code.install()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with long tests come first: of processes side by side none is left with one at the end."""
    long = {item.path for item in items if item.get_closest_marker("long")}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session", autouse=True)
def _own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Neither read nor write the user's tables and caches, but for compiled code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, str(code_folder().path))  # or every process that tests start would compile
        # Processes of one run share what they fit: an entry's key holds its inputs and the code.
        shared = tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else None
        cache = os.environ.get("SPICEKIT_TESTS_CACHE") or (shared or tmp_path_factory.getbasetemp()) / "cache"
        patch.setenv("SPICEKIT_CACHE", str(cache))
        patch.setenv("SPICEKIT_TABLES", str(tmp_path_factory.mktemp("tables")))
        yield


@pytest.fixture(scope="session")
def tables() -> dict[str, IVTable]:
    """I-V table of each cell at the default corner, from ngspice."""
    specs = [TileSpec(cell=cell, wires=Wires(r_bl=0, r_sl=0)) for cell in ("8t-sram", "1t1r")]
    swept = characterise([Characterisation(spec) for spec in specs])
    return {request.spec.cell: sweep.table() for request, sweep in swept}


@pytest.fixture(scope="session")
def sram_table(tables: dict[str, IVTable]) -> IVTable:
    return tables["8t-sram"]
