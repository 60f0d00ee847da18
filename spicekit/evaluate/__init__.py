"""Whole networks through the engines; energy and time; sign-off.

`spicekit.evaluate` is a function, and this package has its name: once Python has loaded the package it stands there
instead. So the package can be called as well, and does what the function does.
"""

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from spicekit.evaluate.evaluation import evaluate

        return evaluate(*arguments, **options)


sys.modules[__name__].__class__ = _Callable
