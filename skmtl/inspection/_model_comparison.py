"""compare_models: a joint network, separate ones, forests and LightGBM."""

from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import indexable

from skmtl._predictions import named_task_types
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
    types_of,
    warn_undefined,
    with_types_told,
)
from skmtl.inspection._separate_models import KINDS, SeparateModels, check_installed
from skmtl.metrics._scorer import _MultiTaskScorer

VERDICTS = ("better", "worse", "cannot tell")


@dataclass(frozen=True, repr=False)
class ModelComparison:
    """What `compare_models` finds.

    Attributes
    ----------
    table : DataFrame or dict of ndarray
        A row per task: `n_labelled`, the mean score of each model, by its name, over
        the splits in which all have one, and `n_scored`, the number of these splits.
    task_names : ndarray of shape (n_tasks,)
        The names of the tasks.
    models : tuple of str
        Names of the models. The first one is that of the estimator itself, "joint", or
        "network" if its tasks share nothing.
    scores : dict
        For each model an array (n_splits, n_tasks): the scores on the test rows of each
        split, NaN where undefined.
    seconds : dict
        For each model the time of all fits, by the clock on the wall.
    gains : dict
        For each model but the first one a table with a row per task: how much the first
        one is better (`gain`), the confidence interval from `ci_low` to `ci_high`, the
        `p_value` of no difference, `n_scored` (splits in which both have a score) and
        the `verdict`: "better", "worse" or "cannot tell".
    mean_gains : dict
        For each model but the first one the gain of the mean over the tasks, and its
        interval: (gain, low, high). Empty if `has_mean` is false.
    has_mean : bool
        Whether all tasks have the same metric, so that a mean over them says something.
    scoring : str
        The metric, or the metrics of classes and of numbers.
    confidence : float
        Of the intervals of the gains.

    See Also
    --------
    compare_models : It makes the comparison.

    Examples
    --------
    Its methods name the tasks:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> from skmtl.inspection import compare_models
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(60, 3))
    >>> clf = MultiTaskNetClassifier((8,), n_members=1, max_iter=5)
    >>> models = ["joint", "forest"]
    >>> result = compare_models(clf, X, X > 0, models=models, cv=3, random_state=0)
    >>> result.tasks_with("better", than="forest")
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
        """Names of the tasks of which this is said.

        Parameters
        ----------
        verdict : {"better", "worse", "cannot tell"}
            What is said of the first model.
        than : str
            The model that it is compared with.

        Returns
        -------
        names : list of str
            The tasks, in their order.
        """
        if verdict not in VERDICTS:
            raise ValueError(f"verdict must be one of {VERDICTS}; got {verdict!r}.")
        if than not in self.gains:
            raise ValueError(f"than must be one of {list(self.gains)}; got {than!r}.")
        is_said = np.asarray(self.gains[than]["verdict"]) == verdict
        return self.task_names[is_said].tolist()

    def mean_scores(self) -> dict[str, float]:
        """Mean score of each model over the tasks.

        Returns
        -------
        means : dict
            Of each task that has a score, the mean over the splits that `table` has;
            NaN if `has_mean` is false.
        """
        if not self.has_mean:
            return dict.fromkeys(self.models, np.nan)
        return {
            m: float(mean_or_nan(np.asarray(self.table[m]), 0)) for m in self.models
        }

    def _lines(self) -> list[str]:
        """What stands below the table."""
        lines = []
        if self.has_mean:
            means = [f"{m} {score:.4f}" for m, score in self.mean_scores().items()]
            lines.append(f"mean over the tasks: {', '.join(means)}")
        seconds = [f"{m} {s:.1f}" for m, s in self.seconds.items()]
        lines.append(f"seconds of all fits: {', '.join(seconds)}")
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
            return f"mean gain {gain:.4f}, without an interval; "
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
    estimator : an estimator of skmtl, or a Pipeline around one
        The network. It is cloned for each fit; its `random_state` is set.
    X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
        The input.
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        The labels or numbers, with NaN, None or pd.NA where missing.
    models : list of str, default=None
        What to compare: "joint", the estimator as it is; "separate", the same with
        `sharing="none"`; "forest", a random forest of scikit-learn for each task; and
        "lightgbm", LightGBM for each task. "joint" must be among them. If the tasks of
        the estimator share no layer, or there is one task, it is called "network", and
        there is no "separate". None is all of them, LightGBM if it is installed.
    cv : int, splitter or iterable, default=5
        A number of folds for `MultiTaskStratifiedKFold`, a splitter, or pairs of
        training and test rows, as in `transfer_gain`.
    scoring : str, callable or dict, default=None
        What `multitask_scorer` takes, or what it made. None is "roc_auc_ovr" for tasks
        of classes and "r2" for tasks of numbers.
    n_jobs : int, default=None
        Number of fits that run side by side.
    random_state : int, RandomState instance or None, default=None
        Seed of the folds and of the models.

    Returns
    -------
    result : ModelComparison
        It prints as a table, a row per task and a column per model.

    Raises
    ------
    ValueError
        If there is no estimator of skmtl in `estimator`, if it is a search, if a model
        is unknown, or if a task of numbers has no value in the training rows of a
        split.
    ImportError
        If "lightgbm" is asked for and not installed.

    Warns
    -----
    UndefinedMetricWarning
        If the metric is undefined for a task in some splits (`n_scored`).

    See Also
    --------
    transfer_gain : Joint against separate networks, with several repetitions.
    skmtl.report : The comparison and much else, as a page of HTML.

    Notes
    -----
    Forests and LightGBM have the parameters that are their default, apart from the
    seed, and run on one thread. Each is trained on the rows that have a label of its
    task. They read `X` as the network does: a category is one column with the codes of
    the sorted categories (LightGBM takes it for a category, the forest for a number),
    and a missing value remains missing. In a Pipeline they take the place of the
    network, so that they get what the steps before give.

    The intervals are those of `transfer_gain`, of the corrected resampled t-test; with
    five splits they are wide. A search over the parameters of any of the models may
    change the order.

    Examples
    --------
    Three tasks of 90 rows, with a third of the labels missing:

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
    encoded = encode_for(estimator, y)
    tasks = encoded.tasks
    names = check_models(models, estimator, tasks)
    splits = repeated_splits(cv, X, y, tasks, 1, random_state)
    scorer = check_scoring(scoring, tasks)
    runs = run_models(names, estimator, X, y, tasks, splits, scorer, n_jobs)
    return comparison_of(runs, encoded, splits, scorer)


# The models -------------------------------------------------------------------------


def check_models(models: Any, estimator: Any, tasks: Tasks) -> tuple[str, ...]:
    """Names of the models, that of the estimator first."""
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
            why = " Its tasks share no layer, or there is one task."
        raise ValueError(
            f"models must be names among {list(known)}, each once and {own[0]!r} among "
            f"them, for this estimator; got {given}.{why} Use such a list, or None."
        )
    for name in given:
        check_installed(name)
    return (own[0], *(name for name in given if name != own[0]))


def _model(name: str, estimator: Any, tasks: Tasks) -> Any:
    """What is fitted under a name."""
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
    """Fit and score each model on each split; keep those of one name."""
    prefix, _ = trainable_parameters(estimator)
    estimator = with_types_told(estimator, prefix, tasks)
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
    """The result; it names tasks without a score."""
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
    types = set(types_of(tasks).values())
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
