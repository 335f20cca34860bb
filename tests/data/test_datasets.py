"""The data sets: right content, and a clear error for every damaged, foreign or missing file."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from retrograd.config import get_config
from retrograd.data import datasets
from retrograd.errors import (
    ArgumentError,
    ArgumentTypeError,
    DataError,
    DownloadError,
    FileFormatError,
)
from tests.data.helpers import Server, make_idx


def test_digits_are_the_published_ones() -> None:
    x, y = datasets.digits()
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((1797, 8, 8), np.uint8, (1797,), np.int64)
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert x[0].tolist()[0] == [0, 0, 5, 13, 9, 1, 0, 0]
    digest = hashlib.sha256(x.tobytes() + y.astype("<i8").tobytes()).hexdigest()
    assert digest == "65e5b4619795efb40c1082f4c350c049e4ad552200d369b6ae99e21eef5e72c5"


def test_digits_split_is_stratified_complete_and_repeatable() -> None:
    x, y = datasets.digits()
    (x_train, y_train), (x_test, y_test) = datasets.digits(test_fraction=0.2, seed=3)
    assert len(x_train) == len(y_train) == 1438 and len(x_test) == len(y_test) == 359
    assert np.abs(np.bincount(y_test) - 0.2 * np.bincount(y)).max() < 1
    both = np.concatenate([x_train.reshape(-1, 64), x_test.reshape(-1, 64)])
    labelled = np.column_stack([both, np.concatenate([y_train, y_test])])
    original = np.column_stack([x.reshape(-1, 64), y])
    assert sorted(map(tuple, labelled.tolist())) == sorted(map(tuple, original.tolist()))
    again = datasets.digits(test_fraction=0.2, seed=3)
    assert np.array_equal(again[1][0], x_test)
    assert not np.array_equal(datasets.digits(test_fraction=0.2, seed=4)[1][0], x_test)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan"), True, "0.2", [0.2]])
def test_digits_refuses_a_wrong_fraction(fraction: float) -> None:
    with pytest.raises(ArgumentError, match="test_fraction as a number above 0 and below 1"):
        datasets.digits(test_fraction=fraction)


@pytest.mark.parametrize("seed", [-1, 0.5, True, "0", None])
def test_digits_refuses_a_wrong_seed(seed: int) -> None:
    with pytest.raises(ArgumentError, match="seed as a whole number"):
        datasets.digits(test_fraction=0.2, seed=seed)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 broken"])
def test_digits_tells_of_a_damaged_installation(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "digits.npz").write_bytes(content)
    monkeypatch.setattr("retrograd.data.datasets.resources.files", lambda package: tmp_path)
    with pytest.raises(FileFormatError, match="digits.npz"):
        datasets.digits()


def test_digits_never_unpickles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "files").mkdir()
    harmful = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "files" / "digits.npz", images=harmful, labels=harmful)
    monkeypatch.setattr("retrograd.data.datasets.resources.files", lambda package: tmp_path)
    with pytest.raises(FileFormatError, match="allow_pickle"):
        datasets.digits()


def make_small_gzip(content: bytes) -> bytes:
    return gzip.compress(content, compresslevel=1, mtime=0)


@pytest.fixture(scope="module")
def fashion_files() -> dict[str, bytes]:
    """Four files of the right shapes: image i is filled with i, label i is i modulo 10."""
    contents: dict[str, bytes] = {}
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        values = (np.arange(count) % 256).astype(np.uint8)
        images = np.broadcast_to(values[:, None, None], (count, 28, 28))
        contents[f"{part}-images-idx3-ubyte.gz"] = make_small_gzip(make_idx(images))
        labels = (np.arange(count) % 10).astype(np.uint8)
        contents[f"{part}-labels-idx1-ubyte.gz"] = make_small_gzip(make_idx(labels))
    return contents


@pytest.fixture
def fashion_folder(fashion_files: dict[str, bytes], tmp_path: Path) -> Path:
    folder = tmp_path / "fashion"
    folder.mkdir()
    for name, content in fashion_files.items():
        (folder / name).write_bytes(content)
    return folder


def check_fashion(result: object) -> None:
    (x, y), (x_test, y_test) = result  # type: ignore[misc]
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((60_000, 28, 28), np.uint8, (60_000,), np.int64)
    assert (x_test.shape, y_test.shape) == ((10_000, 28, 28), (10_000,))
    assert x[513, 3, 4] == 1 and y[513] == 3 and x_test[700, 27, 27] == 188 and y_test[9_999] == 9


def test_fashion_mnist_from_plain_and_compressed_files(fashion_folder: Path) -> None:
    compressed = fashion_folder / "t10k-images-idx3-ubyte.gz"
    compressed.with_suffix("").write_bytes(gzip.decompress(compressed.read_bytes()))
    compressed.unlink()
    check_fashion(datasets.fashion_mnist(fashion_folder))
    check_fashion(datasets.fashion_mnist(str(fashion_folder)))


def test_fashion_mnist_wrong_files(fashion_folder: Path) -> None:
    labels = fashion_folder / "train-labels-idx1-ubyte.gz"
    good = labels.read_bytes()
    numbers = (np.arange(60_000) % 10).astype(np.uint8)
    labels.write_bytes(make_small_gzip(make_idx(numbers[:-1])))
    with pytest.raises(FileFormatError, match=r"train-labels.*shape \(60000,\), found \(59999,\)"):
        datasets.fashion_mnist(fashion_folder)
    numbers[77] = 10
    labels.write_bytes(make_small_gzip(make_idx(numbers)))
    with pytest.raises(FileFormatError, match="labels from 0 to 9, found 10 at position 77"):
        datasets.fashion_mnist(fashion_folder)
    labels.write_bytes(good)
    images, test_images = (
        fashion_folder / f"{part}-images-idx3-ubyte.gz" for part in ("train", "t10k")
    )
    images.write_bytes(test_images.read_bytes())
    with pytest.raises(FileFormatError, match=r"train-images.*\(60000, 28, 28\), found \(10000"):
        datasets.fashion_mnist(fashion_folder)
    images.unlink()
    with pytest.raises(DataError, match="expected the file train-images-idx3-ubyte or"):
        datasets.fashion_mnist(fashion_folder)


def test_fashion_mnist_wrong_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder .* found nothing"):
        datasets.fashion_mnist(tmp_path / "absent")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(DataError, match="expected a folder .* found a file"):
        datasets.fashion_mnist(tmp_path / "file")
    with pytest.raises(ArgumentTypeError, match="name of a folder, received int"):
        datasets.fashion_mnist(3)  # type: ignore[arg-type]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("RETROGRAD_DATA", str(tmp_path / "cache"))
    get_config.cache_clear()
    yield tmp_path / "cache"
    get_config.cache_clear()


def test_fashion_mnist_downloads_once(
    server: Server,
    cache: Path,
    fashion_files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.files.update(fashion_files)
    monkeypatch.setattr(datasets, "_FASHION_ADDRESS", server.address)
    with pytest.raises(
        DownloadError, match="the download is damaged, or the file has changed"
    ) as caught:
        datasets.fashion_mnist()  # these are not the published files
    assert 'fashion_mnist("FOLDER")' in str(caught.value)
    made = tuple(
        datasets._RemoteFile(
            file.name, file.shape, len(content), hashlib.sha256(content).hexdigest()
        )
        for file in datasets._FASHION_FILES
        for content in [fashion_files[f"{file.name}.gz"]]
    )
    monkeypatch.setattr(datasets, "_FASHION_FILES", made)
    server.requests.clear()
    check_fashion(datasets.fashion_mnist())
    assert sorted(server.requests) == sorted(fashion_files)
    assert sorted(item.name for item in (cache / "fashion-mnist").iterdir()) == sorted(
        fashion_files
    )
    server.files.clear()
    check_fashion(datasets.fashion_mnist())
    assert len(server.requests) == 4
