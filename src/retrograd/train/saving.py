"""Saving and loading: weights alone, and model directories. Nothing that is read is ever executed.

A model directory holds `weights.safetensors` and `model.json`: how to build the model, the shapes
of its weights, and sections for whoever saves (classes, preprocessing, metrics).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    FileFormatError,
    ModelFileError,
    SaveError,
)
from ..ir import ArrayType
from ..ir.types import DTYPES
from ..nn import Module
from ..trace import Array
from ..version import VERSION
from .architecture import build_model, describe_architecture
from .files import PathLike, replace_directory, write_atomically
from .model_json import damaged_json, decode_json, encode_json, make_plain, take
from .read_files import read_directory_files, read_regular_file
from .weights import (
    StoredWeights,
    check_model,
    check_path,
    collect_arrays,
    decode_weights,
    encode_weights,
    find_ties,
    fit_weights,
)

FORMAT = "retrograd model"
FORMAT_VERSION = 1
MODEL_FILE = "model.json"
WEIGHTS_FILE = "weights.safetensors"

Model = TypeVar("Model", bound=Module)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What `model.json` of a model directory tells, without the weights.

    Args:
        path: the directory.
        format_version: the version of the directory's layout.
        retrograd_version: the version of retrograd that saved it.
        model_class: the name of the model's class.
        needs_into: why `load_model` needs `into=`; None for models of built-in layers.
        arrays: dtype and shape of each Array by path.
        extra: the sections that were given to `save_model`.
    """

    path: Path
    format_version: int
    retrograd_version: str
    model_class: str
    needs_into: str | None
    arrays: dict[str, ArrayType]
    extra: dict[str, Any]


def save_weights(model: Module, path: PathLike) -> None:
    """Write all Arrays of a model (parameters, frozen ones and buffers) to a safetensors file.

    The file is written beside its target and renamed: an earlier file stays whole until then. An
    Array that stands at several paths (tied weights) is written once.

    Args:
        model: an nn.Module.
        path: the file, by custom `*.safetensors`. Its folder is made when missing.

    Raises:
        SaveError: the disk is full or the path cannot be written. The earlier file is untouched.

    Example:
        >>> import os, tempfile, retrograd as rg
        >>> from retrograd import nn
        >>> path = os.path.join(tempfile.mkdtemp(), "w.safetensors")
        >>> rg.save_weights(nn.Linear(2, 3), path)
        >>> rg.load_weights(nn.Linear(2, 3), path)

    Source: the safetensors format, https://github.com/huggingface/safetensors.
    """
    target = check_path(path)
    write_atomically(target, encode_weights(check_model(model)))


def load_weights(model: Module, path: PathLike) -> None:
    """Set all Arrays of a model from a safetensors file; nothing changes unless everything fits.

    Names, shapes and dtypes must be the model's. A leaf that is tied in the model may stand in the
    file once or, with equal values, under each of its paths; it stays tied.

    Args:
        model: an nn.Module with the same layers as the one that was saved.
        path: a file from `save_weights`, or any safetensors file with these names.

    Raises:
        ModelFileError: Arrays are missing, unexpected, or of another shape or dtype.
        FileFormatError: the file is missing, truncated, damaged or of another format.

    Example:
        >>> import os, tempfile, retrograd as rg
        >>> from retrograd import nn
        >>> path = os.path.join(tempfile.mkdtemp(), "w.safetensors")
        >>> first, second = nn.Linear(2, 3), nn.Linear(2, 3)
        >>> rg.save_weights(first, path)
        >>> rg.load_weights(second, path)
        >>> bool((first.weight == second.weight).all())
        True
    """
    check_model(model)
    file = check_path(path)
    stored = decode_weights(read_regular_file(file, "a weights file"), str(file))
    set_weights(model, stored, str(file))


def set_weights(model: Module, stored: StoredWeights, name: str) -> None:
    """Set all Arrays of a model from what a file holds, once everything is known to fit."""
    arrays = collect_arrays(model)
    types = {path: array.type for path, array in arrays.items()}
    values = fit_weights(stored, types, find_ties(arrays), type(model).__name__, name)
    model.replace_arrays({id(arrays[path]): Array(value.copy()) for path, value in values.items()})


