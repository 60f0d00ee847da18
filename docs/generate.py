"""Pages that the build of the site makes from code: command line and Python."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mkdocs_gen_files
import typer

from spicekit.cli.app import app

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Write every page."""
    verbs = commands(typer.main.get_command(app), "spicekit")
    write("reference/command-line.md", "\n".join(["# Command line", "", OPENING, *verbs]))
    write("reference/python.md", "\n".join(["# Python", "", PYTHON, *public()]))


OPENING = (
    "Made from the code. Results go to standard output, progress and advice to standard error. Exit status: 0 if all "
    "is well, 1 if a check fails, 2 for bad input, 130 after Ctrl-C: the last line then says how far the job was, what "
    "was kept and how to go on.\n\n`spicekit --install-completion` has your shell (bash, zsh, fish) complete verbs and "
    "options from its next start; `spicekit --show-completion` prints what it would install."
)


def commands(command: Any, path: str) -> Iterator[str]:
    """A section for each verb, with a table of its arguments and options."""
    inner = getattr(command, "commands", None)
    if inner is None or path == "spicekit":
        yield f"\n## {path}\n\n{inspect.cleandoc(command.help or '')}\n"
        rows = [row(parameter) for parameter in command.params if parameter.name != "help"]
        if rows:
            yield "\n".join(["| option | default | meaning |", "|---|---|---|", *rows])
    for name, one in (inner or {}).items():
        yield from commands(one, f"{path} {name}")


def row(parameter: Any) -> str:
    """Of a table of options."""
    name = f"`{parameter.name.upper()}`"
    if parameter.param_type_name == "option":
        name = " ".join(f"`{option}`" for option in parameter.opts)
    default = parameter.default
    shown = "" if default in (None, False) or callable(default) else f"`{default}`"
    text = (getattr(parameter, "help", "") or "").replace("|", r"\|")
    return f"| {name} | {'required' if parameter.required else shown} | {text} |"


PYTHON = (
    "What `import spicekit as sk` offers, from its docstrings. [A session](../python.md) shows it at work. Errors are "
    "kinds of `SpicekitError`."
)


def public() -> Iterator[str]:
    """A place for each public name, for mkdocstrings to fill."""
    stub = ast.parse((ROOT / "spicekit" / "__init__.pyi").read_text())
    for node in stub.body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                name = f"sk.{alias.asname or alias.name}"
                options = f"    options: {{heading: {name}, toc_label: {name}}}"
                yield f"\n::: {node.module}.{alias.name}\n{options}\n"


def write(path: str, text: str) -> None:
    """A page of the site."""
    with mkdocs_gen_files.open(path, "w") as file:
        file.write(text)


main()
