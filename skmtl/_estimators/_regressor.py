"""MultiTaskNetRegressor: tasks of numbers."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin, _fit_context

from skmtl._estimators._base import BaseMultiTaskNet
from skmtl._estimators._parameters import NUMBER_CONSTRAINTS, SHARED_CONSTRAINTS


class MultiTaskNetRegressor(RegressorMixin, BaseMultiTaskNet):
    r"""One neural network for many regression tasks, some values missing.

    A trunk of hidden layers is shared by all tasks and each task has a head of its own.
    `y` has a column of numbers per task; NaN (or None, pd.NA, a masked cell) says that
    nobody measured this value, and only measured values enter the loss. `X` may be a
    raw table with missing values and category columns.

    Each task is standardised inside by the (weighted) mean and deviation of its
    observed values, so that tasks of different units count alike, and predicted in its
    own units. Parameters that are not about numbers are those of
    :class:`MultiTaskNetClassifier`, which explains them at length, with what "auto"
    stands for.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int, default=(256, 256)
        Sizes of the hidden layers of the trunk, which all tasks share. `()` for no
        trunk: the heads read the input.
    head_hidden_layer_sizes : array-like of int, default=()
        Sizes of the hidden layers of each head, before its output.
    activation : str, default="relu"
        "identity", "logistic", "tanh", "relu", "gelu" or "silu".
    loss : {"squared_error", "absolute_error", "gaussian"}, default="squared_error"
        Loss of a standardised number: half of the squared error; the absolute error,
        which predicts a median and minds outliers less; or minus the log-density of a
        normal whose mean and variance the head gives [1]_ (equation 1), for
        `predict(X, return_std=True)`.
    transformer : transformer, dict or None, default=None
        Applied to the observed values of each task before they are standardised, and
        inverted in prediction, as in `sklearn.compose.TransformedTargetRegressor`; for
        instance `FunctionTransformer(np.log1p, np.expm1)`. It is cloned for each task.
        A dict maps task names to transformers, for some tasks only.
    input_encoding : {"auto", "piecewise", "none"}, default="auto"
        How columns enter the network; "auto" is "piecewise" for dense `X`, which reads
        missing values and categories, and "none" for sparse `X`.
    n_bins : int or "auto", default="auto"
        Number of quantile bins of a column of numbers, at most 255.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        The category columns of `X`: by dtype, a mask, positions or names.
    sharing : {"hard", "none"} or spec object, default="hard"
        One trunk for all tasks, or a trunk for each.
    trunk : callable, spec object, torch.nn.Module or None, default=None
        A module in place of the hidden layers of the trunk, see :mod:`skmtl.trunks`.
    pretrained : FrozenEstimator or None, default=None
        A fitted estimator of skmtl, of numbers or classes, in `FrozenEstimator`, whose
        trunk the network begins with.
    freeze : {"none", "trunk"}, int or UnfreezeAfter, default="none"
        Which layers of the trunk are not trained: none, all, the first n, or all for
        some epochs.
    solver : {"auto", "adam", "sgd"}, default="auto"
        "auto" is "sgd" for sparse `X` with fewer than 10,000 labelled rows, else
        "adam".
    alpha : float or "auto", default="auto"
        Strength of the L2 term.
    dropout : float or "auto", default="auto"
        Rate at which units of the hidden layers are dropped in training.
    input_dropout : float or "auto", default="auto"
        Rate at which columns of the input are dropped in training.
    n_members : int or "auto", default="auto"
        Number of networks, which differ in their random numbers and, with `oob_score`,
        in their rows, and whose predictions are averaged.
    oob_score : bool or "auto", default="auto"
        Whether each member leaves out its share of the rows, so that every row has a
        prediction of a member that was not trained on it.
    task_weight : "balanced", dict, array-like of shape (n_tasks,) or None, default=None
        Factor on the losses of each task. "balanced" makes each task count the same
        however many values it has; a dict maps task names to factors.
    main_tasks : str, list of str or None, default=None
        Names of the tasks that count in `score`, `oob_score_` and, with
        `early_stopping`, in the validation score; the other tasks are there to help.
    batch_size : int or "auto", default="auto"
        Rows of a batch, at most the number of rows with a label.
    learning_rate : {"constant", "cosine"}, default="cosine"
        Schedule of the step size.
    learning_rate_init : float or "auto", default="auto"
        The (largest) step size.
    max_iter : int or "auto", default="auto"
        Largest number of epochs. 0 leaves the network untrained.
    shuffle : bool, default=True
        Whether to take the rows in a new order in each epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of all random numbers. The global random states of numpy and torch are left
        alone.
    tol : float, default=1e-4
        What counts as progress, in the validation score or the loss.
    verbose : bool or int, default=False
        Whether to print the loss of each epoch, and how long the rest will take.
    warm_start : bool, default=False
        Whether `fit` goes on with the fitted network; the scale of each task is kept.
    checkpoint_dir : str, path-like or None, default=None
        Folder from which a fit that was killed goes on where it was.
    checkpoint_every : int, default=1
        Number of epochs from one checkpoint to the next.
    momentum : float, default=0.9
        Momentum of the solver "sgd".
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of the moments of the solver "adam", in [0, 1).
    epsilon : float, default=1e-8
        Added to the denominator of the solver "adam".
    early_stopping : bool, default=False
        Whether to hold rows out of training, to stop when their score does not improve,
        and to restore the epoch with the best score: the negated mean over the tasks of
        the mean loss of the held-out labels, numbers on their standardised scale.
    validation_fraction : float, default=0.1
        Share of the rows to hold out.
    n_iter_no_change : int, default=10
        Largest number of epochs in a row without progress.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", or "auto" for a GPU if there is one.

    Attributes
    ----------
    task_names_ : ndarray of shape (n_tasks,)
        Columns of a DataFrame `y`, name of a Series, else "task_0", "task_1", ...
    n_outputs_ : int
        Number of tasks.
    network_ : torch.nn.Module
        The trained network. Its outputs are standardised numbers.
    n_iter_ : int
        Number of epochs run.
    oob_score_ : float
        Mean over the (main) tasks of the R2 on observed values, each
        predicted by the member that left its row out (see `oob_score`).
    oob_prediction_ : ndarray of shape (n_samples,) or (n_samples, n_tasks)
        These predictions in the form of `predict`. NaN for rows that no
        member left out.
    loss_, best_loss_ : float
        Loss of the last and of the best epoch, the L2 term included. `best_loss_` is
        None with `early_stopping`.
    loss_curve_ : list of float
        Loss of each epoch.
    validation_scores_, best_validation_score_ : list of float, float
        Validation score of each epoch, and the best; None without `early_stopping`.
    task_validation_scores_ : ndarray of shape (n_epochs, n_tasks)
        Validation score of each task in each epoch; None without `early_stopping`.
    n_features_in_ : int
        Number of columns of `X`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Columns of `X` if it is a DataFrame whose columns are all strings.

    See Also
    --------
    MultiTaskNetClassifier : Tasks of classes.
    MultiTaskNet : Classes and numbers in one network.
    sklearn.neural_network.MLPRegressor : One task, or several without missing values.

    Notes
    -----
    The loss of a batch of m rows is that of :class:`MultiTaskNetClassifier`,

    .. math:: J = \frac{1}{m} \sum_i \sum_{j: y_{ij}\ \text{observed}}
              w_{ij} L(\hat z_{ij}, z_{ij}), \qquad
              z_{ij} = (y_{ij} - \mu_j) / \sigma_j

    with :math:`L = (\hat z - z)^2 / 2` for "squared_error" (as in MLPRegressor),
    :math:`L = |\hat z - z|` for "absolute_error", and
    :math:`L = (\log v + (\hat z - z)^2 / v) / 2` for "gaussian", with the variance
    :math:`v = \log(1 + e^{r + c}) + 10^{-4}` of the head's second output r and
    :math:`c = \log(e - 1)`; [1]_ has no c and :math:`10^{-6}`. The members' normals
    are joined as one of the mixture's mean and variance [1]_ (section 2.4). If members
    leave out rows (see `oob_score`), the deviations that they predict are first
    multiplied by a factor for each task, with which 90 % of the residuals of the rows
    left out lie within 1.645 deviations: members trained on few rows are overconfident.

    A task whose observed values are all the same is predicted as that value, with a
    warning; a task without any is an error, since no number could be predicted.

    For numbers, "auto" differs from what MultiTaskNetClassifier says in six points.
    The nats that the values carry are half of their number (0.8 times it for
    "absolute_error"). There are at least 550 steps. The solver "adam" has steps of
    0.006 on dense `X`. Dropout begins at 0.5, at 0.2 of the input, and goes down in
    proportion to the training loss, so with the share of the variance that is not
    explained, on dense tables of any size; on sparse `X` it is 0.1 throughout. Four
    members leave out rows from 20 labelled rows on, and for "gaussian", whose
    deviations need it, up to 30,000.

    References
    ----------
    .. [1] B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and Scalable Predictive
       Uncertainty Estimation using Deep Ensembles", NeurIPS 2017. :arxiv:`1612.01474`

    Examples
    --------
    Two numbers of different units, of which every third is missing:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2))
    >>> Y = np.column_stack([X[:, 0] - X[:, 1], 1000 * X[:, 0] ** 2])
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
        hidden_layer_sizes=(256, 256),
        head_hidden_layer_sizes=(),
        activation="relu",
        *,
        loss="squared_error",
        transformer=None,
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
        """Train for one epoch on some rows, beginning where the last call ended.

        The solver's state, the random numbers and the dropout go on from call to call
        (another `solver` or `freeze` begins with a state of its own), and what is
        "auto" is chosen at the first call. With `n_calls` the schedule of the learning
        rate goes on too: k passes over chunks of shuffled rows then do as well as k
        epochs of `fit`. `fit`, `add_tasks` and `drop_tasks` end a series of calls.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input. Bins, categories and the scale of each task are learned from the
            first call, which should bring many rows, in no order. `columns` declares
            more than it shows.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The values, NaN where missing. The first call must bring one for each task.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each value.
        columns : dict, default=None
            What later calls will bring, by the name of a column of a DataFrame or its
            position: the list of the categories of a category column, the range
            `(low, high)` of a column of numbers. Used at the first call; later calls
            may repeat it. Without it, categories are those that the dtype of the column
            declares, or else those of the first `X`, and numbers beyond the bulk of the
            first `X` count as its least or greatest.
        n_calls : int, default=None
            Number of calls (passes times chunks) over which `learning_rate="cosine"`
            runs, said at the first call. Without it the learning rate is
            `learning_rate_init` throughout.
        n_rows : int, default=None
            Number of rows of all chunks together, said at the first call: what is
            "auto" is chosen for so many. Without it, for those of the first call.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y cannot be used, if `columns`, `n_calls` or `n_rows` is not what
            the first call got, in a call after the last of `n_calls`, with
            `early_stopping=True`, or with "balanced" weights, which need all values at
            once.
        KeyboardInterrupt
            If it is interrupted from the keyboard; the estimator is then as it was
            before the call.

        Warns
        -----
        UserWarning
            If X has categories, or in a column many numbers, that the first call
            neither showed nor declared.
        """
        self._partial_fit(X, y, None, sample_weight, columns, n_calls, n_rows)
        return self

    def predict(self, X, return_std=False):
        """Predict the number of each task.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data may be read block by block, see `fit`.
        return_std : bool, default=False
            Whether to give the standard deviation too; needs `loss="gaussian"`. It
            joins the noise that the heads predict and the spread of the members.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Numbers in units of the task, 1-D if `fit` got a 1-D `y`. Means, or with
            `loss="absolute_error"` the mean over the members of their medians.
        y_std : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Standard deviations in these units; only with `return_std`.

        Raises
        ------
        ValueError
            If `return_std` is True and `loss` is not "gaussian", or there is a
            `transformer`, beyond which a deviation has no meaning.
        """
        return self._predict_with_std(X) if return_std else self._predict(X)

    def score(self, X, y, sample_weight=None):
        """Mean over the tasks of the R2 on the observed values.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data may be read block by block, see `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The true values, NaN where missing.
            If X is a pyarrow dataset, names of its columns.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label.

        Returns
        -------
        score : float
            For 1-D `y`, the ordinary R2 of the rows that have a value; else the mean
            over the tasks, or over `main_tasks`. A task needs two values.

        Raises
        ------
        ValueError
            If y has no observed label of a task that counts.

        Warns
        -----
        UndefinedMetricWarning
            If a task has too few labels in `y`, or had none in `fit`; it is left out of
            the mean.
        """
        return self._score(X, y, sample_weight)

    def _in_form_of_prediction(self, outputs: list[NDArray]) -> Any:
        return outputs[0] if self._tasks.is_1d else np.column_stack(outputs)