def save_model(
    model: Module, path: PathLike, *, extra: dict[str, Any] | None = None, force: bool = False
) -> None:
    """Write a model directory: weights and how to build the model again.

    A model of built-in layers is described completely. Of a model with classes of your own the
    name, shapes and weights are kept; loading it then needs `into=`. The directory appears whole
    or not at all, also if the process is killed; files of other names in it are kept.

    Args:
        model: an nn.Module.
        path: the directory. An existing one is replaced if it is empty or a model directory.
        extra: sections to keep beside the model, such as `{"classes": ["cat", "dog"]}`: plain
            values, as JSON holds them (tuples come back as lists).
        force: replace `path` also if it holds other files (they are kept) and no model.

    Raises:
        SaveError: the disk is full, the path cannot be written or is something else. What was
            there before is untouched.
        ArgumentError, ArgumentTypeError: `extra` holds what JSON cannot.

    Example:
        >>> import os, tempfile, retrograd as rg
        >>> from retrograd import nn
        >>> path = os.path.join(tempfile.mkdtemp(), "model")
        >>> rg.save_model(nn.Linear(2, 3), path, extra={"classes": ["a", "b", "c"]})
        >>> rg.load_model(path)
        Linear(...)
        >>> rg.load_model_info(path).extra
        {'classes': ['a', 'b', 'c']}
    """
    target = check_path(path)
    arrays = collect_arrays(check_model(model))
    if extra is not None and not isinstance(extra, dict):
        raise ArgumentTypeError(
            f"extra is a dict of sections, received {type(extra).__name__}.",
            fix='for example extra={"classes": ["cat", "dog"]}',
        )
    manifest = encode_json(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "retrograd_version": VERSION,
            "architecture": describe_architecture(model),
            "arrays": {
                path: {"dtype": array.type.dtype.name, "shape": list(array.type.shape)}
                for path, array in arrays.items()
            },
            "extra": make_plain({} if extra is None else extra, "extra", depth=1),
        }
    )
    weights = encode_weights(model)
    if not force:
        _refuse_foreign(target)
    with replace_directory(target, marker=MODEL_FILE, force=force) as fresh:
        (fresh / WEIGHTS_FILE).write_bytes(weights)
        (fresh / MODEL_FILE).write_bytes(manifest)


def _refuse_foreign(target: Path) -> None:
    """An existing model.json must be one of ours, whole or not."""
    try:
        start = (target / MODEL_FILE).read_bytes()[:200]
    except OSError:
        return
    if FORMAT.encode() not in start:
        raise SaveError(
            f"{str(target)!r} holds a {MODEL_FILE} that retrograd did not write.",
            fix="choose a new directory, or pass force=True to replace it",
        )


def load_model(path: PathLike, *, into: Model | None = None) -> Any:
    """Read a model directory that `save_model` wrote.

    Args:
        path: the directory.
        into: a model of the same layers, needed when it has classes of your own. Its Arrays are
            set; nothing changes unless everything fits.

    Returns:
        The model: `into` if it was given, else a new one, frozen and in training or evaluation
        mode as it was when saved.

    Raises:
        ArgumentError: the model has classes of your own and `into` was not given.
        ModelFileError: the weights do not fit `into`.
        FileFormatError: not a model directory, damaged, or written by a newer version.

    Example:
        >>> import os, tempfile, retrograd as rg
        >>> from retrograd import nn
        >>> path = os.path.join(tempfile.mkdtemp(), "model")
        >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
        >>> rg.save_model(model, path)
        >>> x = rg.array([[1.0, 2.0]])
        >>> bool((rg.load_model(path)(x) == model(x)).all())
        True
    """
    if into is not None:
        check_model(into)
    directory = check_path(path)
    files = read_directory_files(directory, (MODEL_FILE, WEIGHTS_FILE), "a model directory")
    name = str(directory / MODEL_FILE)
    manifest = _decode_manifest(files[MODEL_FILE], name)
    info = _describe_manifest(manifest, directory, name)
    if into is None and info.needs_into is not None:
        raise ArgumentError(
            f"{str(directory)!r} cannot be built by itself: {info.needs_into}.",
            fix="build the model and pass it: "
            f"rg.load_model({str(directory)!r}, into={info.model_class}(...)), "
            "with the same arguments as when it was saved",
        )
    weights_name = str(directory / WEIGHTS_FILE)
    stored = decode_weights(files[WEIGHTS_FILE], weights_name)
    _check_belongs(stored, info, weights_name)
    if into is not None:
        set_weights(into, stored, weights_name)
        return into
    shapes = {path: type.shape for path, type in info.arrays.items()}
    model = build_model(manifest["architecture"], shapes, name)
    fresh = {path: Array(value) for path, value in stored.arrays.items()}
    model.replace_arrays(
        {
            id(array): fresh[path if path in fresh else stored.tied[path]]
            for path, array in collect_arrays(model).items()
        }
    )
    return model


