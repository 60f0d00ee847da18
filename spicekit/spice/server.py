"""The server that forks workers, apart from `simulator` because whoever starts it early has not even numpy yet.

It has imported what workers need: one starts in hundredths of a second, and none inherits the threads of the caller.
"""

import multiprocessing
from multiprocessing import forkserver

CONTEXT = multiprocessing.get_context("forkserver")


def prepare() -> None:
    """Start the server and return at once: it imports while the caller does."""
    CONTEXT.set_forkserver_preload(_PRELOAD)
    forkserver.ensure_running()


_PRELOAD = ["__main__", "spicekit.spice.worker", "PySpice.Spice.NgSpice.Shared"]
