"""The server that forks workers, apart from `simulator` because whoever starts it early has not even numpy yet.

It has imported what workers need: one starts in hundredths of a second, and none inherits the threads of the caller.
Python's own, `multiprocessing.forkserver`, starts a second process that tracks resources, runs the caller's script
again, and refuses callers that are daemons, as processes of pools are.
"""

import atexit
import contextlib
import functools
import importlib
import os
import signal
import socket
import sys
import threading
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any


@dataclass(frozen=True)
class Process:
    """A worker process."""

    pipe: "Connection[Any, Any]"
    """To `worker.serve`; the process ends itself when this end is gone."""
    descriptor: int
    """By which the operating system knows it, also when its number is another's."""

    def ended(self) -> bool:
        """Whether it runs no more."""
        return bool(wait([self.descriptor], 0))

    def kill(self) -> None:
        """Stop it, whatever it does, and forget it."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)
        os.close(self.descriptor)


def prepare() -> None:
    """Start the server and return at once: it imports while the caller does."""
    with _lock:
        _server()


def fork(library: str) -> Process:
    """Start a worker for a library of ngspice; it need not be ready.

    Raises
    ------
    EOFError, ConnectionError
        If it died.
    """
    ours, theirs = socket.socketpair()
    request = [library.encode()], [theirs.fileno()]
    with theirs, _lock:
        try:
            socket.send_fds(_server()[0], *request)
        except ConnectionError:  # somebody killed the server
            _server()[0].close()
            _server.cache_clear()
            socket.send_fds(_server()[0], *request)
    pipe: Connection[Any, Any] = Connection(ours.detach())
    try:
        return Process(pipe, os.pidfd_open(pipe.recv()))
    except ProcessLookupError:
        raise EOFError from None


_lock = threading.Lock()


@functools.cache
def _server() -> tuple[socket.socket, int]:
    """Socket that takes requests, and number of the process that has its other end as standard input."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    atexit.register(ours.close)
    command = [sys.executable, "-c", _COMMAND, *sys.path]
    # numpy's threads do not follow into workers, but glibc thinks that they may have: in what is forked from a process
    # that has had threads, every malloc of ngspice takes a lock, and every sweep 4 % longer.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with theirs:
        redirect = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)]
        return ours, os.posix_spawn(sys.executable, command, environment, file_actions=redirect)


_COMMAND = "import sys; sys.path[:] = sys.argv[1:]; from spicekit.spice.server import run; run()"
_LONGEST = 4096  # bytes of a path


def run() -> None:
    """Fork a worker for each request, the name of a library and a pipe, until nobody is left to ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for workers
    with contextlib.suppress(ImportError):  # the worker will say so
        importlib.import_module("PySpice.Spice.NgSpice.Shared")
    from spicekit.spice.worker import serve

    with socket.socket(fileno=os.dup(0)) as requests, open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
        while True:
            library, pipes, *_ = socket.recv_fds(requests, _LONGEST, 1)
            if not library:
                return
            if os.fork():
                os.close(pipes[0])
                continue
            try:
                requests.close()
                pipe: Connection[Any, Any] = Connection(pipes[0])
                pipe.send(os.getpid())
                serve(pipe, library.decode())
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
