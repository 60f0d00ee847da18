"""The cage: each attack works on ngspice as it is, and fails on ours."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from spicekit.errors import SpiceFailed
from spicekit.spice import batch, cage
from spicekit.spice.batch import run_batch
from spicekit.spice.simulator import Job, Step, ngspice, simulate, worker_cage

DECK = "* a divider\nv1 a 0 2\nr1 a b 1k\nr2 b 0 1k\nd1 b 0 dm\n.model dm d is=1e-14\n"
FAST = {"timeout": 30.0}

needs_landlock = pytest.mark.skipif(not cage.landlock_abi(), reason="this kernel has no Landlock")


def deck(*commands: str) -> str:
    return "\n".join([DECK + ".control", *commands, ".endc", ".end", ""])


def naive(text: str, folder: Path, **environment: str) -> str:
    """What plain `ngspice -b` says to a deck."""
    (folder / "deck.cir").write_text(text)
    done = subprocess.run(
        ["ngspice", "-b", "deck.cir"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    return done.stdout + done.stderr


@pytest.fixture
def outside() -> Path:
    """A folder of the user's that is not below /tmp, where the cage puts another."""
    folder = Path(tempfile.mkdtemp(dir=Path.home(), prefix="outside-"))
    yield folder
    shutil.rmtree(folder)


WRITES = {
    "run": "run {}",
    "wrdata": "op\nwrdata {} v(b)",
    "redirection": "op\nprint v(b) > {}",
    "shell": "shell echo attack > {}",
    "rawfile": "op\nwrite {} v(b)",
}


@needs_landlock
@pytest.mark.parametrize("attack", WRITES)
@pytest.mark.parametrize("where", ["home", "tmp"])
def test_a_deck_overwrites_no_file_of_the_user(attack, where, outside, tmp_path):
    folder = outside if where == "home" else tmp_path
    (folder / "naive").mkdir()
    victim = folder / "victim.data"
    text = deck("op", WRITES[attack].format(victim), "quit 0")
    victim.write_text("precious")
    naive(text, folder / "naive")
    assert not victim.exists() or victim.read_bytes() != b"precious"
    victim.write_text("precious")
    run_batch(text, **FAST)
    assert victim.read_text() == "precious"


@needs_landlock
@pytest.mark.parametrize("where", ["home", "tmp"])
def test_a_deck_reads_no_file_of_the_user(where, outside, tmp_path):
    folder = outside if where == "home" else tmp_path
    secret = folder / "model.txt"
    secret.write_text("* other people's\n.model dm nmos level=1 vto=0\n")
    transistor = "* a transistor\nv1 a 0 1\nm1 a a 0 0 dm l=1u w=1u\n.model dm nmos level=1 vto=0.5\n.control\n"
    plain = transistor + "op\nprint i(v1)\nquit 0\n.endc\n.end\n"
    text = plain.replace("op\n", f"altermod dm file = {secret}\nop\n")

    def current(output: str) -> str:
        return next(line for line in output.splitlines() if line.startswith("i(v1)"))

    (folder / "naive").mkdir()
    assert current(naive(text, folder / "naive")) != current(naive(plain, folder / "naive"))
    assert current(run_batch(text, **FAST).output) == current(run_batch(plain, **FAST).output)


@needs_landlock
def test_a_worker_writes_reads_and_starts_nothing_outside_its_folder(outside, tmp_path):
    victim = outside / "victim.data"
    victim.write_text("precious")
    for folder in (outside, tmp_path):
        for command in (f"shell touch {folder}/started", f"echo attack > {victim}", f"source {victim}"):
            with pytest.raises(SpiceFailed):
                simulate(Job(DECK + ".end\n", (Step(command),)))
        assert not (folder / "started").exists()
    assert victim.read_text() == "precious"


def start_up_files(folder: Path) -> None:
    for name in (".spiceinit", "spinit"):
        (folder / name).write_text(f"shell touch {folder}/{name}.ran\nset scale=2\n")


