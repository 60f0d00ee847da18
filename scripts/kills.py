"""Kill commands at random moments: nothing is half-written, what was finished is kept, a repeat gives the same result.

    python scripts/kills.py --kills 20 --seed 0 --out docs/validation/kills.json

Each work runs once whole, which says what is right and how long it takes. Then it is started, killed (SIGKILL) at a
moment drawn from that time, its folder looked at, and started again, until it has been killed `--kills` times and has
ended by itself after the last. Commands run in forks of a process that has imported everything, so that most kills hit
work and not imports.
"""

import argparse
import atexit
import ctypes
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
PARENT_DEATH_SIGNAL = 1  # of prctl
PATIENCE = 900.0  # s that what a killed process had started may take to end: some ends at its next line
TILE = "[tile]\nrows = 8\ncolumns = 4\nrows_active = 8\n[wires]\nr_bl = 3.2\nr_sl = 3.2\n"
PLAN = '[[grid]]\ncell = ["1t1r"]\nvdd = [0.6, 0.65, 0.7]\n'
STUDY = """images_per_job = 2
[base]
run = {network = "vgg-small-quarter", images = 8}
wires = {r_bl = 3.2, r_sl = 3.2}
tile = {rows_active = 16}
[[grid]]
"run.mitigation" = ["none", "both"]
"""


@dataclass(frozen=True)
class Work:
    """Something that may be killed at any moment."""

    run: Callable[[Path], None]
    """In a folder, from where it was left."""
    saved: Callable[[Path], int]
    """How many things are kept there; raises if one is not whole."""
    result: Callable[[Path], Any]
    """What it gave, without times."""


@dataclass
class Count:
    """What became of a work."""

    kills: int = 0
    before_anything_was_saved: int = 0
    ended_first: int = 0
    seconds: float = 0.0
    """Of a run that nobody disturbs, from nothing."""
    lost: int = 0
    """Things saved that a later look did not find."""
    different: int = 0
    """Ends that did not give the result of the whole run."""
    orphans: int = 0
    """Processes that outlived a killed one."""


def command(*words: str) -> None:
    """The command line, in this process."""
    from spicekit.cli.main import main

    sys.argv[:] = ["spicekit", *words]
    main()


def tables(folder: Path) -> dict[str, Any]:
    """Tables of a store, all of them whole."""
    from spicekit.tables.inventory import inventory

    entries = inventory(folder / "store") if (folder / "store").is_dir() else []
    broken = [entry.fault for entry in entries if entry.fault]
    assert not broken, broken
    return {entry.path.name: entry.sweep.current.tolist() for entry in entries if entry.sweep}


def log(folder: Path) -> dict[str, Any]:
    """Results of jobs, from whole lines."""
    path = folder / "out" / "jobs.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    return {job: result for _, job, result in map(json.loads, lines)}


def rows(folder: Path) -> list[dict[str, Any]]:
    """Of a study, without the time that they took."""
    from spicekit.study.results import read_rows

    return [{**row, "seconds": None} for row in read_rows(folder / "out" / "results.parquet")]


def weights(folder: Path) -> dict[str, Any]:
    """Of a trained network."""
    from spicekit.networks.checkpoints import load_network

    network = load_network(folder / "out" / "network.safetensors")
    return {name: tensor.tolist() for name, tensor in network.state_dict().items()}


def training(folder: Path) -> int:
    """Steps that a state keeps."""
    from spicekit.networks.runs import read_state

    path = folder / "out" / "state.safetensors"
    return read_state(path)[1].step if path.is_file() else 0


def train(folder: Path) -> None:
    """Two epochs of a tiny network."""
    again = ["--resume"] if (folder / "out" / "state.safetensors").is_file() else []
    size = ("--network", "vgg-small", "--width", "0.05", "--epochs", "3", "--batch", "128", "--threads", "1")
    command("train", *size, "--out", str(folder / "out"), *again)


def signed(folder: Path) -> dict[str, Any]:
    """A sign-off's figures."""
    record = json.loads((folder / "out" / "signoff.json").read_text())
    return {name: record[name] for name in ("errors", "failures", "passed", "vectors")}


def evidence(folder: Path) -> int:
    """Sign-offs that are kept, all of them whole."""
    kept = [*folder.glob("*/*signoff.json")]
    assert all(json.loads(path.read_text())["errors"] for path in kept)
    return len(kept)


def fit(folder: Path) -> None:
    """Surrogates of tiles of 4 to 8 rows, into the cache."""
    from spicekit.circuits.spec import TileSpec, Wires
    from spicekit.engines.fast.model import read_model
    from spicekit.tables.store import find_table

    os.environ["SPICEKIT_CACHE"] = str(folder / "cache")
    for rows_active in range(4, 9):
        spec = TileSpec(rows=8 * rows_active, rows_active=rows_active, wires=Wires(r_bl=3.2, r_sl=3.2))
        read_model(spec, find_table(spec))


