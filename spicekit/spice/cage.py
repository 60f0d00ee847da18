"""The cage that ngspice runs in: a private folder, limits, and, where the kernel offers it, Landlock.

ngspice is a program that does what its input says: it runs programs, and writes and reads any file. Its start-up files
do the same, before any deck is read: `spinit` in `SPICE_SCRIPTS` or where it is installed, `.spiceinit` in the current
folder or, if there is none, in the home that /etc/passwd names. So each ngspice, library or program,

* runs in a private, empty folder, which holds the two start-up files that it reads: ours;
* has no environment but what is named here, and no privileges, not even root's;
* is limited in memory, size of a file, processes, and time;
* by Landlock, can write in its folder alone, read what is named, start nothing but itself, open no network connection
  and signal no process outside;
* as a program, has a private /tmp (its folder) in a mount namespace: `ngspice -b` keeps its input in a nameless file
  there, which Landlock cannot allow without all other files in /tmp.

A process that imports this module alone enters the cage and then becomes ngspice. It does so for each deck that is
checked: what is imported here costs more than ngspice does, so it is little (no dataclasses, json, pathlib, signal).
"""

import ctypes
import os
import resource
import sys
from collections.abc import Iterable, Sequence

MEMORY = 8 << 30
"""Bytes that one ngspice may take; a full 256 x 256 tile takes two GiB."""


class Cage:
    """What one ngspice may do.

    Parameters
    ----------
    folder : str
        Private, absolute, and at first empty: the one place that it may write to.
    read : sequence of str
        Files and folders that it may read besides, absolute; those that are not there do not count.
    execute : sequence of str
        Files that it may start, absolute.
    file_size : int
        Bytes of a file that it may write.
    seconds : int, optional
        Of processor time; none if jobs come one after the other, each with its own limit.
    private_tmp : bool
        Put the folder in the place of /tmp.
    """

    def __init__(
        self,
        folder: str,
        *,
        read: Sequence[str] = (),
        execute: Sequence[str] = (),
        file_size: int = 1 << 20,
        seconds: int | None = None,
        private_tmp: bool = False,
    ) -> None:
        self.folder, self.read, self.execute = folder, read, execute
        self.file_size, self.seconds, self.private_tmp = file_size, seconds, private_tmp

    def furnish(self, code_models: Iterable[os.PathLike[str]]) -> dict[str, str]:
        """Write the start-up files, which load the code models of the installation and change nothing else.

        Returns the environment to run in.
        """
        scripts = os.path.join(self.folder, _SCRIPTS)
        os.makedirs(scripts)
        loading = [f"codemodel {path}" for path in sorted(map(os.fspath, code_models))]
        # BSIM4 on two OpenMP threads, the default, waits fifty times as long as it works where the cores are busy.
        spinit = "\n".join(["* start-up file of spicekit", "set num_threads=1", *loading, ""])
        _write(os.path.join(scripts, "spinit"), spinit)
        _write(os.path.join(self.folder, ".spiceinit"), "* start-up file of spicekit\n")
        return {
            "PATH": os.defpath,
            "HOME": ".",
            "LC_ALL": "C",
            "SPICE_SCRIPTS": _SCRIPTS,
            "SPICE_LIB_DIR": ".",
        }

    def enter(self) -> str:
        """Confine this process, for good; says what is in force, in words."""
        for what, limit in (
            (resource.RLIMIT_AS, MEMORY),
            (resource.RLIMIT_FSIZE, self.file_size),
            (resource.RLIMIT_NPROC, 0),  # does not bind root, whom Landlock keeps from starting programs
            (resource.RLIMIT_CORE, 0),
            *([(resource.RLIMIT_CPU, self.seconds)] if self.seconds else []),
        ):
            _lower(what, limit)
        own_tmp = self.private_tmp and _replace_tmp(self.folder, [*self.read, *self.execute])
        os.chdir("/tmp" if own_tmp else self.folder)
        _drop_privileges()
        abi = _restrict(
            read=[*_ALWAYS_READ, f"/proc/{os.getpid()}/statm", *self.read, *self.execute],
            execute=self.execute,
            change=["/tmp"] if self.private_tmp and not own_tmp else [],
        )
        words = [f"Landlock (ABI {abi})" if abi else "no Landlock in this kernel: it can read and write your files"]
        if self.private_tmp:
            words.append("a private /tmp" if own_tmp else "the shared /tmp (mount namespaces are not allowed here)")
        return ", ".join(["a private folder", "limits", *words])


def scrub(environment: dict[str, str]) -> None:
    """Leave this process no environment but this."""
    os.environ.clear()
    os.environ.update(environment)


_SCRIPTS = "scripts"
_ALWAYS_READ = ("/proc/meminfo", "/dev/null", "/etc/localtime")  # it asks whether a result fits in memory


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def _lower(what: int, limit: int) -> None:
    """Lower a limit; one that is lower already stays."""
    _, hard = resource.getrlimit(what)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(what, (limit, limit))


_libc = ctypes.CDLL(None, use_errno=True)


