"""Run directories: a training that was saved to go on later, to the same final bits.

A run directory holds `weights.safetensors` (the model, readable with `rg.load_weights`),
`training.safetensors` (optimizer, history, sums of the epoch, arrays of callbacks) and
`training.json` (random generator, position, states of callbacks). Nothing in it is executed.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import tree
from ..errors import ArgumentError, FileFormatError, ModelFileError, RetrogradError
from ..ir.types import uint32
from ..optim.base import Optimizer
from ..trace import Array
from ..version import VERSION
from .files import replace_directory
from .history import History
from .loop import FitLoop, Position, read_generator, write_generator
from .model_json import damaged_json, decode_json, encode_json, take
from .read_files import read_directory_files
from .samples import NumpyArray, Running
from .weights import collect_arrays, decode_weights, encode_arrays, find_ties, fit_weights

if TYPE_CHECKING:
    from .trainer import Trainer

FORMAT = "retrograd training"
FORMAT_VERSION = 1
TRAINING_FILE = "training.json"
ARRAYS_FILE = "training.safetensors"
WEIGHTS_FILE = "weights.safetensors"
WHAT = "a saved training"
ARRAY_KEY, FLOAT_KEY = "__array__", "__float__"


def save_run(path: str | os.PathLike[str], trainer: Trainer) -> None:
    """Write a training into a run directory, whole or not at all.

    Raises:
        SaveError: it cannot be written. The earlier one is untouched.
    """
    arrays: dict[str, NumpyArray] = {}
    weights = collect_arrays(trainer.model)
    loop = trainer.loop
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "retrograd_version": VERSION,
        "model": type(trainer.model).__name__,
        "optimizer": type(trainer.optimizer).__name__,
        "optimizer_has_state": trainer.optimizer.state is not None,
        "generator": np.asarray(read_generator()).tolist(),
        "epoch": 0,
        "batch": 0,
        "order_generator": None,
        "running": None,
        "data": None,
        "callbacks": [],
        "history": [],
    }
    for index, leaf in enumerate(tree.leaves(trainer.optimizer.state)):
        arrays[f"optimizer/{index}"] = np.asarray(leaf)
    manifest["optimizer_paths"] = tree.paths(trainer.optimizer.state)
    if loop is not None:
        weights = loop.live_weights()
        position, order = loop.position, loop.position.order_state
        for name, values in loop.history.items():
            arrays[f"history/{name}"] = np.array(values, np.float64)
        manifest.update(
            epoch=position.epoch,
            batch=position.batch,
            order_generator=None if order is None else np.asarray(order).tolist(),
            running=_encode(position.running.state(), "running", arrays),
            data={
                "samples": loop.training.count,
                "batch_size": loop.plan.batch_size,
                "shuffle": loop.plan.shuffle,
            },
            history=list(loop.history),
            callbacks=[
                {"type": type(callback).__name__, "state": _encode(state, f"callback/{n}", arrays)}
                for n, (callback, state) in enumerate(_states(loop))
            ],
        )
    with replace_directory(path, marker=TRAINING_FILE) as folder:
        (folder / WEIGHTS_FILE).write_bytes(encode_arrays(weights))
        held = {name: Array(np.array(value)) for name, value in arrays.items()}
        (folder / ARRAYS_FILE).write_bytes(encode_arrays(held))
        (folder / TRAINING_FILE).write_bytes(encode_json(manifest))


def load_run(path: str | os.PathLike[str], trainer: Trainer, loop: FitLoop) -> None:
    """Put a saved training into a Trainer and a loop that is about to run.

    Everything is read and compared before anything is changed.

    Raises:
        FileFormatError: it is missing, truncated, damaged or something else.
        ModelFileError: it belongs to another model or optimizer.
        ArgumentError: data or callbacks are not those that it was saved with.
    """
    folder = Path(path)
    files = read_directory_files(folder, (TRAINING_FILE, ARRAYS_FILE, WEIGHTS_FILE), WHAT)
    name = str(folder / TRAINING_FILE)
    manifest = decode_json(files[TRAINING_FILE], name)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FileFormatError(f"{name!r} is not {WHAT} of retrograd.", fix="check the path")
    if take(manifest, "format_version", int, name) > FORMAT_VERSION:
        raise FileFormatError(
            f"{name!r} was written by a newer retrograd ({manifest.get('retrograd_version')}).",
            fix="update retrograd",
        )
    arrays = decode_weights(files[ARRAYS_FILE], str(folder / ARRAYS_FILE)).arrays
    stored = decode_weights(files[WEIGHTS_FILE], str(folder / WEIGHTS_FILE))
    current = collect_arrays(trainer.model)
    types = {path: array.type for path, array in current.items()}
    weights = fit_weights(
        stored, types, find_ties(current), type(trainer.model).__name__, str(folder / WEIGHTS_FILE)
    )
    optimizer_state = _read_optimizer(manifest, arrays, trainer, name)
    generator = _read_state(take(manifest, "generator", list, name), name)
    position = _read_position(manifest, arrays, trainer, loop, name)
    entries = take(manifest, "callbacks", list, name)
    with _reading(name):
        history = History({n: arrays[f"history/{n}"].tolist() for n in manifest["history"]})
        _check_callbacks([str(entry["type"]) for entry in entries], loop)
        states = [_decode(entry["state"], arrays) for entry in entries]
    # From here on nothing that was read can be wrong.
    trainer.model.load_state(weights)
    trainer.optimizer.state = optimizer_state
    write_generator(generator)
    loop.position, loop.history, loop.resumed = position, history, True
    with _reading(name):
        for (callback, _), state in zip(_states(loop), states, strict=True):
            callback.load_state(state)


def _states(loop: FitLoop) -> list[tuple[Any, dict[str, Any]]]:
    """The callbacks that have a state, with it."""
    pairs = [(callback, callback.state()) for callback in loop.callbacks]
    return [(callback, state) for callback, state in pairs if state]


def _check_callbacks(saved: list[str], loop: FitLoop) -> None:
    given = [type(callback).__name__ for callback, _ in _states(loop)]
    if saved != given:
        raise ArgumentError(
            f"The training was saved with the callbacks {saved}, received {given}.",
            fix="resume with the same callbacks, in the same order",
        )


def _read_optimizer(
    manifest: dict[str, Any], arrays: dict[str, NumpyArray], trainer: Trainer, name: str
) -> Any:
    """The optimizer's state in the tree that it has for this model."""
    optimizer: Optimizer = trainer.optimizer
    saved, given = take(manifest, "optimizer", str, name), type(optimizer).__name__
    if saved != given:
        raise ModelFileError(
            f"{name!r} was saved with the optimizer {saved}, this Trainer has {given}.",
            fix=f"make the Trainer with {saved}",
        )
    if not take(manifest, "optimizer_has_state", bool, name):
        return None
    probe = Optimizer(optimizer.transform)
    probe.init(trainer.model)
    template = probe.state
    paths = take(manifest, "optimizer_paths", list, name)
    leaves, structure = tree.flatten(template)
    with _reading(name):
        found = [arrays[f"optimizer/{index}"] for index in range(len(paths))]
    expected = [
        (path, leaf.type.dtype, leaf.type.shape)
        for path, leaf in zip(tree.paths(template), leaves, strict=True)
    ]
    stored = [(path, array.dtype, array.shape) for path, array in zip(paths, found, strict=True)]
    if expected != stored:
        differing = [item[0] for item in stored if item not in expected]
        differing += [item[0] for item in expected if item not in stored]
        raise ModelFileError(
            f"{name!r}: the state of the optimizer {saved} does not fit "
            f"({', '.join(map(repr, dict.fromkeys(differing[:5])))}).",
            fix="make the optimizer with the same options, and freeze the same layers",
        )
    return tree.unflatten(structure, [Array(array.copy()) for array in found])


