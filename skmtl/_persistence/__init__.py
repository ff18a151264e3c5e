"""`save` and `load`, and the checks of the content of a file."""

from skmtl._persistence._save_load import load, read_model, save, write_model

__all__ = ["load", "read_model", "save", "write_model"]
