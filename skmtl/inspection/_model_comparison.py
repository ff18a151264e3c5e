"""compare_models: a joint network, separate networks, forests and LightGBM."""

from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import indexable

from skmtl._inputs import warn_of_row_order
from skmtl._predictions import named_task_types, with_task_types
from skmtl._sources import check_not_in_blocks
from skmtl._tables import as_html, as_table, as_text, without_formulas
from skmtl._targets import Encoded, Tasks
from skmtl.inspection._comparison import (
    CONFIDENCE,
    Gain,
    Run,
    Split,
    check_scoring,
    corrected_gain,
    encode_for,
    fit_and_score,
    has_no_trunk,
    is_separate,
    mean_gain,
    mean_or_nan,
    network_in,
    repeated_splits,
    rows_scored_per_row,
    trainable_parameters,
    warn_undefined,
)
from skmtl.inspection._separate_models import KINDS, SeparateModels, check_installed
from skmtl.metrics._scorer import _MultiTaskScorer

VERDICTS = ("better", "worse", "cannot tell")


@dataclass(frozen=True, repr=False)
class ModelComparison:
    """The result of `compare_models`.

    Attributes
    ----------
    table : DataFrame or dict of ndarray
        A table with one row per task: `n_labelled`, the mean score of each model, in a
        column with its name, and `n_scored`. The means are over the splits in which all
        models have a score, and `n_scored` is the number of these splits.
    task_names : ndarray of shape (n_tasks,)
        The names of the tasks.
    models : tuple of str
        The names of the models. The first one stands for the estimator itself: "joint",
        or "network" if its tasks share nothing.
    scores : dict
        For each model, an array of shape (n_splits, n_tasks) with the scores on the
        test rows of each split, NaN if undefined.
    seconds : dict
        For each model, the total wall-clock time of its fits.
    gains : dict
        For each model except the first, a table with one row per task: by how much the
        first model is better (`gain`), the confidence interval from `ci_low` to
        `ci_high`, the `p_value` for no difference, `n_scored` (the number of splits in
        which both models have a score) and the `verdict` "better", "worse" or "cannot
        tell".
    mean_gains : dict
        For each model except the first, the gain in the mean over the tasks and its
        confidence interval, as a tuple (gain, low, high). Empty if `has_mean` is False.
    has_mean : bool
        Whether all tasks have the same metric, so that a mean over them is meaningful.
    scoring : str
        The metric, or the metrics for classes and for numbers.
    confidence : float
        The confidence level of the intervals.

    See Also
    --------
    compare_models : The function that makes the comparison.

    Examples
    --------
    List the tasks with a given verdict:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import compare_models
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 3))
    >>> clf = MultiTaskNetClassifier((8,), n_members=1, max_iter=5)
    >>> models = ["joint", "separate"]
    >>> result = compare_models(clf, X, X > 0, models=models, cv=3, random_state=0)
    >>> result.tasks_with("better", than="separate")
    []
    """

    table: Any
    task_names: NDArray
    models: tuple[str, ...]
    scores: dict[str, NDArray]
    seconds: dict[str, float]
    gains: dict[str, Any]
    mean_gains: dict[str, tuple[float, float, float]]
    has_mean: bool
    scoring: str
    confidence: float

    def tasks_with(self, verdict: str, than: str) -> list[str]:
        """List the tasks with a verdict.

        Parameters
        ----------
        verdict : {"better", "worse", "cannot tell"}
            The verdict on the first model.
        than : str
            The model to compare it with.

        Returns
        -------
        names : list of str
            The names of the tasks, in the order of the tasks.
        """
        if verdict not in VERDICTS:
            raise ValueError(
                f"verdict must be one of {VERDICTS}; got {verdict!r}. Pass one of "
                "these."
            )
        if than not in self.gains:
            raise ValueError(
                f"than must be one of {list(self.gains)}; got {than!r}. Pass the name "
                "of a model that the first one is compared with."
            )
        is_said = np.asarray(self.gains[than]["verdict"]) == verdict
        return self.task_names[is_said].tolist()

    def mean_scores(self) -> dict[str, float]:
        """Compute the mean score of each model over the tasks.

        Returns
        -------
        means : dict
            For each model, the mean over the tasks with a score in `table`; NaN if
            `has_mean` is False.
        """
        if not self.has_mean:
            return dict.fromkeys(self.models, np.nan)
        return {
            m: float(mean_or_nan(np.asarray(self.table[m]), 0)) for m in self.models
        }

    def _lines(self) -> list[str]:
        """The lines below the table."""
        lines = []
        if self.has_mean:
            means = [f"{m} {score:.4f}" for m, score in self.mean_scores().items()]
            lines.append(f"mean over tasks: {', '.join(means)}")
        seconds = [f"{m} {s:.1f} s" for m, s in self.seconds.items()]
        lines.append(f"total time of the fits: {', '.join(seconds)}")
        for than in self.gains:
            counts = [f"{v} {len(self.tasks_with(v, than))}" for v in VERDICTS]
            lines.append(
                f"{self.models[0]} against {than}: {self._mean_gain_in_words(than)}"
                f"tasks: {', '.join(counts)}"
            )
        return lines

    def _mean_gain_in_words(self, than: str) -> str:
        if than not in self.mean_gains:
            return ""
        gain, low, high = self.mean_gains[than]
        if np.isnan(low):
            return f"mean gain {gain:.4f}, no interval; "
        level = f"{100 * self.confidence:.0f} %"
        return f"mean gain {gain:.4f}, {level} interval from {low:.4f} to {high:.4f}; "

    def _title(self) -> str:
        n_splits, n_tasks = self.scores[self.models[0]].shape
        return f"{self.scoring}, {n_splits} splits, {n_tasks} tasks"

    def __repr__(self) -> str:
        return "\n".join([self._title(), as_text(self.table), *self._lines()])

    def _repr_html_(self) -> str:
        lines = "".join(
            f"<p>{escape(line)}</p>" for line in [self._title(), *self._lines()]
        )
        return without_formulas(f"{as_html(self.table)}\n{lines}")


