"""The command line: a CSV with blanks in, predictions out."""

import sys

_EXTRA = {"jinja2", "pyarrow", "rich", "typer"}


def main() -> None:
    """Run the command of `sys.argv`; the entry point `skmtl`."""
    try:
        # What it needs is in the extra "cli".
        from skmtl._cli._app import run
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.exit(
            f"Error: the command line needs {error.name}, which is not installed. Type "
            'pip install "skmtl[cli]"'
        )
    sys.exit(run(sys.argv[1:]))
