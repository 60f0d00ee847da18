"""Pages that the build of the site makes from code: command line, result files, what the wheel ships."""

import inspect
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import mkdocs_gen_files
import typer

from spicekit.cli.app import app
from spicekit.evaluate.demo import Demo
from spicekit.evaluate.records import Evaluation
from spicekit.evaluate.signoff import SignOff
from spicekit.results import Record, units_of

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Write every page."""
    verbs = commands(typer.main.get_command(app), "spicekit")
    write("reference/command-line.md", "\n".join(["# Command line", "", OPENING, *verbs]))
    write(
        "reference/results.md",
        "\n".join([RESULTS, *chain.from_iterable(map(record, (Evaluation, SignOff, Demo)))]),
    )
    write("howto/own-card.md", relinked((ROOT / "device_models" / "README.md").read_text()))


OPENING = (
    "Made from the code. Results go to standard output, progress and advice to standard error. Exit status: 0 if all "
    "is well, 1 if a check fails, 2 for bad input, 130 after Ctrl-C."
)


def commands(command: Any, path: str) -> Iterator[str]:
    """A section for each verb, with a table of its arguments and options."""
    inner = getattr(command, "commands", None)
    if inner is None or path == "spicekit":
        yield f"\n## {path}\n\n{inspect.cleandoc(command.help or '')}\n"
        rows = [row(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            yield "\n".join(["| | default | |", "|---|---|---|", *rows])
    for name, one in (inner or {}).items():
        yield from commands(one, f"{path} {name}")


def row(parameter: Any) -> str:
    """Of a table of options."""
    name = f"`{parameter.name.upper()}`"
    if parameter.param_type_name == "option":
        name = " ".join(f"`{option}`" for option in parameter.opts)
    default = parameter.default
    shown = "" if default in (None, False) or callable(default) else f"`{default}`"
    text = (getattr(parameter, "help", "") or "").replace("|", r"\|").replace(r"\[", "[")
    return f"| {name} | {'required' if parameter.required else shown} | {text} |"


RESULTS = """# Result files

Made from the code. `evaluate --out`, `signoff --out` and `demo` write JSON; `spicekit report` and Python read it. What
a file holds besides these fields is passed over, so that newer files stay readable. Studies are Parquet: a row for each
point, its conditions named as in the study file. A tile's result is an `.npz` file:

| array | shape | unit | meaning |
|---|---|---|---|
| `current` | (vectors, columns) | A | into the sense points |
| `lsb` | one | A | current step of one ON cell without parasitics |
| `partial_sum` | (vectors, columns) | ON cells | that the currents stand for |
| `ideal_sum` | (vectors, columns) | ON cells | that the bits make |
| `v_bl`, `v_sl` | (rows, columns) | V | of bit line and source line at each cell, first vector |
| `cell_current`, `cell_ideal` | (rows, columns) | A | through each cell, and between `v_read` and 0 V |
| `lost`, `lost_to` | (4) | LSB | what driver, wires, sink and device take, mean over the columns |
| `provenance` | one | | JSON: design, engine, table, versions, command |
"""


def record(kind: type[Record]) -> Iterator[str]:
    """A table of a result's fields, then those of the records within it."""
    seen: set[type[Record]] = set()
    waiting = [kind]
    while waiting:
        one = waiting.pop(0)
        if one in seen:
            continue
        seen.add(one)
        yield f"\n{'##' if one is kind else '###'} {one.__name__}\n\n{inspect.cleandoc(one.__doc__ or '')}\n"
        yield "| field | type | unit | meaning |\n|---|---|---|---|"
        units = units_of(one)
        for name, field in one.model_fields.items():
            shown = re.sub(
                r"(?:\w+\.)+(\w+)", r"\1", re.sub(r"<class '([^']+)'>", r"\1", str(field.annotation))
            )
            shown = re.sub(r"Annotated\[(\w+), [^\]]*\]", r"\1", shown).replace("|", r"\|")
            meaning = " ".join((field.description or "").split()).replace("|", r"\|")
            yield f"| `{field.alias or name}` | `{shown}` | {units.get(name, '')} | {meaning} |"
            waiting += within(field.annotation)


def within(annotation: Any) -> list[type[Record]]:
    """Records that a field holds."""
    if isinstance(annotation, type) and issubclass(annotation, Record):
        return [annotation]
    return [found for part in get_args(annotation) for found in within(part)]


def relinked(text: str) -> str:
    """A page from elsewhere: its links within the repository become names."""
    return re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)


def write(path: str, text: str) -> None:
    """A page of the site."""
    with mkdocs_gen_files.open(path, "w") as file:
        file.write(text)


main()