def cached(folder: Path) -> dict[str, Any]:
    """Entries of the cache, all of them as they were written."""
    from spicekit.engines import cache

    found = {}
    for path in sorted((folder / "cache").glob("*.npz")):
        entry = cache._remembered(path.stem, path.parent)
        assert entry is not None, f"{path} is half-written"
        found[path.name] = {name: array.tolist() for name, array in entry.items()}
    return found


def spec(folder: Path, name: str, text: str) -> str:
    """A file in the folder."""
    (folder / name).write_text(text)
    return str(folder / name)


WORKS = {
    "calibrate": Work(
        lambda folder: command(
            "calibrate", "--plan", spec(folder, "plan.toml", PLAN), "--store", str(folder / "store"), "--jobs", "1"
        ),
        lambda folder: len(tables(folder)),
        tables,
    ),
    "sweep": Work(
        lambda folder: command(
            "sweep", spec(folder, "study.toml", STUDY), "--out", str(folder / "out"), "--workers", "1"
        ),
        lambda folder: len(log(folder)),
        rows,
    ),
    "train": Work(train, training, weights),
    "signoff": Work(
        lambda folder: command(
            "signoff", "--spec", spec(folder, "tile.toml", TILE), "--vectors", "1", "--jobs", "1",
            "--out", str(folder / "out"),
        ),
        evidence,
        signed,
    ),
    "cache": Work(fit, lambda folder: len(cached(folder)), cached),
}  # fmt: skip


def started(work: Work, folder: Path) -> int:
    """Process that does a work."""
    parent, child = os.getpid(), os.fork()
    if child == 0:
        atexit._clear()  # what ends with the parent must not end with a fork
        os.setsid()
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)  # nor outlive this script
        if os.getppid() != parent:
            os._exit(1)
        said = os.open(folder / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        try:
            work.run(folder)
            os._exit(0)
        except SystemExit as end:
            os._exit(int(end.code or 0))
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return child


def ended(process: int, within: float) -> int | None:
    """Exit status; None if it runs on."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        done, status = os.waitpid(process, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


def whole(work: Work, folder: Path) -> float:
    """Run to the end; seconds."""
    began = time.monotonic()
    status = ended(started(work, folder), PATIENCE)
    if status != 0:
        raise SystemExit(f"ended with {status}: {(folder / 'said.txt').read_text()}")
    return time.monotonic() - began


def kill(name: str, kills: int, rng: random.Random) -> Iterator[Count]:
    """Kill a work so many times; what became of it up to each end."""
    work, count = WORKS[name], Count()
    with tempfile.TemporaryDirectory(prefix=f"kills-{name}-") as made:
        os.environ["SPICEKIT_TABLES"] = f"{made}/whole/own"  # where sign-off leaves its evidence
        os.environ["SPICEKIT_CACHE"] = f"{made}/cache"
        folder = Path(made) / "whole"
        folder.mkdir()
        count.seconds = whole(work, folder)
        right, number = work.result(folder), 0
        while count.kills < kills:
            number += 1
            folder = Path(made) / str(number)
            folder.mkdir()
            os.environ["SPICEKIT_TABLES"] = f"{folder}/own"
            saved, before, began = 0, count.kills, time.monotonic()
            while True:
                process = started(work, folder)
                last = count.kills == kills
                status = ended(process, PATIENCE if last else rng.uniform(0, count.seconds))
                if status is not None:
                    count.ended_first += not last
                    break
                children = psutil.Process(process).children(recursive=True)
                os.kill(process, signal.SIGKILL)
                os.waitpid(process, 0)
                count.kills += 1
                count.orphans += len(psutil.wait_procs(children, timeout=PATIENCE)[1])
                found = work.saved(folder)
                count.before_anything_was_saved += found == 0
                count.lost += max(0, saved - found)
                saved = found
            if status != 0:
                raise SystemExit(f"{name}: ended with {status}: {(folder / 'said.txt').read_text()}")
            if count.kills == before:  # nobody disturbed it: how long it takes with what is cached by now
                count.seconds = time.monotonic() - began
            count.different += work.result(folder) != right
            yield count


def main() -> None:
    """Kill works, say what became of them."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--kills", type=int, default=20, help="of each work")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", nargs="+", default=list(WORKS), choices=list(WORKS))
    options.add_argument("--out", type=Path)
    given = options.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # folders are removed, as after Ctrl-C
    for module in (
        "cli.main",
        "tables.inventory",
        "networks.training",
        "evaluation.signoff",
        "engines.fast.model",
    ):
        importlib.import_module(f"spicekit.{module}")
    counts = json.loads(given.out.read_text()) if given.out and given.out.is_file() else {}
    for name in given.only:
        for count in kill(name, given.kills, random.Random(f"{given.seed}{name}")):
            counts[name] = asdict(count)
            print(f"{name}: {counts[name]}", flush=True)
            if given.out:
                given.out.write_text(json.dumps(counts, indent=1) + "\n")
    if any(count["lost"] or count["different"] or count["orphans"] for count in counts.values()):
        raise SystemExit("something was lost")


if __name__ == "__main__":
    main()
