"""ngspice in worker processes: what converges, what does not, what crashes, what hangs."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from spicekit.errors import MissingTool, SpiceFailed
from spicekit.spice import server, simulator
from spicekit.spice.simulator import (
    FALLBACKS,
    Failure,
    Job,
    Outcome,
    Step,
    ngspice,
    simulate,
    simulate_all,
)

DIVIDER = """* a divider
V1 in 0 dc 3
R1 in out 1k
R2 out 0 2k
.end
"""

# Below 0.3 V the comparator draws nothing, above it draws 1 mA: at vbl = 0.4 V and more no x satisfies both.
COMPARATOR = """* a comparator that feeds back
Vbl bl 0 dc 0
Vsl sl 0 dc 0
R1 bl x 1k
B1 x sl i={v(x) > 0.3 ? 1e-3 : 0}
.options reltol=1e-6 abstol=1e-16 vntol=1e-10 gmin=1e-18
.end
"""

# A current forced into an element that saturates: ngspice finds the operating point only by stepping gmin.
STEPPED = """* a source into a sink
Vbl bl 0 dc 0
B1 0 x i={v(bl)*1e-3}
B2 x 0 i={0.4e-3*tanh(v(x)/0.1)}
R1 x 0 1e9
.end
"""

# A steep load, in a deck that forbids ngspice the two kinds of stepping that it does by itself.
FORBIDDEN = """* a steep load
Vbl bl 0 dc 0.35
R1 bl x 1k
B1 x 0 i={0.5e-3*(1+tanh((v(x)-0.3)/1e-4))}
.options reltol=1e-6 abstol=1e-16 vntol=1e-10 gmin=1e-18 gminsteps=0 srcsteps=0
.end
"""

# A comparator as above, but what it draws lies below SPICE's default tolerance for currents.
FAINT = """* a faint comparator
Vbl bl 0 dc 0.30000000015
R1 bl x 1k
B1 x 0 i={v(x) > 0.3 ? 3e-13 : 0}
.options reltol=1e-6 abstol=1e-16 vntol=1e-10 gmin=1e-18
.end
"""

HANGING = (Step("tran 1e-15 1"),)


def runs(deck: str, *steps: Step, fallbacks=FALLBACKS):
    ((_, outcome),) = simulate_all([Job(deck, steps, fallbacks=fallbacks)], workers=1)
    assert isinstance(outcome, Outcome)
    return outcome.runs


def worker_pids() -> list[int]:
    """Children of the server that forks the workers."""
    parent = server._server()[1]
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def test_a_divider_divides():
    (wave,) = simulate(Job(DIVIDER, (Step("op"),)))
    assert wave["out"] == pytest.approx([2.0], rel=1e-9)
    assert wave["v1#branch"] == pytest.approx([-1e-3], rel=1e-9)


def test_alters_stay_for_later_steps():
    steps = (Step("op"), Step("op", ("v1 dc 6",)), Step("op", ("r1 2k",)))
    waves = simulate(Job(DIVIDER, steps, keep=("out",)))
    assert [float(wave["out"][0]) for wave in waves] == pytest.approx([2.0, 4.0, 3.0])


def test_notes_about_gmin_stepping_are_no_failure():
    (wave,) = simulate(Job(STEPPED, (Step("dc vbl 0 0.7 0.1"),), keep=("x",)))
    assert len(wave["x"]) == 8
    assert wave["x"][2] == pytest.approx(0.1 * np.arctanh(0.5), rel=1e-3)


def test_a_sweep_gives_what_it_reached_and_says_where_it_stopped():
    (run,) = runs(COMPARATOR, Step("dc vbl 0 0.7 0.1"))
    np.testing.assert_allclose(run.waves["x"], [0, 0.1, 0.2, 0.3], atol=1e-9)
    assert "vbl = 0.4" in run.trouble


def test_one_step_that_does_not_converge_leaves_the_others():
    bad, good = runs(COMPARATOR, Step("op", ("vbl dc 0.7",)), Step("op", ("vbl dc 0.2",)))
    assert bad.trouble
    assert not good.trouble
    assert good.waves["x"] == pytest.approx([0.2])


def test_simulate_refuses_half_a_sweep():
    with pytest.raises(SpiceFailed, match=r"vbl = 0\.4"):
        simulate(Job(COMPARATOR, (Step("dc vbl 0 0.7 0.1"),)))


def test_gmin_stepping_is_the_first_fallback():
    assert runs(FORBIDDEN, Step("op"), fallbacks=())[0].trouble
    (run,) = runs(FORBIDDEN, Step("op"))
    assert (run.trouble, run.fallback) == ("", "gmin stepping")
    x = run.waves["x"][0]
    assert 0.5e-3 * (1 + np.tanh((x - 0.3) / 1e-4)) == pytest.approx((0.35 - x) / 1e3, rel=1e-4)


def test_source_stepping_alone_also_helps():
    (run,) = runs(FORBIDDEN, Step("op"), fallbacks=FALLBACKS[1:])
    assert (run.trouble, run.fallback) == ("", "source stepping")


def test_tolerances_are_loosened_last_and_it_is_said():
    assert runs(FAINT, Step("op"), fallbacks=FALLBACKS[:2])[0].trouble
    (run,) = runs(FAINT, Step("op"))
    assert (run.trouble, run.fallback) == ("", "looser tolerances")


@pytest.mark.parametrize(
    ("deck", "reason"),
    [
        (DIVIDER.replace("R2", "Q2"), "could not find a valid modelname"),
        (DIVIDER.replace("2k", "2k oops={"), 'Closing "}" not found'),
        ("* nothing\n.end\n", "no vectors"),
        (
            DIVIDER.replace("R2", "M1 out in 0 0 fet\n.model fet nmos level=14 toxe=0\nR2"),
            "Toxp = 0 is not positive",
        ),
    ],
)
def test_a_deck_that_ngspice_refuses_costs_no_other_job(deck, reason):
    """ngspice does not recover from some decks, and mixes others into the next: what follows needs another process."""
    op = (Step("op"),)
    jobs = [Job(deck if index % 2 else DIVIDER, op) for index in range(8)]
    for index, outcome in simulate_all(jobs, workers=1):
        assert isinstance(outcome, Failure if index % 2 else Outcome)
        assert index % 2 == 0 or reason in outcome.reason


def test_an_analysis_that_ngspice_does_not_know_is_named():
    with pytest.raises(SpiceFailed, match="vxx"):
        simulate(Job(DIVIDER, (Step("dc vxx 0 1 1"),)))


def test_a_hang_is_stopped_and_costs_no_other_job():
    jobs = [Job(DIVIDER, HANGING), *[Job(DIVIDER, (Step("op"),))] * 3]
    outcomes = dict(simulate_all(jobs, workers=1, timeout=1.0))
    assert outcomes[0] == Failure("ngspice took longer than 1 s and was stopped")
    assert all(isinstance(outcomes[k], Outcome) for k in (1, 2, 3))


@pytest.mark.parametrize(("kills", "survives"), [(1, True), (2, False)])
def test_a_job_whose_worker_dies_gets_one_more(kills, survives):
    deck = DIVIDER.replace("dc 3", "sin(0 3 1meg)")
    long = (Step("tran 1n 1m"),) if survives else HANGING  # seconds, or for ever
    killed: set[int] = set()
    over = threading.Event()

    def kill():
        while len(killed) < kills and not over.is_set():
            for pid in set(worker_pids()) - killed:
                with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
                    if psutil.Process(pid).cpu_times().user < 0.3:
                        continue  # it has not begun the job: to start takes less
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            time.sleep(0.02)

    simulate(Job(DIVIDER, (Step("op"),)))  # the server runs
    while worker_pids():
        time.sleep(0.02)
    killer = threading.Thread(target=kill)
    killer.start()
    ((_, outcome),) = simulate_all([Job(deck, long, keep=("out",))], workers=1)
    over.set()
    killer.join()
    assert len(killed) == kills
    if survives:
        assert isinstance(outcome, Outcome)
    else:
        assert isinstance(outcome, Failure)
        assert "died, twice" in outcome.reason


def test_workers_that_die_before_they_take_a_job_cost_none():
    killed = []

    def jobs():
        for index in range(4):
            if index == 2:
                while not killed:
                    killed.extend(worker_pids())
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)
            yield Job(DIVIDER, (Step("op"),))

    simulate(Job(DIVIDER, (Step("op"),)))  # the server runs
    while worker_pids():
        time.sleep(0.02)
    outcomes = dict(simulate_all(jobs(), workers=1))
    assert killed
    assert all(isinstance(outcomes[index], Outcome) for index in range(4))


def test_jobs_of_workers_that_always_die_fail_by_name(monkeypatch):
    def stillborn(library, **options):
        process = server.fork(library, **options)
        signal.pidfd_send_signal(process.descriptor, signal.SIGKILL)
        return process

    monkeypatch.setattr(simulator, "fork", stillborn)
    outcomes = dict(simulate_all([Job(DIVIDER, (Step("op"),))] * 5, workers=1))
    assert len(outcomes) == 5
    assert all("died, twice" in outcome.reason for outcome in outcomes.values())


def test_a_tool_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(simulator, "_library", lambda: "libno-ngspice.so")
    with pytest.raises(MissingTool, match=r"libno-ngspice.*apt-get install"):
        ngspice()
    with pytest.raises(MissingTool, match=r"libno-ngspice.*apt-get install"):
        simulate(Job(DIVIDER, (Step("op"),)))


def test_a_fault_of_ours_in_a_worker_comes_out_with_its_traceback():
    with pytest.raises(KeyError) as caught:
        simulate(Job(DIVIDER, (Step("op"),), keep=("no such node",)))
    assert "_run_step" in caught.value.__notes__[0]


def test_a_deck_larger_than_a_pipe_goes_through():
    comments = "* nothing but a comment\n" * 100_000
    jobs = [Job(DIVIDER.replace("R1", comments + "R1", 1), (Step("op"),))] * 4
    outcomes = dict(simulate_all(jobs, workers=1))
    assert [float(outcomes[k].runs[0].waves["out"][0]) for k in range(4)] == pytest.approx([2.0] * 4)


def test_jobs_are_sent_ahead_of_outcomes_larger_than_a_pipe():
    """Neither side waits for the other to read: what is sent ahead is small, what is not waits for its turn."""
    sweep = (Step("dc v1 0 3 0.0001"),)
    for comments in (1, 2_000, 20_000):  # the deck has 40 bytes, 60 and 600 kB
        deck = DIVIDER.replace("R1", "* nothing but a long comment\n" * comments + "R1", 1)
        outcomes = dict(simulate_all([Job(deck, sweep)] * 4, workers=1))
        assert len(outcomes) == 4
        assert all(outcome.runs[0].waves["out"].nbytes > 1 << 17 for outcome in outcomes.values())


def test_a_server_that_was_killed_is_started_again():
    simulate(Job(DIVIDER, (Step("op"),)))
    killed = server._server()[1]
    os.kill(killed, signal.SIGKILL)
    while psutil.pid_exists(killed) and psutil.Process(killed).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)  # until it is dead, it may take a job with it
    (wave,) = simulate(Job(DIVIDER, (Step("op"),)))
    assert wave["out"] == pytest.approx([2.0])


@pytest.mark.parametrize("start", ["simulate()", "Process(target=simulate, daemon=True).start()"])
def test_a_script_needs_no_main_guard_and_may_be_a_daemon(start, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import multiprocessing\n"
        "from spicekit.spice import simulator\n"
        "Process = multiprocessing.get_context('fork').Process\n"
        "def simulate():\n"
        f"    (wave,) = simulator.simulate(simulator.Job({DIVIDER!r}, (simulator.Step('op'),)))\n"
        "    print(wave['out'], flush=True)\n"
        f"{start}\n"
        "for child in multiprocessing.active_children():\n"
        "    child.join()\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[2.]\n", "")


def test_an_outcome_says_which_ngspice_made_it():
    ((_, outcome),) = simulate_all([Job(DIVIDER, (Step("op"),))], workers=1)
    assert outcome.simulator == ngspice()


def test_workers_stay_small_over_many_jobs():
    largest = 0
    sweep = (Step("dc v1 0 3 0.001"),)
    for index, _ in simulate_all([Job(DIVIDER, sweep)] * 300, workers=1):
        if index % 20 == 0:
            for pid in worker_pids():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                    largest = max(largest, resident * os.sysconf("SC_PAGE_SIZE"))
    assert 0 < largest < 150e6  # bytes; Python, numpy and ngspice are 70 MB


def test_a_job_that_wants_too_much_memory_fails(tmp_path):
    """ngspice says that it cannot recover, and yet that the analysis went well."""
    script = f"""
