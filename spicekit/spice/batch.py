"""Programs in a cage, in an empty folder and within limits: `ngspice -b`, as people run a deck, and others."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

from spicekit.errors import MissingTool, SpiceFailed
from spicekit.spice.cage import REPORT_FILE, Cage, command
from spicekit.spice.simulator import INSTALL_HINT


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
    deck : str
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
    return run_caged(
        [program, "-n", "-b"],
        deck,
        timeout=timeout,
        read=[*_libraries(program), *map(str, compiled)],
        code_models=_code_models(program),
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


def _libraries(program: str) -> tuple[str, ...]:
    """Where the shared libraries of the system and of an installation lie."""
    prefix = Path(program).parent.parent
    return (*SYSTEM_LIBRARIES, str(prefix / "lib"), str(prefix / "lib64"))


def _code_models(program: str) -> list[Path]:
    prefix = Path(program).parent.parent
    return [*prefix.glob("lib*/ngspice/*.cm"), *prefix.glob("lib/*/ngspice/*.cm")]


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Stop the program and whatever it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
