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
import shutil
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn


@dataclass(frozen=True)
class Process:
    """A worker process, in a folder that the server makes and removes."""

    pipe: "Connection[Any, Any]"
    """To `worker.serve`; the process ends itself when this end is gone."""
    number: int
    descriptor: int
    """By which the operating system knows it, also when its number is another's."""

    def ended(self) -> bool:
        """Whether it runs no more."""
        return bool(wait([self.descriptor], 0))

    def kill(self) -> str:
        """Stop it, whatever it does, and forget it; the name of the signal that ended it, empty if none did."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.descriptor, signal.SIGKILL)
        os.close(self.descriptor)
        with contextlib.suppress(EOFError, ConnectionError):  # the server has ended, too
            status: int = _ask(_END, str(self.number)).recv()
            return signal.Signals(status).name if status else ""
        return ""


def prepare() -> None:
    """Start the server and return at once: it imports while the caller does."""
    with _lock:
        _server()


def fork(library: str, *, compiled: Iterable[str] = ()) -> Process:
    """Start a worker for a library of ngspice, which may read these files; it need not be ready.

    `EOFError` or `ConnectionError` if it died.
    """
    pipe = _ask(_FORK, library, *compiled)
    try:
        number: int = pipe.recv()
        return Process(pipe, number, os.pidfd_open(number))
    except ProcessLookupError:
        raise EOFError from None


def _ask(*words: str) -> "Connection[Any, Any]":
    """Send a request to the server; the pipe that it answers in."""
    ours, theirs = socket.socketpair()
    request = ["\0".join(words).encode()], [theirs.fileno()]
    with theirs, _lock:
        try:
            socket.send_fds(_server()[0], *request)
        except ConnectionError:  # somebody killed the server
            _server()[0].close()
            _server.cache_clear()
            socket.send_fds(_server()[0], *request)
    return Connection(ours.detach())


_FORK, _END = "fork", "end"
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
_LONGEST = 1 << 16  # bytes of a request, which holds paths


def run() -> None:
    """Fork a worker for each request, and bury it when asked to, until nobody is left to ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever asks
    with contextlib.suppress(ImportError):  # the worker will say so
        importlib.import_module("PySpice.Spice.NgSpice.Shared")
    with (
        contextlib.ExitStack() as stack,
        socket.socket(fileno=os.dup(0)) as requests,
        open(os.devnull) as nothing,
    ):
        private: str | OSError
        try:
            folder = tempfile.TemporaryDirectory(prefix="spicekit-", ignore_cleanup_errors=True)
            private = stack.enter_context(folder)
        except OSError as error:  # the workers will say so
            private = error
        os.dup2(nothing.fileno(), 0)
        alive: set[int] = set()
        while True:
            request, pipes, *_ = socket.recv_fds(requests, _LONGEST, 1)
            if not request:
                for number in alive:  # or they would write into folders that are being removed
                    os.kill(number, signal.SIGKILL)
                    os.waitpid(number, 0)
                return
            what, *words = request.decode().split("\0")
            pipe: Connection[Any, Any] = Connection(pipes[0])
            if what == _END:
                alive.discard(number := int(words[0]))
                with contextlib.suppress(ConnectionError):  # whoever asks may be gone
                    pipe.send(_bury(number, private))
            elif number := os.fork():
                alive.add(number)
            else:
                requests.close()
                _work(pipe, words, private)
            pipe.close()


def _bury(number: int, private: str | OSError) -> int:
    """Remove the folder of a worker that has ended; the signal that ended it, or 0."""
    try:
        _, status = os.waitpid(number, 0)
    except ChildProcessError:  # of another server, which was killed
        return 0
    if isinstance(private, str):
        shutil.rmtree(os.path.join(private, str(number)), ignore_errors=True)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _work(pipe: "Connection[Any, Any]", words: list[str], private: str | OSError) -> NoReturn:
    """Be a worker."""
    from spicekit.spice.cage import end_with_parent
    from spicekit.spice.worker import serve

    try:
        end_with_parent()  # a library that hangs as it starts asks nobody whether it is still wanted
        library, *compiled = words
        pipe.send(os.getpid())
        if isinstance(private, OSError):
            pipe.send(private)
        else:
            serve(pipe, library, folder=os.path.join(private, str(os.getpid())), compiled=compiled)
    except ConnectionError:  # Ctrl-C ended whoever asked
        pass
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(0)
