"""What is claimed, shown anew: each claim with its command, figures, limits and what made them.

    python scripts/validate.py                 # all: minutes; leaves docs/validation/*.json and docs/validation.md
    python scripts/validate.py --small         # the share that CI remakes
    python scripts/validate.py --small --check # fails if a figure is outside its limit or not the one that is stated

The page is made from the files alone.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mutate import EXCLUDED, commit

from spicekit.provenance import provenance
from spicekit.spice.simulator import ngspice, worker_cage

ROOT = Path(__file__).resolve().parent.parent
FILES = ROOT / "docs" / "validation"
PAGE = ROOT / "docs" / "validation.md"
DESIGNS = Path("scripts/validation")
SAME = 0.02  # relative: by how much a figure may differ from the one stated; another processor rounds differently
LEAST = 1e-5  # LSB, and so on: differences below are of no interest
Figures = dict[str, float]


@dataclass(frozen=True)
class Claim:
    """Something that documents say, and what shows it."""

    name: str
    says: str
    command: tuple[str, ...]
    """Words behind `spicekit`, or behind `python`; OUT stands for a folder that is thrown away."""
    figures: Callable[[str, Path], Figures]
    """From what the command prints, and the folder."""
    limits: dict[str, tuple[float, float]]
    """Least and most of some figures."""
    small: bool = True
    program: str = "spicekit"


def _devices(said: str, folder: Path) -> Figures:
    found = json.loads(said)
    figures, curves = found["figures"], found["curves"]
    return {
        "figures with a target": sum(row["target"] is not None for row in figures),
        "figures out of reach": sum(not row["within"] for row in figures),
        "curves": len(curves),
        "curves out of reach": sum(not row["within"] for row in curves),
    }


def _tables(said: str, folder: Path) -> Figures:
    entries = json.loads(said)
    return {"tables": len(entries), "faults": sum(bool(entry["fault"]) for entry in entries)}


def _sign_off(said: str, folder: Path) -> Figures:
    record = json.loads((folder / "signoff.json").read_text())
    figures: Figures = {"vectors in ngspice": record["vectors"], "failures": len(record["failures"])}
    for row in record["errors"]:
        what = f"{row['engine']}, {row['kind']} vectors, LSB"
        figures |= {f"{what}, worst": row["worst"], f"{what}, rms": row["rms"]}
    return figures | {"passed": float(record["passed"])}


def _fidelity(said: str, folder: Path) -> Figures:
    both = json.loads((folder / "e.json").read_text())["fidelity"]["none"]
    return {name: float(both[name]) for name in ("images", "codes", "codes_differ", "correlation")}


def _tests(said: str, folder: Path) -> Figures:
    suite = ElementTree.parse(folder / "tests.xml").getroot()
    cases = list(suite.iter("testcase"))
    lost = [case for case in cases if case.find("failure") is not None or case.find("error") is not None]
    skipped = [case for case in cases if case.find("skipped") is not None]
    return {"tried": len(cases) - len(skipped), "not held": len(lost), "not possible here": len(skipped)}


def _tested(*tests: str) -> tuple[str, ...]:
    every = ("-m", "long or not long", "-o", "timeout=1800")
    return ("-m", "pytest", "-q", "-p", "no:cacheprovider", *every, "--junitxml", "OUT/tests.xml", *tests)


def _signed(name: str) -> tuple[str, ...]:
    return ("signoff", "--spec", str(DESIGNS / f"{name}.toml"), "--vectors", "4", "--out", "OUT")


CLAIMS = (
    Claim(
        "tables",
        "Every table that ships is intact, from today's cards and templates, with currents that a cell can carry.",
        ("tables", "list", "--store", "calibration", "--json"),
        _tables,
        {"faults": (0, 0)},
    ),
    Claim(
        "devices",
        "Each card meets its cited figures and curves in ngspice (device_models/ has the sources).",
        ("devices", "check", "--json"),
        _devices,
        {"figures out of reach": (0, 0), "curves out of reach": (0, 0)},
    ),
    *(
        Claim(
            f"signoff-{name}",
            f"The engines keep their limits against ngspice on whole {name} tiles.",
            _signed(name),
            _sign_off,
            {"passed": (1, 1), "failures": (0, 0)},
        )
        for name in ("sram", "reram")
    ),
    Claim(
        "identities",
        "BinSparX changes no dot product: flipped columns and inverted rows are undone exactly.",
        _tested("tests/mapping"),
        _tests,
        {"not held": (0, 0)},
        program="python",
    ),
    Claim(
        "fidelity",
        "A whole network through the exact engine and through the fast one gives nearly the same codes.",
        (
            "evaluate", "--network", "vgg-small-quarter", "--spec", str(DESIGNS / "sram.toml"), "--images", "2",
            "--mitigation", "none", "--fidelity", "2", "--out", "OUT/e.json",
        ),
        _fidelity,
        {"correlation": (0.999, 1.0)},
        small=False,
    ),
    Claim(
        "attacks",
        "Attacks on files, decks, start-up files and clusters work on a naive path and fail here.",
        _tested("tests/hostile", "tests/spice/test_cage.py", "tests/study/test_security.py"),
        _tests,
        {"not held": (0, 0)},
        small=False,
        program="python",
    ),
    Claim(
        "faults",
        "Kills, hangs, crashes, full disks, missing tools and non-convergence cost what they touch, by name.",
        _tested("tests/spice/test_simulator.py", "tests/tables/test_calibrate.py", "tests/evaluation/test_doctor.py"),
        _tests,
        {"not held": (0, 0)},
        small=False,
        program="python",
    ),
)  # fmt: skip


def show(claim: Claim) -> dict[str, Any]:
    """Run a claim's command; its record."""
    programs = {"spicekit": ["-c", "from spicekit.cli.main import main; main()"], "python": []}
    with tempfile.TemporaryDirectory() as name:
        words = [word.replace("OUT", name) for word in claim.command]
        command = [sys.executable, *programs[claim.program], *words]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        try:
            figures = claim.figures(done.stdout, Path(name))
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise SystemExit(f"{claim.name}: {error!r}; it said: {done.stdout[-500:]} {done.stderr[-500:]}") from error
    made_by = provenance(
        {
            "ngspice": ngspice().version,
            "ngspice_state": ngspice().state,
            "cage": worker_cage(),
            "commit": commit(),
        }
    )
    return {
        "says": claim.says,
        "command": shlex.join([claim.program, *claim.command]),
        "figures": figures,
        "limits": {name: limits for name, limits in claim.limits.items()},
        "made_by": made_by,
    }


