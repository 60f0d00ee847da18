"""Configuration files: TOML, checked by pydantic, unknown keys refused, one readable line per fault."""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable
from functools import partialmethod
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Self, TypeVar, get_args

import numpy as np
import pydantic

from spicekit.errors import BadInput
from spicekit.files import parse_json, read_file
from spicekit.provenance import content_hash

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(pydantic.BaseModel)


class _Constructed(ModelMetaclass):
    """Lets a call with keywords take NumPy's numbers and lists, and fail with `BadInput` alone."""

    if not TYPE_CHECKING:  # types are those of the fields

        def __call__(cls, *arguments: Any, **fields: Any) -> Any:  # noqa: N805
            if arguments:
                raise BadInput(
                    f"{cls.__name__}: pass fields by name: {cls.__name__}({next(iter(cls.model_fields))}=...)."
                )
            try:
                return super().__call__(**{name: _plain(value) for name, value in fields.items()})
            except pydantic.ValidationError as error:
                raise BadInput(f"{cls.__name__}: {_one_line(cls, error, '')}") from error


class Config(pydantic.BaseModel, metaclass=_Constructed):
    """A frozen record that refuses unknown keys, wrong types and NaN, and knows its content hash.

    Made by keywords, or from TOML or JSON; what does not fit is `BadInput`.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    def __setattr__(self, name: str, value: Any) -> None:
        kind = type(self).__name__
        raise BadInput(f"{kind}: is not changed in place; make another: .replace({name}=...).")

    __delattr__ = partialmethod(__setattr__, value=None)

    def tables(self) -> dict[str, dict[str, Any]]:
        """The record as the tables of a TOML file; what is None is left out."""
        values = self.model_dump(mode="json", exclude_none=True)
        top = {name: value for name, value in values.items() if not isinstance(value, dict)}
        return {
            **({"": top} if top else {}),
            **{name: value for name, value in values.items() if name not in top},
        }

    @classmethod
    def from_tables(cls, tables: dict[str, Any], *, source: str) -> Self:
        """The record that the tables of a TOML file hold; `source` names it in errors."""
        return parse(cls, tables, source=source)

    def to_toml(self) -> str:
        """The record as TOML text, all fields written out.

        >>> from spicekit.circuits.spec import Wires
        >>> print(Wires(r_bl=1.5, r_sl=1.5).to_toml(), end="")
        r_driver = 100.0
        r_sink = 100.0
        r_bl = 1.5
        r_sl = 1.5
        """
        parts = []
        for name, values in self.tables().items():
            lines = [f"{key} = {toml_value(value)}" for key, value in values.items()]
            parts.append("\n".join(([f"[{name}]"] if name else []) + lines))
        return "\n".join(parts) + "\n"

    @classmethod
    def from_toml(cls, text: str, *, source: str = "TOML") -> Self:
        """The record that TOML text holds; `BadInput` if it does not fit."""
        content = _text(text, source).encode(errors="surrogatepass")  # what is no UTF-8 is refused as in a file
        return cls.from_tables(_parse_toml(content, source), source=source)

    def to_json(self) -> str:
        """The record as JSON text."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str, *, source: str = "JSON") -> Self:
        """The record that JSON text holds; `BadInput` if it does not fit."""
        return parse(cls, parse_json(_text(text, source), source=source), source=source)

    def content_hash(self) -> str:
        """SHA-256 of the record's canonical JSON."""
        return content_hash(self.model_dump(mode="json"))

    def replace(self, **changes: Any) -> Self:
        """A checked copy with some fields changed."""
        return type(self)(**{**self.model_dump(), **changes})


ConfigT = TypeVar("ConfigT", bound=pydantic.BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; `BadInput` if it cannot be read or parsed."""
    return _parse_toml(read_file(path, largest=_LARGEST), str(path))


def _parse_toml(data: bytes, source: str) -> dict[str, Any]:
    try:
        if _DEEP_KEY.search(data):  # for which tomllib takes memory by the square of the parts
            raise ValueError("a key has more than 30 parts")
        return tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:  # also of text that is no UTF-8, and of too many digits
        raise BadInput(f"{source}: is not valid TOML ({error}).") from error


_LARGEST = 1 << 20  # bytes; a study of thousands of points has a tenth of it
_DEEP_KEY = re.compile(  # each place is looked at once or 30 times: a longer quoted part leaves room for few
    rb"""(?<![\w\\-])(?:(?:[\w-]++|"(?:[^"\\\n]|\\.){0,200}+"|'[^'\n]{0,200}+')[ \t]*+\.[ \t]*+){30}"""
)
_MOST_FAULTS = 10


