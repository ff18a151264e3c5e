"""MultiTaskNetRegressor, for numeric tasks."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin, _fit_context

from skmtl._estimators._base import BaseMultiTaskNet
from skmtl._estimators._parameters import NUMBER_CONSTRAINTS, SHARED_CONSTRAINTS


class MultiTaskNetRegressor(RegressorMixin, BaseMultiTaskNet):
    r"""One neural network for many regression tasks, with missing values in `y`.

    All tasks share a trunk of hidden layers, and each task has its own head. `y` has
    one numeric column per task. NaN (or None, pd.NA, a masked cell) marks a missing
    label: the loss uses every observed value and ignores the missing ones. `X` can be a
    raw table with missing values and category columns.

    The network standardises each task by the (weighted) mean and standard deviation of
    its observed values, so that tasks in different units count alike. It predicts in
    the original units.

    :class:`MultiTaskNetClassifier` explains the parameters that the estimators share in
    more detail. For numeric tasks, some "auto" values differ from those given there.
    See :doc:`/user_guide/numbers` for how to use this estimator, and
    :doc:`/user_guide/training` for how a network is trained and for the "auto" rules.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int or "auto", default="auto"
        Sizes of the hidden layers of the trunk, which all tasks share. "auto" is
        `(256, 256)`. With `()` there is no trunk, and the heads read the input.
    head_hidden_layer_sizes : array-like of int, default=()
        Sizes of the hidden layers of each head. With `()` the heads are linear.
    activation : str, default="relu"
        "identity", "logistic", "tanh", "relu", "gelu" or "silu".
    loss : {"squared_error", "absolute_error", "gaussian"}, default="squared_error"
        Loss of a standardised number. "squared_error" is half the squared error.
        "absolute_error" predicts medians, which outliers affect less. "gaussian" is the
        negative log-likelihood of a normal distribution whose mean and variance the
        head predicts [1]_ (equation 1); use it for `predict(X, return_std=True)`.
    transformer : transformer, dict or None, default=None
        Applied to the observed values of each task before they are standardised, and
        inverted in prediction, as in `sklearn.compose.TransformedTargetRegressor`. An
        example is `FunctionTransformer(np.log1p, np.expm1)`. Each task gets a clone. A
        dict maps task names to transformers, for some of the tasks.
    ridge : {"auto", "none"}, default="auto"
        With "auto", predictions of numeric tasks are averaged with those of a ridge
        regression for each task, if members leave out rows (see `oob_score`) and
        out-of-bag predictions show that this helps. `ridge_share_` says how much the
        regressions count. `partial_fit` and warm starts keep them as they are. With
        "none", there are none, and continued training removes those of earlier fits.
    input_encoding : {"auto", "piecewise", "none"}, default="auto"
        How the network reads the columns of `X`. "auto" is "piecewise" for dense `X`,
        which also reads missing values and categories, and "none" for sparse `X`.
    n_bins : int or "auto", default="auto"
        Largest number of bins of a numeric column, at most 255.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        The category columns of `X`: by dtype, a boolean mask, positions or names.
    sharing : {"hard", "none"} or spec object, default="hard"
        "hard" is one trunk for all tasks, "none" a separate network for each task.
    trunk : callable, spec object, torch.nn.Module or None, default=None
        A module to use instead of the hidden layers of the trunk, see
        :mod:`skmtl.trunks`.
    pretrained : FrozenEstimator or None, default=None
        A fitted skmtl estimator, of numbers or classes, wrapped in `FrozenEstimator`.
        The network starts with its trunk.
    freeze : {"none", "trunk"}, int or UnfreezeAfter, default="none"
        Which layers of the trunk are not trained: none, all, the first n, or all of
        them for the first epochs.
    solver : {"auto", "adam", "sgd"}, default="auto"
        "auto" is "adam".
    alpha : float or "auto", default="auto"
        Strength of the L2 penalty.
    dropout : float or "auto", default="auto"
        Rate at which units of the hidden layers are dropped during training.
    input_dropout : float or "auto", default="auto"
        Rate at which input columns are dropped during training.
    n_members : int or "auto", default="auto"
        Number of networks whose predictions are averaged. Members differ in their
        random numbers and, with `oob_score`, in their rows.
    oob_score : bool or "auto", default="auto"
        Whether each member leaves out its share of the rows, so that `oob_prediction_`
        has predictions for rows that the member was not trained on.
    task_weight : "balanced", dict, array-like of shape (n_tasks,) or None, default=None
        Factor on the loss of each task. With "balanced", every task counts the same,
        however many values it has. A dict maps task names to factors.
    main_tasks : str, list of str or None, default=None
        Names of the tasks that count in `score`, in `oob_score_`, in the loss of
        left-out rows (see `max_iter`) and, with `early_stopping`, in the validation
        score; the other tasks only help to train the trunk. None means all tasks.
    batch_size : int or "auto", default="auto"
        Number of rows in a batch, at most the number of labelled rows.
    learning_rate : {"constant", "cosine"}, default="cosine"
        Schedule of the step size.
    learning_rate_init : float or "auto", default="auto"
        The (largest) step size.
    max_iter : int or "auto", default="auto"
        Largest number of epochs. 0 leaves the network untrained. If members leave out
        rows, the number that "auto" stands for can double twice, as long as the loss of
        these rows falls clearly (except with `loss="gaussian"`).
    shuffle : bool, default=True
        Whether to shuffle the rows before each epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of all random numbers. The global random states of numpy and torch stay
        untouched.
    tol : float, default=1e-4
        Smallest improvement of the validation score, or of the loss, that counts as
        progress.
    verbose : bool or int, default=False
        Whether to print the loss and the time left after each epoch.
    warm_start : bool, default=False
        Whether `fit` continues to train the fitted network. The scale of each task is
        kept.
    checkpoint_dir : str, path-like or None, default=None
        Folder in which `fit` saves its state, so that it can resume after the process
        was killed.
    checkpoint_every : int, default=1
        Number of epochs between checkpoints.
    momentum : float, default=0.9
        Momentum of the solver "sgd".
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of the moment estimates of the solver "adam", in [0, 1).
    epsilon : float, default=1e-8
        Added to the denominator by the solver "adam".
    early_stopping : bool, default=False
        Whether to hold out rows, stop when their score no longer improves, and restore
        the epoch with the best score. The score is minus the mean over the (main) tasks
        of the mean loss of the held-out labels, with numbers on their standardised
        scale.
    validation_fraction : float, default=0.1
        Fraction of the rows to hold out.
    n_iter_no_change : int, default=10
        Number of epochs without progress that are tolerated.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1" and so on; "auto" uses a GPU if there is one.

    Attributes
    ----------
    task_names_ : ndarray of shape (n_tasks,)
        Column names of a DataFrame `y`, name of a Series, or "task_0", "task_1", ...
    n_outputs_ : int
        Number of tasks.
    network_ : torch.nn.Module
        The trained network, without the ridge regressions. Its outputs are standardised
        numbers.
    n_iter_ : int
        Number of epochs run.
    ridge_share_ : float
        Weight of the ridge regressions in the average (see `ridge`), 0 without them.
        Tasks with a `transformer` or fewer than five values, and tasks that were added
        later, have none.
    oob_score_ : float
        Mean over the (main) tasks of the R2 of `oob_prediction_` on the observed
        values. Exists only after a `fit` that left out rows (see `oob_score`).
    oob_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_tasks)
        Out-of-bag predictions, in the form of `predict`: each row is predicted by the
        member that left it out. Rows that no member was trained on, such as those
        without any label, have the mean over the members. Other rows that no member
        left out have NaN.
    loss_, best_loss_ : float
        Loss of the last and of the best epoch, including the L2 penalty. `best_loss_`
        is None with `early_stopping`.
    loss_curve_ : list of float
        Loss of each epoch.
    validation_scores_, best_validation_score_ : list of float, float
        Validation score of each epoch, and the best of them; None without
        `early_stopping`.
    task_validation_scores_ : ndarray of shape (n_epochs, n_tasks)
        Validation score of each task in each epoch; None without `early_stopping`.
    n_features_in_ : int
        Number of columns of `X`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names of `X`, if it is a DataFrame whose column names are all strings.

    See Also
    --------
    MultiTaskNetClassifier : Classification tasks.
    MultiTaskNet : Classes and numbers in one network.
    sklearn.neural_network.MLPRegressor : One task, or several without missing values.

    Notes
    -----
    The loss of a batch of m rows is that of :class:`MultiTaskNetClassifier`, on
    standardised numbers,

    .. math:: J = \frac{1}{m} \sum_i \sum_{j: y_{ij}\ \text{observed}}
              w_{ij} L(\hat z_{ij}, z_{ij}), \qquad
              z_{ij} = (y_{ij} - \mu_j) / \sigma_j

    with :math:`L = (\hat z - z)^2 / 2` for "squared_error" (as in MLPRegressor),
    :math:`L = |\hat z - z|` for "absolute_error", and
    :math:`L = (\log v + (\hat z - z)^2 / v) / 2` for "gaussian", where v is the
    predicted variance. The normal distributions of the members are combined into one
    with the mean and variance of their mixture [1]_ (section 2.4).

    A task whose observed values are all the same is always predicted as that value,
    with a warning. A task without any observed value raises an error.

    References
    ----------
    .. [1] B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and Scalable Predictive
       Uncertainty Estimation using Deep Ensembles", NeurIPS 2017. :arxiv:`1612.01474`

    Examples
    --------
    Two numbers in different units, with every third one missing:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2))
    >>> Y = np.column_stack([X[:, 0] - X[:, 1], X[:, 0] ** 2])
    >>> Y = (Y + 0.4 * rng.normal(size=(300, 2))) * [1, 1000]
    >>> Y[::3, 0] = Y[1::3, 1] = np.nan
    >>> reg = MultiTaskNetRegressor(random_state=0).fit(X, Y)
    >>> reg.score(X, Y) > 0.9
    True
    >>> reg.predict(X[:5]).shape
    (5, 2)
    """

    _parameter_constraints: ClassVar[dict] = {
        **SHARED_CONSTRAINTS,
        **NUMBER_CONSTRAINTS,
    }
    task_types = "number"

    def __init__(
        self,
        hidden_layer_sizes="auto",
        head_hidden_layer_sizes=(),
        activation="relu",
        *,
        loss="squared_error",
        transformer=None,
        ridge="auto",
        input_encoding="auto",
        n_bins="auto",
        categorical_features="from_dtype",
        sharing="hard",
        trunk=None,
        pretrained=None,
        freeze="none",
        solver="auto",
        alpha="auto",
        dropout="auto",
        input_dropout="auto",
        n_members="auto",
        oob_score="auto",
        task_weight=None,
        main_tasks=None,
        batch_size="auto",
        learning_rate="cosine",
        learning_rate_init="auto",
        max_iter="auto",
        shuffle=True,
        tol=1e-4,
        momentum=0.9,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=10,
        warm_start=False,
        checkpoint_dir=None,
        checkpoint_every=1,
        device="auto",
        random_state=None,
        verbose=False,
    ):
        self._set_parameters(locals())

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X, y, sample_weight=None, *, columns=None, n_calls=None, n_rows=None
    ):
        """Train for one epoch on a chunk of rows, continuing where the last call ended.

        The solver's state, the random numbers and the dropout carry over from call to
        call. A change of `solver` or `freeze` starts with a new state. "auto" values
        are chosen at the first call. With `n_calls` the learning-rate schedule carries
        over too, and k passes over chunks of shuffled rows do as well as k epochs of
        `fit`. `fit`, `add_tasks` and `drop_tasks` end a series of calls.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input. Bins, categories and the scale of each task are learned from the
            first call. It should bring many rows, in random order; `columns` declares
            what it does not contain.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The values, with NaN for missing ones. The first call must bring at least
            one for each task.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each value.
        columns : dict, default=None
            What later calls will bring. Keys are column names of a DataFrame, or
            positions; values are the list of categories of a category column, or the
            range `(low, high)` of a numeric column. Pass it to the first call; later
            calls can repeat it. Without it, the categories are those that the column's
            dtype declares, or those of the first `X`, and numbers outside the bulk of
            the first `X` are clipped to its outer bin edges.
        n_calls : int, default=None
            Total number of calls (passes times chunks), over which the schedule
            `learning_rate="cosine"` runs. Pass it to the first call. Without it, the
            step size stays at `learning_rate_init`.
        n_rows : int, default=None
            Total number of rows of all chunks, for which "auto" values are chosen. Pass
            it to the first call. Without it, they are chosen for the rows of the first
            call.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y cannot be used; if `columns`, `n_calls` or `n_rows` differs from
            the first call; after the last of `n_calls` calls; with
            `early_stopping=True`; or with "balanced" weights, which need all values at
            once.
        KeyboardInterrupt
            If it is interrupted from the keyboard; the estimator is then unchanged.

        Warns
        -----
        UserWarning
            If X has categories, or many numbers in a column, that the first call
            neither contained nor declared.
        """
        self._partial_fit(X, y, None, sample_weight, columns, n_calls, n_rows)
        return self

    def predict(self, X, return_std=False):
        """Predict the number of each task.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data can be read block by block, see `fit`.
        return_std : bool, default=False
            Whether to return the standard deviation too. Needs `loss="gaussian"`. It
            combines the noise that the heads predict with the spread of the members.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Numbers in their original units; 1-D if `fit` got a 1-D `y`. They are means
            or, with `loss="absolute_error"`, the mean of the members' medians.
        y_std : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Standard deviations in these units. Only with `return_std`.

        Raises
        ------
        ValueError
            If `return_std` is True and `loss` is not "gaussian", or there is a
            `transformer`, which a standard deviation cannot be mapped through.
        """
        return self._predict_with_std(X) if return_std else self._predict(X)

    def score(self, X, y, sample_weight=None):
        """Mean over the tasks of the R2 on the observed values.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data can be read block by block, see `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The true values, with NaN for missing ones. If X is a pyarrow dataset, the
            names of its label columns.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each value.

        Returns
        -------
        score : float
            For 1-D `y`, the ordinary R2 on the rows that have a value; for 2-D `y`, the
            mean over the tasks, or over `main_tasks`. A task needs at least two
            observed values.

        Raises
        ------
        ValueError
            If y has no observed label of any task that counts.

        Warns
        -----
        UndefinedMetricWarning
            If a task has too few labels in `y`, or had none in `fit`. It is left out of
            the mean.
        """
        return self._score(X, y, sample_weight)

    def _in_form_of_prediction(self, outputs: list[NDArray]) -> Any:
        return outputs[0] if self._tasks.is_1d else np.column_stack(outputs)
