"""MultiTaskNetClassifier, for classification tasks."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from skmtl._estimators._base import BaseMultiTaskNet
from skmtl._estimators._parameters import CLASS_CONSTRAINTS, SHARED_CONSTRAINTS
from skmtl._estimators._prediction import predict_groups
from skmtl._network import TrunkAndHeads
from skmtl._outputs import (
    Binary,
    OutputGroup,
    log_probabilities,
    positive_probabilities,
    probabilities,
)
from skmtl._targets import Tasks, classes_attribute


class MultiTaskNetClassifier(ClassifierMixin, BaseMultiTaskNet):
    r"""One neural network for many classification tasks, with missing labels.

    All tasks share a trunk of hidden layers, and each task has its own head. `y` has
    one column per task. NaN (or None, pd.NA, a masked cell) marks a missing label: the
    loss uses every observed label and ignores the missing ones. Multi-task learning
    helps if the tasks share low-level features, if the other tasks together bring
    much more data than the one, and if the network is big enough [1]_.

    `X` can be a raw table: numbers of any scale, missing values and, in a DataFrame,
    category columns. As with trees, there is no need to scale, impute or one-hot
    encode.

    Parameters that `sklearn.neural_network.MLPClassifier` also has keep their names
    and meanings. The defaults differ: they did best, without tuning, over many data
    sets of 200 to 50,000 rows. "auto" values are chosen from the data of each call.
    See :doc:`/user_guide/training` for how a network is trained and for the "auto"
    rules, and :doc:`/user_guide/defaults` for how they were chosen.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int or "auto", default="auto"
        Sizes of the hidden layers of the trunk. "auto" is `(256, 256)`, or `(128, 128)`
        for classes on few sparse rows. With `()` there is no trunk, and the heads read
        the input.
    head_hidden_layer_sizes : array-like of int, default=()
        Sizes of the hidden layers of each head. With `()` the heads are linear.
    activation : str, default="relu"
        Activation of the hidden layers: "identity", "logistic", "tanh", "relu", "gelu"
        or "silu".
    logistic : {"auto", "none"}, default="auto"
        With "auto", probabilities of the classes are averaged with those of a logistic
        regression for each task, if members leave out rows (see `oob_score`) and
        predictions for these rows show that this helps. `logistic_share_` says how much
        the regressions count. `partial_fit` and warm starts keep them as they are. With
        "none", there are none, and continued training removes those of earlier fits.
    input_encoding : {"auto", "piecewise", "none"}, default="auto"
        How the network reads the columns of `X`. With "piecewise" it learns a
        piecewise-linear function of each numeric column, and separate weights for
        categories and missing values. With "none" it reads the numbers as they are:
        scale them first and leave no NaN. "auto" is "piecewise" for dense and "none"
        for sparse `X`.
    n_bins : int or "auto", default="auto"
        Largest number of bins of a numeric column, at most 255. The function of the
        column can bend at their edges, which are quantiles and, from 1,000 labelled
        rows on (rows with at least one observed label), splits of decision trees.
        "auto" is 4 for fewer than 1,000 labelled rows, 8 for fewer than 4,000, and
        otherwise 320 divided by the number of numeric columns, but between 12 and 48.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        The category columns: the columns of a DataFrame with a category (or enum)
        dtype, a boolean mask, positions, or column names. They can have any number of
        values, of any type. Needs the "piecewise" encoding. Used only by the first
        call, which learns the columns.
    sharing : {"hard", "none"} or spec object, default="hard"
        How tasks share layers: "hard" is one trunk for all tasks
        (:class:`skmtl.sharing.HardSharing`). "none" is a separate network for each
        task (:class:`skmtl.sharing.NoSharing`), to compare the joint network with.
    trunk : callable, spec object, torch.nn.Module or None, default=None
        A trunk to use instead of hidden layers: a callable `trunk(input_shape,
        generator)` that returns a module, an object with such a `build` method
        (:class:`skmtl.trunks.ConvTrunk` for images), or a module, which is copied with
        its weights. See :mod:`skmtl.trunks`. The trunk reads dense `X` as it is.
        `hidden_layer_sizes`, `input_encoding`, `n_bins` and `input_dropout` are then
        ignored; `activation` and `dropout` apply to the heads only.
    pretrained : FrozenEstimator or None, default=None
        A fitted skmtl estimator, wrapped in `sklearn.frozen.FrozenEstimator`. The
        network starts with its trunk and input layer, and with new heads. Its tasks can
        be numbers or classes. `X` must have the same columns, and the parameters that
        shape the trunk must be the same.
    freeze : {"none", "trunk"}, int or UnfreezeAfter, default="none"
        Which part of the trunk is not trained: nothing, the whole trunk, its first n
        layers (for a module: its first n children with parameters), or the whole trunk
        for the first epochs (:class:`skmtl.trunks.UnfreezeAfter`). Frozen layers work
        as in prediction: no dropout, and batch statistics do not change.
    solver : {"auto", "adam", "sgd"}, default="auto"
        Adam [2]_, or stochastic gradient descent with Nesterov momentum. "auto" is
        "sgd" for sparse `X` with fewer than 10,000 labelled rows, unless it contains
        large numbers, and otherwise "adam".
    alpha : float or "auto", default="auto"
        Strength of the L2 penalty on the weights (not on the biases). "auto" scales it
        with the loss and with the weights of the rows, so that it means the same for
        one task and for hundreds.
    dropout : float or "auto", default="auto"
        Rate at which units of the hidden layers are dropped during training, in
        [0, 1), rounded to a multiple of 1/256. "auto" is between 0.2 and 0.5: the more
        information the labels carry, the less is dropped. On dense tables with many
        rows it also scales both dropout rates down as the training loss falls, or that
        of left-out rows, to 0 if the labels are nearly certain.
    input_dropout : float or "auto", default="auto"
        Rate at which input columns are dropped during training, in [0, 1). "auto" is
        0.2, or 0.1 if the labels carry 15,000 nats or more (see the guide).
    n_members : int or "auto", default="auto"
        Number of networks whose predicted probabilities are averaged. Members differ in
        their initial weights, in their dropout and, with `oob_score`, in their rows.
        "auto" is 4 for fewer than 5,000 labelled rows (2 with a `trunk`), for very rare
        classes on dense tables with fewer than 30,000, and with `oob_score=True`, and
        otherwise 1 or 2: see the guide.
    oob_score : bool or "auto", default="auto"
        Whether each member leaves out its share of the labelled rows (a quarter, with
        4 members), so that `oob_prediction_` has predictions for rows that the member
        was not trained on. Members then differ more, and training is faster. "auto" is
        True for four or more members on 100 to 5,000 labelled rows (30,000 for very
        rare classes on dense tables), unless `early_stopping`, `trunk` or a network of
        your own is used. With more rows of sparse `X`, it leaves out only a few of
        them, for the weight of the logistic regressions (see `logistic`), and sets no
        out-of-bag attributes. `partial_fit`, `add_tasks` and warm starts ignore it. A
        `fit` on rows that are read in blocks, or shared among processes, leaves out
        none, and raises an error for True.
    task_weight : "balanced", dict, array-like of shape (n_tasks,) or None, default=None
        Factor on the loss of each task. With "balanced", every task counts the same,
        however many labels it has. A dict maps task names to factors; tasks that it
        does not name have factor 1.
    main_tasks : str, list of str or None, default=None
        Names of the tasks that count in `score`, in `oob_score_`, in the loss of
        left-out rows (see `max_iter`) and, with `early_stopping`, in the validation
        score; the other tasks only help to train the trunk [1]_ (section 3). None means
        all tasks.
    class_weight : "balanced", dict or None, default=None
        Factor on the loss of each class. With "balanced", all classes of a task count
        the same. For 1-D `y`, a dict maps labels to factors; for 2-D `y`, it maps task
        names to "balanced", None or such a dict.
    batch_size : int or "auto", default="auto"
        Number of rows in a batch, at most the number of labelled rows. "auto" is 400
        for 30,000 labelled rows or more, otherwise 200. For dense `X` with fewer than
        4,000 labelled rows it is a twentieth of them, but at least 100.
    learning_rate : {"constant", "cosine"}, default="cosine"
        Schedule of the step size: "constant" keeps `learning_rate_init`; "cosine" rises
        to it linearly over the first tenth of the steps, then falls along a half cosine
        to 0 at the end of `max_iter` epochs [3]_.
    learning_rate_init : float or "auto", default="auto"
        The (largest) step size. "auto" is 0.002 for "adam" (0.003 for dense `X` with
        fewer than 1,000 labelled rows, 0.02 if the whole trunk is frozen), and more for
        batches of over 200 rows. On large dense tables, it rises as the loss falls. For
        "sgd" it depends on the scale of the loss and on the length of sparse rows.
    max_iter : int or "auto", default="auto"
        Largest number of epochs. 0 leaves the network untrained. "auto" chooses between
        50 (500 for dense `X` with 1,000 labelled rows or more) and 10,000 steps: more
        for labels that carry more information, 0.7 times that number for dense `X` with
        fewer than 1,000 labelled rows, more for sparse `X` with 5,000 or more, and 0.3
        times for 30,000 or more. For dense `X` with 1,000 labelled rows or more, if
        members leave out rows, the number of epochs can double twice during the fit, as
        long as the loss of these rows falls clearly.
    shuffle : bool, default=True
        Whether to shuffle the rows before each epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of the rows, dropout, and the choice of
        held-out rows. The global random states of numpy and torch stay untouched.
    tol : float, default=1e-4
        Smallest improvement that counts as progress: of the validation score with
        `early_stopping`, otherwise, at a constant learning rate, of the loss.
    verbose : bool or int, default=False
        Whether to print the loss and the time left after each epoch.
    warm_start : bool, default=False
        Whether `fit` continues to train the fitted network. Tasks, classes and sizes
        must be the same; what the input layer has learned of the columns is kept.
    checkpoint_dir : str, path-like or None, default=None
        Folder in which `fit` saves its state. If the process is killed, call `fit`
        again with the same parameters and data: it resumes, and ends with the same
        weights, to the last bit. Each fit needs its own folder. If the fit in the
        folder is complete, `fit` returns at once. A checkpoint of another fit, a
        damaged one, or a folder that another fit is using raises an error.
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
        of the mean loss of the held-out labels. With `sharing="none"`, each network
        keeps the epoch that is best for its own task.
    validation_fraction : float, default=0.1
        Fraction of the rows to hold out, stratified by the labels of all tasks.
    n_iter_no_change : int, default=10
        Number of epochs without progress that are tolerated; as in MLPClassifier,
        training stops after one more.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1" and so on; "auto" uses a GPU if there is one.

    Attributes
    ----------
    classes_ : ndarray or list of ndarray
        Sorted classes of each task; a single array for 1-D `y`. If all labels of a 2-D
        `y` are 0 or 1, every task has both classes.
    task_names_ : ndarray of shape (n_tasks,)
        Column names of a DataFrame `y`, name of a Series, or "task_0", "task_1", ...
    n_outputs_ : int
        Number of tasks.
    network_ : torch.nn.Module
        The trained network, without the logistic regressions. `encode` maps input to
        the trunk's features, and `decode` maps features to logits.
    n_iter_ : int
        Number of epochs run.
    logistic_share_ : float
        Weight of the logistic regressions in the average (see `logistic`), 0 without
        them. Tasks with fewer than five labels, and tasks that were added later, have
        none.
    oob_score_ : float
        Mean over the (main) tasks of the accuracy of `oob_prediction_` on the observed
        labels. Exists only after a `fit` that left out rows (see `oob_score`), until
        tasks are added or dropped or training continues.
    oob_prediction_ : ndarray or list of ndarray
        Out-of-bag predictions, in the form of `predict_proba`: each row is predicted by
        the member that left it out. Rows that no member was trained on, such as those
        without any label, have the mean over the members. Other rows that no member
        left out have NaN.
    loss_, best_loss_ : float
        Loss of the last and of the best epoch, including the L2 penalty; infinite
        before the first. `best_loss_` is None with `early_stopping`.
    loss_curve_ : list of float
        Loss of each epoch.
    validation_scores_, best_validation_score_ : list of float, float
        Validation score of each epoch of the last `fit`, and the best of them; None
        without `early_stopping`. With `sharing="none"` the best score is the mean over
        the tasks of each task's own best.
    task_validation_scores_ : ndarray of shape (n_epochs, n_tasks)
        Validation score of each task in each of these epochs: minus the mean loss of
        its held-out labels; NaN for a task without any, or added later. None without
        `early_stopping`.
    n_features_in_ : int
        Number of columns of `X`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Column names of `X`, if it is a DataFrame whose column names are all strings.

    See Also
    --------
    MultiTaskNetRegressor : Numeric tasks.
    MultiTaskNet : Classes and numbers in one network.
    sklearn.neural_network.MLPClassifier : One task, or several without missing labels.
    skmtl.model_selection.MultiTaskStratifiedKFold : Splits for cross-validation.

    Notes
    -----
    The loss of a batch of m rows is

    .. math:: J = \frac{1}{m} \sum_i \sum_{j: y_{ij}\ \text{observed}}
              w_{ij} L(\hat y_{ij}, y_{ij})

    where L is the log loss :math:`-y \log \hat y - (1 - y) \log (1 - \hat y)` for
    binary tasks and the cross-entropy for the others, and :math:`w_{ij}` is the product
    of sample, class and task weight. Rows without any observed label, or of weight 0,
    never enter a batch. With sample weights, m is the sum of the rows' weights.

    scikit-learn's callbacks are supported. An epoch is one of their "tasks", see
    `sklearn.callback`.

    References
    ----------
    .. [1] R. Caruana, "Multitask Learning", Machine Learning 28, 41-75, 1997.
       :doi:`10.1023/A:1007379606734`
    .. [2] D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015,
       Algorithm 1. :arxiv:`1412.6980`
    .. [3] I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm
       Restarts", ICLR 2017, equation 5, without restarts. :arxiv:`1608.03983`

    Examples
    --------
    Two tasks on the same input, with every third label missing:

    >>> import numpy as np
    >>> from skmtl import MultiTaskNetClassifier
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(300, 2))
    >>> Y = np.column_stack([X[:, 0] > 0, X[:, 0] + X[:, 1] > 0]).astype(float)
    >>> Y[::3, 0] = Y[1::3, 1] = np.nan
    >>> clf = MultiTaskNetClassifier(random_state=0)
    >>> clf.fit(X, Y).score(X, Y) > 0.95
    True
    >>> clf.predict([[2.0, -1.0], [-2.0, 3.0]])
    array([[1, 1],
           [0, 1]])
    """

    _parameter_constraints: ClassVar[dict] = {**SHARED_CONSTRAINTS, **CLASS_CONSTRAINTS}

    def __init__(
        self,
        hidden_layer_sizes="auto",
        head_hidden_layer_sizes=(),
        activation="relu",
        *,
        logistic="auto",
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
        """Train for one epoch on a chunk of rows, continuing where the last call ended.

        The solver's state, the random numbers and the dropout carry over from call to
        call. A change of `solver` or `freeze` starts with a new state. "auto" values
        are chosen at the first call. With `n_calls` the learning-rate schedule carries
        over too, and k passes over chunks of shuffled rows do as well as k epochs of
        `fit`. `fit`, `add_tasks` and `drop_tasks` end a series of calls.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input, as in `fit`. Bins and categories are learned from the first call.
            It should bring many rows, in random order, or declare `columns`.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels, as in `fit`. Rows without any label are allowed. The
            probabilities of a task are uniform until a call has brought a label for it.
        classes : array-like of shape (n_classes,), list of such, or dict, default=None
            All classes that later calls will bring: an array for 1-D `y`; for 2-D `y`,
            an array per task or a dict from task names to arrays. Pass it to the first
            call. Without it, the classes are those of the first `y`.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label.
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
            If X or y cannot be used; if y has a label that is not among the classes; if
            `columns`, `n_calls` or `n_rows` differs from the first call; after the last
            of `n_calls` calls; with `early_stopping=True`; or with "balanced" weights,
            which need all labels at once.
        KeyboardInterrupt
            If it is interrupted from the keyboard; the estimator is then unchanged.

        Warns
        -----
        UserWarning
            If X has categories, or many numbers in a column, that the first call
            neither contained nor declared.
        """
        self._partial_fit(X, y, classes, sample_weight, columns, n_calls, n_rows)
        return self

    def predict(self, X):
        """Predict the most probable label of each task.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data can be read block by block, see `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels in their own dtype; 1-D if `fit` got a 1-D `y`.
        """
        return self._predict(X)

    def predict_proba(self, X):
        """Probabilities of the classes of each task, averaged over the members.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data can be read block by block, see `fit`.

        Returns
        -------
        p : ndarray or list of ndarray
            For 1-D `y`, an array (n_samples, n_classes). For 2-D `y`, an array
            (n_samples, n_tasks) if every task has two classes, with the probability of
            `classes_[j][1]` in column j; otherwise, as from a forest, a list with an
            array (n_samples, n_classes) per task.
        """
        return self._predict_classes(X, probabilities, positive_probabilities)

    def predict_log_proba(self, X):
        """Logarithms of the probabilities that `predict_proba` returns.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data can be read block by block, see `fit`.

        Returns
        -------
        log_p : ndarray or list of ndarray
            In the form of `predict_proba`.
        """
        return self._predict_classes(
            X, log_probabilities, lambda *args: log_probabilities(*args)[..., 1]
        )

    def score(self, X, y, sample_weight=None):
        """Mean over the tasks of the accuracy on the observed labels.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data can be read block by block, see `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The true labels, with NaN for missing ones. A class that `fit` did not see
            counts as a wrong prediction. If X is a pyarrow dataset, the names of its
            label columns.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label.

        Returns
        -------
        score : float
            For 1-D `y`, the ordinary accuracy on the labelled rows; for 2-D `y`, the
            mean over the tasks, or over `main_tasks`.

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

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _attributes_of(
        self, tasks: Tasks, network: TrunkAndHeads, is_labelled: NDArray
    ) -> dict[str, Any]:
        attributes = super()._attributes_of(tasks, network, is_labelled)
        return attributes | {"classes_": classes_attribute(tasks)}

    def _predict_classes(
        self,
        X: Any,
        all_classes: Callable[[Tensor, OutputGroup], Tensor],
        positive: Callable[[Tensor, OutputGroup], Tensor],
    ) -> NDArray | list[NDArray]:
        """Probabilities, or their logarithms, in the form of `predict_proba`."""
        check_is_fitted(self)
        if self._gives_table():
            X = self._check_for_prediction(X)
            return predict_groups(self.network_, X, self._is_labelled, positive)[0]
        by_task = self._predict_by_task(X, all_classes)
        return by_task[0] if self._tasks.is_1d else by_task

    def _gives_table(self) -> bool:
        """Whether probabilities are an array with one column per task."""
        kinds = [group.kind for group in self.network_.groups]
        return kinds == [Binary()] and not self._tasks.is_1d

    def _in_form_of_prediction(self, outputs: list[NDArray]) -> Any:
        if self._gives_table():
            return np.column_stack([p[:, 1] for p in outputs])
        return outputs[0] if self._tasks.is_1d else outputs