def parse(model: type[ConfigT], data: Any, *, source: str) -> ConfigT:
    """Check data from TOML or JSON against a model; `BadInput` names the source, the key, and what was expected.

    A list stands for a tuple, and a whole number for a float; nothing else is taken for what it is not. Where the
    source is a TOML file, with or without a table behind it (`tile.toml [read]`), the lines of faults are found in it.
    """
    try:
        return model.model_validate_json(json.dumps(data))
    except (RecursionError, OverflowError) as error:
        raise BadInput(f"{source}: is nested too deeply ({error}).") from error
    except TypeError as error:
        raise BadInput(f"{source}: {error}; dates and times are no values here.") from error
    except pydantic.ValidationError as error:
        raise BadInput(f"{source}: {_one_line(model, error, source)}") from error
    except ValueError as error:  # TOML reads any number of hexadecimal digits, JSON writes 4,300 decimal ones
        raise BadInput(f"{source}: holds a number of too many digits ({error}).") from error


def unknown_key(key: str, known: Iterable[str]) -> str:
    """What to say of a key that nothing is called, with the nearest of those that are known.

    >>> unknown_key("row_active", ["rows", "rows_active"])
    "unknown key 'row_active': did you mean 'rows_active'?"
    >>> unknown_key("mapping.flips", ["mapping", "flip_rule"])
    "unknown key 'mapping.flips'; remove it or check its spelling"
    """
    near = difflib.get_close_matches(key.rpartition(".")[2], list(known), n=1)
    advice = f": did you mean '{near[0]}'?" if near else "; remove it or check its spelling"
    return f"unknown key '{key}'{advice}"


def toml_value(value: Any) -> str:
    """A value as TOML: JSON's text, but for pairs of surrogates, which TOML does not know, and delete as it is."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _text(text: Any, source: str) -> str:
    if not isinstance(text, str):
        raise BadInput(f"{source}: expected text, got {type(text).__name__}.")
    return text


def _plain(value: Any) -> Any:
    """A value without NumPy's types; a tuple for a list, text for a path."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return tuple(map(_plain, value)) if isinstance(value, list) else value


def _one_line(model: type[pydantic.BaseModel], error: pydantic.ValidationError, source: str) -> str:
    faults = []
    errors = error.errors(include_url=False)
    more = f" and {len(errors) - _MOST_FAULTS:,} more" if len(errors) > _MOST_FAULTS else ""
    errors = errors[:_MOST_FAULTS]
    for fault in errors:
        depth = len(fault["loc"])
        if any(len(other["loc"]) > depth and other["loc"][:depth] == fault["loc"] for other in errors):
            continue  # a list with a fault in it is said to be too short, too
        key = ".".join(str(part) for part in fault["loc"])
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            text = unknown_key(key, _names(model))
        elif fault["type"] == "missing":
            text = f"key '{key}' is missing"
        elif not key or len(repr(fault["input"])) > _SHOWN:  # the whole record: the message names its fields
            text = f"'{key}': {message}" if key else message
        else:
            text = f"'{key}' = {_short(fault['input'])}: {message}"
        faults.append(at_line(source, fault["loc"]) + text)
    return "; ".join(faults) + more


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, dict | list) or len(value) <= _MOST_FAULTS else "(much)"
    return text if len(text) <= 200 else f"{text[:200]} ..."


def _names(kind: Any) -> set[str]:
    """Of all fields of a model and of those within it."""
    if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
        fields = kind.model_fields
        return set(fields).union(*(_names(field.annotation) for field in fields.values()))
    return set().union(*map(_names, get_args(kind)))


def at_line(source: str, loc: tuple[int | str, ...]) -> str:
    """`line N: `, of the line where a TOML file sets a key; "" if there is no such file or it is not plain."""
    line = _line(source, loc)
    return f"line {line}: " if line else ""


def _line(source: str, loc: tuple[int | str, ...]) -> int | None:
    path, table = _SOURCE.fullmatch(source).groups()  # type: ignore[union-attr]  # it matches everything
    names = [part for part in loc if isinstance(part, str)]
    if not path.endswith(".toml") or not names:
        return None
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    parent = names[-2] if len(names) > 1 else table or "tile"
    here = ""
    found: list[int] = []
    others: list[int] = []
    for number, line in enumerate(lines, 1):
        if head := _HEAD.match(line):
            here = head[1].split(".")[-1].strip()
            key, within = here, here
        else:
            name, _, value = line.partition("=")
            *tables, key = name.strip().strip("\"'").split(".")  # "run.images" of a study's grid
            within = tables[-1] if tables else here
            if key == parent and re.search(rf"[{{,]\s*{re.escape(names[-1])}\s*=", value):  # run = {images = 8}
                within, key = parent, names[-1]
        if key == names[-1]:
            (found if within == parent else others).append(number)
    places = [part for part in loc if isinstance(part, int)]
    at_hand = found or others
    if len(at_hand) == 1:
        return at_hand[0]
    return at_hand[places[0]] if places and places[0] < len(at_hand) else None


_SHOWN = 100  # characters of a value that is wrong
_SOURCE = re.compile(r"(.*?)(?: \[(.*)\])?", re.DOTALL)
_HEAD = re.compile(r"\s*\[{1,2}\s*([^\[\]]+?)\s*\]{1,2}\s*(?:#.*)?$")
