"""Read tables from CSV, TSV and Parquet files, plain or compressed, block by block."""

import contextlib
import csv
import io
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from skmtl._cli._console import Failure, listed, quoted, usage_failure

_PARQUET = (".parquet", ".pq")
_ROW_LABELS = r"Unnamed: \d+|__index_level_\d+__"
_DELIMITERS = ",;\t|"
# Each row must fit in a block. One block of the file is in memory at a time.
_BLOCK_BYTES = 8 << 20
_CELLS_OF_BLOCK = 4_000_000


@dataclass(frozen=True)
class Source:
    """A file with a table. Cells of text files are text; those of Parquet are typed."""

    path: Path
    delimiter: str | None = None  # None: the first line decides
    decimal: str = "."
    encoding: str = "utf-8"

    @property
    def is_parquet(self) -> bool:
        return self.path.suffix.lower() in _PARQUET

    @cached_property
    def names(self) -> list[str]:
        """Names of the columns, which must differ; '' for columns without a name."""
        with self._explained():
            if self.is_parquet:
                names = pa.parquet.read_schema(self.path).names
            else:
                names = [name.strip() for name in self._raw_names]
        twice = [name for name, n in Counter(names).items() if n > 1 and name]
        if twice:
            raise Failure(
                f"{self.path}: the columns must have different names, but several are "
                f"called {listed(twice)}. Rename or delete some."
            )
        return names

    @cached_property
    def row_labels(self) -> set[str]:
        """Columns in which pandas wrote the index of a table."""
        found = {name for name in self.names if re.fullmatch(_ROW_LABELS, name)}
        if self.is_parquet:
            with self._explained():
                schema = pa.parquet.read_schema(self.path)
            index = (schema.pandas_metadata or {}).get("index_columns", ())
            found |= {name for name in index if isinstance(name, str)}
        return found

    def blocks(self) -> Iterator[pa.Table]:
        """Yield some rows at a time; cells of text files are yielded as written."""
        names = self.names
        self._check_decimal()
        with self._explained():
            if self.is_parquet:
                file = pa.parquet.ParquetFile(self.path)
                n_rows = max(1_000, _CELLS_OF_BLOCK // max(len(names), 1))
                for batch in file.iter_batches(batch_size=n_rows):
                    yield pa.Table.from_batches([batch])
                return
            last = None
            for batch in self._open():
                last = batch if batch.num_rows else last
                yield pa.Table.from_arrays(batch.columns, names)
            if last is not None:
                self._check_last_row(last)

    def whole(self, what: str) -> pa.Table:
        """Return all rows. `what` says what they are for, in case there are none."""
        blocks = [block for block in self.blocks() if block.num_rows]
        if not blocks:
            raise self.without_rows(what)
        return pa.concat_tables(blocks)

    def without_rows(self, what: str) -> Failure:
        return Failure(
            f"{self.path} must have rows {what}, but it has only the line of column "
            "names."
        )

    def blocks_of(self, n_rows: int) -> Iterator[pa.Table]:
        """Yield tables of `n_rows` rows; the last one has the rest."""
        waiting: list[pa.Table] = []
        n_waiting = 0
        for block in self.blocks():
            waiting.append(block)
            n_waiting += block.num_rows
            while n_waiting >= n_rows:
                table = pa.concat_tables(waiting)
                yield table.slice(0, n_rows)
                waiting, n_waiting = [table.slice(n_rows)], n_waiting - n_rows
        if n_waiting:
            yield pa.concat_tables(waiting)

    def line_of_row(self, row: int) -> str:
        """Name the line of a row, for a message; rows are counted from 0."""
        if self.is_parquet:
            return f"row {row + 1}"
        for number, (line, _) in enumerate(self._records()):
            if number == row + 1:
                return f"line {line}"
        return f"row {row + 1}"

    # Text ---------------------------------------------------------------------------

    @cached_property
    def _encoding(self) -> str:
        with pa.input_stream(str(self.path)) as file:
            start = file.read(2)
        is_utf16 = start in (b"\xff\xfe", b"\xfe\xff")
        return "utf-16" if is_utf16 and self.encoding == "utf-8" else self.encoding

    @cached_property
    def _delimiter(self) -> str:
        if self.delimiter is not None:
            delimiter = self.delimiter.replace("\\t", "\t")
            if len(delimiter) != 1 or delimiter in '"\r\n':
                raise usage_failure(
                    f"--delimiter must be one character, other than a quote or a line "
                    f"end; got {delimiter!r}."
                )
            return delimiter
        if ".tsv" in self.path.suffixes or ".tab" in self.path.suffixes:
            return "\t"
        with self._text() as file:
            header = file.readline(1 << 20)
        outside = "".join(header.split('"')[::2])
        return max(_DELIMITERS, key=outside.count)

    def _check_decimal(self) -> None:
        if self.decimal not in (".", ","):
            raise usage_failure(
                f"--decimal must be a point or a comma; got {self.decimal!r}."
            )

    @cached_property
    def _raw_names(self) -> list[str]:
        """The names as written, with any whitespace around them."""
        for _, record in self._records("surrogateescape"):
            if any(_is_undecoded(name) or "\0" in name for name in record):
                raise self._encoding_failure()
            return record
        raise self._failure("Empty CSV file")

    def _open(self) -> pa.RecordBatchReader:
        names = self._raw_names
        reader = pa.csv.open_csv(
            str(self.path),
            pa.csv.ReadOptions(block_size=_BLOCK_BYTES, encoding=self._encoding),
            pa.csv.ParseOptions(
                delimiter=self._delimiter,
                newlines_in_values=True,
                # An empty line is a missing value if there is only one column.
                ignore_empty_lines=len(names) != 1,
            ),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=False,
            ),
        )
        if reader.schema.names != names:
            raise self._failure("its first line is not a line of CSV")
        return reader

    @contextlib.contextmanager
    def _text(self, errors: str = "replace") -> Iterator[io.TextIOWrapper]:
        with pa.input_stream(str(self.path)) as file:
            # "utf-8-sig" and "utf-16" skip the byte order mark.
            encoding = "utf-8-sig" if self._encoding == "utf-8" else self._encoding
            yield io.TextIOWrapper(file, encoding, errors=errors, newline="")

    def _records(
        self, errors: str = "replace", strict: bool = False
    ) -> Iterator[tuple[int, list[str]]]:
        """Yield rows with the number of their first line; the header comes first."""
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        with self._text(errors) as file:
            reader = csv.reader(file, delimiter=self._delimiter, strict=strict)
            line, width = 1, None
            for record in reader:
                width = len(record) if width is None and record else width
                if record or width == 1:
                    yield line, record
                line = reader.line_num + 1

    def _first_line(self, test: Callable[[list[str]], bool]) -> str:
        """Return the line of the first row that passes, as the start of a message."""
        with contextlib.suppress(csv.Error):
            for line, record in self._records("surrogateescape"):
                if test(record):
                    return f"{self.path}, line {line}"
        return str(self.path)

    # What can be wrong --------------------------------------------------------------

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Convert errors of pyarrow to ours."""
        try:
            yield
        except UnicodeError as error:
            raise self._encoding_failure() from error
        except LookupError as error:
            raise Failure(
                f"--encoding must be one that Python knows, such as utf-8, latin-1 or "
                f"cp1252: {error}."
            ) from error
        except (pa.ArrowException, csv.Error, OSError) as error:
            raise self._failure(str(error)) from error

    def _failure(self, error: str) -> Failure:
        if "Expected" in error and "columns, got" in error:
            width = len(self._raw_names)
            where = self._first_line(lambda record: 0 < len(record) != width)
            got = error.partition("columns, got ")[2].partition(":")[0]
            return Failure(
                f"{where}: each row must have {width} values, one for each column, but "
                f"this one has {got}. Put text with {self._delimiter!r} in quotes, or "
                "set another --delimiter."
            )
        if "invalid UTF8" in error:
            return self._encoding_failure()
        if "straddling" in error:
            return Failure(
                f"{self.path}: a row must be shorter than {_BLOCK_BYTES >> 20} MiB, "
                "but one is longer. Check that all quotes are closed, and that it is a "
                "text file."
            )
        if "mpty CSV file" in error:
            return Failure(
                f"{self.path} must have a line of column names and rows below it, but "
                "it is empty."
            )
        what = "Parquet" if self.is_parquet else "CSV"
        return Failure(f"{self.path} cannot be read as {what}: {error}")

    def _encoding_failure(self) -> Failure:
        where = str(self.path)
        with contextlib.suppress(UnicodeError):
            where = self._first_line(lambda record: any(map(_is_undecoded, record)))
        return Failure(
            f"{where}: text must be in the encoding {self._encoding}, but this is not. "
            "Set the right one with --encoding, for example to cp1252, latin-1 or "
            "utf-16-le."
        )

    def _check_last_row(self, last: pa.RecordBatch) -> None:
        """Raise if a quote is still open at the end, and rows were read as its text."""
        row = last.slice(last.num_rows - 1).to_pylist()[0]
        if not any("\n" in value or "\r" in value for value in row.values()):
            return
        line = 1
        try:
            for line, _ in self._records(strict=True):  # noqa: B007
                pass
        except csv.Error as error:
            if "end of data" in str(error):
                raise Failure(
                    f"{self.path}: a quote must be closed, but one that begins after "
                    f"line {line} is open until the end of the file. Close or delete "
                    "it."
                ) from error


def _is_undecoded(text: str) -> bool:
    return any("\udc80" <= letter <= "\udcff" for letter in text)


def check_is_file(path: Path) -> None:
    """Raise if there is no such file; the message suggests a similar name."""
    if path.is_file():
        return
    folder = path.parent
    what = "is a folder" if path.is_dir() else "does not exist"
    beside = []
    if folder.is_dir():
        beside = sorted(
            name for name in os.listdir(folder) if name.startswith(path.name[:3])
        )
    hint = f" Did you mean {quoted(str(folder / beside[0]))}?" if beside else ""
    raise Failure(f"{str(path)!r} must be a file, but it {what}.{hint}")
