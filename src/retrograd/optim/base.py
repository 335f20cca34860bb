"""Optimizers: a pure `init`/`update` pair inside, an object that holds the state outside."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import tree
from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    RetrogradError,
    StateError,
)
from ..ops.table_rows import put_rows, take_rows
from ..staging import NeedsState, describe_owner
from ..trace import Array, Tracer
from ..tree import Stateful
from .naming import name_gradients, name_parameters
from .rows import is_row_gradient

Tree = Any
Schedule = Callable[[Array], Any]

INTERNAL = ("_path", "_level", "_version", "_owner", "_updated")
"""Attributes that are no part of an Optimizer's state."""


class Transform:
    """A rule that turns gradients into updates: two pure functions.

    Args:
        init: `init(parameters) -> state`.
        update: `update(gradients, state, parameters) -> (updates, state)`; trees of one
            structure. The updates are added to the parameters.
        key: what the rule is, hashable; rules of one key are the same rule, and compiled programs
            are shared between them. None: only the very same object is the same rule.

    Example:
        >>> from retrograd import optim, tree
        >>> halve = optim.Transform(
        ...     init=lambda parameters: (),
        ...     update=lambda gradients, state, parameters: (
        ...         tree.map(lambda g: 0.5 * g, gradients),
        ...         state,
        ...     ),
        ... )
        >>> halve.update({"w": 4.0}, (), None)[0]
        {'w': 2.0}
    """

    __slots__ = ("init", "key", "update")

    def __init__(
        self,
        init: Callable[[Tree], Tree],
        update: Callable[[Tree, Tree, Tree], tuple[Tree, Tree]],
        key: Any = None,
    ) -> None:
        self.init = init
        self.update = update
        self.key = key

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Transform):
            return NotImplemented
        return self is other or (self.key is not None and self.key == other.key)

    def __hash__(self) -> int:
        return hash(self.key) if self.key is not None else object.__hash__(self)


def chain_transforms(*transforms: Transform) -> Transform:
    """The transforms one after the other; the state is the tuple of their states."""

    def init(parameters: Tree) -> Tree:
        return tuple(transform.init(parameters) for transform in transforms)

    def update(gradients: Tree, state: Tree, parameters: Tree) -> tuple[Tree, Tree]:
        states = []
        for transform, part in zip(transforms, state, strict=True):
            gradients, part = transform.update(gradients, part, parameters)
            states.append(part)
        return gradients, tuple(states)

    keys = tuple(transform.key for transform in transforms)
    return Transform(init, update, None if None in keys else keys)


