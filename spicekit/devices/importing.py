"""Take one card out of a model file as foundries and predictive kits hand them out.

Such a file may hold several models, bins, `.lib` sections, parameters and models inside subcircuits. It is untrusted:
nothing in it is executed or included, and what is written is a plain card of numbers.
"""

import ast
import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spicekit.devices.bsim4 import BSIM4_LEVELS, bsim4_parameters, model_text, near
from spicekit.devices.sheet import Geometry, Osdi, Polarity, Sheet
from spicekit.errors import BadInput
from spicekit.files import read_file, take_folder, write_atomically

_LONGEST = 2000  # characters of an expression
_SUFFIXES = {"t": 1e12, "g": 1e9, "meg": 1e6, "x": 1e6, "k": 1e3, "mil": 25.4e-6, "m": 1e-3}
_SUFFIXES |= {"u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15, "a": 1e-18}
_NUMBER = re.compile(r"(?<![\w.])((?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)(meg|mil|[tgxkmunpfa])?[a-z]*", re.ASCII)
_BINARY: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: dict[str, Callable[..., float]] = {
    "abs": abs,
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "ln": math.log,
    "log10": math.log10,
    "pow": math.pow,
    "pwr": math.pow,
    "min": min,
    "max": max,
    "int": math.trunc,
    "sgn": lambda x: (x > 0) - (x < 0),
    "agauss": lambda nominal, *_: nominal,  # what is random in a file counts with its nominal value
    "gauss": lambda nominal, *_: nominal,
    "aunif": lambda nominal, *_: nominal,
    "unif": lambda nominal, *_: nominal,
}


def value(text: str, known: Mapping[str, float]) -> float:
    """Value of a number or expression in lower case, quoted ('', "", {}) or not.

    >>> value("'2*vt + 20m'", {"vt": 0.1})
    0.22

    Raises
    ------
    BadInput
        If it is no arithmetic, names what is not known, or has no finite value.
    """
    body = text.strip(" ,").strip("'\"{}").strip()
    if match := _VERSION.fullmatch(body):
        body = match[1]
    plain = _NUMBER.sub(lambda match: repr(float(match[1]) * _SUFFIXES.get(match[2] or "", 1.0)), body)
    try:
        if len(plain) > _LONGEST:
            raise ValueError(f"it is longer than {_LONGEST} characters")
        found = float(_value(ast.parse(plain.replace("^", "**"), mode="eval").body, known))
        if not math.isfinite(found):
            raise ValueError("it is not finite")
    except (
        SyntaxError,
        ValueError,
        TypeError,
        ArithmeticError,
        KeyError,
        RecursionError,
        MemoryError,
    ) as error:
        what = f"{error} is not known" if isinstance(error, KeyError) else str(error)
        raise BadInput(f"'{body[:60]}' has no value: {what}; pass a number, or arithmetic over parameters.") from None
    return found


def _value(node: ast.expr, known: Mapping[str, float]) -> float:
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id=name):
            return known[name]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, known)
        case ast.UnaryOp(op=ast.UAdd(), operand=inner):
            return _value(inner, known)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _BINARY:
            return float(_BINARY[type(sign)](_value(left, known), _value(right, known)))
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
            return float(_FUNCTIONS[name](*(_value(each, known) for each in arguments)))
    raise ValueError("only numbers, parameters, + - * / ** and known functions count")


_LARGEST = 32 << 20  # bytes; foundries' files have a few million
_CORNERS = ("tt", "ff", "ss")
# A value reaches to the next name with one: nothing of `0.3 + dvt` is lost.
_PAIR = re.compile(r"\b(\w+) ?= ?('[^']*'|\"[^\"]*\"|\{[^}]*\}|.+?)(?=[ ,] ?\w+ ?=(?!=)|$)")
_VERSION = re.compile(r"(\d+\.\d+)(?:\.\d+)+")  # ngspice tells models apart by the first two of 4.8.2


@dataclass(frozen=True)
class Model:
    """A `.model` statement as it stands in a file."""

    name: str
    kind: str
    section: str
    """Of `.lib`; empty outside."""
    pairs: tuple[tuple[str, str], ...]
    scope: tuple[tuple[str, str], ...]
    """Parameters of the subcircuits that it stands in, from the outermost."""


@dataclass(frozen=True)
class ModelFile:
    """What a file of models holds; all text in lower case."""

    source: str
    models: tuple[Model, ...]
    parameters: Mapping[str, Sequence[tuple[str, str]]]
    """By section of `.lib`, in order; under "" those outside of any."""