def _call(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


# --- mount namespace, numbers from linux/sched.h and linux/mount.h

_NEWNS, _NEWUSER = 0x00020000, 0x10000000
_MS_BIND, _MS_REC, _MS_PRIVATE = 4096, 16384, 1 << 18


def _replace_tmp(folder: str, needed: Iterable[str]) -> bool:
    """Mount a folder in the place of /tmp, for this process alone; False if the system does not allow it.

    Files below /tmp that are needed are copied to where they are looked for.
    """
    user, group = os.getuid(), os.getgid()
    try:
        try:
            _call(_libc.unshare(_NEWNS))
        except OSError:
            _call(_libc.unshare(_NEWUSER | _NEWNS))
            for name, text in (
                ("setgroups", "deny"),
                ("uid_map", f"{user} {user} 1"),
                ("gid_map", f"{group} {group} 1"),
            ):
                _write(f"/proc/self/{name}", text)
        _call(_libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None))
        for path in needed:
            if path.startswith("/tmp/") and os.path.isfile(path):
                copy = os.path.join(folder, path.removeprefix("/tmp/"))
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                with open(path, "rb") as source, open(copy, "xb") as target:
                    target.write(source.read())
                os.chmod(copy, 0o700)  # it may be the program
        _call(_libc.mount(os.fsencode(folder), b"/tmp", None, _MS_BIND, None))
    except OSError:
        return False
    return True


# --- privileges, numbers from linux/prctl.h and linux/capability.h

_SIGKILL = 9  # of signal.h
_PARENT_DEATH_SIGNAL, _DROP_FROM_BOUNDING_SET, _NO_NEW_PRIVS = 1, 24, 38
_CAPABILITIES_3 = 0x20080522


def end_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends, however it does."""
    _call(_libc.prctl(_PARENT_DEATH_SIGNAL, _SIGKILL, 0, 0, 0))


def _drop_privileges() -> None:
    """Leave root, or whoever has some, no capability: they make devices, raise limits and load modules."""
    number = 0
    while _libc.prctl(_DROP_FROM_BOUNDING_SET, number, 0, 0, 0) == 0:  # fails behind the last, or if it may not
        number += 1
    _call(_libc.capset((ctypes.c_uint32 * 2)(_CAPABILITIES_3, 0), (ctypes.c_uint32 * 6)()))
    _call(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))


# --- Landlock, numbers from linux/landlock.h; the calls have one number on every architecture

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_FILE, _TRUNCATE = 1 << 5, 1 << 8, 1 << 14
_OVER_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
# Neither devices, by which root would reach the disks, nor links, pipes and folders.
_IN_FOLDER = _WRITE_FILE | _READ_FILE | _READ_DIR | _REMOVE_FILE | _MAKE_FILE | _TRUNCATE


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scope", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def landlock_abi() -> int:
    """Version of Landlock that the kernel offers; 0 for none."""
    return max(0, int(_libc.syscall(_CREATE, None, 0, 1)))


def _restrict(*, read: Iterable[str], execute: Iterable[str], change: Iterable[str]) -> int:
    """Let this process reach these files and the current folder alone.

    Returns the version of Landlock, or 0 where there is none.
    """
    abi = landlock_abi()
    if not abi:
        return 0
    # 13 rights over files in the first version; then to link across folders, to truncate, to control devices.
    files = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)) - 1
    network = 0b11 if abi >= 4 else 0  # bind, connect
    scope = 0b11 if abi >= 6 else 0  # abstract sockets, signals
    rules = _Ruleset(files, network, scope)
    ruleset = _call(_libc.syscall(_CREATE, ctypes.byref(rules), ctypes.sizeof(rules), 0))
    try:
        for paths, rights in (
            (read, _READ_FILE | _READ_DIR),
            (execute, _EXECUTE),
            (change, _READ_FILE | _WRITE_FILE),
            (["."], _IN_FOLDER),
        ):
            for path in paths:
                _allow(ruleset, path, rights & files)
        _call(_libc.syscall(_RESTRICT, ruleset, 0))
    finally:
        os.close(ruleset)
    return abi


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _OVER_FILES
        rule = _Beneath(rights, descriptor)
        _call(_libc.syscall(_ADD, ruleset, 1, ctypes.byref(rule), 0))
    finally:
        os.close(descriptor)


# --- as a program


def command(cage: Cage, program: list[str]) -> list[str]:
    """Command that runs a program inside a cage, and leaves what is in force in `REPORT_FILE` of the folder.

    That is empty, or not there, if the program did not start.
    """
    limits = [str(cage.file_size), str(cage.seconds or ""), str(cage.private_tmp or "")]
    words = [cage.folder, *limits, *cage.read, _END, *cage.execute, _END, *program]
    return [sys.executable, "-B", "-I", "-S", "-c", _START, os.path.dirname(__file__), *words]


_START = "import sys; sys.path.append(sys.argv[1]); import cage; cage.become(sys.argv[2:])"
_END = "--"  # of paths, which are absolute
REPORT_FILE = ".cage"


def become(words: list[str]) -> None:
    """Enter the cage and become the program that `command` names."""
    folder, file_size, seconds, private_tmp, *paths = words
    first = paths.index(_END)
    second = paths.index(_END, first + 1)
    program = paths[second + 1 :]
    cage = Cage(
        folder,
        read=paths[:first],
        execute=paths[first + 1 : second],
        file_size=int(file_size),
        seconds=int(seconds) if seconds else None,
        private_tmp=bool(private_tmp),
    )
    end_with_parent()
    with open(os.path.join(folder, REPORT_FILE), "w") as file:
        file.write(cage.enter())
    try:
        os.execv(program[0], program)
    finally:
        os.truncate(REPORT_FILE, 0)
