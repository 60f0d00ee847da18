"""Entry point of the `spicekit` command, and how failures reach the user: one line on stderr, exit status 2."""

import atexit
import contextlib
import gc
import os
import signal
import sys

from spicekit.errors import SpicekitError

ANYWHERE = ("--quiet", "-q", "--debug")
"""Options of the command itself that may stand behind a verb, too."""


def main() -> None:
    """Run the verb that the command line names, and end the process."""
    # Modules are no garbage; to look through them as often as Python does takes a tenth of a short command.
    gc.set_threshold(100_000)
    sys.argv[1:] = _options_first(sys.argv[1:])
    if "calibrate" in [word for word in sys.argv[1:] if word not in ANYWHERE][:1]:
        from spicekit.spice.server import prepare

        prepare()
    # To look for plugins, of which spicekit has none, pydantic reads what every installed package says of itself.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    status = _run()
    # Nor is it worth while to take modules and libraries down one by one, which Python would do now.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, AttributeError):  # nobody reads it any more, or it was never open
            stream.flush()
    os._exit(status)


def _options_first(words: list[str]) -> list[str]:
    end = words.index("--") if "--" in words else len(words)
    moved = [word for word in words[:end] if word in ANYWHERE]
    return moved + [word for word in words[:end] if word not in ANYWHERE] + words[end:]


def _run() -> int:
    from spicekit.cli.app import app

    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except KeyboardInterrupt:
        print("spicekit: stopped; nothing was kept, repeat the command", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 128 + signal.SIGPIPE
    except (SpicekitError, OSError, ImportError) as error:
        if "--debug" in sys.argv:
            import traceback

            traceback.print_exc()
        from spicekit.cli.display import fitted

        print(fitted(f"spicekit: {_line(error)}"), file=sys.stderr)
        return 2
    return 0


def _line(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}; pass another path." if error.filename else str(error)
    if isinstance(error, ImportError):
        from spicekit.errors import missing

        return missing(error)
    return f"{type(error).__name__}: {error}"
