"""What a deck may do beyond describing a circuit: run commands, read and write files.

ngspice executes more of a deck than its `.control` sections: comments that begin with `*#`, text in
backquotes, sections in included files and behind `.end`. So what is allowed is listed here, and all else is
a finding.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from spicekit.decks.parse import Deck, Finding, Scope

# fmt: off
HARMLESS_STATEMENTS = frozenset({
    ".ac", ".dc", ".func", ".global", ".ic", ".meas", ".measure", ".nodeset", ".noise", ".op",
    ".option", ".options", ".param", ".print", ".save", ".temp", ".tf", ".title", ".tran",
})
# fmt: on
"""Dot lines that describe a circuit or an analysis."""

# fmt: off
HARMLESS_COMMANDS = frozenset({
    "ac", "alter", "altermod", "dc", "destroy", "display", "echo", "else", "end", "if", "let",
    "linearize", "meas", "noise", "op", "print", "quit", "repeat", "reset", "run", "save", "set",
    "setplot", "show", "tf", "tran", "while", "wrdata",
})
# fmt: on
"""Commands that compute, print, or write a file beside the deck."""

HARMLESS_VARIABLES = frozenset({"filetype", "noaskquit", "numdgt", "width", "wr_singlescale", "wr_vecnames"})
"""Variables that `set` may change."""


def vet(deck: Deck, *, compiled: Collection[Path] = ()) -> Iterator[Finding]:
    """Statements and commands that are not known to be harmless; loading one of the `compiled` models is."""
    yield from _statement_objections(deck.top)
    for command in deck.commands:
        word, _, rest = command.text.partition(" ")
        if word.lower() == "pre_osdi" and Path(rest.strip()) in compiled:
            continue
        if reason := _objection(command.text):
            yield Finding(command.line, "error", "command", f"'{command.text[:60]}': {reason}")


def _statement_objections(scope: Scope) -> Iterator[Finding]:
    for statement in scope.statements:
        word = statement.text.split()[0].lower()
        if word in (".include", ".inc", ".lib"):
            message = f"{word} reads another file, which was not checked; put its text into the deck"
            yield Finding(statement.line, "error", "command", message)
        elif word not in HARMLESS_STATEMENTS:
            yield Finding(statement.line, "error", "command", f"{word} is not known to this check")
    for child in scope.subcircuits:
        yield from _statement_objections(child)


def _objection(command: str) -> str:
    """Why a command is not known to be harmless; empty if it is."""
    word, _, rest = command.partition(" ")
    word = word.lower()
    if word == "pre_osdi":
        return "loads native code, which is not run unless you name the file yourself: --osdi FILE"
    if word not in HARMLESS_COMMANDS:
        return f"'{word}' is not on the list of harmless commands"
    compares = word in ("if", "while")  # ngspice takes no redirection there
    if strange := set(command) & set("`;\\" if compares else "`;\\!<|"):
        return f"holds {' '.join(sorted(strange))}, which may run or read something"
    if word == "set" and not _SETTING.fullmatch(rest):
        return "sets a variable that is not on the list of harmless ones"
    if word == "wrdata" and not _FILE.match(rest):
        return "writes to a file that is not beside the deck"
    if not compares and not _REDIRECTION.fullmatch(rest):
        return "redirects to what is not a plain file name"
    return ""


_SETTING = re.compile(rf"\s*({'|'.join(sorted(HARMLESS_VARIABLES))})(\s*=\s*[\w.+-]+)?\s*")
_FILE = re.compile(r"\s*\w[\w.-]*(\s|$)")
_REDIRECTION = re.compile(r"[^>]*(>{1,2}\s*\w[\w.-]*\s*)?")
