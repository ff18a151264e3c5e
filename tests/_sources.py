"""Columns of the table that is read block by block in tests."""

FEATURES, LABELS = ["a", "b", "k", "i"], ["y", "z"]
