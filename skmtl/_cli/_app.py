"""The commands and their options."""

import contextlib
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

import skmtl
from skmtl._cli._console import (
    BAD_DATA,
    BAD_USAGE,
    CLOSED_PIPE,
    INTERRUPTED,
    UNEXPECTED,
    Failure,
    complain,
    only_our_warnings,
    say,
    usage_failure,
)
from skmtl._cli._deciding import Choices
from skmtl._cli._input_files import check_is_no_stream, check_kind
from skmtl._cli._interrupts import caught_interrupts
from skmtl._cli._sources import Source

# A command returns the work to do, and `run` does it.
Work = Callable[[], int]

app = typer.Typer(
    help="Multi-task learning with missing labels, on CSV and Parquet files.",
    epilog="Exit codes: 0 success, 1 bad data or file, 2 bad option, 3 bug in skmtl, "
    "130 Ctrl-C, 143 SIGTERM. [bold]skmtl COMMAND --help[/] shows examples.",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

_COLUMNS, _TRAINING = "Columns", "Training"
# Options of these panels that also apply to a report on a fitted model.
_WITH_MODEL = ("missing", "delimiter", "decimal", "encoding", "seed")
Names = list[str]


def _names(option: str, help: str) -> Any:
    return typer.Option(option, metavar="COLUMN", help=help, rich_help_panel=_COLUMNS)


def _argument(metavar: str, help: str) -> Any:
    return typer.Argument(metavar=metavar, help=help)


Train = Annotated[Path, _argument("TRAIN", "Table to learn from.")]
ModelFile = Annotated[
    Path, _argument("MODEL", "Model written by skmtl fit or skmtl.save.")
]
Tasks = Annotated[
    Names, _names("--tasks", "Columns to predict: a name or pattern; repeatable.")
]
Ids = Annotated[
    Names, _names("--id", "Columns that identify a row; not used as features.")
]
Drop = Annotated[Names, _names("--drop", "Columns to ignore.")]
Categorical = Annotated[
    Names, _names("--categorical", "Columns to read as categories.")
]
Numbers = Annotated[Names, _names("--numbers", "Columns or tasks to read as numbers.")]
Classes = Annotated[Names, _names("--classes", "Tasks to read as classes.")]
Missing = Annotated[
    Names,
    typer.Option(
        metavar="TEXT",
        help="Another text that means a missing value, such as -99; repeatable.",
        rich_help_panel=_COLUMNS,
    ),
]
BlankOnly = Annotated[
    bool,
    typer.Option(
        "--blank-only",
        help="Only empty cells (and --missing) are missing values; NA is text.",
        rich_help_panel=_COLUMNS,
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        metavar="CHARACTER",
        help="Separates the cells. By default, the first line decides.",
        rich_help_panel=_COLUMNS,
    ),
]
Decimal = Annotated[
    str,
    typer.Option(
        metavar="CHARACTER",
        help="Decimal mark of numbers in text files: a point (1.5) or a comma (1,5).",
        rich_help_panel=_COLUMNS,
    ),
]
Encoding = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Encoding of text files.",
        rich_help_panel=_COLUMNS,
    ),
]
Set = Annotated[
    Names,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A parameter of the estimator, such as max_iter=50; repeatable.",
        rich_help_panel=_TRAINING,
    ),
]
Settings = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="TOML file with the tables \\[columns] and \\[settings].",
        rich_help_panel=_TRAINING,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        help="The same seed gives the same model. Default: 0.",
        rich_help_panel=_TRAINING,
    ),
]
Thresholds = Annotated[
    str | None,
    typer.Option(
        metavar="METRIC",
        help="Tune the decision thresholds for a metric, such as mcc or f1.",
        rich_help_panel=_TRAINING,
    ),
]
Calibrate = Annotated[
    str | None,
    typer.Option(
        metavar="METHOD",
        help="Calibrate the probabilities: temperature, sigmoid or isotonic.",
        rich_help_panel=_TRAINING,
    ),
]
OutModel = Annotated[
    Path, typer.Option(metavar="FILE", help="Where to write the model.")
]
OutTable = Annotated[
    Path,
    typer.Option(
        metavar="FILE",
        help="Where to write: .csv, .tsv, .parquet, .csv.gz, or - to print a CSV.",
    ),
]
OutScores = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Where to write the scores as a table."),
]
Folds = Annotated[
    int, typer.Option(min=2, help="Number of folds.", rich_help_panel=_TRAINING)
]
Force = Annotated[
    bool, typer.Option("--force", help="Overwrite the file if it exists.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show only warnings and errors.")
]


def _source(path: Path, *options: Any) -> Source:
    check_is_no_stream(path)
    check_kind(path)
    return Source(path, *options)


def _command(help: str, *examples: str) -> Callable:
    """Register a command with examples, which `--help` shows verbatim."""
    epilog = "\n\n".join(f"skmtl {example}" for example in examples)
    return app.command(help=help, epilog=epilog)


_LEARN = (
    "All columns other than tasks, ids and dropped columns are features: text is read "
    "as categories, ISO dates as days, empty cells as missing values. An empty cell in "
    "a task is a missing label. Text that differs in most rows, such as names or "
    "SMILES, is left out; for molecules, add fingerprints as columns."
)