@dataclass(frozen=True)
class Imported:
    """A card taken out of a file."""

    model: str
    polarity: Polarity
    text: str
    dropped: Mapping[str, str]
    """Parameters that ngspice's model does not have, each with what it may have been meant for."""


@dataclass(frozen=True)
class Compiled:
    """Verilog-A that a BSIM-CMG card is written for."""

    file: str
    """The compiled model."""
    module: str


def read_models(text: str, *, source: str) -> ModelFile:
    """All `.model` statements and parameters of a file; what is neither is passed over.

    Raises
    ------
    BadInput
        If the file has commands or conditions, or no model.
    """
    section, found = "", list[Model]()
    parameters: dict[str, list[tuple[str, str]]] = {"": []}
    subcircuits: list[list[tuple[str, str]]] = []
    for number, statement in _statements(text):
        word, _, rest = statement.partition(" ")
        if word in (".control", ".if", ".elseif", ".else"):
            raise BadInput(f"{source}, line {number}: holds {word}, which decides or executes; take it out first.")
        if word == ".lib" and len(rest.split()) == 1:
            section = rest.strip("'\" ")
            parameters.setdefault(section, [])
        elif word == ".endl":
            section = ""
        elif word == ".subckt":
            subcircuits.append(_PAIR.findall(rest))
        elif word == ".ends" and subcircuits:
            subcircuits.pop()
        elif word in (".param", ".parameters", "parameters"):
            (subcircuits[-1] if subcircuits else parameters[section]).extend(_PAIR.findall(rest))
        elif word == ".model":
            match = re.match(r"([\w.]+)\s+(\w+)\s*(.*)$", rest)
            if match is None:
                raise BadInput(f"{source}, line {number}: expected '.model NAME TYPE ...', got '{statement[:60]}'.")
            name, kind, body = match.groups()
            body = body.strip(" ,")
            body = body[1:-1] if body.startswith("(") and body.endswith(")") else body
            if kind in ("nmos", "pmos") and (rest := _PAIR.sub("", body).strip(" ,")):
                raise BadInput(f"{source}, line {number}: expected 'parameter = value', got '{rest[:60]}'.")
            inner = tuple(pair for each in subcircuits for pair in each)
            found.append(Model(name, kind, section, tuple(_PAIR.findall(body)), inner))
    if not found:
        raise BadInput(f"{source}: holds no .model statement; pass a file of transistor models.")
    return ModelFile(source, tuple(found), parameters)


def import_card(
    file: ModelFile,
    geometry: Geometry,
    *,
    name: str | None = None,
    polarity: Polarity | None = None,
    section: str = "",
    compiled: Compiled | None = None,
) -> Imported:
    """The one card of a file that fits, as a plain one.

    Parameters
    ----------
    file : ModelFile
    geometry : Geometry
        One fin (or transistor); of a binned model it picks the bin.
    name : str, optional
        Of the model, without a bin's number.
    polarity : str, optional
        Channel type.
    section : str
        Of `.lib`, where the file has any.
    compiled : Compiled, optional
        For BSIM-CMG (level 72).

    Raises
    ------
    BadInput
        If none or several fit (it says which there are), or a value cannot be computed.
    """
    if section and section not in file.parameters:
        there = ", ".join(filter(None, file.parameters)) or "none"
        raise BadInput(f"{file.source}: no section {section!r}; it has {there}.")
    fitting = [
        model
        for model in file.models
        if model.section in ("", section)
        and (name is None or model.name.partition(".")[0] == name.lower())
        and model.kind == (polarity or model.kind)
        and model.kind in ("nmos", "pmos")
    ]
    outer = [*file.parameters[""], *(file.parameters.get(section, ()) if section else ())]
    found = [(model, _values(model, outer, geometry, file.source)) for model in fitting]
    sizes = {"w": geometry.width, "l": geometry.length}
    limits = {model: _bin(values) for model, values in found if "." in model.name}
    chosen = [
        (model, values)
        for model, values in found
        if all(low <= sizes[axis] < high for axis, (low, high) in limits.get(model, {}).items())
    ]
    if len(chosen) != 1:
        bins = {
            model: "".join(f", {axis} {low:g} to {high:g} m" for axis, (low, high) in own.items())
            for model, own in limits.items()
        }
        held = sorted(
            f"{m.name} ({m.kind}{m.section and ', section ' + m.section}{bins.get(m, '')})" for m in file.models
        )
        fit = f"{len(chosen) or 'no'} models fit"
        raise BadInput(
            f"{file.source}: {fit} name {name or 'any'}, channel {polarity or 'any'}, "
            f"section {section or 'none'}, {geometry.width:g} m x {geometry.length:g} m; it holds "
            f"{', '.join(held[:12])}"
            f"{' and more' if len(held) > 12 else ''}. Pass --model, --polarity, --section, --width and --length."
        )
    ((model, values),) = chosen
    kind, dropped = model.kind, dict[str, str]()
    if compiled:
        old = values.get("version", 107) < 110
        values = {key: each for key, each in values.items() if key not in ("level", "version", "l")}
        values |= {"devtype": float(kind == "nmos")} if old else {"type": 1.0 if kind == "nmos" else -1.0}
    elif int(values.get("level", 1)) in BSIM4_LEVELS:
        known = bsim4_parameters()
        dropped = {key: near(key, known - values.keys()) for key in values if key not in known}
        values = {key: each for key, each in values.items() if key in known}
    title = re.sub(r"\W", "_", model.name)
    pairs = [(key, f"{each:.10g}") for key, each in values.items()]
    return Imported(
        title,
        "nmos" if kind == "nmos" else "pmos",
        model_text(title, compiled.module if compiled else kind, pairs),
        dropped,
    )


