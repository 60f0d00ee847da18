"""Configuration files: TOML, checked by pydantic, unknown keys refused, one readable line per fault."""

import json
import tomllib
from pathlib import Path
from typing import Any, Self, TypeVar

import pydantic

from spicekit.errors import BadInput
from spicekit.provenance import content_hash


class Config(pydantic.BaseModel):
    """A frozen record that refuses unknown keys, wrong types and NaN, and knows its content hash."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)

    def content_hash(self) -> str:
        """SHA-256 of the record's canonical JSON."""
        return content_hash(self.model_dump(mode="json"))

    def replace(self, **changes: Any) -> Self:
        """A checked copy with some fields changed."""
        return type(self)(**{**self.model_dump(), **changes})


ConfigT = TypeVar("ConfigT", bound=pydantic.BaseModel)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file; `BadInput` if it cannot be read or parsed."""
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); pass a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: is not valid TOML ({error}).") from error


def parse(model: type[ConfigT], data: Any, *, source: str) -> ConfigT:
    """Check data from TOML or JSON against a model; `BadInput` names the source, the key, and what was expected.

    A list stands for a tuple, and a whole number for a float; nothing else is taken for what it is not.
    """
    try:
        return model.model_validate_json(json.dumps(data))
    except TypeError as error:
        raise BadInput(f"{source}: {error}; dates and times are no values here.") from error
    except pydantic.ValidationError as error:
        raise BadInput(f"{source}: {_one_line(model, error)}") from error


def _one_line(model: type[pydantic.BaseModel], error: pydantic.ValidationError) -> str:
    faults = []
    errors = error.errors()
    for fault in errors:
        depth = len(fault["loc"])
        if any(len(other["loc"]) > depth and other["loc"][:depth] == fault["loc"] for other in errors):
            continue  # a list with a fault in it is said to be too short, too
        key = ".".join(str(part) for part in fault["loc"]) or model.__name__
        if fault["type"] == "extra_forbidden":
            faults.append(f"unknown key '{key}'; remove it or check its spelling")
        elif fault["type"] == "missing":
            faults.append(f"key '{key}' is missing")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            faults.append(f"'{key}' = {fault['input']!r}: {message}")
    return "; ".join(faults)
