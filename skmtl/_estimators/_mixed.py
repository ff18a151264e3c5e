"""MultiTaskNet: tasks of classes and of numbers in one network."""

from collections.abc import Callable
from typing import Any, ClassVar

from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.utils import ClassifierTags, RegressorTags
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skmtl._estimators._base import BaseMultiTaskNet
from skmtl._estimators._parameters import (
    CLASS_CONSTRAINTS,
    NUMBER_CONSTRAINTS,
    SHARED_CONSTRAINTS,
)
from skmtl._network import TrunkAndHeads
from skmtl._outputs import Number, OutputGroup, log_probabilities, probabilities
from skmtl._targets import Tasks, classes_attribute


def _may_have_classes(net: Any) -> bool:
    """Whether there are probabilities to predict."""
    if hasattr(net, "_tasks"):
        has_classes = not net._tasks.are_numbers.all()
    else:
        types = net.task_types
        has_classes = types == "auto" or "class" in types.values()
    if not has_classes:
        raise AttributeError(
            "Probabilities need a task of classes, but all tasks are numbers. Use "
            "predict."
        )
    return True


class MultiTaskNet(BaseMultiTaskNet):
    r"""One neural network for classes and numbers side by side, some missing.

    A trunk of hidden layers is shared by all tasks and each task has a head of its own:
    of classes as in :class:`MultiTaskNetClassifier`, of numbers as in
    :class:`MultiTaskNetRegressor`. `y` has a column per task; NaN (or None, pd.NA, a
    masked cell) says that nobody measured this label, and only measured labels enter
    the loss.

    The losses of classes and of numbers are added as they are. Both are in nats: a log
    loss, and minus the log-density of a number on its standardised scale. Predicting
    the same for all rows costs 0.69 for two classes of equal size and 0.5 for a number
    (0.8 with `loss="absolute_error"`). `task_weight` changes how much a task counts,
    and `main_tasks` names those that matter, if the others are there to help. Values
    for "auto" lie between those for classes and those for numbers, by the share of the
    numbers in the loss of that constant prediction.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int, default=(256, 256)
        Sizes of the hidden layers of the trunk, which all tasks share. `()` for no
        trunk: the heads read the input.
    head_hidden_layer_sizes : array-like of int, default=()
        Sizes of the hidden layers of each head, before its output.
    activation : str, default="relu"
        "identity", "logistic", "tanh", "relu", "gelu" or "silu".
    task_types : "auto" or dict, default="auto"
        What each task is: a dict maps the name of every task (see `task_names_`) to
        "class" or "number". "auto" takes text, booleans, categories and columns of 0
        and 1 for classes and numbers with decimals for numbers; whole numbers may be
        either, and are an error that says what to write.
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
    class_weight : "balanced", dict or None, default=None
        Factor on the losses of each class; a dict maps task names to "balanced", None
        or a mapping from label to factor.
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
    classes_ : list of ndarray or None
        Sorted classes of each task, None for a task of numbers; for 1-D `y` the entry
        itself.
    task_types_ : dict
        "class" or "number" for the name of each task.
    task_names_ : ndarray of shape (n_tasks,)
        Columns of a DataFrame `y`, name of a Series, else "task_0", "task_1", ...
    n_outputs_ : int
        Number of tasks.
    network_ : torch.nn.Module
        The trained network. Its outputs are standardised numbers
        and logits.
    n_iter_ : int
        Number of epochs run.
    oob_score_ : float
        Mean over the (main) tasks of accuracy or R2 on observed values, each
        predicted by the member that left its row out (see `oob_score`).
    oob_prediction_ : list of ndarray or ndarray
        These predictions in the form of `predict_proba`, and of `predict` for
        numbers. NaN for rows that no
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
    MultiTaskNetClassifier : Tasks of classes; it explains the parameters at length.
    MultiTaskNetRegressor : Tasks of numbers.

    References
    ----------
    .. [1] B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and Scalable Predictive
       Uncertainty Estimation using Deep Ensembles", NeurIPS 2017. :arxiv:`1612.01474`

    Examples
    --------
    A class and a number, each measured in two thirds of the rows:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNet
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2))
    >>> Y = np.column_stack([X[:, 0] > 0, X[:, 0] + X[:, 1]])
    >>> Y[::3, 0] = Y[1::3, 1] = np.nan
    >>> net = MultiTaskNet(random_state=0).fit(X, Y)
    >>> net.task_types_
    {'task_0': 'class', 'task_1': 'number'}
    >>> net.score(X, Y) > 0.9
    True
    >>> net.predict_proba(X)[0].shape
    (300, 2)
    """

    _parameter_constraints: ClassVar[dict] = {
        **SHARED_CONSTRAINTS,
        **CLASS_CONSTRAINTS,
        **NUMBER_CONSTRAINTS,
        "task_types": [StrOptions({"auto"}), dict],
    }

    def __init__(
        self,
        hidden_layer_sizes=(256, 256),
        head_hidden_layer_sizes=(),
        activation="relu",
        *,
        task_types="auto",
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
        class_weight=None,
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
        self,
        X,
        y,
        classes=None,
        sample_weight=None,
        *,
        columns=None,
        n_calls=None,
        n_rows=None,
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
            The input, as in `fit`. Bins and categories are learned from the first
            call, which should bring many rows, in no order, or declare `columns`.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels, as in `fit`. Rows without any label are legal. The probabilities
            of a task are uniform until a call has brought a label for it; the first
            call must bring a value for each task of numbers.
        classes : array-like of shape (n_classes,), list of such, or dict, default=None
            All classes that later calls will bring: for 1-D `y` an array, for 2-D `y`
            an array per task of classes, or a mapping from its name to array. Used at
            the first call; without it, the classes are those of the first `y`.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label.
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
            If X or y cannot be used, if y has a label that is not among the classes, if
            `columns`, `n_calls` or `n_rows` is not what the first call got, in a call
            after the last of `n_calls`, with `early_stopping=True`, or with "balanced"
            weights, which need all labels at once.
        KeyboardInterrupt
            If it is interrupted from the keyboard; the estimator is then as it was
            before the call.

        Warns
        -----
        UserWarning
            If X has categories, or in a column many numbers, that the first call
            neither showed nor declared.
        """
        self._partial_fit(X, y, classes, sample_weight, columns, n_calls, n_rows)
        return self

    def predict(self, X, return_std=False):
        """Predict the most probable label, or the number, of each task.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data may be read block by block, see `fit`.
        return_std : bool, default=False
            Whether to give the standard deviation of numbers too; needs
            `loss="gaussian"`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels in their own dtype and numbers in units of the task, a table of
            objects if they mix; 1-D if `fit` got a 1-D `y`.
        y_std : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Standard deviations, NaN for classes; only with `return_std`.

        Raises
        ------
        ValueError
            If `return_std` is True and `loss` is not "gaussian", or there is a
            `transformer`.
        """
        return self._predict_with_std(X) if return_std else self._predict(X)

    @available_if(_may_have_classes)
    def predict_proba(self, X):
        """Probabilities of the classes of each task of classes.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data may be read block by block, see `fit`.

        Returns
        -------
        p : list of ndarray or None
            An array (n_samples, n_classes) for each task of classes, None for each task
            of numbers; for 1-D `y` of classes the array itself. There is no such method
            if all tasks are numbers.
        """
        return self._predict_classes(X, probabilities)

    @available_if(_may_have_classes)
    def predict_log_proba(self, X):
        """Logarithms of what `predict_proba` gives.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data may be read block by block, see `fit`.

        Returns
        -------
        log_p : list of ndarray or None
            In the form of `predict_proba`.
        """
        return self._predict_classes(X, log_probabilities)

    def score(self, X, y, sample_weight=None):
        """Mean over the tasks of the accuracy of classes and the R2 of numbers.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data may be read block by block, see `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The true labels, NaN where missing. A class that was not seen in `fit`
            counts as an error of the prediction.
            If X is a pyarrow dataset, names of its columns.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label.

        Returns
        -------
        score : float
            Mean over the tasks, or over `main_tasks`. A task of numbers needs two
            values.

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

    def __sklearn_tags__(self):
        # Neither a classifier nor a regressor, and what is said of both.
        tags = super().__sklearn_tags__()
        tags.classifier_tags = ClassifierTags(multi_label=True)
        tags.regressor_tags = RegressorTags()
        return tags

    def _attributes_of(
        self, tasks: Tasks, network: TrunkAndHeads, is_labelled: NDArray
    ) -> dict[str, Any]:
        pairs = zip(tasks.names.tolist(), tasks.are_numbers.tolist(), strict=True)
        types = {name: "number" if is_number else "class" for name, is_number in pairs}
        attributes = super()._attributes_of(tasks, network, is_labelled)
        return attributes | {
            "classes_": classes_attribute(tasks),
            "task_types_": types,
        }

    def _predict_classes(
        self, X: Any, function: Callable[[Tensor, OutputGroup], Tensor]
    ) -> Any:
        check_is_fitted(self)
        are_numbers = self._tasks.are_numbers

        def of_classes(logits: Tensor, group: OutputGroup) -> Tensor:
            if isinstance(group.kind, Number):
                return logits.new_zeros(logits.shape[1], len(group.tasks))
            return function(logits, group)

        outputs = self._predict_by_task(X, of_classes)
        by_task = [
            None if is_number else p
            for is_number, p in zip(are_numbers, outputs, strict=True)
        ]
        return by_task[0] if self._tasks.is_1d else by_task

    def _in_form_of_prediction(self, outputs: list[NDArray]) -> Any:
        return outputs[0] if self._tasks.is_1d else outputs