class Optimizer(Stateful):
    """Updates the parameters of a model from gradients, and holds the state for it.

    Made by `optim.SGD`, `optim.Adam`, ..., or by `optim.chain`. The state is made at the first
    update, and belongs to that model: another one needs an Optimizer of its own, or a new state
    (`optimizer.init(other)`). Pass the Optimizer to a compiled function together with the model.

    Args:
        transform: the pure rule.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn, optim
        >>> model, optimizer = nn.Linear(1, 1), optim.SGD(learning_rate=0.1)
        >>> loss, gradients = rg.value_and_grad(lambda m: m(rg.ones((1, 1))).sum())(model)
        >>> _ = optimizer.update(model, gradients)
    """

    def __init__(self, transform: Transform) -> None:
        self.transform = transform
        self.state: Tree = None
        self._pending_rate: float | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "learning_rate":
            self.set_learning_rate(value)
            return
        if name == "state":
            self.__dict__["_owner"] = None  # nobody knows which model a new state is for
            for leaf in tree.leaves(value):
                if isinstance(leaf, Array) and not isinstance(leaf, Tracer):
                    leaf.owner = (weakref.ref(self), "state")
        self.__dict__[name] = value
        self.__dict__["_version"] = self.__dict__.get("_version", 0) + 1

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in INTERNAL}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.state = state["state"]  # a copy owns its Arrays

    def state_items(self) -> list[tuple[str, Any, bool]]:
        return [(k, v, False) for k, v in self.__dict__.items() if k not in INTERNAL]

    def check_owner(self, model: Any) -> None:
        """An error if the state was made for another Module."""
        owner = self.__dict__.get("_owner")
        if self.state is not None and owner is not None and owner() is not model:
            found = owner()
            raise StateError(
                f"The state of this {type(self).__name__} belongs to another model "
                f"({describe_owner(found)}): its momentum would be carried on.",
                fix="use one Optimizer for each model, or begin anew with optimizer.init(model); "
                "to go on with a copy of the model, copy both: copy.deepcopy((model, optimizer))",
            )

    def set_owner(self, model: Any) -> None:
        """Say which Module the state belongs to."""
        self.__dict__["_owner"] = weakref.ref(model)

    def _claim(self, parameters: Any) -> None:
        """Remember what is updated; that a copy is traced with is checked when it is run."""
        if is_object(self):
            if is_object(parameters):
                self.set_owner(parameters)
        elif isinstance(parameters, Stateful) and (
            self.__dict__.setdefault("_updated", parameters) is not parameters
        ):
            raise StateError(
                f"One {type(self).__name__} updates two models in one program, and has the state "
                "of one.",
                fix="use one Optimizer for each model, or hold both in one Module",
            )

    def init(self, parameters: Tree) -> None:
        """Make the state for these parameters (a Module or a tree of Arrays).

        Example:
            >>> from retrograd import nn, optim
            >>> optimizer = optim.Adam()
            >>> optimizer.init(nn.Linear(2, 3))
        """
        _, named = name_parameters(parameters)
        self.state = self.transform.init(named)
        if is_object(self) and is_object(parameters):
            self.set_owner(parameters)
        if self._pending_rate is not None:
            rate, self._pending_rate = self._pending_rate, None
            self.set_learning_rate(rate)

    def update(self, parameters: Any, gradients: Tree) -> Any:
        """Apply one step.

        Args:
            parameters: a Module, which is changed, or a tree of Arrays, which is not.
            gradients: a tree like `model.parameters()`, or like the tree.

        Returns:
            The Module, or the new tree.

        Raises:
            ArgumentError: the trees do not have the same structure.
            ShapeError: a gradient does not have its parameter's shape.
            StateError: the state belongs to another model.

        Example:
            >>> import retrograd as rg
            >>> from retrograd import optim
            >>> new = optim.SGD(learning_rate=0.5).update(
            ...     {"w": rg.array(1.0)}, {"w": rg.array(1.0)}
            ... )
            >>> float(new["w"])
            0.5
        """
        if is_object(parameters):
            self.check_owner(parameters)
        leaves, named = name_parameters(parameters)
        given = name_gradients(parameters, gradients, leaves, named)
        if self.state is None:
            if any(isinstance(leaf, Tracer) for leaf in named.values()):
                raise NeedsState(self, named)
            self.init(parameters)
        try:
            updates, state = self.transform.update(given, self.state, named)
        except RetrogradError:
            self._check_state_fits(self.transform.init(named))
            raise
        self._check_state_fits(state)
        new = {path: _add_update(path, named[path], updates[path]) for path in named}
        by_id = {id(named[path]): new[path] for path in named}
        self.state = state
        self._claim(parameters)
        if hasattr(parameters, "replace_arrays"):
            parameters.replace_arrays(by_id)
            return parameters
        structure = tree.flatten(parameters)[1]
        return tree.unflatten(structure, [by_id[id(value)] for value in leaves])

    def _check_state_fits(self, state: Tree) -> None:
        """An error if the state held is that of other parameters."""
        (held, structure), (wanted, other) = tree.flatten(self.state), tree.flatten(state)
        same = structure == other and all(
            a.type == b.type
            for a, b in zip(held, wanted, strict=True)
            if isinstance(a, Array) and isinstance(b, Array)
        )
        if not same:
            raise StateError(
                f"The state of this {type(self).__name__} belongs to other parameters: they were "
                "added, frozen, renamed, or have changed shape or dtype since its first update.",
                fix="use one Optimizer for each model; after a change of the model, or after "
                "freeze and unfreeze, make the state anew with optimizer.init(model)",
            )

    @property
    def learning_rate(self) -> float:
        """The learning rate now; assign a number to change it, without a new trace."""
        if self.state is None:
            if self._pending_rate is not None:
                return self._pending_rate
            probe = self.transform.init({})
            return float(_find(probe, "learning_rate"))
        return float(_find(self.state, "learning_rate"))

    def set_learning_rate(self, value: Any) -> None:
        """Change the learning rate to a number."""
        number = check_rate(value)
        if self.state is None:
            _find(self.transform.init({}), "learning_rate")
            self._pending_rate = number
            return
        _find(self.state, "learning_rate")
        self.state = _put(self.state, "learning_rate", Array(np.array(number, np.float64)))

    def __repr__(self) -> str:
        try:
            return f"{type(self).__name__}(learning_rate={self.learning_rate:g})"
        except StateError:  # a schedule, or a chain without a rate
            return f"{type(self).__name__}(...)"


