"""Reads a deck's text into statements and commands, without running anything.

A deck is untrusted text. What it describes is ngspice's to say (`expansion`); read here is what decides whether
ngspice may see it at all, and on which line of which file each statement stands. A line that cannot be taken
becomes a finding; none is skipped in silence.
"""

import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

from spicekit.errors import BadInput
from spicekit.files import read_file

Severity = Literal["error", "refused", "warning"]
"""Wrong; not known to be harmless, so that `run_deck` will not run it; worth a look."""


@dataclass(frozen=True, order=True)
class Statement:
    """A line with its continuation lines joined, without remarks."""

    text: str
    line: int
    file: str = ""
    """Included file that it stands in; empty for the deck itself."""

    @cached_property
    def word(self) -> str:
        """First word, lower case; of a dot line that ngspice knows by how it begins (`.opt`), in one spelling."""
        word = self.text.split(None, 1)[0].lower()
        if word[0] != ".":
            return word
        return next((known for start, known in _BY_PREFIX.items() if word.startswith(start)), word)


@dataclass(frozen=True, order=True)
class Finding:
    """One thing to say about a deck."""

    file: str
    line: int
    severity: Severity
    rule: str
    message: str


def finding(at: Statement, severity: Severity, rule: str, message: str) -> Finding:
    """A finding on a statement, whose text the message quotes."""
    text = at.text if len(at.text) <= _SHOWN else at.text[:_SHOWN] + " ..."
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return Finding(at.file, max(at.line, 1), severity, rule, message if text == message else f"{message}: {text}")


def counted(places: Sequence[Statement], rule: str, message: str) -> Finding:
    """One error for all statements that share it, on the first of them."""
    more = f"; {len(places) - 1} more lines alike" if len(places) > 1 else ""
    return finding(min(places, key=lambda at: (at.file, at.line)), "error", rule, message + more)


@dataclass(frozen=True)
class Outline:
    """What a deck defines and uses, by name."""

    subcircuits: Mapping[str, tuple[str, ...]]
    """Ports of the subcircuits that the top level defines."""
    instances: Mapping[str, int]
    """How often the top level uses a subcircuit."""
    nested: frozenset[str]
    """Subcircuits that others use."""
    parameters: Mapping[str, frozenset[str]]
    """Of every subcircuit."""
    elements: int
    """Of the top level."""


@dataclass(frozen=True)
class Deck:
    """A deck, read but not understood."""

    title: str
    comments: tuple[str, ...]
    """Without their `*`; the title, which ngspice takes for a comment, comes first."""
    statements: tuple[Statement, ...]
    """Elements and dot lines, those of included files in their place."""
    commands: tuple[Statement, ...]
    """Lines of `.control` sections, and of comments that ngspice executes: `*#`, `*ng_script`."""
    findings: tuple[Finding, ...]
    """Lines that could not be taken."""

    @cached_property
    def outline(self) -> Outline:
        """What it defines and uses."""
        return _outline(self.statements)

    def text(self) -> str:
        """What ngspice may be given."""
        return deck_text(self.statements, [command.text for command in self.commands])


def deck_text(statements: Iterable[Statement], commands: Sequence[str]) -> str:
    """A deck with a title of ours, then a line for each statement and command."""
    control = [".control", *commands, ".endc"] if commands else []
    texts = (statement.text for statement in statements)
    return "\n".join(["* read by spicekit", *texts, *control, ".end", ""])


def read_deck(path: Path, *, libraries: Sequence[Path] = ()) -> Deck:
    """Deck from a file, with what it includes.

    Parameters
    ----------
    path : Path
        UTF-8, or Latin-1 where it is not.
    libraries : sequence of Path
        Folders that it may include files from, beside its own.

    Raises
    ------
    BadInput
        If the file cannot be read, is a deck of ours for another simulator, or is larger with its files than any deck
        of a tile.
    """
    roots = tuple(folder.resolve() for folder in (path.parent, *libraries))
    reader = _Reader(roots)
    deck = _deck(reader, reader.file(path, name=""))
    if match := _FOREIGN.search("\n".join(reader.texts[path][:_HEADER])):
        raise BadInput(f"{path}: is a deck for {match[1]}, which ngspice does not read; 'netlist verify' takes it.")
    return deck


def read_text(path: Path) -> str:
    """Text of a file: UTF-8, or Latin-1 where it is not.

    Raises
    ------
    BadInput
        If it cannot be read, is no file, or is larger than any deck of a tile.
    """
    data = read_file(path, largest=_LARGEST)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def parse_deck(text: str) -> Deck:
    """Deck from its text, which may include no file.

    >>> parse_deck("title\\nRload out 0\\n+ 1k ; a remark\\n.end").statements
    (Statement(text='Rload out 0 1k', line=2, file=''),)
    """
    reader = _Reader(())
    return _deck(reader, reader.lines(text.split("\n"), "", None))


