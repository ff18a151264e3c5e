"""save and load, and the checks of what a file holds."""

from skmtl._persistence._save_load import load, save

__all__ = ["load", "save"]
