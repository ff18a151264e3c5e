"""The command line: from a table with missing labels to predictions."""

import sys
from io import TextIOWrapper

_EXTRA = {"jinja2", "pyarrow", "rich", "typer"}


def main() -> None:
    """Run the command of `sys.argv`; the entry point `skmtl`."""
    try:
        for stream in (sys.stdout, sys.stderr):
            # A character that the terminal cannot show must not end a command.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")
        # The packages that this needs are in the extra "cli".
        from skmtl._cli._app import run

        sys.exit(run(sys.argv[1:]))
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.exit(
            f"Error: the command line needs {error.name}, which is not installed. Run: "
            'pip install "skmtl[cli]"'
        )
    except KeyboardInterrupt:  # before a command has begun
        sys.exit(130)
