"""Decks of ours in the languages of other simulators: Xyce, Spectre, VACASK.

What a deck says is translated statement by statement; commands become the other simulator's analysis of the same kind.
The header goes along as remarks, with the dialect's name. Only what our templates write is known: anything else is
refused, not guessed.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, cast, get_args

from spicekit.circuits.spec import read_header
from spicekit.decks.source import Deck, Statement, bare_words, parse_deck
from spicekit.errors import BadInput, no_such

Dialect = Literal["ngspice", "xyce", "spectre", "vacask"]

REMARKS: dict[Dialect, str] = {"ngspice": "*", "xyce": "*", "spectre": "//", "vacask": "//"}
"""What remarks begin with."""


def check_dialect(name: str) -> Dialect:
    """A name from outside as a dialect; `BadInput` if it is none."""
    if name not in get_args(Dialect):
        raise no_such("dialect", name, get_args(Dialect))
    return cast(Dialect, name)


def translate(text: str, dialect: Dialect) -> str:
    """A deck that spicekit rendered, in another dialect.

    Parameters
    ----------
    text : str
        Of an ngspice deck of a tile.
    dialect : {"ngspice", "xyce", "spectre", "vacask"}

    Raises
    ------
    BadInput
        If the deck holds what the dialect has no word for.
    """
    if dialect == "ngspice":
        return text
    deck = parse_deck(text)
    remark = REMARKS[dialect]
    comments = list(deck.comments)
    comments.insert(comments.index("[deck]") + 1, f'"dialect" = "{dialect}"')
    # VACASK and Xyce take the first line for a title, Spectre for the simulator that it speaks to
    header = [f"{remark} {comment}" for comment in comments]
    body = {"xyce": _xyce, "spectre": _spectre, "vacask": _vacask}[dialect](deck)
    return "\n".join([*header, "", *body, ""])


def dialect_of(text: str) -> tuple[Dialect, tuple[str, ...]]:
    """Dialect of a deck of ours, by its header, and its remarks without their mark."""
    for mark in ("//", "*"):
        comments = [line.removeprefix(mark).removeprefix(" ") for line in text.splitlines() if line.startswith(mark)]
        if "[deck]" in comments:
            return check_dialect(str(read_header(comments).facts.get("dialect", "ngspice"))), tuple(comments)
    return "ngspice", ()


def _parameters(text: str) -> dict[str, str]:
    return {name: value for name, value in re.findall(r"(\w+)=(\{[^}]*\}|\S+)", re.sub(r"[()]", " ", text).lower())}


def _card(statement: Statement) -> tuple[str, str, dict[str, str]]:
    """Name, type, parameters of a `.model`."""
    name, kind = bare_words(re.sub(r"[()]", " ", statement.text))[0]
    if kind not in ("nmos", "pmos"):
        raise BadInput(f"translate: model type {kind} has no word in this dialect: {statement.text[:60]}")
    parameters = _parameters(statement.text)
    if parameters.pop("level", "") not in ("14", "54"):
        raise BadInput(f"translate: only BSIM4 cards (level 14) are known: {statement.text[:60]}")
    return name, kind, parameters


def _behaviour(statement: Statement) -> str:
    """Right-hand side of a current source, with brackets for braces."""
    match = re.fullmatch(r"b\S*\s+\S+\s+\S+\s+i\s*=\s*(.*)", statement.text, re.IGNORECASE)
    if match is None:
        raise BadInput(f"translate: a source of this form is not known: {statement.text[:60]}")
    return match[1].replace("{", "(").replace("}", ")")


def _options(deck: Deck) -> tuple[dict[str, str], str]:
    """Options by name, temperature in degrees Celsius."""
    options: dict[str, str] = {}
    for statement in deck.statements:
        if statement.word == ".options":
            options |= _parameters(statement.text)
    return options, next(s.text.split()[1] for s in deck.statements if s.word == ".temp")


def _senses(deck: Deck) -> list[str]:
    return [s.word for s in deck.statements if s.word.startswith("vsense_")]


def _analysis(deck: Deck) -> list[str]:
    """`tran`, step and stop; `op`."""
    return next((c.text.split() for c in deck.commands if c.word in ("op", "tran")), ["op"])


def _xyce(deck: Deck) -> Iterator[str]:
    options, temperature = _options(deck)
    for statement in deck.statements:
        word, text = statement.word, statement.text
        if word in (".options", ".temp"):
            continue
        if word == ".model":
            name, kind, parameters = _card(statement)
            yield f".model {name} {kind} (level=54 {' '.join(f'{k}={v}' for k, v in parameters.items())})"
        elif word in (".subckt", ".ends") or word.startswith("x"):
            yield re.sub(r"\s(\w+=)", r" params: \1", text, count=1)
        elif word.startswith("b"):
            yield f"{' '.join(text.split()[:3])} i={{{_behaviour(statement)}}}"
        elif word[0] in "rcvm" or word == ".nodeset":
            yield re.sub(r" off$", " off=1", text)
        else:
            raise BadInput(f"translate: Xyce has no word for {text[:60]}")
    yield f".options device temp={temperature} gmin={options['gmin']}"
    yield f".options nonlin reltol={options['reltol']} abstol={options['abstol']}"
    wanted = " ".join(f"i({name})" for name in _senses(deck))
    kind, *numbers = _analysis(deck)
    if kind == "tran":
        yield f".options timeint reltol={options['reltol']} abstol={options['abstol']}"
        yield f".tran {' '.join(numbers)}"
    else:
        read = next(s.text.split()[-1] for s in deck.statements if s.word.startswith(("vread", "vwl")))
        source = next(s.word for s in deck.statements if s.word.startswith(("vread", "vwl")))
        yield f".dc {source} {read} {read} 1"
    yield f".print {'tran' if kind == 'tran' else 'dc'} format=csv file=currents.csv {wanted}"
    yield ".end"


def _bracketed(
    deck: Deck,
    *,
    model: Callable[[str, str, dict[str, str]], str],
    multiplier: str,
    off: str,
    pulse: str,
    compiled: dict[str, str] | None = None,
) -> Iterator[str]:
    """Statements of Spectre and VACASK, which write nodes in brackets and the kind of a device behind them.

    `compiled` takes models in compiled Verilog-A, each with its type and parameters, and under names of their own the
    parameters of their instances; None knows no such models.
    """
    for statement in deck.statements:
        word, text = statement.word, statement.text.lower()
        bare, _ = bare_words(text)
        parameters = " ".join(f"{multiplier if k == 'm' else k}={v}" for k, v in _parameters(text).items())
        if word in (".options", ".temp"):
            continue
        if word.startswith("n") and compiled is not None:
            compiled[f"{bare[4]}_{word}"] = f"{bare[4]} {parameters}"
            yield f"{word} ({' '.join(bare[:4])}) {bare[4]}_{word}"
        elif word == ".model" and compiled is not None and bare[1] not in ("nmos", "pmos"):
            compiled[bare[0]] = f"{bare[1]} {parameters}"
        elif word == ".model":
            yield model(*_card(statement))
        elif word == ".subckt":
            yield f"subckt {bare[0]} ({' '.join(bare[1:])})"
            if parameters:
                yield f"parameters {parameters}"
        elif word == ".ends":
            yield "ends"
        elif word.startswith("x"):
            yield f"{word} ({' '.join(bare[:-1])}) {bare[-1]} {parameters}".rstrip()
        elif word.startswith("m"):
            turned_off = f" {off}" if off and text.endswith(" off") else ""
            yield f"{word} ({' '.join(bare[:4])}) {bare[4]} {parameters}{turned_off}"
        elif word.startswith("r"):
            yield f"{word} ({bare[0]} {bare[1]}) resistor r={bare[2]}"
        elif word.startswith("c"):
            yield f"{word} ({bare[0]} {bare[1]}) capacitor c={bare[2]}"
        elif word.startswith("v") and bare[2] == "dc":
            yield f"{word} ({bare[0]} {bare[1]}) vsource dc={bare[3]}"
        elif word.startswith("v") and (match := re.search(r"pulse\((.*)\)", text)):
            names = ("val0", "val1", "delay", "rise", "fall", "width")
            values = " ".join(f"{name}={value}" for name, value in zip(names, match[1].split(), strict=True))
            yield f"{word} ({bare[0]} {bare[1]}) vsource type={pulse} {values}"
        elif word.startswith("b") and off:
            yield f"{word} ({' '.join(text.split()[1:3])}) bsource i={_behaviour(statement).replace(' ', '').lower()}"
        else:
            raise BadInput(f"translate: this dialect has no word for {statement.text[:60]}")


def _spectre(deck: Deck) -> Iterator[str]:
    options, temperature = _options(deck)

    def model(name: str, kind: str, parameters: dict[str, str]) -> str:
        return f"model {name} bsim4 type={kind[0]} {' '.join(f'{k}={v}' for k, v in parameters.items())}"

    yield "simulator lang=spectre"
    yield "global 0"
    yield from _bracketed(deck, model=model, multiplier="m", off="region=off", pulse="pulse")
    yield (
        f"accuracy options reltol={options['reltol']} iabstol={options['abstol']} vabstol={options['vntol']} "
        f"gmin={options['gmin']} temp={temperature}"
    )
    yield "save " + " ".join(f"{name}:1" for name in _senses(deck))
    kind, *numbers = _analysis(deck)
    yield f"read tran step={numbers[0]} stop={numbers[1]}" if kind == "tran" else "read dc"


def vacask_circuit(deck: Deck) -> tuple[list[str], str]:
    """A deck's statements in VACASK's language, and its tolerances as options there."""
    options, temperature = _options(deck)
    files = [command.text.split()[1] for command in deck.commands if command.word == "pre_osdi"]
    compiled: dict[str, str] = {}

    def model(name: str, kind: str, parameters: dict[str, str]) -> str:
        parameters = {k: v for k, v in parameters.items() if k not in ("version", "paramchk")}
        sign = 1 if kind == "nmos" else -1
        return f"model {name} sp_bsim4v8 type={sign} {' '.join(f'{k}={v}' for k, v in parameters.items())}"

    circuit = [
        *(f'load "{file}"' for file in ("spice/bsim4v8.osdi", "resistor.osdi", "capacitor.osdi", *files)),
        "ground 0",
        *(f"model {kind} {kind}" for kind in ("vsource", "resistor", "capacitor")),
        *_bracketed(deck, model=model, multiplier="$mfactor", off="", pulse='"pulse"', compiled=compiled),
    ]
    # BSIM-CMG 107 has no parameters of instances, models have them all: so each transistor gets a model.
    for name, of in compiled.items():
        card, _, own = of.partition(" ")
        if card in compiled:
            circuit.append(f"model {name} {compiled[card]} {own}")
    tolerances = " ".join(f"{name}={options[name]}" for name in ("reltol", "abstol", "vntol", "gmin"))
    return circuit, f"{tolerances} temp={temperature}"


def _vacask(deck: Deck) -> Iterator[str]:
    circuit, tolerances = vacask_circuit(deck)
    yield from circuit
    kind, *numbers = _analysis(deck)
    start = stored_levels(deck.statements)
    if kind == "tran":
        # Its Newton steps do not converge to 1e-6 of a current there; they do to ten times less than its default.
        tolerances = re.sub(r"reltol=\S+ abstol=\S+ vntol=\S+", "reltol=1e-4", tolerances)
    yield "control"
    yield f'options {tolerances} rawfile="ascii"'
    yield "save " + " ".join(f"i({name})" for name in _senses(deck))
    if kind == "tran":
        yield f"analysis read tran step={numbers[0]} stop={numbers[1]}{start}"
    else:
        yield f"analysis read op{start}"
    yield "endc"


def stored_levels(statements: Sequence[Statement]) -> str:
    """Where whole 6T cores start: VACASK knows no transistor that starts off."""
    cores = [s.text.lower().split() for s in statements if re.fullmatch(r"xc_\d+_\d+", s.word)]
    if not any(s.text.lower().endswith(" off") for s in statements):
        return ""
    supply = next(s.text.split()[-1] for s in statements if s.word.startswith("vvdd_"))
    levels = []
    for name, *_, kind in cores:
        q, qb = (supply, "0") if kind == "cell_1" else ("0", supply)
        levels += [f'"{name}:q", {q}', f'"{name}:qb", {qb}']
    return " nodeset={" + ", ".join(levels) + "}"
