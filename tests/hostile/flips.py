"""Single flipped bits in what spicekit keeps: what is read is what was written, or it is refused.

`python tests/hostile/flips.py 400 --out docs/validation/flips.json` flips so many bits of each kind of file, half of
them where it begins; the tests run a short share.
"""

import argparse
import collections
import contextlib
import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fuzzing import READERS, cached, with_log

from spicekit.errors import SpicekitError
from spicekit.files import shipped_folder
from spicekit.networks.checkpoints import load_network
from spicekit.networks.runs import read_state
from spicekit.study.results import Log
from spicekit.tables.inventory import inventory


@dataclass(frozen=True)
class Kept:
    """A file of ours."""

    whole: Callable[[], bytes]
    name: str
    read: Callable[[Path], object]
    """What it says, to be compared; None if the file is refused."""


def table(path: Path) -> object:
    (entry,) = inventory(path.parent)
    sweep = entry.sweep
    if entry.fault or sweep is None:
        return None
    return (
        sweep.current.tobytes(),
        sweep.voltage.tobytes(),
        sweep.decks,
        json.dumps(sweep.origin, sort_keys=True),
    )


def tensors(found: dict) -> dict:
    return {name: each.numpy().tobytes() for name, each in found.items()}


def checkpoint(path: Path) -> object:
    network = load_network(path)
    return tensors(network.state_dict()), network.card


def state(path: Path) -> object:
    recipe, standing, found = read_state(path)
    return recipe, standing, tensors(found)


def written_log() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        with Log(Path(folder)) as log:
            for key in "abc":
                log.add(64 * key, {"right": 12, "reads": {"nf": 0.25}, "layers": [1, 2, 3]})
        return (Path(folder) / READERS["log"].file).read_bytes()


def arrays(path: Path) -> object:
    found = cached(path)
    return found and {name: each.tobytes() for name, each in found.items()}


def first(name: str) -> tuple[Callable[[], bytes], str]:
    return lambda: READERS[name].seeds()[0], READERS[name].file


TABLE = min(shipped_folder("calibration").glob("8t-sram-tt-*.h5"))
KEPT = {
    "table": Kept(TABLE.read_bytes, TABLE.name, table),
    "checkpoint": Kept(*first("checkpoint"), checkpoint),
    "training state": Kept(*first("state"), state),
    "log of a study": Kept(written_log, READERS["log"].file, with_log),
    "cache": Kept(*first("cache"), arrays),
}


def flips(name: str, count: int) -> collections.Counter[str]:
    """What became of `count` flipped bits: refused, same, or other than what was written."""
    kept, became = KEPT[name], collections.Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / kept.name
        whole = kept.whole()
        path.write_bytes(whole)
        right = kept.read(path)
        assert right
        rng = np.random.default_rng(0)
        for number in range(count):
            bit = int(rng.integers(8 * (min(len(whole), 4096) if number % 2 else len(whole))))
            flipped = bytearray(whole)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            try:
                found = kept.read(path)
            except SpicekitError:
                found = None
            became[fate(found, right)] += 1
    return became


def fate(found: object, right: object) -> str:
    """A log may have lost whole lines, which are run again."""
    if found is None:
        return "refused"
    if found == right:
        return "same"
    lines = isinstance(found, dict) and isinstance(right, dict)
    return "refused" if lines and found.items() <= right.items() else "other"


def main() -> None:
    """Flip bits at length."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("count", type=int, help="bits of each kind of file")
    options.add_argument("--out", type=Path, required=True)
    chosen = options.parse_args()
    found = {}
    for name in KEPT:
        with contextlib.redirect_stdout(io.StringIO()):
            became = flips(name, chosen.count)
        found[name] = {each: became[each] for each in ("refused", "same", "other")}
        print(f"{name}: {found[name]}", flush=True)
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")
    if any(each["other"] for each in found.values()):
        raise SystemExit("a flipped bit went unnoticed")


if __name__ == "__main__":
    main()
