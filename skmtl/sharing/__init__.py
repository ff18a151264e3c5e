"""How tasks share layers.

The `sharing` parameter of `MultiTaskNetClassifier` takes one of these objects, or the
name of one: "hard" for `HardSharing`, "none" for `NoSharing`.
"""

from skmtl.sharing._hard import HardSharing, NoSharing

__all__ = ["HardSharing", "NoSharing"]