def compare_models(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    models: Any = None,
    cv: Any = 5,
    scoring: Any = None,
    n_jobs: int | None = None,
    random_state: Any = None,
) -> ModelComparison:
    """Compare a network with separate networks, forests and LightGBM, task by task.

    All models are fitted and scored on the same rows.

    Parameters
    ----------
    estimator : skmtl estimator, or a Pipeline around one
        The network. Each fit uses a clone with its own `random_state`.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input data.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        The labels or numbers. Missing labels are NaN, None or pd.NA.
    models : list of str, default=None
        The models to compare:

        - "joint": the estimator itself; required. If its tasks share no layer, or if
          there is only one task, it is called "network" instead, and there is no
          "separate".
        - "separate": the estimator with `sharing="none"`.
        - "forest": one of scikit-learn's random forests for each task.
        - "lightgbm": a LightGBM model for each task.

        None means all of them, with LightGBM if it is installed.
    cv : int, splitter or iterable, default=5
        The number of folds of a `MultiTaskStratifiedKFold`, a splitter, or pairs of
        training and test rows, as in `transfer_gain`.
    scoring : str, callable or dict, default=None
        A metric that `multitask_scorer` accepts, or a scorer that it returned. None
        means "roc_auc_ovr" for classification tasks and "r2" for numeric tasks.
    n_jobs : int, default=None
        Number of fits to run in parallel.
    random_state : int, RandomState instance or None, default=None
        Seed for the folds and the models.

    Returns
    -------
    result : ModelComparison
        The result, which prints as a table with one row per task and one column per
        model.

    Raises
    ------
    ValueError
        If `estimator` contains no skmtl estimator or is a search, if a model is
        unknown, or if a numeric task has no observed value in the training rows of a
        split.
    ImportError
        If `models` names "lightgbm" and it is not installed.

    Warns
    -----
    UndefinedMetricWarning
        If the metric is undefined for a task in some splits (see `n_scored`).

    See Also
    --------
    transfer_gain : Joint and separate networks, with several repetitions.
    skmtl.report : An HTML page with this comparison and more.

    Notes
    -----
    Apart from the seed, forests and LightGBM use their default parameters, and they run
    on one thread. Each model is trained on the rows that have a label of its task. They
    read `X` like the network: a category is one column with the codes of the sorted
    categories, which LightGBM treats as a category and the forest as a number, and
    missing values stay missing. In a Pipeline, they replace the network, so that they
    get the output of the previous steps.

    The intervals are those of `transfer_gain`, from the corrected resampled t-test.
    With five splits, they are wide. A search over the parameters of any of the models
    may change their order.

    Examples
    --------
    Three tasks with 90 rows and a third of the labels missing:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import compare_models
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(90, 3))
    >>> Y = np.where(rng.random((90, 3)) < 1 / 3, np.nan, X > 0)
    >>> clf = MultiTaskNetClassifier((16,), n_members=1, max_iter=10)
    >>> models = ["joint", "separate", "forest"]
    >>> result = compare_models(clf, X, Y, models=models, cv=3, random_state=0)
    >>> list(result.table)
    ['n_labelled', 'joint', 'separate', 'forest', 'n_scored']
    """
    check_not_in_blocks(X, "compare_models")
    encoded = encode_for(estimator, y)
    tasks = encoded.tasks
    names = check_models(models, estimator, tasks)
    splits = repeated_splits(cv, X, y, tasks, 1, random_state)
    scorer = check_scoring(scoring, tasks)
    runs = run_models(names, estimator, X, y, tasks, splits, scorer, n_jobs)
    return comparison_of(runs, encoded, splits, scorer)