from spicekit.errors import SpiceFailed
from spicekit.spice import cage, worker
from spicekit.spice.simulator import Job, Step
from spicekit.spice.simulator import _library
cage.MEMORY = 500 << 20
started = worker._start(_library(), {str(tmp_path / "private")!r}, ())
try:
    worker.run_job(Job({DIVIDER!r}, (Step("tran 1n 100m 0 1n"),)), started)
except SpiceFailed as error:
    print(error, flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "can't allocate" in done.stdout


def test_a_worker_whose_ngspice_refused_a_deck_is_not_trusted_again():
    jobs = [Job(deck, (Step("op"),)) for deck in (DIVIDER, DIVIDER, DIVIDER.replace("R2", "Q2"), DIVIDER)]
    pids = []
    for _, _outcome in simulate_all(jobs, workers=1):
        pids.append(worker_pids())
    assert pids[0] == pids[1] != pids[3]


def test_jobs_are_drawn_only_as_workers_become_free():
    drawn = 0

    def jobs():
        nonlocal drawn
        for _ in range(100):
            drawn += 1
            yield Job(DIVIDER, (Step("op"),))

    outcomes = simulate_all(jobs(), workers=1)
    next(outcomes)
    assert drawn < 10
    outcomes.close()


HANGS = "#include <unistd.h>\nint ngSpice_Init(void) { sleep(1000); return 0; }\n"


@pytest.mark.parametrize("where", ["in a job", "as it starts"])
def test_a_worker_whose_pool_was_killed_ends(tmp_path, where):
    script, library = tmp_path / "hang.py", ""
    if where == "as it starts":
        source, library = tmp_path / "hang.c", str(tmp_path / "libhang.so")
        source.write_text(HANGS)
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    script.write_text(
        "from spicekit.spice import simulator\n"
        "from spicekit.spice.simulator import Job, Step, simulate\n"
        f"simulator._library = (lambda: {library!r}) if {library!r} else simulator._library\n"
        f"simulate(Job({DIVIDER!r}, (Step('tran 1e-15 1'),)))\n"
    )
    process = subprocess.Popen([sys.executable, script], start_new_session=True)
    session = process.pid
    while len(_in_session(session)) < 3:  # itself, the server that forks, and a worker
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1.0)
    assert process.poll() is None
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30.0
    while _in_session(session) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _in_session(session)


def _in_session(session: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found
