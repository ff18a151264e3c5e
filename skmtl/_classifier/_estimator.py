"""MultiTaskNetClassifier: checks and attributes of scikit-learn around the loop."""

import contextlib
import copy
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.callback import CallbackSupportMixin
from sklearn.exceptions import ConvergenceWarning, UndefinedMetricWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_consistent_length, check_is_fitted
from torch import Tensor

from skmtl._classifier._automatic import LabelledData
from skmtl._classifier._checkpoint import Checkpoint, checkpoint_of
from skmtl._classifier._epochs import EpochReports
from skmtl._classifier._network_state import (
    NetworkState,
    build_from_state,
    network_state,
)
from skmtl._classifier._out_of_bag import mean_accuracy, out_of_bag_probabilities
from skmtl._classifier._parameters import (
    PARAMETER_CONSTRAINTS,
    build_network,
    check_partial_fit_parameters,
    check_unchanged,
    copy_network,
    labelled_data,
    leaves_out_rows,
    network_settings,
    training_plan,
)
from skmtl._classifier._prediction import predict_groups, trunk_features
from skmtl._classifier._training_set import TrainingSet, make_training_set
from skmtl._classifier._transfer import (
    network_for,
    pretrained_classifier,
    take_columns,
    take_trunk,
    weights_of_tasks,
)
from skmtl._inputs import check_inputs
from skmtl._interrupts import catches_interrupts
from skmtl._layers import OutputGroup
from skmtl._losses import (
    log_probabilities,
    positive_probabilities,
    probabilities,
)
from skmtl._progress import Epoch, best_validation_score
from skmtl._rows import as_tensor
from skmtl._targets import (
    Tasks,
    check_labelled,
    check_same_classes,
    decode_targets,
    encode_new_tasks,
    encode_targets,
    joined_tasks,
    shorten,
    warn_of_many_classes,
    without_labels,
    without_tasks,
)
from skmtl._training import TrainingResult, train
from skmtl._weights import check_sample_weight
from skmtl.sharing._network import TrunkAndHeads


