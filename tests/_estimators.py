"""A classifier for tests, and how to compare two."""

from numpy.testing import assert_array_equal

from skmtl import MultiTaskNetClassifier


def classifier(**changes):
    """A plain and quick network: one layer, no dropout, one member, few epochs."""
    settings = {
        "hidden_layer_sizes": (100,),
        "solver": "adam",
        "alpha": 1e-4,
        "dropout": 0.0,
        "input_dropout": 0.0,
        "n_members": 1,
        "n_bins": 8,
        "batch_size": 200,
        "learning_rate_init": 1e-3,
        "max_iter": 15,
        "random_state": 0,
    }
    return MultiTaskNetClassifier(**(settings | changes))


def small_network(*sizes, **changes):
    """Numbers as they are, no dropout, and steps for a few hundred rows."""
    settings = {
        "n_members": 1,
        "max_iter": 40,
        "batch_size": 32,
        "dropout": 0.0,
        "input_dropout": 0.0,
        "input_encoding": "none",
        "learning_rate_init": 0.01,
    }
    return MultiTaskNetClassifier(sizes, **(settings | changes))


def parameters_of(clf):
    return [p.detach().cpu().numpy() for p in clf.network_.parameters()]


def assert_same_parameters(one, other):
    for a, b in zip(parameters_of(one), parameters_of(other), strict=True):
        assert_array_equal(a, b)


class AtEpoch:
    """A callback that does something at the end of one epoch."""

    def __init__(self, epoch, action):
        self.epoch = epoch
        self.action = action

    def setup(self, estimator, context):
        self.hooks = []

    def teardown(self, estimator, context):
        self.hooks.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.hooks.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.hooks.append(("end", context.task_name))
        if context.task_name == "epoch" and context.task_id == self.epoch:
            return self.action()
        return False
