"""Sequences that a model continues, token by token, with one compiled step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from .. import tree
from ..compile import compile
from ..errors import ArgumentTypeError, DTypeError, ShapeError
from ..nn.layer import as_count
from ..nn.module import Module
from ..trace import Array
from .sampling import check_numbers, sample

__all__ = ["generate"]

NumpyArray = np.ndarray[Any, Any]


class Progress(Module):
    """How far sequences have come: the leaves of a model's cache, which a step replaces."""

    def __init__(self, leaves: Sequence[Array]) -> None:
        self.count = len(leaves)
        self.write(leaves)

    def read(self) -> list[Array]:
        """The leaves."""
        return [getattr(self, f"leaf{number}") for number in range(self.count)]

    def write(self, leaves: Sequence[Array]) -> None:
        """Take others in their place."""
        for number, leaf in enumerate(leaves):
            setattr(self, f"leaf{number}", leaf)


@lru_cache(maxsize=16)
def _compiled(executor: str, structure: Any) -> Any:
    """The compiled step of models with a cache of this structure."""

    def step(
        model: Any,
        progress: Any,
        token: Any,
        position: Any,
        options: str,
        temperature: Any,
        top_k: Any,
        top_p: Any,
    ) -> Array:
        cache = tree.unflatten(structure, progress.read())
        logits, filled = model.step(token, cache, position)
        progress.write(tree.flatten(filled)[0])
        return sample(
            logits[:, -1],
            temperature if "temperature" in options else None,
            top_k if "top_k" in options else None,
            top_p if "top_p" in options else None,
        )

    return compile(step, executor=executor)


def generate(
    model: Module,
    prompt: Any,
    count: int,
    temperature: float | None = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    executor: str = "native",
) -> NumpyArray:
    """Continue sequences of tokens: each new one is drawn given those before it.

    One compiled step takes one token of each sequence, with the keys and values of the tokens
    before it in a cache, and draws the next. Shapes never change, so that it is traced once. Where
    a sequence is longer than the model's context, the last half of a context is read again.

    Args:
        model: has `context` (the longest sequence), `make_cache(batch, length)` and
            `step(tokens, cache, position) -> (logits, cache)`, as GPT has.
        prompt: the first tokens, at least one: (time,) or (batch, time), integers.
        count: how many tokens to add.
        temperature: below 1 the probable becomes more probable; None takes the most probable.
        top_k, top_p: as in `models.sample`.
        executor: "native" or "numpy".

    Returns:
        The new tokens, int32 (count,) or (batch, count). The model's mode is as before.

    Raises:
        ArgumentTypeError: the model does not generate.
        ShapeError: the prompt has no token.

    Example:
        >>> from retrograd import models
        >>> model = models.GPT(vocabulary=10, features=16, heads=2, layers=1, context=8)
        >>> models.generate(model, [1, 2, 3], 12).shape
        (12,)
    """
    for name in ("context", "make_cache", "step"):
        if not hasattr(model, name):
            raise ArgumentTypeError(
                f"generate: {type(model).__name__} has no {name}.",
                fix="pass a model that generates token by token, such as models.GPT",
            )
    given = np.asarray(prompt)
    if given.dtype.kind not in "iu":
        raise DTypeError(f"generate: a prompt holds integers, received {given.dtype.name}.")
    if given.ndim not in (1, 2) or 0 in given.shape:
        raise ShapeError(
            "generate: expected a prompt of shape (time,) or (batch, time) with at least one "
            f"token, received {given.shape}."
        )
    count = as_count(count, "count", "generate", least=0)
    check_numbers(temperature, top_k, top_p, getattr(model, "vocabulary", 2**31 - 1))
    rows = np.atleast_2d(given).astype(np.int32)
    was_training = model.training
    model.eval()
    try:
        numbers = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        made = _continue(model, rows, count, numbers, executor)
    finally:
        model.train(was_training)
    return made if given.ndim == 2 else made[0]


def _continue(
    model: Any, rows: NumpyArray, count: int, numbers: dict[str, Any], executor: str
) -> NumpyArray:
    context = model.context
    batch, known = rows.shape
    tokens = np.concatenate([rows, np.zeros((batch, count), np.int32)], axis=1)
    begin = max(0, known - context)
    leaves, structure = tree.flatten(model.make_cache(batch, context))
    step, progress, position = _compiled(executor, structure), Progress(leaves), 0
    total = known + count
    # Words and numbers alone: a call with None takes the long way through its arguments.
    options = " ".join(name for name, value in numbers.items() if value is not None)
    given = [1 if value is None else value for value in numbers.values()]
    while known < total:
        if position == context:  # read the last half again, as the beginning
            begin = known - max(context // 2, 1)
            progress.write(tree.flatten(model.make_cache(batch, context))[0])
            position = 0
        place = begin + position
        token = tokens[:, place : place + 1].copy()
        following = step(model, progress, token, np.array(position, np.int32), options, *given)
        position += 1
        if place + 1 == known:
            tokens[:, known] = np.asarray(following)
            known += 1
    return tokens[:, total - count :]