def faults(claim: Claim, record: dict[str, Any]) -> Iterator[str]:
    """Where a record breaks a limit, or differs from what is stated."""
    for name, (least, most) in claim.limits.items():
        value = record["figures"].get(name, np.nan)
        if not least <= value <= most:
            yield f"{claim.name}: {name} is {value:g}; claimed is {least:g} to {most:g}"
    path = FILES / f"{claim.name}.json"
    stated: Figures = json.loads(path.read_text())["figures"] if path.is_file() else {}
    for name, value in stated.items():
        found = record["figures"].get(name, np.nan)
        if not abs(found - value) <= SAME * abs(value) + LEAST:
            yield f"{claim.name}: {name} is {found:g}; docs/validation.md states {value:g}"


def page() -> str:
    """The page, from the files."""
    lines = [
        "# Validation",
        "",
        "Made by `python scripts/validate.py` from `docs/validation/*.json`, which it also leaves: do not edit. CI",
        "remakes the share marked with a star, and fails if a figure breaks its limit or is not the one stated here",
        "(within 2 %).",
    ]
    for claim in CLAIMS:
        path = FILES / f"{claim.name}.json"
        if not path.is_file():
            continue
        record = json.loads(path.read_text())
        by = record["made_by"]
        lines += [
            "",
            f"## {claim.name}{' *' if claim.small else ''}",
            "",
            record["says"],
            "",
            "| figure | value | claimed |",
        ]
        lines += ["|---|---|---|"]
        for name, value in record["figures"].items():
            least, most = record["limits"].get(name, ("", ""))
            claimed = f"{least}" if least == most else f"{least} to {most}"
            lines.append(f"| {name} | {value:.6g} | {claimed} |")
        lines += [
            "",
            f"`{record['command']}`; spicekit {by['spicekit']}, ngspice {by['ngspice']} "
            f"(state {by['ngspice_state'][:10]}), {by['machine']}, {by['created'][:10]}"
            f"{', commit ' + by['commit'][:10] if 'commit' in by else ''}.",
        ]
    return "\n".join([*lines, *runs(), ""])


