"""Every failure that spicekit reports, in one list, and what to install where a library is missing.

The command line turns any of them into one line on stderr and exit status 2. A message says what was
called, what was expected, what came, and what to do.
"""

import importlib
from collections.abc import Iterable
from types import ModuleType


class SpicekitError(Exception):
    """Base of all failures that a caller may want to tell apart from bugs.

    >>> issubclass(MissingTable, SpicekitError)
    True
    """


class BadInput(SpicekitError, ValueError):
    """A value, file or option from outside does not fit; the message says what would.

    >>> import spicekit as sk
    >>> sk.Wires(r_b=1.0)
    Traceback (most recent call last):
    spicekit.errors.BadInput: Wires: unknown key 'r_b': did you mean 'r_bl'?
    """


def no_such(kind: str, name: str, known: Iterable[str], *, also: str = "") -> BadInput:
    """The error for a name that nothing is called: which there are, what `also` may be passed, and the nearest.

    >>> print(no_such("engine", "exat", ["spice", "exact"]))
    engine 'exat' is not one of spice, exact; did you mean exact?
    >>> print(no_such("network", "alexnet", ["vgg-small", "resnet18"], also="the path of a file"))
    network 'alexnet' is not one of vgg-small, resnet18, nor the path of a file.
    """
    import difflib

    known = list(known)
    near = difflib.get_close_matches(str(name).lower(), known, n=1)
    other = f", nor {also}" if also else ""
    return BadInput(
        f"{kind} {name!r} is not one of {', '.join(known)}{other}{f'; did you mean {near[0]}?' if near else '.'}"
    )


class MissingTool(SpicekitError):
    """A program or library that this step needs (ngspice, torch, a GPU) is not there."""


class MissingTable(SpicekitError):
    """No calibrated I-V table matches the request; the message names the command that makes it."""


class BadTable(SpicekitError):
    """A table is damaged, stale or of another schema; the message names the command that repairs it."""


class NewerTable(BadTable):
    """A table is of a newer schema: nothing but --force replaces it."""


class SpiceFailed(SpicekitError):
    """ngspice refused a deck, crashed, ran out of time or did not converge."""


class NotConverged(SpicekitError):
    """A solver of ours missed its tolerance; carries the residual and the columns concerned."""


DISTRIBUTION = "spicekit-cim"
"""Name on the package index, where `spicekit` is an astronomy package that imports by the same name."""
EXTRAS = {
    "study": {"cryptography", "dask", "distributed", "dask_jobqueue", "pyarrow", "pandas"},
    "networks": {"torch", "sklearn"},
    "onnx": {"onnx"},
    "train": {"pooch"},
    "plots": {"vl_convert"},
}
"""By the name of the extra that brings them."""


def missing(error: ImportError) -> str:
    """What to say of a library that could not be imported; raises the error again if it is none of those.

    >>> missing(ModuleNotFoundError("no", name="pyarrow.parquet"))
    "pyarrow is not installed; run: pip install 'spicekit-cim[study]'"
    """
    library = (error.name or "").partition(".")[0]
    for extra, libraries in EXTRAS.items():
        if library in libraries:
            return f"{library} is not installed; run: pip install '{DISTRIBUTION}[{extra}]'"
    raise error


def require(library: str) -> ModuleType:
    """A library that an extra brings; `MissingTool`, which says what to install, if it is not there."""
    try:
        return importlib.import_module(library)
    except ImportError as error:
        raise MissingTool(missing(error)) from error
