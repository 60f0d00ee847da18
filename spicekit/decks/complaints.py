"""What ngspice says while it loads a circuit and sets it up, as findings on the statements that it means."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from spicekit.decks.source import Finding, Severity, Statement, counted, finding

FIRST = 2  # line of the first statement that ngspice is given; a listing counts one more


class Lines:
    """Finds the statement that ngspice means, by line and text."""

    def __init__(self, statements: list[Statement]) -> None:
        self._statements = statements
        self._words = [statement.word for statement in statements]
        self._by_name: dict[str, Statement] = {}
        for word, statement in zip(self._words, statements, strict=True):
            self._by_name.setdefault(word, statement)
            if word == ".model":
                self._by_name.setdefault(" ".join(statement.text.lower().split()[:2]), statement)

    def at(self, line: int, text: str) -> Statement:
        """Statement on a line of what ngspice was given, or one that has the name that the text begins with."""
        index = line - FIRST
        name = text.split(None, 1)[0].lower() if text else ""
        leaf = name if name.startswith(".") else name.rpartition(".")[2]
        if 0 <= index < len(self._words) and (not leaf or self._words[index] == leaf):
            return self._statements[index]
        return self.named(leaf) or Statement(text, 0)

    def named(self, name: str) -> Statement | None:
        return self._by_name.get(name.lower())

    def evaluating(self, name: str) -> Statement | None:
        """First statement with an expression that holds a name."""
        word = re.compile(rf"['{{=].*\b{re.escape(name)}\b", re.IGNORECASE)
        return next((s for s in self._statements if word.search(s.text)), None)

    def containing(self, text: str) -> Statement | None:
        """First statement with these characters, whatever the spaces and case."""
        wanted = "".join(text.lower().split())
        return next((s for s in self._statements if wanted in "".join(s.text.lower().split())), None)


def missing_models(output: str, lines: Lines) -> Iterator[Finding]:
    """Models that are not there: ngspice stops at the first, having named all."""
    pattern = r"^warning, can't find model '([^']*)' from line\n\s*([mqdjz]\S*)"
    places: dict[str, list[Statement]] = {}
    for name, device in re.findall(pattern, output, re.MULTILINE):
        if at := lines.named(device):
            places.setdefault(name, []).append(at)
    for name, statements in places.items():
        yield counted(statements, "undefined-model", f"there is no model {name}")


class _Saying(NamedTuple):
    """Something that ngspice says while it loads a circuit, and what it means.

    Groups of the pattern: `line`, `text` of a statement, `name` of a parameter or subcircuit, `said`.
    """

    pattern: str
    severity: Severity | None = None
    """None for what it says elsewhere, too, or takes back."""
    rule: str = "ngspice"
    message: str = "{said}"


# fmt: off
_SAYINGS = (
    _Saying(r'^Fatal error: DC Transfer Function: .*"v\.nowhere".*\ndoAnalyses: .*$'),
    _Saying(r"^dc simulation\(s\) aborted$"),
    _Saying(r"^Fatal: (?P<said>.*(?:\nFatal: .*)*)\nFatal error: detected during .*\n.*device instance (?P<text>\S+)$",
            "error", "value", "ngspice refuses this device: {said}"),
    _Saying(r"^Fatal error: (?P<text>[a-z]\S*): (?P<said>(?:unknown controlling source|coupling to) .*)$",
            "error", "undefined-source"),
    _Saying(r"^doAnalyses: .*$"),  # follows from what was said before
    _Saying(r"^Fatal error: instance (?P<text>\S+) (?P<said>is a .*)$", "error", "supply-short"),
    _Saying(r"^Error: no such function '(?P<name>[^']*)'$",
            "error", "undefined-function", "ngspice knows no function {name}"),
    _Saying(r"^Error on line(?: (?P<line>\d+) or its substitute)?:\n\s*(?P<text>.*)\n(?P<said>[^\n]*)$", "error"),
    _Saying(r"^Netlist line no\. (?P<line>\d+):\nUndefined parameter \[(?P<name>[^\]]*)\]$",
            "error", "undefined-parameter", "nothing defines the parameter {name}"),
    _Saying(r"^Netlist line no\. \d+:\nCannot compute substitute$"),
    _Saying(r"^Netlist line no\. (?P<line>\d+):\n(?P<said>[^\n]*)$", "error"),
    _Saying(r"^Error: unknown subckt: (?P<text>x\S*(?:\.x\S*){15}.*)$",
            "error", "recursion", "subcircuits contain each other, or nest deeper than ngspice follows"),
    _Saying(r"^Error: unknown subckt: (?P<text>.*\s(?P<said>\S+))$",
            "error", "undefined-subcircuit", "there is no subcircuit {said}"),
    _Saying(r"^(?P<said>Too (?:few|many)) parameters for subcircuit type .* \(instance: x(?P<text>.*)\)$",
            "error", "port-count", "{said} nodes for the subcircuit's ports"),
    _Saying(r"^Warning: redefinition of \.subckt (?P<name>\S+), ignored$",
            "error", "duplicate-name", "subcircuit {name} is defined twice; ngspice ignores the second"),
    _Saying(r"^Warning : (?P<said>(?:IC|Nodeset) on non-existent node - .*), ignored\n.*check line (?P<text>.*)$",
            "error", "undefined-node", "{said}; ngspice ignores it"),
    _Saying(r"^Warning : \w+ source (?P<text>\S+) (?P<said>has non-increasing PWL time points)\.$", "error", "value"),
    _Saying(r"^Warning: Could not set temperature to (?P<said>.*)\n\s*Set to default.*$",
            "error", "value", "ngspice takes one temperature, and sets none of {said}"),
    _Saying(r"^Error: Mismatch of \.subckt.*\n.*\n\s*Check (?:line )?(?P<text>\.\w+).*$",
            "error", "syntax", ".subckt and .ends do not match"),
    _Saying(r"^Error: \.subckt/\.ends not balanced$", "error", "syntax", ".subckt and .ends do not match"),
    _Saying(r"^Warning: Model issue on line .*\n.*$"),
    _Saying(r"^unrecognized parameter .* - ignored$"),
    _Saying(r"^Warning: output of command 'listing' will be truncated$"),
    _Saying(r"^warning, (?:can't find model|model type mismatch).*\n.*$"),
    _Saying(r"^Warning -- Version not specified.*\n.*$"),
    _Saying(r"^\s*Simulation interrupted due to error!$"),
    _Saying(r"^ERROR: fatal error in ngspice.*$"),
    _Saying(r"^Error: (?P<said>[^\n]*) in line\n\s+(?P<text>\S.*)$", "error"),
    _Saying(r"^(?:Error|ERROR|Fatal)(?P<said>\b.*(?:\n[ \t]+\S.*)*)$", "error"),
    _Saying(r"^Warning: (?P<text>[a-z][\w.]*): (?P<said>.*)$", "warning"),
    _Saying(r"^(?:Warning|warning)(?P<said>\b.*(?:\n[ \t]+\S.*)*)$", "warning"),
)
# fmt: on


def complaints(output: str, lines: Lines) -> Iterator[Finding]:
    """What ngspice printed, as findings; each saying takes its text away from those that follow."""
    for pattern, severity, rule, message in _SAYINGS:
        if severity:
            for match in re.finditer(pattern, output, re.MULTILINE):
                parts = {key: " ".join((said or "").split()).strip(" :,") for key, said in match.groupdict().items()}
                yield finding(_place(parts, lines), severity, rule, message.format(**parts))
        output = re.sub(pattern, "", output, flags=re.MULTILINE)


def _place(parts: Mapping[str, str], lines: Lines) -> Statement:
    line, text, name, said = (parts.get(key, "") for key in ("line", "text", "name", "said"))
    leaf = text.split()[0].rsplit(".", 1)[-1] if text.strip(".") else ""
    attempts: tuple[Callable[[], Statement | None], ...] = (
        lambda: lines.at(int(line), text) if line else None,
        lambda: lines.named(leaf) if " " not in text else None,
        lambda: lines.containing(text) if text else None,
        lambda: lines.named(leaf),
        lambda: lines.containing(f".subckt {name}") if name else None,
        lambda: lines.evaluating(name) if name else None,
        lambda: lines.containing(said) if len(said) > 2 else None,
    )
    found = (attempt() for attempt in attempts)
    return next((at for at in found if at and at.line), Statement(text or said or name, 1))