def import_device(
    path: Path,
    folder: Path,
    geometry: Geometry,
    *,
    name: str | None = None,
    polarity: Polarity | None = None,
    section: str | None = None,
    compiled: Compiled | None = None,
) -> tuple[Path, dict[str, Imported]]:
    """Write a card of a model file with its sheet; what a spec's `[device]` takes, and the cards by file name.

    A file with the sections tt, ff and ss, if none is asked for, gives a folder with three corners, any other file one
    card for the typical corner. Errors as `read_models`, `import_card` and `take_folder`.
    """
    models = read_models(read_file(path, largest=_LARGEST).decode("utf-8", "replace"), source=str(path))
    corners = section is None and models.parameters.keys() >= set(_CORNERS)
    sections = {corner: corner for corner in _CORNERS} if corners else {"": (section or "").lower()}
    cards = {
        key: import_card(models, geometry, name=name, polarity=polarity, section=each, compiled=compiled)
        for key, each in sections.items()
    }
    first = next(iter(cards.values()))
    osdi = None
    if compiled:
        file = str(Path(compiled.file).resolve())
        osdi = Osdi(file=file, threshold="delvtrand", current="ids0mult")
    sheet = Sheet(geometry=geometry.replace(source=path.name), polarity=first.polarity, osdi=osdi)
    take_folder(folder)
    target = folder if corners else folder / f"{first.model}.sp"
    files = {f"{key}.sp" if corners else target.name: card for key, card in cards.items()}
    for name, card in files.items():
        write_atomically(folder / name, f"* from {json.dumps(path.name)}\n{card.text}")
    text = f"# Width and length in m.\n{sheet.to_toml()}"
    write_atomically(folder / "device.toml" if corners else target.with_suffix(".toml"), text)
    return target, files


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Line numbers and statements in lower case: no comments, continuations joined, one space between words."""
    number, parts = 0, list[str]()
    for here, line in enumerate(text.lower().splitlines(), start=1):
        line = re.split(r"\s\$|^\$|;|//", line, maxsplit=1)[0].strip()
        if not line or line.startswith("*"):
            continue
        if line.startswith("+") and parts:
            parts.append(line[1:])
            continue
        if parts:
            yield number, " ".join(" ".join(parts).split())
        number, parts = here, [line]
    if parts:
        yield number, " ".join(" ".join(parts).split())


def _values(model: Model, outer: Sequence[tuple[str, str]], geometry: Geometry, source: str) -> dict[str, float]:
    """Parameters of a model as numbers; a later definition counts, and may name what stands before it."""
    known: dict[str, float] = {"w": geometry.width, "l": geometry.length}
    unknown: dict[str, str] = {}
    for key, text in (*outer, *model.scope):
        if key in ("w", "l"):
            continue  # defaults of a subcircuit, for which the geometry stands
        try:
            known[key] = value(text, known)
        except BadInput as error:
            unknown[key] = str(error)  # an error only if the model needs it
    found: dict[str, float] = {}
    for key, text in model.pairs:
        try:
            found[key] = value(text, known)
        except BadInput as error:
            because = next((f" ({unknown[word]})" for word in re.findall(r"\w+", text) if word in unknown), "")
            raise BadInput(f"{source}, model {model.name}, {key}: {error}{because}") from error
    return found


def _bin(values: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Widths and lengths that a bin is for, m."""
    return {axis: (values.get(f"{axis}min", 0.0), values.get(f"{axis}max", math.inf)) for axis in "wl"}
