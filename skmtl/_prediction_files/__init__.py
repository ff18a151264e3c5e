"""Write predictions to Parquet, CSV and TSV files, block by block."""

from skmtl._prediction_files._write import write_predictions

__all__ = ["write_predictions"]