class MultiTaskNetClassifier(
    CallbackSupportMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClassifierMixin,
    BaseEstimator,
):
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
        A fitted MultiTaskNetClassifier in `sklearn.frozen.FrozenEstimator`, whose trunk
        and input layer the network begins with; the heads are new. `X` must have its
        columns, and the parameters that shape the trunk must be the same.
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
        "auto" is 4 for fewer than 5,000 labelled rows (2 with a `trunk`), 1 for fewer
        than 30,000, and else 2.
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
    class_weight : "balanced", dict or None, default=None
        Factor on the losses of each class. "balanced" makes the classes of a task count
        the same; a dict maps, for 1-D `y`, labels to factors and, for 2-D `y`, task
        names to "balanced", to None or to such a mapping.
    batch_size : int or "auto", default="auto"
        Rows of a batch, at most the number of rows with a label. "auto" is 400 from
        30,000 such rows on, and else 200; for dense `X` of fewer than 4,000 such rows a
        twentieth of them, but at least 100.
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
        mean over the tasks of the mean loss of the held-out labels. Separate networks
        (`sharing="none"`) keep each the epoch that is best for its own task.
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
        Columns of `y` where it is a DataFrame, else "task_0", "task_1", ...
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

    _parameter_constraints: dict = PARAMETER_CONSTRAINTS

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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.head_hidden_layer_sizes = head_hidden_layer_sizes
        self.activation = activation
        self.input_encoding = input_encoding
        self.n_bins = n_bins
        self.categorical_features = categorical_features
        self.sharing = sharing
        self.trunk = trunk
        self.pretrained = pretrained
        self.freeze = freeze
        self.solver = solver
        self.alpha = alpha
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.n_members = n_members
        self.oob_score = oob_score
        self.task_weight = task_weight
        self.class_weight = class_weight
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.tol = tol
        self.momentum = momentum
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, sample_weight=None):
        """Train the network on the observed labels.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input: numbers, booleans and, in a DataFrame, category columns. NaN,
            None, pd.NA and masked cells are missing values, legal in dense input that
            is encoded (see `input_encoding`). Sparse input is never made dense.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The labels, a column per task; NaN, None, pd.NA, pd.NaT and masked cells
            are missing labels. The categories of a category column are its classes,
            those without a row too.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label. Rows of weight 0 are left out.

        Returns
        -------
        self : MultiTaskNetClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If X, y or a weight cannot be used, if the loss diverges, or if
            `checkpoint_dir` has the checkpoint of another fit or a damaged one, or
            another fit is at work in it; the estimator is then as it was before the
            call.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` epochs were run at a constant learning rate and the loss or
            the validation score was still improving.
        RuntimeWarning
            If the training was interrupted from the keyboard; the estimator then has
            the weights of the best epoch so far, by its validation score or else its
            loss. Inside a search this ends one fit and not the search.
        UserWarning
            If no row can be left out with `oob_score=True`, if a task has no observed
            label, or too few to hold one out, if a label looks like a mark for a
            missing one ("NA", "?" and the like), or if more than half
            of a task's labels are different.
        """
        with torch.inference_mode(False), _restored_on_error(self):
            continues = self.warm_start and self.__sklearn_is_fitted__()
            training_set = self._check_training_set(X, y, sample_weight, continues)
            labelled = training_set.is_labelled  # without any, nothing is trained
            if labelled.any():
                labelled = self._labelled_so_far(training_set, continues)
            check_labelled(training_set.tasks, labelled)

            def report(n_epochs: int) -> EpochReports:
                context = self._init_callback_context(max_subtasks=n_epochs)
                return EpochReports(self, context, n_epochs, X, y, sample_weight)

            rng = check_random_state(self.random_state)
            with checkpoint_of(self, rng) as checkpoint:
                result = self._fit_network(
                    training_set, report, continues, rng, checkpoint
                )
        self._warn_if_still_improving(result)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train for one epoch on some rows, beginning where the last call ended.

        The solver's state and the random numbers go on from call to call (another
        `solver` or `freeze` begins with a state of its own); the learning rate is
        `learning_rate_init` throughout.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input, as in `fit`. The first call is where bins and categories are
            learned; later calls do not change them, so that it should bring many rows.
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

        Returns
        -------
        self : MultiTaskNetClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If X or y cannot be used, if y has a label that is not among the classes,
            with `early_stopping=True`, or with "balanced" weights, which need all
            labels at once.
        KeyboardInterrupt
            If it is interrupted from the keyboard; the estimator is then as it was
            before the call.
        """
        check_partial_fit_parameters(self)
        with torch.inference_mode(False), _restored_on_error(self):
            training_set = self._check_training_set(
                X, y, sample_weight, self.__sklearn_is_fitted__(), classes
            )
            self._partial_fit_network(training_set)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def add_tasks(self, X, y_new, sample_weight=None, freeze_trunk=True):
        """Learn further tasks, of the same or of other rows, with the trunk there is.

        The new tasks come after the old ones. While the trunk is frozen nothing that
        the old tasks use is touched. Without sharing, the new tasks get trunks of their
        own, which begin at random and are trained.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input, with the columns of `fit`.
        y_new : array-like of shape (n_samples,) or (n_samples, n_new_tasks)
            Labels of the new tasks, as in `fit`. A DataFrame or a Series names them,
            else they are numbered on.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_new_tasks), \
                default=None
            Weight of each row, or of each label.
        freeze_trunk : bool, default=True
            Whether the trunk stays as it is. If it may move, the old heads, which read
            it, stay: how well the old tasks do then must be seen.

        Returns
        -------
        self : MultiTaskNetClassifier
            The estimator with all tasks. `loss_curve_` and what belongs to it remain
            those of `fit`.

        Raises
        ------
        ValueError
            If X, y_new or a weight cannot be used, if a weight is for the name of no
            task, if a new task has the name of an old one, or if parameters of the
            network were changed since `fit`.
        """
        check_is_fitted(self)
        if not isinstance(freeze_trunk, bool | np.bool):
            raise ValueError(
                f"freeze_trunk must be True or False; got {freeze_trunk!r}."
            )
        with torch.inference_mode(False), _restored_on_error(self):
            check_unchanged(self, self._tasks)
            X, columns = check_inputs(self, X, self._columns)
            new, codes = encode_new_tasks(y_new, self._tasks)
            check_consistent_length(X, codes)
            weights = {
                name: weights_of_tasks(
                    getattr(self, name), name, new.names, self._tasks.names
                )
                for name in ("task_weight", "class_weight")
            }
            training_set = make_training_set(
                X, columns, codes, new, sample_weight=sample_weight, **weights
            )
            check_labelled(new, training_set.is_labelled)
            self._add_to_network(training_set, freeze_trunk)
        return self

    def drop_tasks(self, names):
        """Forget tasks; the others stay as they are, in the same order.

        Parameters
        ----------
        names : str or list of str
            Names of tasks, see `task_names_`.

        Returns
        -------
        self : MultiTaskNetClassifier
            The estimator without these tasks.

        Raises
        ------
        ValueError
            If there is no task of such a name, if none would be left, or if parameters
            that make the network are others than in `fit`.
        """
        check_is_fitted(self)
        check_unchanged(self, self._tasks)
        tasks, kept = without_tasks(self._tasks, names)
        network = network_for(self, tasks)
        for task, fitted_task in enumerate(kept):
            network.take_task(task, self.network_, int(fitted_task))
        self._set_tasks(tasks, network, self._is_labelled[kept], kept)
        return self

    def predict(self, X):
        """Predict the most probable label of each task.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels in their own dtype, 1-D where `fit` got a 1-D `y`.
        """
        return decode_targets(self._predict_codes(X), self._tasks)

    def predict_proba(self, X):
        """Probabilities of the classes of each task, averaged over the members.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.

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
            The input.

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
            The input.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            The true labels, NaN where missing. A class that was not seen in `fit`
            counts as an error of the prediction.
        sample_weight : array-like of shape (n_samples,) or (n_samples, n_tasks), \
                default=None
            Weight of each row, or of each label.

        Returns
        -------
        score : float
            For 1-D `y`, the ordinary accuracy of the rows that have a label.

        Raises
        ------
        ValueError
            If y has no observed label.

        Warns
        -----
        UndefinedMetricWarning
            If a task has no label in `y`, or had none in `fit`; it is left out of the
            mean.
        """
        predicted = self._predict_codes(X)
        y = without_labels(y, ~self._is_labelled)  # of which nothing could be learned
        tasks, codes = encode_targets(y, tasks=self._tasks, unseen="extra")
        check_consistent_length(X, codes)
        weights = (codes >= 0).astype(np.float64)
        sample_weight = check_sample_weight(sample_weight, codes, tasks)
        if sample_weight is not None:
            weights *= sample_weight
        totals = weights.sum(axis=0)
        if not totals.any():
            raise ValueError(
                "y must have an observed label to score, but all are missing, of "
                "weight 0 or of tasks that had none in fit. Pass rows with labels."
            )
        without = tasks.names[totals == 0]
        if len(without):
            warnings.warn(
                f"The accuracy is undefined for {len(without)} of {tasks.n_tasks} "
                f"tasks, which have no observed label in y or had none in fit: "
                f"{shorten(without)}. They are left out of the mean.",
                UndefinedMetricWarning,
                stacklevel=2,
            )
        correct = (weights * (predicted == codes)).sum(axis=0)
        return float((correct[totals > 0] / totals[totals > 0]).mean())

    def transform(self, X):
        """Features that the trunk computes, of several trunks or members side by side.

        Parameters
        ----------
        X : array-like, DataFrame or sparse matrix of shape (n_samples, n_features)
            The input.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features_out)
            The last hidden layer of the trunk of member 0 for task 0 (or for all
            tasks), then those of the other tasks, then those of the other members.

        Raises
        ------
        ValueError
            If `hidden_layer_sizes` is `()`: there is no trunk.
        """
        X = self._check_for_prediction(X)
        self._check_trunk()
        return trunk_features(self.network_, X)

    def _check_trunk(self) -> None:
        if not self.network_.has_trunk:
            raise ValueError(
                "transform gives the features of the trunk, but hidden_layer_sizes is "
                "(): there is no trunk. Fit with at least one hidden layer."
            )

    @property
    def _n_features_out(self) -> int:
        """Read by get_feature_names_out."""
        self._check_trunk()
        return int(self.network_.n_features_out)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        is_encoded = self.input_encoding != "none" and self.trunk is None
        tags.input_tags.sparse = self.trunk is None
        tags.input_tags.allow_nan = is_encoded
        tags.input_tags.categorical = is_encoded
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def __getstate__(self):
        state = dict(super().__getstate__())  # it may be the __dict__ itself
        if "network_" in state:
            network = state["network_"]
            as_arrays = network_state(network, self.trunk)
            if as_arrays is not None:
                state["network_"] = as_arrays
            elif network.like.device.type != "cpu":
                # So that it can be read on a machine without this device.
                state["network_"] = copy.deepcopy(network).cpu()
        return state

    def __setstate__(self, state):
        network = state.get("network_")
        if isinstance(network, NetworkState):
            network = build_from_state(network, state["trunk"], state["_columns"])
            state = state | {"network_": network}
        super().__setstate__(state)

    # Before the training ----------------------------------------------------------

    def _check_training_set(
        self, X: Any, y: Any, sample_weight: Any, continues: bool, classes: Any = None
    ) -> TrainingSet:
        """All checks of what is learned from, before any training."""
        columns = self._columns if continues else None
        pretrained = None if continues else pretrained_classifier(self)
        if pretrained is not None:
            take_columns(self, pretrained)
            columns = pretrained._columns
        X, columns = check_inputs(self, X, columns)
        if continues:
            tasks, codes = encode_targets(y, tasks=self._tasks)
            if classes is not None:
                check_same_classes(classes, tasks)
        else:
            tasks, codes = encode_targets(y, classes=classes)
            if classes is None:
                warn_of_many_classes(tasks, codes)
        check_consistent_length(X, codes)
        return make_training_set(
            X,
            columns,
            codes,
            tasks,
            sample_weight=sample_weight,
            task_weight=self.task_weight,
            class_weight=self.class_weight,
        )

    # The training -----------------------------------------------------------------

    def _fit_network(
        self,
        training_set: TrainingSet,
        report: Callable[[int], EpochReports],
        continues: bool,
        rng: np.random.RandomState,
        checkpoint: Checkpoint | None,
    ) -> TrainingResult:
        resumed = None
        if checkpoint is not None:
            rng = checkpoint.rng
        generator = _seeded_generator(rng)
        index, held_out = self._train_and_held_out(training_set, rng)
        data = labelled_data(self, training_set, index)
        network = self._network(training_set, index, data, rng, generator, continues)
        plan = training_plan(self, data, network, freeze=self.freeze)
        left_out_by = None
        if not continues and leaves_out_rows(self, data, network.n_members):
            left_out_by = training_set.leave_out(index, network.n_members, rng)
            if (left_out_by < 0).all():
                self._warn_if_asked_to_leave_out(network.n_members)
                left_out_by = None
        reports = report(plan.max_iter)
        if checkpoint is not None:
            resumed = checkpoint.resume(
                training_set, network, plan, validating=held_out is not None
            )

        def fitted_attributes() -> dict:
            # A callback may keep what it is given, and the training goes on.
            return self._fitted_attributes(
                training_set, copy.deepcopy(network), continues
            )

        def end_epoch(epoch: Epoch, update: Callable[[], None]) -> bool:
            def up_to_date() -> dict:
                update()
                return fitted_attributes()

            return reports.end(epoch, up_to_date)

        result = train(
            network,
            training_set.data,
            as_tensor(index),
            plan,
            generator,
            held_out=held_out,
            left_out_by=None if left_out_by is None else as_tensor(left_out_by),
            resumed=resumed,
            catches_interrupt=catches_interrupts(),
            on_epoch_begin=reports.begin,
            on_epoch_end=end_epoch,
            on_state=None if checkpoint is None else checkpoint.write,
        )
        self._set_fitted(training_set, network, result.epochs, continues)
        self._forget_training()
        if left_out_by is not None:
            self._set_out_of_bag(training_set, index, left_out_by)
        reports.finish(fitted_attributes)
        return result

    def _warn_if_asked_to_leave_out(self, n_members: int) -> None:
        if self.oob_score != "auto":
            warnings.warn(
                "oob_score=True needs rows whose labels are all of classes with at "
                f"least as many labels as members, {n_members}, but there is none: no "
                "row is left out, and there is no oob_score_. Use fewer members.",
                UserWarning,
                stacklevel=5,  # the caller of fit, past scikit-learn's wrapper
            )

    def _train_and_held_out(
        self, training_set: TrainingSet, rng: np.random.RandomState
    ) -> tuple[NDArray, Tensor | None]:
        """Rows to train on, and rows to validate on with early stopping."""
        if not self.early_stopping:
            return training_set.rows(), None
        index, held_out = training_set.hold_out(float(self.validation_fraction), rng)
        return index, as_tensor(held_out)

    def _partial_fit_network(self, training_set: TrainingSet) -> None:
        continues = self.__sklearn_is_fitted__()
        state = getattr(self, "_solver_state", None)
        rng = check_random_state(self.random_state)
        if state is None:
            generator = _seeded_generator(rng)
        else:
            generator = torch.Generator()
            generator.set_state(as_tensor(state.generator))
        index = training_set.rows()
        data = labelled_data(self, training_set, index)
        network = self._network(training_set, index, data, rng, generator, continues)
        plan = replace(
            training_plan(self, data, network, freeze=self.freeze),
            max_iter=1 if len(index) else 0,
            learning_rate="constant",
        )
        result = train(
            network,
            training_set.data,
            as_tensor(index),
            plan,
            generator,
            solver_state=state,
            in_one_pass=True,
            catches_interrupt=False,  # it shall end the loop around the calls
        )
        self._set_fitted(training_set, network, result.epochs, continues)
        self._forget_training()
        self._solver_state = result.solver_state

    def _network(
        self,
        training_set: TrainingSet,
        index: NDArray,
        data: LabelledData,
        rng: np.random.RandomState,
        generator: torch.Generator,
        continues: bool,
    ) -> TrunkAndHeads:
        """The network to train on the rows `index`."""
        if continues:
            return copy_network(self, training_set.tasks)
        pretrained = pretrained_classifier(self)
        if pretrained is None:
            chosen = network_settings(self, data)
            encoding = training_set.learn_encoding(index, int(chosen["n_bins"]), rng)
        else:
            architecture = pretrained.network_.architecture
            chosen = network_settings(self, data, architecture)
            encoding = architecture.encoding
        network = build_network(self, training_set, encoding, chosen, generator)
        if pretrained is not None:
            take_trunk(network, pretrained)
        return network

    def _add_to_network(self, training_set: TrainingSet, freeze_trunk: bool) -> None:
        fitted, new = self.network_, training_set.tasks
        tasks = joined_tasks(self._tasks, new)
        joined = network_for(self, tasks)
        rng = check_random_state(self.random_state)
        generator = _seeded_generator(rng)
        index, held_out = self._train_and_held_out(training_set, rng)
        data = labelled_data(self, training_set, index)
        chosen = network_settings(self, data, fitted.architecture)
        encoding = fitted.architecture.encoding
        network = build_network(self, training_set, encoding, chosen, generator)
        is_shared = joined.n_trunks == 1
        if is_shared:
            network.take_trunk(fitted)
        is_frozen = is_shared and freeze_trunk and network.has_trunk
        freeze = "trunk" if is_frozen else "none"
        plan = training_plan(self, data, network, freeze=freeze)
        train(
            network,
            training_set.data,
            as_tensor(index),
            plan,
            generator,
            held_out=held_out,
        )
        sources = [(fitted, task) for task in range(self._tasks.n_tasks)]
        sources += [(network, task) for task in range(new.n_tasks)]
        for task, (source, source_task) in enumerate(sources):
            joined.take_task(task, source, source_task)
        is_labelled = np.concatenate([self._is_labelled, training_set.is_labelled])
        fitted_tasks = np.r_[: self._tasks.n_tasks, np.full(new.n_tasks, -1)]
        self._set_tasks(tasks, joined, is_labelled, fitted_tasks)

    def _set_tasks(
        self,
        tasks: Tasks,
        network: TrunkAndHeads,
        is_labelled: NDArray,
        fitted_tasks: NDArray,
    ) -> None:
        """`fitted_tasks` are their positions before, -1 for new ones."""
        attributes = attributes_of(tasks, network, is_labelled)
        # An estimator that a callback has kept has no scores yet.
        scores: Any = getattr(self, "task_validation_scores_", None)
        if scores is not None:
            by_task = np.where(fitted_tasks < 0, np.nan, scores[:, fitted_tasks])
            attributes["task_validation_scores_"] = by_task
        self.__dict__.update(attributes)
        self._forget_training()

    def _forget_training(self) -> None:
        """What belongs to another network, or to other rows."""
        for name in ("_solver_state", "oob_score_", "oob_prediction_"):
            self.__dict__.pop(name, None)

    def _set_out_of_bag(
        self, training_set: TrainingSet, index: NDArray, left_out_by: NDArray
    ) -> None:
        by_task = out_of_bag_probabilities(
            self.network_, training_set.X, index, left_out_by, self._is_labelled
        )
        self.oob_score_ = mean_accuracy(by_task, training_set.counted)
        tasks = self._tasks
        prediction: NDArray | list[NDArray] = by_task
        if tasks.is_1d:
            prediction = by_task[0]
        elif (tasks.n_classes == 2).all():
            prediction = np.column_stack([p[:, 1] for p in by_task])
        self.oob_prediction_ = prediction

    def _set_fitted(
        self,
        training_set: TrainingSet,
        network: TrunkAndHeads,
        epochs: list[Epoch],
        continues: bool,
    ) -> None:
        self.__dict__.update(self._fitted_attributes(training_set, network, continues))
        # An estimator that a callback has kept has no curve yet.
        earlier = getattr(self, "loss_curve_", []) if continues else []
        self.loss_curve_ = [*earlier, *(epoch.loss for epoch in epochs)]
        self.n_iter_ = len(self.loss_curve_)
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else np.inf
        validates = self.early_stopping
        self.validation_scores_ = self.task_validation_scores_ = None
        if validates:
            self.validation_scores_ = [epoch.validation_score for epoch in epochs]
            by_task: Any = [epoch.task_scores for epoch in epochs]
            shape = len(epochs), self.n_outputs_
            self.task_validation_scores_ = np.reshape(by_task, shape)
        self.best_validation_score_ = (
            best_validation_score(epochs, by_task=network.n_trunks > 1)
            if validates
            else None
        )
        self.best_loss_ = None if validates else min(self.loss_curve_, default=np.inf)

    def _fitted_attributes(
        self, training_set: TrainingSet, network: TrunkAndHeads, continues: bool
    ) -> dict[str, Any]:
        """What a prediction needs."""
        is_labelled = self._labelled_so_far(training_set, continues)
        attributes = attributes_of(training_set.tasks, network, is_labelled)
        return attributes | {"_columns": training_set.columns}

    def _labelled_so_far(self, training_set: TrainingSet, continues: bool) -> NDArray:
        """(n_tasks,): also in the calls that this one continues."""
        earlier = self._is_labelled if continues else False
        return training_set.is_labelled | earlier

    def _warn_if_still_improving(self, result: TrainingResult) -> None:
        if (
            result.stopped_by == "max_iter"
            and self.learning_rate == "constant"
            and result.epochs
        ):
            warnings.warn(
                f"Maximum number of epochs ({len(result.epochs)}) reached and the "
                "optimization hasn't converged yet. Raise max_iter, or use "
                "learning_rate='cosine', which is made for a fixed number of epochs.",
                ConvergenceWarning,
                stacklevel=4,  # the caller of fit, past scikit-learn's wrapper
            )

    # The prediction ---------------------------------------------------------------

    def _check_for_prediction(self, X: Any) -> Any:
        check_is_fitted(self)
        return check_inputs(self, X, self._columns)[0]

    def _predict_by_group(
        self, X: Any, function: Callable[[Tensor, OutputGroup], Tensor]
    ) -> list[NDArray]:
        X = self._check_for_prediction(X)
        return predict_groups(self.network_, X, self._is_labelled, function)

    def _predict_by_task(
        self, X: Any, function: Callable[[Tensor, OutputGroup], Tensor]
    ) -> list[NDArray]:
        by_group = self._predict_by_group(X, function)
        by_task: dict[int, NDArray] = {}
        for group, outputs in zip(self.network_.groups, by_group, strict=True):
            by_task |= {task: outputs[:, i] for i, task in enumerate(group.tasks)}
        return [by_task[task] for task in range(len(by_task))]

    def _predict_codes(self, X: Any) -> NDArray:
        return np.column_stack(
            self._predict_by_task(X, lambda *args: probabilities(*args).argmax(-1))
        )

    def _predict_classes(
        self,
        X: Any,
        all_classes: Callable[[Tensor, OutputGroup], Tensor],
        positive: Callable[[Tensor, OutputGroup], Tensor],
    ) -> NDArray | list[NDArray]:
        """In the form of `predict_proba`."""
        check_is_fitted(self)
        tasks = self._tasks
        if tasks.is_1d:
            return self._predict_by_task(X, all_classes)[0]
        if (tasks.n_classes == 2).all():
            return self._predict_by_group(X, positive)[0]
        return self._predict_by_task(X, all_classes)


def attributes_of(
    tasks: Tasks, network: TrunkAndHeads, is_labelled: NDArray
) -> dict[str, Any]:
    """All that is said about the tasks."""
    classes = [labels.copy() for labels in tasks.classes]
    return {
        "_tasks": tasks,
        "_is_labelled": is_labelled,
        "task_names_": tasks.names.copy(),
        "classes_": classes[0] if tasks.is_1d else classes,
        "n_outputs_": tasks.n_tasks,
        "network_": network,
    }


@contextlib.contextmanager
def _restored_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Put the attributes back where something fails: no half-trained state."""
    attributes = dict(estimator.__dict__)
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit):
        # Not GeneratorExit, which Python may raise here long after the call.
        estimator.__dict__.clear()
        estimator.__dict__.update(attributes)
        raise


def _seeded_generator(rng: np.random.RandomState) -> torch.Generator:
    return torch.Generator().manual_seed(int(rng.randint(2**31 - 1)))
