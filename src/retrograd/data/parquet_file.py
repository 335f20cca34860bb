"""Parquet files, read with polars (the `tables` extra)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from retrograd.errors import DataError, FileFormatError, MissingDependencyError


def read_parquet(path: str) -> tuple[dict[str, Any], str]:
    """The columns of a Parquet file as arrays and lists by name, and the name of the file.

    Raises:
        MissingDependencyError: polars is not installed.
        FileFormatError: the file is truncated or damaged.
        DataError: a column of lists, structs or binary data.
    """
    try:
        import polars
    except ImportError:
        raise MissingDependencyError("polars", "tables", "Reading Parquet files") from None
    source = os.path.basename(path)
    try:
        frame = polars.read_parquet(path)
    except Exception as error:  # polars raises many kinds for a damaged file, panics included
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(
            f"{path!r} cannot be read as a Parquet file: {text}.",
            fix="Write the file again: it is truncated or damaged.",
        ) from None
    return {name: _convert_column(polars, frame[name], source) for name in frame.columns}, source


def _convert_column(polars: Any, series: Any, source: str) -> Any:
    dtype = series.dtype
    if dtype.is_integer():
        if series.null_count() == 0:
            return series.to_numpy()
        return series.to_list()
    if dtype.is_float() or dtype.is_decimal():
        return series.cast(polars.Float64).fill_null(np.nan).to_numpy()
    if dtype == polars.Date or isinstance(dtype, polars.Datetime):
        if isinstance(dtype, polars.Datetime) and dtype.time_zone:
            series = series.dt.replace_time_zone(None)  # the clock as written
        values = series.cast(polars.Datetime("us")).cast(polars.Int64)
        ticks = values.fill_null(np.iinfo(np.int64).min).to_numpy()  # that integer is NaT
        return ticks.astype("datetime64[us]")
    if dtype == polars.Null:
        return np.full(len(series), np.nan)
    if dtype == polars.Boolean:
        return ["True" if value else None if value is None else "False" for value in series]
    if dtype.is_nested() or dtype in (polars.Binary, polars.Object):
        raise DataError(
            f"Column {series.name!r} of {source} holds values of the type {dtype}.",
            fix="Keep numbers, texts, booleans and dates, and leave the column out.",
        )
    return series.cast(polars.String).to_list()
