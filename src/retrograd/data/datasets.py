"""Ready-made data sets: NumPy arrays of images and labels, as they were published."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import overload

import numpy as np

from retrograd.data.idx import read_idx
from retrograd.data.split import check_fraction, check_seed, stratified_split
from retrograd.errors import ArgumentTypeError, DataError, FileFormatError

__all__ = ["digits", "fashion_mnist"]

Split = tuple[np.ndarray, np.ndarray]

_DIGITS_FILE = "digits.npz"
_DIGITS_ROWS = 1797


@overload
def digits() -> Split: ...
@overload
def digits(test_fraction: None, seed: int = 0) -> Split: ...
@overload
def digits(test_fraction: float, seed: int = 0) -> tuple[Split, Split]: ...
def digits(test_fraction: float | None = None, seed: int = 0) -> Split | tuple[Split, Split]:
    """The 1,797 handwritten digits of 8x8 pixels that ship with retrograd; no download.

    Each pixel counts the dark points in a 4x4 block of a 32x32 scan: 0 is paper, 16 is ink. The
    rows come in the published order.

    Args:
        test_fraction: None for all rows together; else the share of rows, above 0 and below 1, that
            is put aside at random for a test, with the same share of each digit.
        seed: which rows are put aside; the same seed gives the same rows.

    Returns:
        `(x, y)`: images, uint8 (1797, 8, 8) with values 0 to 16, and labels, int64 (1797,) from 0
        to 9.
        With `test_fraction`: `((x, y), (x_test, y_test))`.

    Raises:
        ArgumentError: a fraction outside 0 to 1, or a seed that is not a whole number from 0.
        FileFormatError: the installed file is damaged.

    Example:
        >>> x, y = digits()
        >>> x.shape, x.dtype, y.shape, y.dtype
        ((1797, 8, 8), dtype('uint8'), (1797,), dtype('int64'))
        >>> (x, y), (x_test, y_test) = digits(test_fraction=0.2, seed=0)
        >>> len(x), len(x_test)
        (1438, 359)

    Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998, https://doi.org/10.24432/C50P49 (its test part), CC BY 4.0.
    """
    if test_fraction is not None:
        check_fraction(test_fraction, "test_fraction")
    check_seed(seed)
    x, y = _read_digits()
    if test_fraction is None:
        return x, y
    train_rows, test_rows = stratified_split(y, test_fraction, seed)
    return (x[train_rows], y[train_rows]), (x[test_rows], y[test_rows])


def _read_digits() -> Split:
    file = resources.files("retrograd.data").joinpath("files", _DIGITS_FILE)
    try:
        # Without pickles reading an .npz file executes nothing: it is a zip of plain arrays.
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            x, y = arrays["images"], arrays["labels"].astype(np.int64)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise FileFormatError(
            f"{file}: expected the digits that ship with retrograd, but the file cannot be read: "
            f"{error}.",
            fix="Install retrograd again: pip install --force-reinstall retrograd",
        ) from error
    if x.shape != (_DIGITS_ROWS, 8, 8) or x.dtype != np.uint8 or y.shape != (_DIGITS_ROWS,):
        raise FileFormatError(
            f"{file}: expected uint8 images ({_DIGITS_ROWS}, 8, 8) and labels ({_DIGITS_ROWS},), "
            f"found {x.dtype} {x.shape} and {y.shape}.",
            fix="Install retrograd again: pip install --force-reinstall retrograd",
        )
    return x, y


@dataclass(frozen=True, slots=True)
class _RemoteFile:
    """A published file: its name, its shape when read, and what its bytes must be."""

    name: str
    shape: tuple[int, ...]
    size: int
    sha256: str


_FASHION_ADDRESS = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_FASHION_FILES = (
    _RemoteFile(
        "train-images-idx3-ubyte",
        (60_000, 28, 28),
        26_421_880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    _RemoteFile(
        "train-labels-idx1-ubyte",
        (60_000,),
        29_515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    _RemoteFile(
        "t10k-images-idx3-ubyte",
        (10_000, 28, 28),
        4_422_102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    _RemoteFile(
        "t10k-labels-idx1-ubyte",
        (10_000,),
        5_148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
)
_FASHION_CLASSES = 10
_OFFLINE_FIX = (
    "get the four files (train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, "
    "t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz) in another way and pass their folder: "
    'fashion_mnist("FOLDER").'
)


def fashion_mnist(path: str | os.PathLike[str] | None = None) -> tuple[Split, Split]:
    """Fashion-MNIST: 70,000 grey images of 28x28 pixels of ten kinds of clothes.

    The classes are 0 T-shirt/top, 1 Trouser, 2 Pullover, 3 Dress, 4 Coat, 5 Sandal, 6 Shirt, 7
    Sneaker, 8 Bag, 9 Ankle boot. MNIST itself has files of the same names and shapes, which are
    read as well.

    Args:
        path: the folder with the four IDX files, plain or compressed with gzip (`.gz`). If None,
            they are downloaded once (30 MB), checked by SHA-256 and kept in
            `$RETROGRAD_DATA/fashion-mnist`, or without that variable in the user's cache,
            `~/.cache/retrograd/data/fashion-mnist`.

    Returns:
        `((x, y), (x_test, y_test))`: images, uint8 (60000, 28, 28) and (10000, 28, 28) with values
        0 to 255, and labels, int64 (60000,) and (10000,) from 0 to 9.

    Raises:
        DataError: the folder or one of its files is missing or cannot be read.
        FileFormatError: a file is truncated, damaged, or of another kind, shape or range.
        DownloadError: the files cannot be downloaded, or arrived damaged.
        SaveError: the cache folder cannot be written.

    Example:
        >>> (x, y), (x_test, y_test) = fashion_mnist("data/fashion")  # doctest: +SKIP

    Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking
    Machine Learning Algorithms", 2017, https://arxiv.org/abs/1708.07747, MIT licence.
    """
    if path is None:
        paths = _download_fashion_mnist()
    else:
        paths = _find_files(path, [file.name for file in _FASHION_FILES])
    arrays = [
        read_idx(file_path, shape=file.shape, dtype=np.uint8)
        for file, file_path in zip(_FASHION_FILES, paths, strict=True)
    ]
    x, y, x_test, y_test = arrays
    return (x, _check_labels(y, paths[1])), (x_test, _check_labels(y_test, paths[3]))


def _download_fashion_mnist() -> list[Path]:
    # Here, as the network modules of Python take as long to import as all of retrograd.
    from retrograd.data.download import download_file, find_cache_folder

    folder = find_cache_folder("fashion-mnist")
    return [
        download_file(
            f"{_FASHION_ADDRESS}{file.name}.gz",
            folder / f"{file.name}.gz",
            sha256=file.sha256,
            size=file.size,
            offline_fix=_OFFLINE_FIX,
        )
        for file in _FASHION_FILES
    ]


def _find_files(path: str | os.PathLike[str], names: list[str]) -> list[Path]:
    """The files of these names in a folder, each plain or with the ending .gz."""
    try:
        folder = Path(path).expanduser()
    except TypeError:
        raise ArgumentTypeError(
            f"expected path as the name of a folder, received {type(path).__name__}.",
            fix='Pass for example fashion_mnist("data/fashion").',
        ) from None
    if not folder.is_dir():
        kind = "a file" if folder.exists() else "nothing"
        raise DataError(
            f"{folder}: expected a folder with the files {', '.join(names)} (plain or .gz), "
            f"found {kind}.",
            fix="Pass the folder that holds the files, or no path to download them.",
        )
    found: list[Path] = []
    for name in names:
        candidates = [folder / name, folder / f"{name}.gz"]
        present = [candidate for candidate in candidates if candidate.is_file()]
        if not present:
            raise DataError(
                f"{folder}: expected the file {name} or {name}.gz, found neither.",
                fix="Pass the folder that holds all four files, or no path to download them.",
            )
        found.append(present[0])
    return found


def _check_labels(labels: np.ndarray, path: Path) -> np.ndarray:
    """The labels as int64, or an error when one is not a class."""
    outside = np.flatnonzero(labels >= _FASHION_CLASSES)
    if len(outside):
        raise FileFormatError(
            f"{path}: expected labels from 0 to {_FASHION_CLASSES - 1}, found "
            f"{labels[outside[0]]} at position {outside[0]}.",
            fix="Replace the file with a fresh copy.",
        )
    return labels.astype(np.int64)
