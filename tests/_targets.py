"""y of classes as codes, and back."""

from skmtl._targets import decode, encode


def encode_targets(y, **settings):
    """The tasks and the codes (n_samples, n_tasks)."""
    encoded = encode(y, "class", **settings)
    return encoded.tasks, encoded.codes


def decode_targets(codes, tasks):
    return decode(list(codes.T), tasks)
