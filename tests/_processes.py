"""Work for other processes, in a file that they can import."""

import pickle


def fit(clf, X, Y):
    """The fitted classifier and its probabilities."""
    clf.fit(X, Y)
    return clf, clf.predict_proba(X)


def predict(clf, X, Y):
    """The probabilities, the labels' accuracy and the trunk's features."""
    return clf.predict_proba(X), clf.score(X, Y), clf.transform(X)


def answer(connection, work, args):
    """Send what the work gives, or the error, as bytes.

    Tensors as such would be shared, with a process that has ended.
    """
    try:
        result = work(*args)
    except Exception as error:
        result = error
    connection.send_bytes(pickle.dumps(result))