def test_no_start_up_file_is_read_by_the_program(tmp_path, monkeypatch):
    start_up_files(tmp_path)
    print_scale = deck("op", "set", "quit 0")
    assert "scale" in naive(print_scale, tmp_path, SPICE_SCRIPTS=str(tmp_path))
    ran = {tmp_path / ".spiceinit.ran", tmp_path / "spinit.ran"}
    assert all(path.exists() for path in ran)
    for path in ran:
        path.unlink()
    monkeypatch.chdir(tmp_path)
    for name in ("TMPDIR", "HOME", "SPICE_SCRIPTS", "SPICE_LIB_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert "scale" not in run_batch(print_scale, **FAST).output
    assert not any(path.exists() for path in ran)


WORKER = """
from spicekit.spice.simulator import Job, Step
from spicekit.spice.simulator import ngspice, simulate
if __name__ == "__main__":
    (wave,) = simulate(Job({deck!r}, (Step("op"),), keep=("b",)))
    print(ngspice().state, wave["b"][0])
"""
NAIVE_LIBRARY = """
import ctypes, ctypes.util
library = ctypes.CDLL(ctypes.util.find_library("ngspice"))
said = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p)
@said
def say(text, *_):
    print(text.decode())
    return 0
library.ngSpice_Init(say, None, None, None, None, None, None)
library.ngSpice_Command(b"set")
"""


@pytest.mark.parametrize("where", ["folder", "scripts"])
def test_no_start_up_file_is_read_by_a_worker(where, tmp_path):
    start_up_files(tmp_path)
    environment = {**os.environ, "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    if where == "scripts":
        environment |= {"SPICE_SCRIPTS": str(tmp_path), "SPICE_LIB_DIR": str(tmp_path)}

    def run(script: str) -> str:
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return done.stdout

    ran = tmp_path / (".spiceinit.ran" if where == "folder" else "spinit.ran")
    assert "scale" in run(NAIVE_LIBRARY)
    assert ran.exists()
    ran.unlink()
    state, voltage = run(WORKER.format(deck=DECK + ".end\n")).split()
    assert not ran.exists()
    (wave,) = simulate(Job(DECK + ".end\n", (Step("op"),), keep=("b",)))
    assert (state, float(voltage)) == (ngspice().state, wave["b"][0])


def test_a_deck_that_writes_without_end_is_stopped(monkeypatch):
    monkeypatch.setattr(batch, "_LARGEST_OUTPUT", 4 << 20)
    small = ["repeat 200", "echo 0123456789012345678901234567890123456789 >> part{}", "end"]
    one = deck("tran 1u 100m", "wrdata one v(b) v(a) v(b) v(a)", "quit 0")
    with pytest.raises(SpiceFailed, match=r"wrote more than 4 MiB|SIGXFSZ"):
        run_batch(one, **FAST)
    many = deck("tran 1u 20m", *[f"wrdata part{n} v(b)" for n in range(50)], *small, "quit 0")
    with pytest.raises(SpiceFailed, match="wrote more than 4 MiB"):
        run_batch(many, **FAST)


def test_a_deck_that_does_not_end_is_stopped():
    with pytest.raises(SpiceFailed, match="longer than 1 s"):
        run_batch(deck("while 1", "let a = 1", "end"), timeout=1.0)


def test_an_ngspice_that_dies_by_a_signal_says_so(monkeypatch, tmp_path):
    program(tmp_path, 'puts("last words"); fflush(0); raise(SIGSEGV);', monkeypatch)
    with pytest.raises(SpiceFailed, match=r"SIGSEGV.*last words"):
        run_batch(deck("op"), **FAST)


def program(folder: Path, body: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put another program in the place of ngspice, in C."""
    (folder / "bin").mkdir()
    source = folder / "program.c"
    heads = "".join(f"#include <{name}.h>\n" for name in ("fcntl", "signal", "stdio", "time", "unistd"))
    source.write_text(f"{heads}int main() {{ char name[32]; {body} }}")
    subprocess.run(["cc", "-o", folder / "bin" / "ngspice", source], check=True)
    monkeypatch.setenv("PATH", str(folder / "bin"), prepend=os.pathsep)


def test_files_that_go_while_they_are_counted_are_no_error(monkeypatch, tmp_path):
    body = (
        "for (time_t end = time(0) + 2; time(0) < end;) for (int n = 0; n < 100; n++) "
        '{ sprintf(name, "%d", n); close(open(name, O_CREAT | O_WRONLY, 0600)); unlink(name); }'
    )
    program(tmp_path, body, monkeypatch)
    monkeypatch.setattr(batch, "_PAUSE", 0.001)
    assert run_batch(deck("op"), **FAST).status == 0


def test_empty_files_without_end_are_stopped(monkeypatch, tmp_path):
    program(
        tmp_path,
        'for (int n = 0; n < 1000000; n++) { sprintf(name, "%d", n); close(open(name, O_CREAT | O_WRONLY, 0600)); }',
        monkeypatch,
    )
    monkeypatch.setattr(batch, "_LARGEST_OUTPUT", 4 << 20)
    with pytest.raises(SpiceFailed, match="wrote more than 4 MiB"):
        run_batch(deck("op"), **FAST)


def test_what_is_in_force_is_said():
    expected = ["a private folder", "limits"]
    if abi := cage.landlock_abi():
        expected.append(f"Landlock (ABI {abi})")
    for words in (worker_cage(), run_batch(deck("op", "quit 0"), **FAST).cage):
        assert words.split(", ")[: len(expected)] == expected


def test_a_kernel_without_landlock_is_said_to_have_none(tmp_path):
    """A deck still runs, in a folder and within limits; and the words for it are no comfort."""
    none = "from spicekit.spice import cage; cage.landlock_abi = lambda: 0"
    script = f"{none}; print(cage.Cage({str(tmp_path)!r}).enter())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "no Landlock in this kernel" in done.stdout


@pytest.mark.parametrize("limit", [3_000_000, 1_000_000])
def test_a_lower_limit_on_memory_stays_and_ngspice_runs_within_it(limit):
    """A limit of a batch queue, in KiB; lower than ours, which must not be raised to."""
    script = (
        f"from spicekit.spice.simulator import Job, Step, simulate\n"
        f"from spicekit.spice.batch import run_batch\n"
        f"print(simulate(Job({DECK + '.end'!r}, (Step('op'),), keep=('a',)))[0]['a'][0])\n"
        f"print(run_batch({deck('op', 'print v(a)', 'quit 0')!r}, timeout=30.0).output)\n"
    )
    done = subprocess.run(
        ["bash", "-c", f'ulimit -v {limit}; exec "$0" -c "$1"', sys.executable, script],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("2.0\n"), done.stderr
    assert "v(a) = 2.000000e+00" in done.stdout


@needs_landlock
def test_a_program_that_ngspice_could_start_is_refused_by_the_kernel(tmp_path):
    """The last wall: whatever a caged process runs, it starts, signals and connects to nothing."""
    script = f"""
import os, socket, stat
from spicekit.spice import cage
print(cage.Cage({str(tmp_path)!r}).enter())
for action in (
    lambda: os.execv("/bin/sh", ["sh", "-c", "echo attack"]),
    lambda: os.kill({os.getpid()}, 0),
    lambda: socket.create_connection(("127.0.0.1", 9)),
    lambda: os.listdir("/"),
    lambda: os.link("/etc/hosts", "hosts"),
    lambda: os.rename("../victim", "victim"),
    lambda: os.symlink("/etc/hosts", "link"),
    lambda: os.mkfifo("pipe"),
    lambda: os.mknod("device", 0o600 | stat.S_IFCHR, os.makedev(1, 3)),
    lambda: os.chroot("."),
):
    try:
        action()
    except PermissionError:
        print("refused")
    except OSError as error:
        print("refused" if error.errno == 18 else error)  # EXDEV: no link across the border
"""
    (tmp_path.parent / "victim").write_text("precious")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    abi = cage.landlock_abi()
    refused = done.stdout.splitlines()[1:]
    expected = ["refused", *(["refused"] if abi >= 6 else []), *(["refused"] if abi >= 4 else [])]
    assert refused[: len(expected)] == expected or abi < 6
    assert refused[-7:] == ["refused"] * 7


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has what is taken")
def test_root_has_no_privileges_in_the_cage(tmp_path):
    """Without Landlock, too; root may make devices, which are the way to the disks."""
    script = f"""
import os, stat, sys
from spicekit.spice import cage
cage.landlock_abi = lambda: 0
if sys.argv[1] == "caged":
    cage.Cage({str(tmp_path)!r}).enter()
for action in (
    lambda: os.mknod(f"{tmp_path}/{{sys.argv[1]}}", 0o600 | stat.S_IFCHR, os.makedev(1, 3)),
    lambda: os.chroot("/"),
    lambda: os.setuid(1),
):
    try:
        action()
        print("done")
    except PermissionError:
        print("refused")
"""
    outcomes = {}
    for where in ("naive", "caged"):
        done = subprocess.run([sys.executable, "-c", script, where], capture_output=True, text=True, check=True)
        outcomes[where] = done.stdout.split()
    if "refused" in outcomes["naive"]:
        pytest.skip("this root lacks privileges")
    assert outcomes == {"naive": ["done"] * 3, "caged": ["refused"] * 3}


def test_the_structures_of_landlock_have_the_kernel_s_size():
    assert ctypes.sizeof(cage._Ruleset) == 24
    assert ctypes.sizeof(cage._Beneath) == 12
    assert signal.SIGKILL == 9