def number(text: str) -> float | None:
    """Value of a SPICE number with its scale suffix; None for expressions and what is no number.

    >>> number("1k"), number("1M"), number("1Meg"), number("0.1u") == number("100n"), number("{gap}")
    (1000.0, 0.001, 1000000.0, True, None)
    """
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    digits, exponent, suffix = match.groups()
    suffix = suffix.lower()
    if suffix.startswith("mil"):
        return float(digits + "e" + (exponent or "0")) * 25.4e-6
    power = 6 if suffix.startswith("meg") else _POWERS.get(suffix[:1], 0)
    # One conversion from decimal digits, so that every spelling of a value is the same float.
    return float(f"{digits}e{int(exponent or 0) + power}")


def bare_words(text: str) -> tuple[list[str], set[str]]:
    """Words behind the first without a value, and names of those with one, in lower case.

    >>> bare_words("Xcell a b leg r0 = {2 * k} m=2")[0]
    ['a', 'b', 'leg']
    """
    text = text.lower()
    bare, names = [], set()
    for word in (_ASSIGNED.sub(r" \1=", text) if "=" in text else text).split()[1:]:
        name, equals, _ = word.partition("=")
        if equals:
            names.add(name)
        elif word != "params:" and not names:
            bare.append(word)
    return bare, names


def assigned(text: str) -> list[str]:
    """Names that a line gives values, in lower case.

    >>> assigned(".param Gain = {2*k} r=1k")
    ['gain', 'r']
    """
    return [name.lower() for name in _ASSIGNED.findall(text)]


_BY_PREFIX = {word: word for word in (".csparam", ".four", ".func", ".global", ".param", ".probe")}
_BY_PREFIX[".opt"] = ".options"
"""ngspice 39 takes `.globals` for `.global`, and so on; of others it wants the whole word."""

_LARGEST = 128 << 20  # bytes; the full deck of 256 x 256 cells takes a tenth of it
_HEADER = 100  # lines, in which the header of a deck of ours says what it is for
_FOREIGN = re.compile(r'^(?:\*|//) "dialect" = "(\w+)"$', re.MULTILINE)
_DEEPEST = 20  # files that include each other
_SHOWN = 100  # characters of a statement in a message

_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:e([+-]?\d{1,3}))?([a-z]*)", re.IGNORECASE)
_ASSIGNED = re.compile(r"\s+(\w+)\s*=\s*(?:\{[^}]*\}|'[^']*'|\"[^\"]*\"|\S+)?")
_POWERS = {"t": 12, "g": 9, "k": 3, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15}
_REMARK = re.compile(r";|(?:^|(?<=[\s,]))\$|//")
_COMMAND_REMARK = re.compile(r";|\s\$\s|//")  # `$name` is a variable there
_HIDDEN = re.compile(r"(?<=[\s,])\$\w+\s(?:[^$=]*\s)?(\w+\s*=[^$]*)")
"""A value behind a word that begins a remark; extractors write `$X=1`, a `$` each, and mean remarks."""
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|\S+")
_ENDLESS = re.compile(r"[^\s,],\s*\w+\s*=(?!=)")
_IGNORED = '=[]?()&%"!:,'
"""ngspice takes a line that begins with one of these for a remark, and says so."""


def _outline(all_statements: Iterable[Statement]) -> Outline:
    elements = 0
    subcircuits: dict[str, tuple[str, ...]] = {}
    parameters: dict[str, frozenset[str]] = {}
    instances: Counter[str] = Counter()
    nested: set[str] = set()
    inside: list[str] = []
    for statement in all_statements:
        word = statement.word
        if word in (".subckt", ".macro"):
            words, names = bare_words(statement.text)
            name, *ports = words or [""]
            if not inside:
                subcircuits.setdefault(name, tuple(ports))
            inside.append(name)
            parameters[name] = parameters.get(name, frozenset()) | names
        elif word in (".ends", ".eom"):
            del inside[-1:]
        elif word == ".param" and inside:
            parameters[inside[-1]] |= bare_words(statement.text)[1]
        elif not word.startswith("."):
            elements += not inside
            if word[0] == "x":
                (nested.update if inside else instances.update)(bare_words(statement.text)[0][-1:])
    return Outline(subcircuits, dict(instances), frozenset(nested), parameters, elements)


