"""The weights file: the Arrays of a model by their paths, in the safetensors format.

An Array that stands at several paths (a tied leaf) is written once, under its first path; the
metadata of the file says which other paths it has. A checksum in the metadata covers all values, so
that a damaged file is never loaded.

Source: the safetensors format, https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentTypeError, FileFormatError, ModelFileError
from ..ir import ArrayType
from ..ir.types import DTYPES
from ..nn import Module
from ..trace import Array, NumpyArray
from ..tree import Stateful, flatten, open_container, paths

STORED_DTYPES = {
    "F32": DTYPES["float32"],
    "F64": DTYPES["float64"],
    "I32": DTYPES["int32"],
    "I64": DTYPES["int64"],
    "U8": DTYPES["uint8"],
    "U32": DTYPES["uint32"],
    "BOOL": DTYPES["bool"],
}
RESERVED_NAME = "__metadata__"
SHOWN = 10
FOREIGN_FORMATS = {
    b"PK\x03\x04": "a ZIP archive (PyTorch's .pt, Keras' .keras or NumPy's .npz)",
    b"\x80": "a Python pickle, which could run any program: it is never opened",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a NumPy .npy file",
    b"\x1f\x8b": "a gzip archive",
}


@dataclass(frozen=True, slots=True)
class StoredWeights:
    """What a weights file holds.

    Args:
        arrays: the values by path; of a tied leaf only the first path.
        tied: for each further path of a tied leaf, the path under which it is stored.
        foreign: dtypes that retrograd does not have, by path, as (dtype name, shape).
    """

    arrays: dict[str, NumpyArray]
    tied: dict[str, str] = field(default_factory=dict)
    foreign: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)

    def describe(self, path: str) -> str:
        if path in self.foreign:
            dtype, shape = self.foreign[path]
            return f"{dtype}[{','.join(map(str, shape))}]"
        array = self.arrays[path]
        return str(ArrayType(array.dtype, array.shape))


def check_model(model: Any) -> Module:
    """The model, if it is one."""
    if not isinstance(model, Module):
        raise ArgumentTypeError(
            f"Expected a model (an nn.Module), received {type(model).__name__}.",
            fix="pass the model itself, for example rg.save_weights(model, 'w.safetensors')",
        )
    return model


def check_path(path: Any) -> Path:
    """The path, if it can be one."""
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentTypeError(f"Expected a path, received {type(path).__name__}.")
    text = os.fspath(path)
    if not isinstance(text, str) or not text or "\0" in text:
        raise ArgumentError(f"{text!r} is not a path.", fix="give the name of a file or folder")
    return Path(text)


def collect_arrays(model: Module) -> dict[str, Array]:
    """All Arrays of a model by path, tied ones at each of theirs.

    Raises:
        ArgumentError: two Arrays have the same path, so that one of them would be lost.
    """
    state = model.state()
    names, leaves = paths(state), flatten(state)[0]
    found = dict(zip(names, leaves, strict=True))
    kept = {id(array) for array in found.values()}
    lost = [path for path, array in _walk(model) if id(array) not in kept]
    for path in [*lost, *(name for name in names if names.count(name) > 1)][:1]:
        raise ArgumentError(
            f"Two Arrays of the model have the path {path!r}, so that one would be lost.",
            fix="use keys without dots, and not both a number and its text, in the model's dicts",
        )
    for name in found:
        if name == RESERVED_NAME or not name.isprintable():
            raise ArgumentError(
                f"An Array of the model has the path {name!r}, which cannot be a name in a file.",
                fix="use a printable name",
            )
    return found


def _walk(model: Module) -> list[tuple[str, Array]]:
    """Every Array in the attributes of a model, also those whose paths collide."""
    found: list[tuple[str, Array]] = []

    def visit(value: Any, path: str) -> None:
        if isinstance(value, Array):
            found.append((path, value))
            return
        container = None if isinstance(value, Stateful) else open_container(value)
        if container is not None:
            for name, child in zip(container.names, container.children, strict=True):
                visit(child, f"{path}.{name}")

    for path, module in model.modules():
        for name, value, _ in module.state_items():
            visit(value, f"{path}.{name}" if path else name)
    return found


def find_ties(arrays: dict[str, Array]) -> dict[str, str]:
    """For each further path of a tied leaf, its first path."""
    first: dict[int, str] = {}
    ties = {}
    for path, array in arrays.items():
        owner = first.setdefault(id(array), path)
        if owner != path:
            ties[path] = owner
    return ties


def encode_weights(model: Module) -> bytes:
    """The contents of the weights file of a model."""
    return encode_arrays(collect_arrays(model))


def encode_arrays(arrays: dict[str, Array]) -> bytes:
    """The contents of a weights file with these Arrays; one at several paths is written once."""
    import safetensors.numpy

    ties = find_ties(arrays)
    values = {
        path: np.asarray(array.concrete(), order="C")
        for path, array in arrays.items()
        if path not in ties
    }
    tied = json.dumps(ties, sort_keys=True)
    metadata = {"format": "retrograd", "tied": tied, "sha256": compute_digest(values, tied)}
    return _order_metadata(safetensors.numpy.save(values, metadata=metadata), metadata)


def _order_metadata(data: bytes, metadata: dict[str, str]) -> bytes:
    """The same file with the metadata in this order: safetensors writes them in a random one."""
    end = 8 + int.from_bytes(data[:8], "little")
    entries = {**json.loads(data[8:end]), "__metadata__": metadata}
    header = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the values begin at a multiple of 8 bytes
    return b"".join([len(header).to_bytes(8, "little"), header, memoryview(data)[end:]])


def compute_digest(values: dict[str, NumpyArray], tied: str) -> str:
    """The checksum over names, dtypes, shapes, values and ties."""
    digest = hashlib.sha256(json.dumps(tied).encode())
    for path in sorted(values):
        value = values[path]
        digest.update(json.dumps([path, value.dtype.name, list(value.shape)]).encode())
        digest.update(np.asarray(value, order="C").reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def decode_weights(data: bytes, name: str) -> StoredWeights:
    """The Arrays in the contents of a weights file.

    Args:
        data: the contents.
        name: the path of the file, for messages.

    Raises:
        FileFormatError: it is truncated, damaged or of another format.
    """
    import safetensors

    header = _check_header(data, name)
    try:
        entries = safetensors.deserialize(data)
    except Exception as error:  # whatever the parser throws at foreign bytes
        raise _damaged(name, str(error)) from error
    arrays: dict[str, NumpyArray] = {}
    foreign: dict[str, tuple[str, tuple[int, ...]]] = {}
    for path, entry in entries:
        shape = tuple(entry["shape"])
        dtype = STORED_DTYPES.get(entry["dtype"])
        if dtype is None:
            foreign[path] = (entry["dtype"], shape)
            continue
        raw = np.frombuffer(entry["data"], np.uint8)
        if dtype.kind == "b" and raw.size and raw.max() > 1:
            raise _damaged(name, f"{path!r} holds bytes that are neither true nor false")
        try:
            arrays[path] = raw.view(dtype.newbyteorder("<")).astype(dtype).reshape(shape)
        except (ValueError, OverflowError) as error:
            raise _damaged(name, f"{path!r}: {error}") from error
    metadata = header.get(RESERVED_NAME, {})
    if metadata.get("format") != "retrograd":
        return StoredWeights(arrays, {}, foreign)
    tied = metadata.get("tied", "")
    if foreign or metadata.get("sha256") != compute_digest(arrays, tied):
        raise _damaged(name, "its checksum does not match its contents")
    return StoredWeights(arrays, _decode_ties(tied, name), foreign)


def _decode_ties(text: str, name: str) -> dict[str, str]:
    try:
        tied = json.loads(text)
    except (ValueError, RecursionError):
        tied = None
    if not isinstance(tied, dict) or not all(isinstance(first, str) for first in tied.values()):
        raise _damaged(name, "its list of tied arrays makes no sense")
    return tied


def _check_header(data: bytes, name: str) -> dict[str, Any]:
    """The header of a safetensors file, or an error that tells what the file is instead."""
    fix = "give a .safetensors file, for example one from rg.save_weights"
    if not data:
        raise FileFormatError(f"{name!r} is empty, not a safetensors file.", fix=fix)
    for start, kind in FOREIGN_FORMATS.items():
        # The length of a header may begin with such a byte; what follows the length tells.
        if data.startswith(start) and data[8:9] != b"{":
            raise FileFormatError(f"{name!r} is {kind}, not a safetensors file.", fix=fix)
    length = int.from_bytes(data[:8], "little")
    if data[8:9] == b"{" and length > len(data) - 8 and length <= 100_000_000:
        raise _damaged(name, f"its header has {length} bytes, the file only {len(data)}")
    if len(data) < 10 or data[8:9] != b"{" or length > len(data) - 8:
        raise FileFormatError(f"{name!r} is not a safetensors file.", fix=fix)
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError) as error:
        raise _damaged(name, "its header is not JSON") from error
    metadata = header.get(RESERVED_NAME, {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict):
        raise _damaged(name, "its header is not a table of arrays")
    return header


def _damaged(name: str, reason: str) -> FileFormatError:
    return FileFormatError(
        f"{name!r} is truncated or damaged: {reason}.",
        fix="use an earlier copy of the file, or save the model again",
    )


def fit_weights(
    stored: StoredWeights, types: dict[str, ArrayType], ties: dict[str, str], model: str, name: str
) -> dict[str, NumpyArray]:
    """The stored value for each path of the model, once everything is known to fit.

    Args:
        stored: what the file holds.
        types: dtype and shape of each Array of the model.
        ties: for each further path of a tied leaf of the model, its first path.
        model: the class of the model, for messages.
        name: the path of the file, for messages.

    Raises:
        ModelFileError: Arrays are missing, unexpected, or of another shape or dtype.
    """
    present = [*stored.arrays, *stored.foreign]
    source = {path: path for path in present}
    for path, first in stored.tied.items():
        if first in stored.arrays:
            source.setdefault(path, first)
    groups: dict[str, list[str]] = {}
    for path in types:
        groups.setdefault(ties.get(path, path), []).append(path)
    for group in groups.values():
        held = next((source[path] for path in group if path in source), None)
        if held is not None:
            for path in group:
                source.setdefault(path, held)
    missing = [path for path in types if path not in source]
    unexpected = [path for path in present if path not in types]
    problems = []
    if missing:
        shown = [f"{path!r} {types[path]}{_nearest(path, unexpected)}" for path in missing]
        problems.append(f"missing in the file: {_shorten(shown)}")
    if unexpected:
        shown = [
            f"{path!r} {stored.describe(path)}{_nearest(path, missing)}" for path in unexpected
        ]
        problems.append(f"not in the model: {_shorten(shown)}")
    wrong = [
        f"{path!r} is {stored.describe(source[path])} in the file, {wanted} in the model"
        + _transposed(stored.arrays.get(source[path]), wanted)
        for path, wanted in types.items()
        if path in source and stored.describe(source[path]) != str(wanted)
    ]
    if wrong:
        problems.append(f"of another shape or dtype: {_shorten(wrong)}")
    if not problems:
        problems = [
            f"{path!r} and {first!r} are one Array in the model, but differ in the file"
            for path, first in ties.items()
            if stored.arrays[source[path]].tobytes() != stored.arrays[source[first]].tobytes()
        ][:SHOWN]
    if problems:
        raise ModelFileError(
            f"{name!r} does not fit the {model}; nothing was loaded.\n  " + "\n  ".join(problems),
            fix="build the model with the same layers and sizes as the one that was saved",
        )
    return {path: stored.arrays[source[path]] for path in types}


def _nearest(path: str, others: list[str]) -> str:
    near = get_close_matches(path, others[:1000], n=1, cutoff=0.6)
    return f" (nearest on the other side: {near[0]!r})" if near else ""


def _transposed(value: NumpyArray | None, wanted: ArrayType) -> str:
    if value is None or value.ndim != 2 or value.shape == wanted.shape:
        return ""
    if value.shape != wanted.shape[::-1]:
        return ""
    return " (the transpose: PyTorch stores (out, in), retrograd (in, out))"


def _shorten(items: list[str]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more
