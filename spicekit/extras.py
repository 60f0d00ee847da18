"""Libraries that only some jobs need, and how to install them."""

DISTRIBUTION = "spicekit-cim"
"""Name on the package index, where `spicekit` is an astronomy package that imports by the same name."""
EXTRAS = {
    "study": {"cryptography", "dask", "distributed", "dask_jobqueue", "pyarrow", "pandas"},
    "onnx": {"onnx"},
    "train": {"pooch"},
    "plots": {"vl_convert", "matplotlib"},
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
