"""How tasks share layers.

The `sharing` parameter of the estimators takes one of these objects, or its name:
"hard" for `HardSharing`, "none" for `NoSharing`.
"""

from skmtl.sharing._hard import HardSharing, NoSharing

__all__ = ["HardSharing", "NoSharing"]
