"""New rows for a fitted model: X, and the categories not seen in training."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from skmtl._cli._console import Failure, listed, warn
from skmtl._cli._plan import Plan
from skmtl._cli._sources import Source
from skmtl._predictions import fitted_network

_N_EXAMPLES = 3


class NewRows:
    """Reads X block by block and counts the categories not seen in training."""

    def __init__(self, estimator: Any, plan: Plan, source: Source) -> None:
        self.plan, self.source = plan, source
        self.n_rows = 0
        names = list(plan.features)
        categories = fitted_network(estimator)._columns.categories
        self.known = {names[j]: codes for j, codes in categories.items()}
        self.n_unknown = dict.fromkeys(self.known, 0)
        self.examples: dict[str, list[str]] = {name: [] for name in self.known}

    def X(self, block: pa.Table) -> Any:
        """Return the features of the next rows."""
        X = self.plan.X(block, self.source, self.n_rows)
        if self.plan.is_sparse:
            self._refuse_blanks(X)
        for name, known in self.known.items():
            self._count(name, X[name], known)
        self.n_rows += block.num_rows
        return X

    def warn_of_unknown(self) -> None:
        """Warn once for each column with unknown categories, after the last block."""
        for name, n in self.n_unknown.items():
            if n:
                warn(
                    f"{self.source.path}: column {name!r} has categories not seen in "
                    f"training in {n:,} of {self.n_rows:,} rows, such as "
                    f"{listed(self.examples[name])}. They are read as unknown. Check "
                    "that they are spelled as in training.",
                )

    def _count(self, name: str, column: pa.ChunkedArray, known: Any) -> None:
        examples = self.examples[name]
        for pair in pc.value_counts(column.drop_null()).to_pylist():
            if pair["values"] in known:
                continue
            self.n_unknown[name] += pair["counts"]
            value = str(pair["values"])
            if len(examples) < _N_EXAMPLES and value not in examples:
                examples.append(value)

    def _refuse_blanks(self, X: Any) -> None:
        blanks = np.flatnonzero(np.isnan(X.data))
        if len(blanks) == 0:
            return
        row = int(np.searchsorted(X.indptr, blanks[0], side="right")) - 1
        name = list(self.plan.features)[X.indices[blanks[0]]]
        raise Failure(
            f"{self.source.path}, {self.source.line_of_row(self.n_rows + row)}: the "
            "model reads a sparse matrix, which must not have missing values, but "
            f"column {name!r} is empty here. Write 0 if that is the value. Otherwise, "
            "fit the model with --set input_encoding=piecewise, which accepts missing "
            "values."
        )
