"""Entry point of the `spicekit` command, and how failures reach the user: one line on stderr, exit status 2.

It imports the verbs only when it runs: every process that is forked for ngspice imports it too.
"""

import sys

from spicekit.errors import SpicekitError


def main() -> None:
    """Run the verb that the command line names."""
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
