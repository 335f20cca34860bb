"""Sequences that a model continues, token by token, with one compiled step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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

__all__ = ["generate", "stream"]

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
        model: has `context` (the longest sequence, None for any), `make_cache(batch, length)`
            and `step(tokens, cache, position) -> (logits, cache)`, as GPT and CharacterLSTM have.
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
    rows, single = _check_prompt(model, prompt)
    count = as_count(count, "count", "generate", least=0)
    pieces = [*stream(model, rows, count, temperature, top_k, top_p, executor)]
    made = np.stack(pieces, axis=1) if pieces else np.zeros((len(rows), 0), np.int32)
    return made[0] if single else made


def stream(
    model: Module,
    prompt: Any,
    count: int | None = None,
    temperature: float | None = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    executor: str = "native",
) -> Iterator[NumpyArray]:
    """As `generate`, but gives each token as soon as it is drawn.

    Args:
        model, prompt, temperature, top_k, top_p, executor: as for `generate`.
        count: how many tokens; None goes on for as long as they are taken.

    Yields:
        The next token of each sequence, int32 (batch,); of shape () for a prompt (time,). The
        model is in eval mode until the last one was taken, or the iterator is closed.

    Example:
        >>> from retrograd import models
        >>> model = models.CharacterLSTM(vocabulary=10, features=4, hidden_features=8)
        >>> len([int(token) for token in models.stream(model, [1, 2, 3], 5)])
        5
    """
    rows, single = _check_prompt(model, prompt)
    if count is not None:
        count = as_count(count, "count", "stream", least=0)
    check_numbers(temperature, top_k, top_p, getattr(model, "vocabulary", 2**31 - 1))
    numbers = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
    return _continue(model, rows, count, numbers, executor, single)


def _check_prompt(model: Any, prompt: Any) -> tuple[NumpyArray, bool]:
    """The prompt as (batch, time), and whether it was one sequence alone."""
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
    return np.atleast_2d(given).astype(np.int32), given.ndim == 1


def _continue(
    model: Any,
    rows: NumpyArray,
    count: int | None,
    numbers: dict[str, Any],
    executor: str,
    single: bool,
) -> Iterator[NumpyArray]:
    context, batch = model.context, len(rows)
    # What was read since the cache was empty, and may have to be read again.
    known = rows if context is None else rows[:, -context:]
    leaves, structure = tree.flatten(model.make_cache(batch, context))
    step, progress, position, made = _compiled(executor, structure), Progress(leaves), 0, 0
    # Words and numbers alone: a call with None takes the long way through its arguments.
    options = " ".join(name for name, value in numbers.items() if value is not None)
    given = [1 if value is None else value for value in numbers.values()]
    was_training = model.training
    model.eval()
    try:
        while count is None or made < count:
            if position == context:  # read the last half again, as the beginning
                known = known[:, -max(context // 2, 1) :]
                progress.write(tree.flatten(model.make_cache(batch, context))[0])
                position = 0
            token = known[:, position : position + 1].copy()
            following = step(model, progress, token, np.array(position, np.int32), options, *given)
            position += 1
            if position < known.shape[1]:
                continue
            new = np.array(following, np.int32)
            made += 1
            if context is None:
                known, position = new[:, None], 0
            else:
                known = np.concatenate([known, new[:, None]], axis=1)
            yield new[0] if single else new
    finally:
        model.train(was_training)