def runs() -> list[str]:
    """Long runs, from what their scripts left beside the claims."""
    lines = [*_fuzzing(), *_flips(), *_coverage()]
    if (path := FILES / "kills.json").is_file():
        lines += [
            "",
            "## kills",
            "",
            "Works killed (SIGKILL) at random moments and repeated until they ended. At the right: saved and lost,",
        ]
        lines += ["ends unlike that of a run let alone, processes that outlived a killed one.", ""]
        counts = json.loads(path.read_text())
        names = list(next(iter(counts.values())))
        lines += [
            f"| work | {' | '.join(name.replace('_', ' ') for name in names)} |",
            "|---" * (len(names) + 1) + "|",
        ]
        lines += [f"| {work} | {' | '.join(f'{each[name]:.0f}' for name in names)} |" for work, each in counts.items()]
        lines += ["", "`python scripts/kills.py --kills 20 --out docs/validation/kills.json`."]
    if (path := FILES / "mutants.json").is_file():
        record = json.loads(path.read_text())
        tried = [each for each in record["mutants"] if each["tests"] >= 0]
        killed = sum(bool(each["killed_by"]) for each in tried)
        lines += [
            "",
            "## mutants",
            "",
            f"Changes of one expression of engines and mapping (BinSparX): {killed} of {len(tried)} tried",
        ]
        lines += [
            f"({killed / len(tried):.1%}) made a test fail. Lines that no test reaches survive. Excluded:",
            *(f"`{module}` ({why})," for module, why in list(EXCLUDED.items())[:-1]),
            "`{}` ({}).".format(*list(EXCLUDED.items())[-1]),
            "",
        ]
        lines += ["| module | tried | killed | not reached | commit |", "|---|---|---|---|---|"]
        for module in sorted({each["module"] for each in tried}):
            ours = [each for each in tried if each["module"] == module]
            dead, away = (
                sum(bool(each["killed_by"]) for each in ours),
                sum(not each["tests"] for each in ours),
            )
            by = ", ".join(sorted({each["commit"][:10] for each in ours}))
            lines.append(f"| {module}{_gone('spicekit/' + module)} | {len(ours)} | {dead} | {away} | {by} |")
        why = {(each["module"], each["before"], each["after"]): each["why"] for each in _survivors()}
        lines += ["", "| survivor | change | why it is harmless |", "|---|---|---|"]
        for each in tried:
            if not each["killed_by"]:
                change = f"`{each['before']}` to `{each['after']}`"
                reason = why.get((each["module"], each["before"], each["after"]), "not explained")
                lines.append(f"| {each['module']}:{each['line']} | {change} | {reason} |")
        lines += ["", f"`{record['command']}`; the file lists each with its line and commit."]
    return lines


def _survivors() -> list[dict[str, str]]:
    """Mutants that change nothing that anybody could see, each with the reason."""
    return tomllib.loads((DESIGNS / "survivors.toml").read_text())["survivor"]  # type: ignore[no-any-return]