# The models -------------------------------------------------------------------------


def check_models(models: Any, estimator: Any, tasks: Tasks) -> tuple[str, ...]:
    """The names of the models, with that of the estimator first."""
    prefix, parameters = trainable_parameters(estimator)
    is_joint = tasks.n_tasks > 1 and not (
        is_separate(parameters, prefix) or has_no_trunk(parameters, prefix)
    )
    own = ("joint", "separate") if is_joint else ("network",)
    if models is None:
        others = [kind for kind in KINDS if kind == "forest" or find_spec(kind)]
        return (*own, *others)
    given = [models] if isinstance(models, str) else list(models)
    known = (*own, *KINDS)
    if own[0] not in given or len(set(given)) < len(given) or set(given) - set(known):
        why = ""
        if not is_joint and set(given) & {"joint", "separate"}:
            why = " Its tasks share no layer, or there is only one task."
        raise ValueError(
            f"For this estimator, models must be names from {list(known)} without "
            f"duplicates, including {own[0]!r}; got {given}.{why} Pass such a list, or "
            "None."
        )
    for name in given:
        check_installed(name)
    return (own[0], *(name for name in given if name != own[0]))


def _model(name: str, estimator: Any, tasks: Tasks) -> Any:
    """The model with this name."""
    prefix, _ = trainable_parameters(estimator)
    if name == "separate":
        return clone(estimator).set_params(**{f"{prefix}sharing": "none"})
    if name not in KINDS:
        return estimator
    types = named_task_types(tasks.names.tolist(), tasks.are_numbers)
    model = SeparateModels(name, clone(network_in(estimator)), types)
    if not prefix:
        return model
    return clone(estimator).set_params(**{prefix.removesuffix("__"): model})


def run_models(
    names: tuple[str, ...],
    estimator: Any,
    X: Any,
    y: Any,
    tasks: Tasks,
    splits: list[Split],
    scorer: _MultiTaskScorer,
    n_jobs: int | None = None,
    kept: str | None = None,
) -> dict[str, list[Run]]:
    """Fit and score each model on each split; keep the fitted models named `kept`."""
    prefix, _ = trainable_parameters(estimator)
    estimator = with_task_types(estimator, y)
    warn_of_row_order(X, y=y)
    X, y = indexable(X, y)
    models = {name: _model(name, estimator, tasks) for name in names}
    runs = Parallel(n_jobs=n_jobs)(
        delayed(fit_and_score)(model, prefix, X, y, split, scorer, name == kept)
        for name, model in models.items()
        for split in splits
    )
    n_splits = len(splits)
    return {name: runs[i * n_splits :][:n_splits] for i, name in enumerate(names)}


# The result -------------------------------------------------------------------------


def comparison_of(
    runs: dict[str, list[Run]],
    encoded: Encoded,
    splits: list[Split],
    scorer: _MultiTaskScorer,
) -> ModelComparison:
    """The result of the runs, with a warning about tasks without a score."""
    tasks, test_ratio = encoded.tasks, rows_scored_per_row(splits)
    scores = {name: np.array([run.scores for run in of]) for name, of in runs.items()}
    is_scored = np.isfinite(list(scores.values())).all(axis=0)
    n_scored = is_scored.sum(axis=0)
    warn_undefined(n_scored, len(splits), tasks, scorer)
    paired = {name: np.where(is_scored, own, np.nan) for name, own in scores.items()}
    columns = {"n_labelled": (encoded.codes >= 0).sum(axis=0)}
    columns |= {name: mean_or_nan(own, axis=0) for name, own in paired.items()}
    columns["n_scored"] = n_scored
    first, *others = scores
    types = set(tasks.types.values())
    metrics = {m.name for t, m in scorer._metric.by_type.items() if t in types}
    has_mean = len(metrics) == 1
    gains, mean_gains = {}, {}
    for other in others:
        difference = scores[first] - scores[other]
        gain = corrected_gain(difference, test_ratio)
        gains[other] = _table_of_gain(gain, tasks.names)
        if has_mean:
            mean_gains[other] = mean_gain(difference, test_ratio)
    return ModelComparison(
        as_table(columns, tasks.names.tolist()),
        tasks.names,
        tuple(runs),
        scores,
        {name: sum(run.seconds for run in of) for name, of in runs.items()},
        gains,
        mean_gains,
        has_mean,
        scorer._metric.name,
        CONFIDENCE,
    )


def _table_of_gain(gain: Gain, names: NDArray) -> Any:
    verdict = np.full(len(names), "cannot tell", dtype=object)
    verdict[gain.low > 0] = "better"
    verdict[gain.high < 0] = "worse"
    columns = {
        **gain.columns(),
        "p_value": gain.p_value,
        "n_scored": gain.n_scored,
        "verdict": verdict,
    }
    return as_table(columns, names.tolist())
