"""Module: parameters, buffers and configuration in one object, found by their attributes."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any, TypeVar

import numpy as np

from ..errors import (
    ArgumentError,
    ArgumentTypeError,
    ClosureError,
    DTypeError,
    ShapeError,
    suggest,
)
from ..ir import as_dtype, is_floating
from ..ops.promotion import as_array, convert
from ..trace import Array, Tracer, is_compiling, recording_depth
from ..tree import Stateful, flatten, join_path, open_container, paths
from .buffer import Buffer
from .collect import call_with_path, collect_value, replace_in

Self = TypeVar("Self", bound="Module")

INTERNAL = ("_path", "_level", "_version")
FLAGS = ("_training", "_frozen", "_buffers")


class Module(Stateful):
    """The base of all layers and models.

    Write parameters, Buffers and other Modules as attributes in `__init__` (also inside lists,
    tuples and dicts) and the computation in `__call__`. Floating Arrays are trainable,
    `nn.Buffer` marks those that are not, NumPy arrays are constants, Python values are
    configuration. There is no need to call `super().__init__()`.

    Example:
        >>> import retrograd as rg
        >>> from retrograd import nn
        >>> class Line(nn.Module):
        ...     def __init__(self):
        ...         self.slope = rg.array(2.0)
        ...
        ...     def __call__(self, x):
        ...         return self.slope * x
        >>> model = Line()
        >>> gradients = rg.grad(lambda model, x: model(x))(model, 3.0)
        >>> float(gradients["slope"])
        3.0
    """

    _training: bool
    _frozen: bool
    _buffers: frozenset[str]
    _level: int

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "forward" in cls.__dict__ and "__call__" not in cls.__dict__:
            raise ArgumentTypeError(
                f"{cls.__name__} defines `forward`; retrograd calls `__call__`.",
                fix=f"rename {cls.__name__}.forward to __call__",
            )
        called = cls.__dict__.get("__call__")
        if called is not None and hasattr(
            called, "wrap"
        ):  # a compiled function, which stays what it is
            called.wrap(call_with_path)
        elif called is not None:
            cls.__call__ = call_with_path(called)  # type: ignore[method-assign]

    def __new__(cls, *arguments: Any, **keywords: Any) -> Any:
        instance = object.__new__(cls)
        instance.__dict__.update(
            _training=True,
            _frozen=False,
            _buffers=frozenset(),
            _level=recording_depth(),
            _version=0,
        )
        return instance

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Buffer):
            if name not in self._buffers:
                self.__dict__["_buffers"] = self._buffers | {name}
                self.__dict__["_version"] += 1
            value = value.value
        elif name in self._buffers and isinstance(value, (int, float, np.ndarray, np.generic)):
            value = as_array(value)
        if isinstance(value, np.ndarray):
            value = np.array(value)  # a constant: changes of the caller's array cannot reach it
            value.flags.writeable = False
        self._check_and_own(name, value)
        old = self.__dict__.get(name)
        if not (isinstance(old, Array) and isinstance(value, Array) and old.type == value.type):
            self.__dict__["_version"] += 1
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        if name not in self.__dict__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")
        self.__dict__["_buffers"] = self._buffers - {name}
        del self.__dict__[name]
        self.__dict__["_version"] += 1

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _level=recording_depth())
        for name, value in state.items():
            self._check_and_own(name, value)

    def set_flag(self, name: str, value: bool) -> None:
        """Set `_training` or `_frozen` of this Module alone."""
        self.__dict__[name] = value
        self.__dict__["_version"] += 1

    def _check_and_own(self, name: str, value: Any) -> None:
        traced = isinstance(value, Tracer)
        if traced:
            value.recorder.check_alive()
        # Where values are unknown, a plain value too would be set once for all calls or steps.
        if is_compiling(self._level) or (traced and value.recorder.level >= self._level):
            raise ClosureError(
                f"{type(self).__name__}.{name} was changed inside a traced function to which "
                f"the {type(self).__name__} was not passed.",
                fix="pass the Module as an argument (inside rg.scan: carry the value instead)",
            )
        if isinstance(value, Array):
            if not traced and (value.owner is None or value.owner[0]() is None):
                value.owner = (weakref.ref(self), name)
        elif isinstance(value, Buffer):
            raise ArgumentTypeError(
                f"{type(self).__name__}.{name} holds an nn.Buffer inside a container.",
                fix="assign each Buffer directly to an attribute of a Module",
            )
        elif not isinstance(value, Stateful):
            container = open_container(value)
            if container is not None:
                for part, child in zip(container.names, container.children, strict=True):
                    self._check_and_own(join_path(name, part), child)

    # -- looking inside -----------------------------------------------------------------------

    def state_items(self) -> list[tuple[str, Any, bool]]:
        frozen, buffers = self._frozen, self._buffers
        return [
            (name, value, not frozen and name not in buffers)
            for name, value in self.__dict__.items()
            if name not in INTERNAL
        ]

    def describe_path(self, name: str) -> str:
        return ""

    def modules(self) -> Iterator[tuple[str, Module]]:
        """This Module and all Modules inside it with their paths, each once.

        Example:
            >>> from retrograd import nn
            >>> [path for path, _ in nn.Sequential(nn.Linear(2, 3)).modules()]
            ['', 'layers.0']
        """
        seen: set[int] = set()

        def visit(value: Any, path: str) -> Iterator[tuple[str, Module]]:
            if isinstance(value, Module):
                if id(value) in seen:
                    return
                seen.add(id(value))
                yield path, value
                for name, child in value.public_items():
                    yield from visit(child, join_path(path, name))
            elif not isinstance(value, (Array, Stateful)):
                container = open_container(value)
                if container is not None:
                    for name, child in zip(container.names, container.children, strict=True):
                        yield from visit(child, join_path(path, name))

        return visit(self, "")

    def public_items(self) -> list[tuple[str, Any]]:
        """The attributes that were set on this Module, without its own flags."""
        return [
            (name, value)
            for name, value in self.__dict__.items()
            if name not in INTERNAL and name not in FLAGS
        ]

    def parameters(self) -> dict[str, Any]:
        """The nested dict of trainable Arrays (lists stay lists). Frozen ones are left out.

        Example:
            >>> from retrograd import nn
            >>> sorted(nn.Linear(2, 3).parameters())
            ['bias', 'weight']
        """
        return self.collect_state(trainable=True)

    def state(self) -> dict[str, Any]:
        """The nested dict of all Arrays: parameters, frozen parameters and buffers.

        Example:
            >>> from retrograd import nn
            >>> sorted(nn.BatchNorm(2).state())
            ['bias', 'running_mean', 'running_var', 'weight']
        """
        return self.collect_state(trainable=False)

    def collect_state(self, trainable: bool) -> dict[str, Any]:
        """The nested dict of Arrays: the trainable ones, or all."""
        found = {}
        for name, value in self.public_items():
            kept = not trainable or (not self._frozen and name not in self._buffers)
            part = collect_value(value, trainable, kept)
            if part is not None:
                found[name] = part
        return found

    def named_state(self) -> dict[str, Array]:
        """All Arrays by path (`layers.0.weight`).

        Example:
            >>> from retrograd import nn
            >>> sorted(nn.Sequential(nn.Linear(2, 3)).named_state())
            ['layers.0.bias', 'layers.0.weight']
        """
        tree = self.state()
        return dict(zip(paths(tree), flatten(tree)[0], strict=True))

    def load_state(self, arrays: dict[str, Any]) -> None:
        """Replace all Arrays by those of the same path; nothing changes if they do not fit.

        Args:
            arrays: one for each path of `named_state()`, with the same shape and dtype.

        Raises:
            ArgumentError: a path is missing or unknown.
            ShapeError, DTypeError: an Array does not fit.

        Example:
            >>> from retrograd import nn
            >>> a, b = nn.Linear(2, 3), nn.Linear(2, 3)
            >>> b.load_state(a.named_state())
            >>> bool((a.weight == b.weight).all())
            True
        """
        current = self.named_state()
        for path in arrays:
            if path not in current:
                raise ArgumentError(
                    f"{type(self).__name__} has no state {path!r}. {suggest(path, current)}"
                )
        missing = [path for path in current if path not in arrays]
        if missing:
            raise ArgumentError(f"State is missing for {', '.join(map(repr, missing[:10]))}.")
        replacements: dict[int, Array] = {}
        for path, old in current.items():
            new = as_array(arrays[path])
            if new.type.shape != old.type.shape:
                raise ShapeError(
                    f"{path!r} has shape {old.type.shape}, received {new.type.shape}.",
                    fix="build the model with the same sizes as the one that was saved",
                )
            if new.type.dtype != old.type.dtype:
                raise DTypeError(
                    f"{path!r} has dtype {old.type.dtype.name}, received {new.type.dtype.name}."
                )
            # A copy of its own, so that two models never share (tie) an Array by loading.
            tied = replacements.setdefault(id(old), Array(new.concrete()))
            if not np.array_equal(tied.concrete(), new.concrete(), equal_nan=new.type.floating):
                raise ArgumentError(
                    f"{path!r} is tied to another path of the model (one Array at both), and the "
                    "two values received differ.",
                    fix="load them into a model in which they are not tied",
                )
        self.replace_arrays(replacements)

    def replace_arrays(self, replacements: dict[int, Array]) -> None:
        """Replace Arrays by others, by their ids, at every path where they stand."""
        for _, module in list(self.modules()):
            for name, value in module.public_items():
                new = replace_in(value, replacements)
                if new is not value:
                    setattr(module, name, new)

    def astype(self: Self, dtype: Any) -> Self:
        """Convert all floating Arrays here and inside, buffers too; returns the Module.

        Args:
            dtype: "float32" or "float64".

        Raises:
            DTypeError: the dtype is not a floating one.

        Example:
            >>> from retrograd import nn
            >>> nn.Linear(2, 3).astype("float64").weight.dtype
            dtype('float64')
        """
        wanted = as_dtype(dtype)
        if not is_floating(wanted):
            raise DTypeError(
                f"Parameters are floating numbers; {wanted.name} is not a floating dtype.",
                fix='use "float32" or "float64"',
            )
        self.replace_arrays(
            {
                id(array): convert(array, wanted)
                for array in self.named_state().values()
                if array.type.floating and array.type.dtype != wanted
            }
        )
        return self

    # -- modes --------------------------------------------------------------------------------

    @property
    def training(self) -> bool:
        """Whether the Module is in training mode (dropout active, batch statistics used)."""
        return self._training

    def train(self: Self, mode: bool = True) -> Self:
        """Set training mode here and in all Modules inside; returns the Module.

        Example:
            >>> from retrograd import nn
            >>> nn.Dropout(0.5).train().training
            True
        """
        for _, module in self.modules():
            module.set_flag("_training", bool(mode))
        return self

    def eval(self: Self) -> Self:
        """Set evaluation mode here and in all Modules inside; returns the Module.

        Example:
            >>> from retrograd import nn
            >>> nn.Dropout(0.5).eval().training
            False
        """
        return self.train(False)

    def freeze(self: Self) -> Self:
        """Take the parameters here and inside out of training; returns the Module.

        Example:
            >>> from retrograd import nn
            >>> nn.Linear(2, 3).freeze().parameters()
            {}
        """
        return self._set_frozen(True)

    def unfreeze(self: Self) -> Self:
        """Train the parameters again; returns the Module.

        Example:
            >>> from retrograd import nn
            >>> len(nn.Linear(2, 3).freeze().unfreeze().parameters())
            2
        """
        return self._set_frozen(False)

    def _set_frozen(self: Self, frozen: bool) -> Self:
        for _, module in self.modules():
            module.set_flag("_frozen", frozen)
        return self

    # -- telling about itself -----------------------------------------------------------------

    def summary(self, *example: Any) -> str:
        """A table of the Modules with their parameters and, given an example input, their outputs.

        Args:
            example: arguments for one call, by which output shapes are worked out.

        Example:
            >>> from retrograd import nn
            >>> print(nn.Sequential(nn.Linear(2, 3)).summary())
            path      module      parameters
            (model)   Sequential           9
            layers.0  Linear               9
            9 parameters, 9 trainable, 0.0 MB
        """
        from .summary import summarise

        return summarise(self, example)

    def __repr__(self) -> str:
        from .summary import represent

        return represent(self)