def _read_position(
    manifest: dict[str, Any],
    arrays: dict[str, NumpyArray],
    trainer: Trainer,
    loop: FitLoop,
    name: str,
) -> Position:
    """Where the training stood; an error if that place does not exist in this one."""
    epoch = take(manifest, "epoch", int, name, lambda value: value >= 0)
    batch = take(manifest, "batch", int, name, lambda value: value >= 0)
    order = manifest.get("order_generator")
    running = Running(trainer.metrics)
    state = manifest.get("running")
    if state is not None:
        with _reading(name):
            running.load_state(_decode(state, arrays))
        unknown = set(running.sums) - set(trainer.metrics)
        if unknown or (running.sums and set(running.sums) != set(trainer.metrics)):
            raise ArgumentError(
                f"The training was saved with the metrics {sorted(running.sums)}.",
                fix="make the Trainer with the same metrics",
            )
    if order is None:
        return Position(epoch, 0, None, Running(trainer.metrics))
    given = {
        "samples": loop.training.count,
        "batch_size": loop.plan.batch_size,
        "shuffle": loop.plan.shuffle,
    }
    saved = take(manifest, "data", dict, name)
    if saved != given:
        raise ArgumentError(
            f"The training was saved in the middle of an epoch with {saved}, received {given}.",
            fix="resume with the same data, batch size and shuffling",
        )
    if batch > loop.batches:
        raise damaged_json(name, f"it stands at batch {batch} of {loop.batches}")
    return Position(epoch, batch, _read_state(order, name), running)


def _read_state(words: Any, name: str) -> Array:
    """The state of a random generator."""
    good = isinstance(words, list) and len(words) == 4
    if not good or not all(type(word) is int and 0 <= word < 2**32 for word in words):
        raise damaged_json(name, "the state of the random generator makes no sense")
    return Array(np.array(words, uint32))


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """What does not have the expected form is a damaged file."""
    try:
        yield
    except RetrogradError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise damaged_json(name, f"{type(error).__name__}: {error}") from error


def _encode(value: Any, key: str, arrays: dict[str, NumpyArray]) -> Any:
    """A state as JSON holds it; arrays and numbers that are not finite stand elsewhere."""
    if isinstance(value, (Array, np.ndarray)):
        arrays[key] = np.asarray(value)
        return {ARRAY_KEY: key}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {FLOAT_KEY: repr(value)}
    if isinstance(value, dict):
        return {str(k): _encode(v, f"{key}/{k}", arrays) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(v, f"{key}/{i}", arrays) for i, v in enumerate(value)]
    return value


def _decode(value: Any, arrays: dict[str, NumpyArray]) -> Any:
    if isinstance(value, dict):
        if set(value) == {ARRAY_KEY}:
            return arrays[value[ARRAY_KEY]]
        if set(value) == {FLOAT_KEY}:
            return float(value[FLOAT_KEY])
        return {key: _decode(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    return value
