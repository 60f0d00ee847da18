"""Values in model files: numbers with SPICE's suffixes, and arithmetic over named parameters; nothing is executed."""

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping

from spicekit.errors import BadInput

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
    body = text.strip().strip("'\"{}").strip()
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
        raise BadInput(
            f"'{body[:60]}' has no value: {what}; pass a number, or arithmetic over parameters."
        ) from None
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
