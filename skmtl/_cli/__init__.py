"""The command line: a CSV with blanks in, predictions out."""

import sys
from io import TextIOWrapper

_EXTRA = {"jinja2", "pyarrow", "rich", "typer"}


def main() -> None:
    """Run the command of `sys.argv`; the entry point `skmtl`."""
    try:
        for stream in (sys.stdout, sys.stderr):
            # A letter that the terminal does not know shall not end a command.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")
        # What it needs is in the extra "cli".
        from skmtl._cli._app import run

        sys.exit(run(sys.argv[1:]))
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.exit(
            f"Error: the command line needs {error.name}, which is not installed. Type "
            'pip install "skmtl[cli]"'
        )
    except KeyboardInterrupt:  # before there is anything to do
        sys.exit(130)
