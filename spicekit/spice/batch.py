"""The `ngspice` program: a deck as people run it, `ngspice -b`, in an empty folder and within limits."""

import os
import resource
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from spicekit.errors import MissingTool, SpiceFailed
from spicekit.spice.simulator import INSTALL_HINT


@dataclass(frozen=True)
class BatchRun:
    """What a deck left behind."""

    status: int
    """Exit status of ngspice; a deck that checks itself exits with 1 if it fails."""
    output: str
    files: dict[str, str]
    """Text files that it wrote, by name."""


def run_batch(deck: str, *, timeout: float) -> BatchRun:
    """Run a deck in `ngspice -b`.

    ngspice does whatever a deck says, so pass only what has been checked. It gets an empty folder, no start-up
    files, no input, and limits on time, memory and file size.

    Raises
    ------
    MissingTool
        If the ngspice program is not there.
    SpiceFailed
        If it exceeds `timeout` seconds.
    """
    program = shutil.which("ngspice")
    if program is None:
        raise MissingTool(f"the ngspice program was not found; {INSTALL_HINT}")
    with tempfile.TemporaryDirectory(prefix="spicekit-") as name:
        folder = Path(name)
        (folder / _DECK).write_text(deck)
        with open(folder / _OUTPUT, "wb") as output:
            process = subprocess.Popen(
                [program, "-n", "-b", _DECK],
                cwd=folder,
                env={"PATH": os.defpath, "HOME": name, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (_LARGEST_FILE, _LARGEST_FILE))
            try:
                status = process.wait(timeout)
            except subprocess.TimeoutExpired:
                raise SpiceFailed(f"ngspice took longer than {timeout:g} s and was stopped") from None
            finally:
                _end(process)
        texts = {
            path.name: path.read_text(encoding="utf-8", errors="replace")
            for path in sorted(folder.iterdir())
            if path.is_file() and not path.is_symlink()
        }
    del texts[_DECK]
    return BatchRun(status, texts.pop(_OUTPUT), texts)


_DECK, _OUTPUT = "deck.cir", "ngspice.log"
_MEMORY = 8 << 30  # bytes; a full 256 x 256 tile takes two
_LARGEST_FILE = 256 << 20  # bytes


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop the program and whatever it started."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()