def _fuzzing() -> list[str]:
    if not (path := FILES / "fuzzing.json").is_file():
        return []
    counts = json.loads(path.read_text())
    total = sum(each["read"] + each["refused"] for each in counts.values())
    lines = [
        "",
        "## fuzzing",
        "",
        f"Good files of each kind, spoilt in one to six places: {total:,} inputs. Each gave a",
    ]
    lines += [
        "value or one error of ours. Inputs come from a seeded generator of our own: hypothesis took 2.4 to 8 times as",
        "long for one.",
        "",
        "| reader | inputs | read | refused | s |",
        "|---|---|---|---|---|",
    ]
    for name, each in sorted(counts.items()):
        inputs = each["read"] + each["refused"]
        lines.append(f"| {name} | {inputs} | {each['read']} | {each['refused']} | {each['seconds']:.0f} |")
    return [*lines, "", "`python tests/hostile/fuzzing.py 10000 --out docs/validation/fuzzing.json`."]


def _flips() -> list[str]:
    if not (path := FILES / "flips.json").is_file():
        return []
    counts = json.loads(path.read_text())
    lines = [
        "",
        "## flips",
        "",
        f"{sum(map(sum, (each.values() for each in counts.values()))):,} single flipped bits",
    ]
    lines[-1] += ". `same`: what was read is what was written; `other` would be damage that nothing notices."
    lines += ["", "| file | refused | same | other |", "|---|---|---|---|"]
    lines += [f"| {name} | {each['refused']} | {each['same']} | {each['other']} |" for name, each in counts.items()]
    return [*lines, "", "`python tests/hostile/flips.py 400 --out docs/validation/flips.json`."]


def _gone(path: str) -> str:
    """What to say of a module that was measured, and has since been merged or has another name."""
    return "" if (ROOT / path).is_file() else " (gone since)"


def _coverage() -> list[str]:
    if not (path := FILES / "coverage.json").is_file():
        return []
    record = json.loads(path.read_text())
    lines = ["", "## coverage", ""]
    share = record["covered"] / record["lines"]
    lines += [f"Tests run {record['covered']:,} of {record['lines']:,} lines ({share:.1%}), those of"]
    lines += ["compiled loops without a compiler. Not counted: "]
    lines[-1] += "; ".join(f"`{name}` ({why})" for name, why in record["omitted"].items()) + ". Modules below 90 %:"
    lines += ["", "| module | lines | run |", "|---|---|---|"]
    for name, each in record["modules"].items():
        share = 1 - len(each["missed"]) / max(1, each["lines"])
        if share < 0.9:
            lines.append(f"| {name}{_gone(name)} | {each['lines']} | {share:.0%} |")
    if parts := record.get("parts"):
        lines += [
            "",
            "| part | ended |",
            "|---|---|",
            *(f"| {part} | {how} |" for part, how in parts.items()),
        ]
    without = f", without {', '.join(lacking)}: a lower bound" if (lacking := record["not run"]) else ""
    gone = sum(bool(_gone(name)) for name in record["modules"])
    lines += ["", f"{gone} of its {len(record['modules'])} modules have since been merged or renamed."] if gone else []
    return [
        *lines,
        "",
        f"`{record['command']}`, commit {record['commit']}{without}; the file lists the lines.",
    ]


def main() -> None:
    """Show claims; write files and page, or compare with them."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--small", action="store_true")
    options.add_argument("--check", action="store_true")
    options.add_argument("--only", default="", help="claims whose name begins so")
    given = options.parse_args()
    found: list[str] = []
    for claim in CLAIMS:
        if (given.small and not claim.small) or not claim.name.startswith(given.only):
            continue
        record = show(claim)
        print(f"{claim.name}: {record['figures']}", flush=True)
        if given.check:
            found += faults(claim, record)
        else:
            FILES.mkdir(parents=True, exist_ok=True)
            (FILES / f"{claim.name}.json").write_text(json.dumps(record, indent=1, allow_nan=True) + "\n")
            PAGE.write_text(page())
            found += [fault for fault in faults(claim, record) if "claimed" in fault]
    if found:
        raise SystemExit("\n".join(found))


if __name__ == "__main__":
    main()
