"""Predictions in files: Parquet, CSV and TSV, block by block, whole or not at all."""

from skmtl._prediction_files._write import write_predictions

__all__ = ["write_predictions"]