@dataclass
class _Reader:
    """Lines of a deck, with included files in their place."""

    roots: tuple[Path, ...]
    findings: list[Finding] = field(default_factory=list)
    texts: dict[Path, list[str]] = field(default_factory=dict)
    size: int = 0
    depth: int = 0

    def file(self, path: Path, *, name: str, section: str | None = None) -> Generator[Statement, None, bool]:
        """Lines of a file, or of one `.lib` section of it."""
        if path not in self.texts:
            text = read_text(path)
            self._count(path, len(text))
            self.texts[path] = text.split("\n")  # the only line break that ngspice knows
        return (yield from self.lines(self.texts[path], name, path, section))

    def _count(self, path: Path, size: int) -> None:
        self.size += size
        if self.size > _LARGEST:
            raise BadInput(f"{path}: with its files larger than {_LARGEST >> 20} MiB, which no deck is.")

    def lines(
        self, raw_lines: list[str], name: str, path: Path | None, section: str | None = None
    ) -> Generator[Statement, None, bool]:
        """Lines of a file or of one section; returns whether the section is there."""
        inside = found = section is None
        for count, raw in enumerate(raw_lines, 1):
            line = Statement(raw.strip(" \t\r"), count, name)
            word, *arguments = _QUOTED.findall(_REMARK.split(line.text, maxsplit=1)[0]) or [""]
            word = word.lower()
            if section is not None and word == ".lib" and len(arguments) == 1:
                inside = arguments[0].strip("\"'").lower() == section.lower()
                found |= inside
            elif word == ".endl":
                inside = section is None
            elif not inside:
                continue
            elif (word.startswith(".inc") or word == ".lib") and not (count == 1 and not name):
                yield from self._included(line, arguments, path)
            else:
                yield line
        return found

    def _included(self, at: Statement, arguments: list[str], path: Path | None) -> Iterator[Statement]:
        wanted, section = (*(word.strip("\"'") for word in arguments[:2]), "", "")[:2]
        target = (path.parent / wanted).resolve() if path and wanted else None
        severity: Severity = "error"
        if at.word == ".lib" and not section:
            wrong = "ngspice wants a section behind the file: .lib FILE SECTION"
            if at.file:
                wrong = f"begins a section: ask for one by .lib {at.file} SECTION, not for all by .include"
        elif target is None or not any(target.is_relative_to(root) for root in self.roots):
            severity = "refused"
            wrong = "is not in the deck's folder; put its text into the deck, or name its folder: --library FOLDER"
        elif not target.is_file():
            wrong = f"{target.name} is not there"
        elif self.depth == _DEEPEST:
            wrong = f"files include each other more than {_DEEPEST} deep"
        else:
            self.depth += 1
            self._count(target, _LARGEST >> 12)  # so that files which include each other come to an end
            found = yield from self.file(target, name=wanted, section=section or None)
            self.depth -= 1
            if found:
                return
            wrong = f"{target.name} has no section {section}"
        self.findings.append(finding(at, severity, "include", wrong))


def _deck(reader: _Reader, lines: Iterator[Statement]) -> Deck:
    comments: list[str] = []
    statements: list[Statement] = []
    commands: list[Statement] = []
    unreadable: list[Statement] = []
    parts: list[str] = []
    start: Statement | None = None
    control: Statement | None = None
    joins = False

    def finish() -> None:
        if start is not None:
            (commands if control else statements).append(Statement(" ".join(parts), start.line, start.file))

    def complain(at: Statement, severity: Severity, message: str) -> None:
        reader.findings.append(finding(at, severity, "syntax", message))

    for line in lines:
        whole, first = line.text, line.line == 1 and not line.file
        if first or whole.startswith("*"):
            executed = whole.lower().startswith("*ng_script" if first else ("*#", "*ng_script"))
            if executed:
                commands.append(replace(line, text=whole.removeprefix("*#").strip() or "*#"))
            if first or not executed:
                comments.append(whole.removeprefix("*").removeprefix(" "))
            continue
        text = (_COMMAND_REMARK if control else _REMARK).split(whole, maxsplit=1)[0].rstrip(" \t")
        if not control and (hidden := _HIDDEN.search(whole, len(text))):
            complain(line, "warning", f"{hidden[1]} stands in a remark")
        ends_open = text.endswith("\\\\")  # ngspice reads on, on the next line
        if whole.endswith("\\\\") and not ends_open:  # it does, too, behind a remark
            unreadable.append(line)
        text = text.removesuffix("\\\\").rstrip(" \t")
        if not text:
            continue
        continues, joins = joins or text.startswith("+"), ends_open
        at = Statement(text, line.line, line.file)
        if not text.replace("\t", " ").isprintable() or text.endswith("\\"):
            unreadable.append(at)
        elif continues and start is None:
            complain(at, "error", "continues nothing")
        elif continues:
            parts.append(text.removeprefix("+").strip(" \t"))
        elif not control and text[0] in _IGNORED:
            complain(at, "error", "ngspice takes this for a remark")
        elif not control and not (text[0] == "." or (text[0].isalpha() and text[0].isascii())):
            complain(at, "error", "begins with no letter of a device")
        else:
            finish()
            start = None
            if at.word == ".control":
                control = at
            elif at.word == ".endc":
                control = None
            elif at.word != ".end":  # ngspice reads on behind it
                start, parts = at, [text]
    finish()
    for at in statements:
        if at.word == ".param" and _ENDLESS.search(at.text):
            complain(at, "error", "ngspice reads for ever where a comma follows a value; write a space")
    if unreadable:
        message = "holds letters that do not print, or ends in a backslash"
        reader.findings.append(counted(unreadable, "syntax", message))
    if control:
        complain(control, "warning", ".control has no .endc")
    title = comments[0] if comments else ""
    return Deck(title, tuple(comments), tuple(statements), tuple(commands), tuple(reader.findings))
