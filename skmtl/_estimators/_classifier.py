"""MultiTaskNetClassifier: tasks of classes."""

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
    r"""One neural network for many classification tasks, some labels missing.

    A trunk of hidden layers is shared by all tasks and each task has a head of its own.
    `y` has a column per task; NaN (or None, pd.NA, a masked cell) says that nobody
    measured this label, and only measured labels enter the loss. Multi-task learning
    pays where tasks share low-level features, where the other tasks together bring
    much more data than the one, and where the network is big enough [1]_.

    `X` may be a raw table: numbers of any scale, holes, and category columns of a
    DataFrame. As for trees, nothing needs to be scaled, imputed or one-hot encoded.

    Parameters that `sklearn.neural_network.MLPClassifier` has too have the same names
    and meanings. The defaults differ: they are what did best over many data sets, from
    two hundred to fifty thousand rows, with nothing set by hand. "auto" is chosen by
    the data of each call.

    Parameters
    ----------
    hidden_layer_sizes : array-like of int, default=(256, 256)
        Sizes of the hidden layers of the trunk. `()` for no trunk: the heads read the
        input.
    head_hidden_layer_sizes : array-like of int, default=()
        Sizes of the hidden layers of each head, before its output. `()` for linear
        heads.
    activation : str, default="relu"
        Activation of the hidden layers: "identity", "logistic", "tanh", "relu", "gelu"
        or "silu".
    input_encoding : {"auto", "piecewise", "none"}, default="auto"
        How columns enter the network: "piecewise" lets each column of numbers act by a
        piecewise-linear function, which the network learns, and gives categories and
        missing numbers weights of their own (see Notes); "none" takes the numbers as
        they are, which should then be scaled, and no NaN; "auto" is "piecewise" for
        dense and "none" for sparse `X`.
    n_bins : int or "auto", default="auto"
        Number of quantile bins of a column of numbers, at most 255, at whose borders
        its function may bend. Columns with fewer distinct values have fewer bins.
        "auto" is 4 for fewer than 1,000 labelled rows and 8 for fewer than 4,000; from
        there on 320 divided by the number of such columns, between 12 and 48.
    categorical_features : "from_dtype", array-like or None, default="from_dtype"
        The category columns: those of a DataFrame that are of a category (or enum)
        dtype, ordered or not; a mask; positions; or names of columns. Their values may
        be of any type, and any number of them. Needs the encoding "piecewise". Used
        where the columns are learned, at the first call.
    sharing : {"hard", "none"} or spec object, default="hard"
        How tasks share layers: "hard" is one trunk for all of them
        (:class:`skmtl.sharing.HardSharing`), "none" is a trunk for each
        (:class:`skmtl.sharing.NoSharing`), the separate networks that a joint one is
        compared with.
    trunk : callable, spec object, torch.nn.Module or None, default=None
        What the tasks share, in place of hidden layers: a callable `trunk(input_shape,
        generator)` that makes a module, an object whose method `build` does
        (:class:`skmtl.trunks.ConvTrunk` for pictures), or a module that is copied, so
        that a backbone with weights can be used (see :mod:`skmtl.trunks`). It reads
        dense `X` as it is, without an input layer: `hidden_layer_sizes`,
        `input_encoding`, `n_bins` and `input_dropout` are not used, `activation` and
        `dropout` in the heads alone.
    pretrained : FrozenEstimator or None, default=None
        A fitted estimator of skmtl in `sklearn.frozen.FrozenEstimator`, whose trunk and
        input layer the network begins with; the heads are new. Its tasks may be numbers
        or classes. `X` must have its columns, and the parameters that shape the trunk
        must be the same.
    freeze : {"none", "trunk"}, int or UnfreezeAfter, default="none"
        What of the trunk is not trained: nothing, all of it, its first so many layers
        (of a module: children with parameters), or all of it for some epochs
        (:class:`skmtl.trunks.UnfreezeAfter`). Frozen layers do what they do in
        prediction: nothing is dropped, batch statistics stay.
    solver : {"auto", "adam", "sgd"}, default="auto"
        Adam [2]_, or stochastic gradient descent with Nesterov's momentum; "auto" is
        "sgd" for sparse `X` with fewer than 10,000 labelled rows, where Adam takes full
        steps for columns that hardly any row has, and else "adam".
    alpha : float or "auto", default="auto"
        Strength of the L2 term, `alpha / 2` times the sum of the squared weights
        (biases are not in it), divided by the batch's weight when added to the loss.
        "auto" is 0.03 times the loss of predicting, for all rows alike, the frequencies
        of each task's classes, times the mean weight of a row; so that it means the
        same for one task and for hundreds, and for weights of any scale. Without
        sharing, it and what else is "auto" count the loss of one task, the mean over
        the tasks.
    dropout : float or "auto", default="auto"
        Rate at which units of the hidden layers are dropped in training, in [0, 1),
        rounded to a multiple of 1/256. "auto" is 0.5 where the labels of the first call
        carry up to 15,000 nats (rows times the loss of predicting the frequencies of
        the classes), and 0.1 less for each doubling, but at least 0.2. On dense `X` of
        at least 4,000 labelled rows, and 100 for each column, both dropouts then go
        down in proportion to the training loss: the more of the labels is explained,
        the less there is to guard against.
    input_dropout : float or "auto", default="auto"
        Rate at which columns of the input are dropped in training, in [0, 1). "auto" is
        0.2 where the labels carry fewer than 15,000 nats (see `dropout`), else 0.1.
    n_members : int or "auto", default="auto"
        Number of networks, which differ in their initial weights, in what is dropped
        and, with `oob_score`, in their rows, and whose probabilities are averaged.
        "auto" is 4 for fewer than 5,000 labelled rows (2 with a `trunk`) and with
        `oob_score=True`, 1 for fewer than 30,000, and else 2.
    oob_score : bool or "auto", default="auto"
        Whether each member leaves out its share of the labelled rows, so that every
        row has a prediction of a member that was not trained on it (see `oob_score_`).
        It averages members that differ more, and takes less time: with 4 members a
        quarter of the rows is left out of each. "auto" does so for four members or
        more on 100 to 5,000 labelled rows, without `early_stopping`. A row with a
        label of a class that has fewer labels than there are members is left out by
        none. Not used by `partial_fit`, `add_tasks` and warm starts.
    task_weight : "balanced", dict, array-like of shape (n_tasks,) or None, default=None
        Factor on the losses of each task. "balanced" makes each task count the same
        however many labels it has; a dict maps task names to factors, 1 where a task
        is not named.
    main_tasks : str, list of str or None, default=None
        Names of the tasks that count in `score`, `oob_score_` and, with
        `early_stopping`, in the validation score; the other tasks are there to help
        [1]_ (section 3). None for all tasks.
    class_weight : "balanced", dict or None, default=None
        Factor on the losses of each class. "balanced" makes the classes of a task count
        the same; a dict maps, for 1-D `y`, labels to factors and, for 2-D `y`, task
        names to "balanced", to None or to such a mapping.
    batch_size : int or "auto", default="auto"
        Rows of a batch, at most the number of rows with a label. "auto" is 400 from
        30,000 such rows on, and else 200; for dense `X` of fewer than 4,000 such rows a
        twentieth of them, but at least 100. In `partial_fit`, "auto" is up to twice
        as large for some chunks, so that none ends with a small batch.
    learning_rate : {"constant", "cosine"}, default="cosine"
        Schedule of the step size: `learning_rate_init` throughout, or a linear rise
        over the first tenth of the steps and a half cosine down to 0 [3]_ at the end
        of `max_iter` epochs.
    learning_rate_init : float or "auto", default="auto"
        The (largest) step size. "auto" is 0.002 for the solver "adam", whose step
        does not depend on the scale of the loss, and 0.02 where the whole trunk is
        frozen at first or throughout, both times the square root of `batch_size` / 200
        for larger batches. For "sgd" it is 1 divided by the loss of predicting the
        frequencies of the classes, but at most 0.1; for sparse `X` at most 0.3 and at
        most 15 divided by the mean squared length of a row; and a share of that,
        `batch_size` / 100, for smaller batches.
    max_iter : int or "auto", default="auto"
        Largest number of epochs. 0 leaves the network untrained. "auto" gives
        400 (nats / 1,500)^0.4 steps, between 50 and 10,000, with the nats that the
        labels carry (see `dropout`), and 0.3 times as many from 30,000 labelled rows
        on, where batches are larger; at least one epoch.
    shuffle : bool, default=True
        Whether to take the rows in a new order in each epoch.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of rows, dropout, and of the rows that
        are held out. The global random states of numpy and torch are left alone.
    tol : float, default=1e-4
        What counts as progress: with `early_stopping` a gain of `tol` in the validation
        score, else, at a constant learning rate, a fall of `tol` in the loss.
    verbose : bool or int, default=False
        Whether to print the loss of each epoch, how many there will be, and how long
        the rest will take.
    warm_start : bool, default=False
        Whether `fit` goes on with the fitted network. Tasks, classes and sizes must be
        the same; what the input layer has learned of the columns is kept.
    checkpoint_dir : str, path-like or None, default=None
        Folder in which `fit` keeps its state, in one file. A fit that was killed and is
        called again, with the same parameters and data, goes on from there and ends
        with the same weights, to the last bit, as one that was never killed. Each fit
        needs a folder of its own; one whose file is whole is over at once when it is
        called again. Files of another fit and damaged ones are refused, and folders
        in which another fit is at work.
    checkpoint_every : int, default=1
        Number of epochs from one checkpoint to the next.
    momentum : float, default=0.9
        Momentum of the solver "sgd".
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of the moments of the solver "adam", in [0, 1).
    epsilon : float, default=1e-8
        Added to the denominator of the solver "adam".
    early_stopping : bool, default=False
        Whether to hold rows out of training, to stop when their score does not
        improve, and to restore the epoch with the best score. The score is the negated
        mean over the (main) tasks of the mean loss of the held-out labels. Separate
        networks (`sharing="none"`) keep each the epoch that is best for its own task.
    validation_fraction : float, default=0.1
        Share of the rows to hold out, so that each task has labels on both sides.
    n_iter_no_change : int, default=10
        Largest number of epochs in a row without progress; the fit stops after one
        more, as that of MLPClassifier.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", or "auto" for a GPU where there is one.

    Attributes
    ----------
    classes_ : ndarray or list of ndarray
        Sorted classes of each task; for 1-D `y` the array itself. Where all labels of a
        2-D `y` are 0 or 1, each task has both classes.
    task_names_ : ndarray of shape (n_tasks,)
        Columns of a DataFrame `y`, name of a Series, else "task_0", "task_1", ...
    n_outputs_ : int
        Number of tasks.
    network_ : torch.nn.Module
        The trained network. `encode` maps input to the trunk's features, `decode` maps
        features to logits.
    n_iter_ : int
        Number of epochs run.
    oob_score_ : float
        Mean over the tasks of the accuracy on observed labels, each predicted by the
        member that left its row out. There after a `fit` with out-of-bag rows (see the
        parameter `oob_score`), until tasks are added or dropped or training goes on.
    oob_prediction_ : ndarray or list of ndarray
        These predictions in the form of `predict_proba`. Rows without any label, which
        no member was trained on, have the mean over the members; rows that no member
        left out have NaN.
    loss_, best_loss_ : float
        Loss of the last and of the best epoch, the L2 term included; infinite before
        the first. `best_loss_` is None with `early_stopping`.
    loss_curve_ : list of float
        Loss of each epoch.
    validation_scores_, best_validation_score_ : list of float, float
        Validation score of each epoch of the last `fit`, and the best; None without
        `early_stopping`. With `sharing="none"` the best is the mean over the tasks of
        that of each task's own best epoch.
    task_validation_scores_ : ndarray of shape (n_epochs, n_tasks)
        Validation score of each task in each of these epochs: minus the mean loss of
        its held-out labels, NaN where it has none and for tasks that were added since.
        None without `early_stopping`.
    n_features_in_ : int
        Number of columns of `X`.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Columns of `X` where it is a DataFrame whose columns are all strings.

    See Also
    --------
    MultiTaskNetRegressor : Tasks whose values are numbers.
    MultiTaskNet : Classes and numbers in one network.
    sklearn.neural_network.MLPClassifier : One task, or several without missing labels.
    skmtl.model_selection.MultiTaskStratifiedKFold : Splits for cross-validation.

    Notes
    -----
    The loss of a batch of m rows is

    .. math:: J = \frac{1}{m} \sum_i \sum_{j: y_{ij}\ \text{observed}}
              w_{ij} L(\hat y_{ij}, y_{ij})

    with the logistic loss :math:`L = -y \log \hat y - (1 - y) \log (1 - \hat y)` of
    binary tasks and the cross-entropy of the others. Rows without any label, or of
    weight 0, are left out before batches are made. With sample weights, m is the sum
    of the rows' weights, a row's weight being the mean of its weights over its observed
    labels; class and task weights multiply terms and leave m alone. A label of weight 0
    is as one that is missing.

    Weights and biases begin as in MLPClassifier (Glorot & Bengio 2010, equation 16).

    The piecewise encoding is that of [4]_ (equation 1) beside a linear path. It is
    learned from the rows that the network is trained on. The bins of a column end at
    its (weighted) quantiles, from the 1st to the 99th percentile, but not at a least or
    greatest value that few rows have, which may be an outlier; beyond the bins the
    column is clipped. A value that a whole bin of rows shares ends a bin, and so does
    each of a few values.
    The linear path follows the normal scores of the quantiles and not the numbers: it
    sees their order, so that another scale changes nothing, and an outlier or the
    logarithm of a column little. The weights of the bins begin at 0: the network begins
    as one on the linear path. A missing number has weights of its own, and so has each
    category; categories that a single row has share theirs with those that are unknown
    in prediction. Where no training row had a missing number, or a rare category, the
    column's mean response stands in for it.

    Members are trained side by side, on as many threads as `torch.get_num_threads`
    says, each by one thread and without waiting for the others before the end of an
    epoch; and so are blocks of rows predicted. The weights are the same whatever the
    number of threads. Small members are trained in one pass on one thread, and a single
    member as well, unless a step has 100 million multiply-adds: then torch divides its
    products among threads that wait for one another, which takes far longer where other
    programs keep the cores busy. `torch.set_num_threads(1)` prevents it.

    scikit-learn's callbacks are supported, an epoch per task: see `set_callbacks` and
    `sklearn.callback`.

    References
    ----------
    .. [1] R. Caruana, "Multitask Learning", Machine Learning 28, 41-75, 1997.
       :doi:`10.1023/A:1007379606734`
    .. [2] D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015,
       Algorithm 1. :arxiv:`1412.6980`
    .. [3] I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm
       Restarts", ICLR 2017, equation 5, without restarts. :arxiv:`1608.03983`
    .. [4] Y. Gorishniy, I. Rubachev, A. Babenko, "On Embeddings for Numerical Features
       in Tabular Deep Learning", NeurIPS 2022. :arxiv:`2203.05556`

    Examples
    --------
    Two tasks on the same input, where every third label is missing:

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
        hidden_layer_sizes=(256, 256),
        head_hidden_layer_sizes=(),
        activation="relu",
        *,
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
            of a task are uniform until a call has brought a label for it.
        classes : array-like of shape (n_classes,), list of such, or dict, default=None
            All classes that later calls will bring: for 1-D `y` an array, for 2-D `y`
            an array per task or a mapping from task name to array. Used at the first
            call; without it, the classes are those of the first `y`.
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

    def predict(self, X):
        """Predict the most probable label of each task.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data may be read block by block, see `fit`.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels in their own dtype, 1-D where `fit` got a 1-D `y`.
        """
        return self._predict(X)

    def predict_proba(self, X):
        """Probabilities of the classes of each task, averaged over the members.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data may be read block by block, see `fit`.

        Returns
        -------
        p : ndarray or list of ndarray
            For 1-D `y`, (n_samples, n_classes). Else, where every task has two classes,
            (n_samples, n_tasks) with column j the probability of `classes_[j][1]`. Else
            a list with an array (n_samples, n_classes) per task, as forests give it.
        """
        return self._predict_classes(X, probabilities, positive_probabilities)

    def predict_log_proba(self, X):
        """Logarithms of what `predict_proba` gives.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input; large data may be read block by block, see `fit`.

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
            For 1-D `y`, the ordinary accuracy of the rows that have a label; else the
            mean over the tasks, or over `main_tasks`.

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
        """In the form of `predict_proba`."""
        check_is_fitted(self)
        if self._gives_table():
            X = self._check_for_prediction(X)
            return predict_groups(self.network_, X, self._is_labelled, positive)[0]
        by_task = self._predict_by_task(X, all_classes)
        return by_task[0] if self._tasks.is_1d else by_task

    def _gives_table(self) -> bool:
        """Whether probabilities are a column per task."""
        kinds = [group.kind for group in self.network_.groups]
        return kinds == [Binary()] and not self._tasks.is_1d

    def _in_form_of_prediction(self, outputs: list[NDArray]) -> Any:
        if self._gives_table():
            return np.column_stack([p[:, 1] for p in outputs])
        return outputs[0] if self._tasks.is_1d else outputs