def load_model_info(path: PathLike) -> ModelInfo:
    """What a model directory tells about itself: versions, class, shapes, and your sections.

    Args:
        path: a directory that `save_model` wrote.

    Raises:
        FileFormatError: not a model directory, damaged, or written by a newer version.

    Example:
        >>> import os, tempfile, retrograd as rg
        >>> from retrograd import nn
        >>> path = os.path.join(tempfile.mkdtemp(), "model")
        >>> rg.save_model(nn.Linear(2, 3), path)
        >>> rg.load_model_info(path).model_class
        'Linear'
    """
    directory = check_path(path)
    files = read_directory_files(directory, (MODEL_FILE,), "a model directory")
    name = str(directory / MODEL_FILE)
    return _describe_manifest(_decode_manifest(files[MODEL_FILE], name), directory, name)


def _decode_manifest(data: bytes, name: str) -> dict[str, Any]:
    manifest = decode_json(data, name)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FileFormatError(
            f"{name!r} was not written by retrograd.", fix="give a directory of rg.save_model"
        )
    version = take(manifest, "format_version", int, name, lambda value: value >= 1)
    if version > FORMAT_VERSION:
        written_by = manifest.get("retrograd_version")
        raise FileFormatError(
            f"{name!r} has format version {version}; this retrograd ({VERSION}) reads "
            f"versions up to {FORMAT_VERSION}. It was written by retrograd {written_by!r:.40}.",
            fix="upgrade: pip install --upgrade retrograd",
        )
    return manifest


def _describe_manifest(manifest: dict[str, Any], directory: Path, name: str) -> ModelInfo:
    architecture = take(manifest, "architecture", dict, name)
    needs_into = None
    if "root" not in architecture:
        needs_into = take(architecture, "reason", str, name)
    model_class = take(architecture, "class", str, name)
    if not re.fullmatch(r"[^\W\d]\w*", model_class):
        raise damaged_json(name, f"{model_class!r:.60} is not the name of a class")
    arrays = {}
    for path, entry in take(manifest, "arrays", dict, name).items():
        dtype = take(entry, "dtype", str, name, DTYPES.__contains__)
        shape = take(entry, "shape", list, name, _is_shape)
        arrays[path] = ArrayType(DTYPES[dtype], tuple(shape))
    return ModelInfo(
        directory,
        manifest["format_version"],
        take(manifest, "retrograd_version", str, name),
        model_class,
        needs_into,
        arrays,
        take(manifest, "extra", dict, name),
    )


def _is_shape(value: list[Any]) -> bool:
    return all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in value)


def _check_belongs(stored: StoredWeights, info: ModelInfo, name: str) -> None:
    """The weights file has the Arrays that model.json lists."""
    found = {path: stored.describe(path) for path in [*stored.arrays, *stored.foreign]}
    for path, first in stored.tied.items():
        if first in stored.arrays:
            found.setdefault(path, found[first])
    wanted = {path: str(type) for path, type in info.arrays.items()}
    for path in [*wanted, *found]:
        if wanted.get(path) != found.get(path):
            raise ModelFileError(
                f"{name!r} does not belong to the {MODEL_FILE} beside it: {path!r} is "
                f"{found.get(path, 'missing')}, expected {wanted.get(path, 'nothing')}.",
                fix="copy the whole directory again, or save the model again",
            )
