"""CSV files as they should not be, made from a seed."""

import random

_NAMES = (
    "a",
    "b b",
    "tox 1",
    "tox 2",
    "größe",
    "名前",
    "x,y",
    'q"q',
    "",
    "=1+1",
    "NaN",
)
_CELLS = (
    *("0", "1", "0", "1", "2.5", "-3", "1e400", "inf", "-inf", "nan", "1e-320"),
    *("", " ", "NA", "?", "None", "true", "False", "yes", "a", "b", "ß", "日本"),
    *("2020-01-02", "2020-13-45", "02/01/2020", "2020-01-02T03:04:05Z", "12:30"),
    *("1,5", "1_000", "0x1F", "'", '"', '""', "\x00", "\ufeff", "\u200b", "🎉"),
    *("line\nbreak", "cr\rbreak", "tab\there", "=cmd()", "9" * 400, "\\", "a;b"),
)
_ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252")


def hostile_csv(seed: int) -> bytes:
    """A file that is a CSV, or nearly."""
    rng = random.Random(seed)
    n_columns = rng.choice((1, 2, 3, 5, 8))
    n_rows = rng.choice((0, 1, 2, 12, 40))
    names = [
        rng.choice(_NAMES) if rng.random() < 0.2 else f"c{j}" for j in range(n_columns)
    ]
    if rng.random() < 0.9:
        names[-1] = "task"
    cells = _CELLS if rng.random() < 0.5 else _CELLS[: rng.randrange(2, 12)]
    columns = [_column(rng, cells, n_rows) for _ in names]
    delimiter, quote = rng.choice(",,,,;\t|"), rng.random() < 0.8
    lines = [names, *map(list, zip(*columns, strict=True))]
    if rng.random() < 0.25 and len(lines) > 1:  # ragged
        row = rng.choice(lines[1:])
        row.append("1") if rng.random() < 0.5 else row.pop()
    end = rng.choice(("\n", "\n", "\r\n", "\r"))
    text = end.join(
        delimiter.join(_written(cell, delimiter, quote) for cell in line)
        + rng.choice(("", "", "", "", delimiter)) * (rng.random() < 0.1)
        for line in lines
    )
    text += rng.choice((end, end, "", end * 3))
    content = text.encode(rng.choice(_ENCODINGS), errors="replace")
    return _damaged(rng, content) if rng.random() < 0.3 else content


def _column(rng: random.Random, cells: tuple[str, ...], n_rows: int) -> list[str]:
    kind = rng.random()
    if kind < 0.5:
        return [rng.choice("01") for _ in range(n_rows)]
    if kind < 0.7:
        return [str(rng.gauss(0, 1)) for _ in range(n_rows)]
    return [rng.choice(cells) for _ in range(n_rows)]


def _written(cell: str, delimiter: str, quote: bool) -> str:
    if quote and any(mark in cell for mark in (delimiter, '"', "\n", "\r")):
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _damaged(rng: random.Random, content: bytes) -> bytes:
    place = rng.randrange(len(content) + 1)
    return rng.choice(
        (
            content[:place],
            content[:place] + b"\x00" * 5 + content[place:],
            content[:place] + b"\xff\xfe\xe9" + content[place:],
            content[:place] + b'"' + content[place:],
            content[:place] + b"x" * 200_000 + content[place:],
            b"\x1f\x8b" + content,
            bytes(rng.randrange(256) for _ in range(300)),
            b"PAR1" + content + b"PAR1",
            b"",
        )
    )