@_command(
    f"Learn from a table and write a model.\n\n{_LEARN}",
    'fit train.csv --tasks "tox *" --id id --out model.skmtl',
    "fit train.parquet --tasks age --numbers age --out model.skmtl",
    "fit train.csv --tasks died --set max_iter=50 --out model.skmtl",
)
def fit(
    train: Train,
    out: OutModel,
    tasks: Tasks = [],  # noqa: B006
    id: Ids = [],  # noqa: B006
    categorical: Categorical = [],  # noqa: B006
    numbers: Numbers = [],  # noqa: B006
    classes: Classes = [],  # noqa: B006
    drop: Drop = [],  # noqa: B006
    missing: Missing = [],  # noqa: B006
    blank_only: BlankOnly = False,
    delimiter: Delimiter = None,
    decimal: Decimal = ".",
    encoding: Encoding = "utf-8",
    set: Set = [],  # noqa: B006
    settings: Settings = None,
    seed: Seed = None,
    thresholds: Thresholds = None,
    calibrate: Calibrate = None,
    force: Force = False,
    quiet: Quiet = False,
) -> Work:
    from skmtl._cli import _fitting, _settings  # torch takes a second

    columns = Choices(
        tasks, id, drop, categorical, numbers, classes, missing, blank_only
    )
    choices, given = _settings.gathered(settings, columns, set)
    model = _settings.Model(given, seed, thresholds, calibrate)
    source = _source(train, delimiter, decimal, encoding)
    return partial(
        _fitting.fit, source, choices, model, out=out, force=force, quiet=quiet
    )


@_command(
    "Predict all tasks for new rows, block by block.\n\nFor each task, the table has a "
    "column with the predicted label or number. For classes, it adds the probability "
    "of the second class, or of each class if there are more than two. For numbers, it "
    "adds the standard deviation if the model predicts one.",
    "predict model.skmtl new.csv --out predictions.csv",
    "predict model.skmtl new.parquet --out predictions.csv.gz --id name",
    "predict model.skmtl new.csv --out - | head",
)
def predict(
    model: ModelFile,
    new: Annotated[Path, _argument("NEW", "Table with the features of the model.")],
    out: OutTable,
    id: Ids = [],  # noqa: B006
    missing: Missing = [],  # noqa: B006
    delimiter: Delimiter = None,
    decimal: Decimal = ".",
    encoding: Encoding = "utf-8",
    force: Force = False,
    quiet: Quiet = False,
) -> Work:
    from skmtl._cli import _predicting

    source = _source(new, delimiter, decimal, encoding)
    return partial(
        _predicting.predict,
        model,
        source,
        ids=id,
        missing=missing,
        out=out,
        force=force,
        quiet=quiet,
    )


@_command(
    "Score a model on rows with labels, task by task.\n\nUse rows that were not in the "
    "training table. If there is only one table, use skmtl compare or skmtl report "
    "--tasks, which cross-validate.",
    "evaluate model.skmtl test.csv",
    "evaluate model.skmtl test.csv --out scores.csv",
)
def evaluate(
    model: ModelFile,
    test: Annotated[Path, _argument("TEST", "Table with labels.")],
    out: OutScores = None,
    missing: Missing = [],  # noqa: B006
    delimiter: Delimiter = None,
    decimal: Decimal = ".",
    encoding: Encoding = "utf-8",
    force: Force = False,
    quiet: Quiet = False,
) -> Work:
    from skmtl._cli import _evaluating

    source = _source(test, delimiter, decimal, encoding)
    return partial(
        _evaluating.evaluate,
        model,
        source,
        missing=missing,
        out=out,
        force=force,
        quiet=quiet,
    )


@_command(
    "Compare a joint network with separate networks, forests and LightGBM.\n\nAll "
    "models are cross-validated on the same folds. LightGBM takes part if it is "
    f"installed. {_LEARN}",
    'compare train.csv --tasks "tox *" --id id',
    "compare train.csv --tasks died --model joint --model forest",
)
def compare(
    train: Train,
    tasks: Tasks = [],  # noqa: B006
    id: Ids = [],  # noqa: B006
    categorical: Categorical = [],  # noqa: B006
    numbers: Numbers = [],  # noqa: B006
    classes: Classes = [],  # noqa: B006
    drop: Drop = [],  # noqa: B006
    missing: Missing = [],  # noqa: B006
    blank_only: BlankOnly = False,
    delimiter: Delimiter = None,
    decimal: Decimal = ".",
    encoding: Encoding = "utf-8",
    set: Set = [],  # noqa: B006
    settings: Settings = None,
    seed: Seed = None,
    cv: Folds = 5,
    model: Annotated[
        Names,
        typer.Option(
            metavar="NAME",
            help="Compare the joint network with: separate, forest, lightgbm; "
            "repeatable. Default: all.",
            rich_help_panel=_TRAINING,
        ),
    ] = [],  # noqa: B006
    out: OutScores = None,
    force: Force = False,
    quiet: Quiet = False,
) -> Work:
    from skmtl._cli import _evaluating, _settings

    columns = Choices(
        tasks, id, drop, categorical, numbers, classes, missing, blank_only
    )
    choices, given = _settings.gathered(settings, columns, set)
    return partial(
        _evaluating.compare,
        _source(train, delimiter, decimal, encoding),
        choices,
        _settings.Model(given, seed),
        cv=cv,
        models=model,
        out=out,
        force=force,
        quiet=quiet,
    )


