"""Entry point of the `spicekit` command, and how failures reach the user: one line on stderr, exit status 2."""

import atexit
import gc
import os
import sys

from spicekit.errors import SpicekitError


def main() -> None:
    """Run the verb that the command line names, and end the process."""
    # Modules are no garbage; to look through them as often as Python does takes a tenth of a short command.
    gc.set_threshold(100_000)
    if sys.argv[1:2] == ["calibrate"]:
        from spicekit.spice.server import prepare

        prepare()
    # To look for plugins, of which spicekit has none, pydantic reads what every installed package says of itself.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    status = _run()
    # Nor is it worth while to take modules and libraries down one by one, which Python would do now.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _run() -> int:
    from spicekit.cli.app import app

    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except SpicekitError as error:
        print(f"spicekit: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        place = f"{error.filename}: {error.strerror}; pass another path." if error.filename else error
        print(f"spicekit: {place}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("spicekit: interrupted", file=sys.stderr)
        return 130
    return 0