def is_object(value: Any) -> bool:
    """Whether this is a Module or Optimizer itself, and no copy that a function is traced with."""
    return isinstance(value, Stateful) and "_path" not in value.__dict__


def check_number(name: str, value: Any) -> float:
    """A number as a float; an error if it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number, Array)):
        raise ArgumentTypeError(f"{name} is a number, received {value!r}.")
    return float(value)


def _add_update(path: str, parameter: Array, update: Any) -> Array:
    if is_row_gradient(update):
        rows = take_rows(parameter, update.indices)
        moved = _add_update(path, rows, update.rows)
        return put_rows(parameter, moved, update.indices)
    new = parameter + update
    if new.type != parameter.type:
        raise StateError(
            f"The update of {path!r} would turn {parameter.type} into {new.type}.",
            fix="a Transform keeps the shape and dtype of each gradient; a schedule gives a scalar",
        )
    return new


def check_rate(value: Any) -> float:
    """A learning rate as a float; an error if it is negative or not finite."""
    if isinstance(value, (dict, list, tuple)):
        raise ArgumentTypeError(
            f"A learning rate is a number or a schedule, received {type(value).__name__}.",
            fix="give the optimizer its learning rate, and the parameters to its update: "
            "optimizer.update(model, gradients)",
        )
    number = check_number("A learning rate", value)
    if not np.isfinite(number) or number < 0:
        raise ArgumentError(f"A learning rate is a number of at least 0, received {value!r}.")
    return number


def _find(state: Tree, name: str) -> Array:
    for path, leaf in zip(tree.paths(state), tree.leaves(state), strict=True):
        if path.split(".")[-1] == name:
            return leaf
    raise StateError(
        f"This Optimizer has no {name} that is a number.",
        fix="its learning rate is a schedule, or the chain holds none; make a new Optimizer",
    )


def _put(state: Tree, name: str, value: Array) -> Tree:
    leaves, structure = tree.flatten(state)
    replaced = [
        value if path.split(".")[-1] == name else leaf
        for path, leaf in zip(tree.paths(state), leaves, strict=True)
    ]
    return tree.unflatten(structure, replaced)


def chain(*parts: Transform | Optimizer) -> Optimizer:
    """Optimizers and transforms one after the other, as one Optimizer.

    Args:
        parts: for example `optim.clip_by_global_norm(1.0), optim.Adam(1e-3)`.

    Example:
        >>> from retrograd import optim
        >>> optimizer = optim.chain(optim.clip_by_global_norm(1.0), optim.SGD(learning_rate=0.1))
        >>> optimizer.learning_rate
        0.1
    """
    if not parts:
        raise ArgumentError("chain needs at least one transform or Optimizer, received none.")
    transforms = []
    for part in parts:
        if isinstance(part, Optimizer):
            part = part.transform
        if not isinstance(part, Transform):
            raise ArgumentTypeError(
                f"chain takes transforms and Optimizers, received {type(part).__name__}."
            )
        transforms.append(part)
    return Optimizer(chain_transforms(*transforms))
