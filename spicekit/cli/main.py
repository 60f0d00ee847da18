"""Entry point of the `spicekit` command, and how failures reach the user: one line on stderr, exit status 2.

It imports the verbs only when it runs: every process that is forked for ngspice imports it too.
"""

import gc
import sys

from spicekit.errors import SpicekitError


def main() -> None:
    """Run the verb that the command line names."""
    # Modules are no garbage; to look through them as often as Python does takes a tenth of a short command.
    gc.set_threshold(50_000)
    from spicekit.cli.app import app

    try:
        app()
    except SpicekitError as error:
        print(f"spicekit: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        print(f"spicekit: {error.filename}: {error.strerror}; pass another path.", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("spicekit: interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        gc.freeze()  # nor is it worth while to look through them at the end