@_command(
    "Write an HTML report: labels, scores with intervals, curves, importances.\n\n"
    "With --model, the report is about a fitted model, scored on rows that it has not "
    f"seen. {_LEARN}",
    'report train.csv --tasks "tox *" --id id --out report.html',
    "report test.csv --model model.skmtl --out report.html",
)
def report(
    context: typer.Context,
    table: Annotated[Path, _argument("TABLE", "Table with labels.")],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Where to write the page, .html.")
    ],
    model: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="A fitted model, instead of --tasks."),
    ] = None,
    tasks: Tasks = [],  # noqa: B006
    id: Ids = [],  # noqa: B006
    categorical: Categorical = [],  # noqa: B006
    numbers: Numbers = [],  # noqa: B006
    classes: Classes = [],  # noqa: B006
    drop: Drop = [],  # noqa: B006
    missing: Missing = [],  # noqa: B006
    blank_only: BlankOnly = False,
    delimiter: Delimiter = None,
    decimal: Decimal = ".",
    encoding: Encoding = "utf-8",
    set: Set = [],  # noqa: B006
    settings: Settings = None,
    seed: Seed = None,
    cv: Folds = 5,
    force: Force = False,
    quiet: Quiet = False,
) -> Work:
    from skmtl._cli import _evaluating, _settings

    if model is not None:
        _check_goes_with_model(context)
    columns = Choices(
        tasks, id, drop, categorical, numbers, classes, missing, blank_only
    )
    choices, given = _settings.gathered(settings, columns, set)
    return partial(
        _evaluating.report,
        _source(table, delimiter, decimal, encoding),
        choices,
        _settings.Model(given, seed),
        model_path=model,
        cv=cv,
        out=out,
        force=force,
        quiet=quiet,
    )


def _check_goes_with_model(context: typer.Context) -> None:
    """Raise if an option was typed that only applies to training."""
    of_training = [
        parameter.opts[0]
        for parameter in context.command.params
        if getattr(parameter, "rich_help_panel", None) in (_COLUMNS, _TRAINING)
        and parameter.name not in _WITH_MODEL
        and _is_typed(context, str(parameter.name))
    ]
    if of_training:
        raise usage_failure(
            "--model already defines the tasks, the columns and the settings, but "
            f"{of_training[0]} was given too. Leave out one of them."
        )


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@_command("Show the tasks and the columns of a model.", "info model.skmtl")
def info(model: ModelFile) -> Work:
    from skmtl._cli import _evaluating

    return partial(_evaluating.info, model)


def _version(is_asked: bool) -> None:
    if is_asked:
        say(f"skmtl {skmtl.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, help="Show the version.")
    ] = False,
) -> None:
    pass


def run(arguments: list[str]) -> int:
    """Parse the arguments and do the work; errors become a line and an exit code."""
    command = typer.main.get_command(app)
    try:
        with warnings.catch_warnings():
            only_our_warnings()
            work = command.main(
                arguments or ["--help"], prog_name="skmtl", standalone_mode=False
            )
            if not callable(work):  # --help and --version are done
                return int(work or 0)
            with caught_interrupts():
                return work()
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("SKMTL_TRACEBACK"):
            traceback.print_exception(error)
        return _end_with(error)


def _end_with(error: BaseException) -> int:
    """Print a line that says what was wrong, and return the exit code."""
    if isinstance(error, BrokenPipeError):
        return _end_quietly()
    message, code = _message_and_code(error)
    complain("Error", message, "bold red")
    return code


def _message_and_code(error: BaseException) -> tuple[str, int]:
    """For our own failures, those of the parser, of skmtl, and unexpected ones."""
    if isinstance(error, Failure):
        return str(error), error.code
    if hasattr(error, "format_message"):
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "skmtl"
        message = error.format_message().rstrip(".")
        return f"{message}. See {command} --help.", BAD_USAGE
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return "interrupted; nothing was written.", INTERRUPTED
    if isinstance(error, MemoryError):
        return "this table needs more memory than there is.", BAD_DATA
    if isinstance(error, OSError):
        name = f": {error.filename}" if error.filename else ""
        return f"{error.strerror or error}{name}", BAD_DATA
    if isinstance(error, ValueError):
        return str(error), BAD_DATA
    if isinstance(error, ImportError):  # of an optional package, such as LightGBM
        return str(error), BAD_USAGE
    hint = "set SKMTL_TRACEBACK=1 to see the traceback"
    return f"{type(error).__name__}: {error} ({hint})", UNEXPECTED


def _end_quietly() -> int:
    """Discard the output that is still buffered: nobody reads it any more."""
    with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    return CLOSED_PIPE
