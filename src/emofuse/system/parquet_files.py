"""Parquet files that others may have written: what is wrong with one, in words."""

from __future__ import annotations

import os


def parquet_problem(error: Exception) -> str:
    """Why a Parquet file cannot be read, from an error of pyarrow, whose text names its own parts."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return "it is damaged, or no Parquet file"
