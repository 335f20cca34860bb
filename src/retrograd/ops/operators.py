"""Gives Array its operators, indexing, methods and its manners towards Python and NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..errors import ArgumentTypeError, DTypeError, ImmutableError, TracingError
from ..trace import Array, Tracer, is_compiling
from . import arithmetic, comparison, composite, contract, reduce, shape
from .indexing import get_item
from .promotion import as_array

_NUMPY_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "add": arithmetic.add,
    "subtract": arithmetic.subtract,
    "multiply": arithmetic.multiply,
    "divide": arithmetic.divide,
    "true_divide": arithmetic.divide,
    "floor_divide": arithmetic.floor_divide,
    "remainder": arithmetic.remainder,
    "power": arithmetic.power,
    "matmul": contract.matmul,
    "equal": comparison.equal,
    "not_equal": comparison.not_equal,
    "less": comparison.less,
    "less_equal": comparison.less_equal,
    "greater": comparison.greater,
    "greater_equal": comparison.greater_equal,
}


def _on_bools(sign: str, function: Callable[..., Array]) -> Callable[..., Array]:
    """`& | ^ ~` for bools alone: NumPy's work on the bits of integers, and would differ."""

    def operate(*operands: Any) -> Array:
        arrays = [as_array(operand) for operand in operands]
        for array in arrays:
            if array.type.dtype.kind != "b":
                raise DTypeError(
                    f"`{sign}` takes bools, received {array.type}.",
                    fix=f"compare first, e.g. (x > 0), or use rg.{function.__name__}, for which "
                    "numbers other than 0 are true",
                )
        return function(*arrays)

    return operate


_BOOL_OPERATORS = {
    "and": _on_bools("&", comparison.logical_and),
    "or": _on_bools("|", comparison.logical_or),
    "xor": _on_bools("^", comparison.logical_xor),
}
_NUMPY_FUNCTIONS |= {f"bitwise_{name}": function for name, function in _BOOL_OPERATORS.items()}


def _forward(function: Callable[..., Array]) -> Callable[[Array, Any], Any]:
    def method(self: Array, other: Any) -> Any:
        if not isinstance(other, (Array, np.ndarray, np.generic, int, float, list, tuple)):
            return NotImplemented
        return function(self, other)

    return method


def _reflected(function: Callable[..., Array]) -> Callable[[Array, Any], Any]:
    def method(self: Array, other: Any) -> Any:
        if not isinstance(other, (Array, np.ndarray, np.generic, int, float, list, tuple)):
            return NotImplemented
        return function(other, self)

    return method


def _array_ufunc(self: Array, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
    """NumPy operators with an Array on the right side; other NumPy functions on plain Arrays."""
    name = ufunc.__name__
    if method == "__call__" and name in _NUMPY_FUNCTIONS and not options:
        return _NUMPY_FUNCTIONS[name](*inputs)
    _refuse_numpy(f"np.{name}", inputs, name)
    plain = [item.concrete() if isinstance(item, Array) else item for item in inputs]
    if any(isinstance(item, Array) for item in options.get("out", ())):
        raise ImmutableError("An Array cannot be the `out` of a NumPy function: it never changes.")
    return getattr(ufunc, method)(*plain, **options)


def _array_function(self: Array, function: Any, types: Any, inputs: Any, options: Any) -> Any:
    _refuse_numpy(f"np.{function.__name__}", _flat(inputs), function.__name__)
    return function(*_plain(inputs), **options)


def _flat(values: Any) -> list[Any]:
    result: list[Any] = []
    for value in values:
        result.extend(_flat(value) if isinstance(value, (list, tuple)) else [value])
    return result


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item) for item in value)
    return value.concrete() if isinstance(value, Array) else value


def _refuse_numpy(called: str, inputs: Any, name: str) -> None:
    traced = [item for item in inputs if isinstance(item, Tracer)]
    for item in traced:
        item.recorder.check_alive()
    if traced:
        raise TracingError(
            f"{called} was called with a value that is being traced: NumPy cannot record it, "
            "its gradient would be lost.",
            fix=f"use rg.{name} (NumPy's names work), or rg.stop_gradient outside of the function",
        )


def _array_protocol(self: Array, dtype: Any = None, copy: bool | None = None) -> Any:
    if isinstance(self, Tracer):
        _refuse_numpy("np.asarray", [self], "array")
    value = self.concrete()
    if dtype is not None and value.dtype != np.dtype(dtype):
        return value.astype(dtype)
    return value.copy() if copy else value.view()


def _scalar(self: Array, kind: str) -> Any:
    if self.type.size != 1:
        raise ArgumentTypeError(
            f"{kind}() needs an array of one element, received shape {self.type.shape}.",
            fix="index it, or reduce it with .sum(), .mean(), ...",
        )
    return self.concrete().reshape(()).item()


def _bool(self: Array) -> bool:
    if self.type.size != 1:
        raise ArgumentTypeError(
            f"The truth of an array of shape {self.type.shape} is not clear.",
            fix="use rg.all(x), rg.any(x) or rg.where",
        )
    return bool(_scalar(self, "bool"))


def _index(self: Array) -> int:
    if self.type.dtype.kind not in "iu":
        raise ArgumentTypeError(f"An index must be an integer, received {self.type}.")
    return int(_scalar(self, "int"))


def _length(self: Array) -> int:
    if not self.type.shape:
        raise ArgumentTypeError("An array without axes has no length.")
    return self.type.shape[0]


def _iterate(self: Array) -> Iterator[Array]:
    return (get_item(self, index) for index in range(_length(self)))


def _repr(self: Array) -> str:
    if isinstance(self, Tracer):
        if is_compiling() or not self.recorder.alive:
            return f"Tracer({self.type})"
        return f"Tracer({np.array2string(self.concrete(), separator=', ')}, {self.type})"
    return f"Array({np.array2string(self.concrete(), separator=', ')}, {self.type.dtype.name})"


def _string(self: Array) -> str:
    if isinstance(self, Tracer) and not self.recorder.alive:
        return _repr(self)
    return str(self.concrete())  # an error in a compiled function: there is no value to print


def _format(self: Array, specification: str) -> str:
    if not specification:
        return _string(self)
    return format(_scalar(self, "format"), specification)


def _set_item(self: Array, key: Any, value: Any) -> None:
    raise ImmutableError(
        "An Array never changes: x[...] = value is not possible.",
        fix="make a new one: rg.where(mask, value, x), rg.concatenate, or NumPy before rg.array",
    )


def _numpy(self: Array) -> Any:
    """The value as a read-only NumPy array."""
    if isinstance(self, Tracer):
        _refuse_numpy(".numpy()", [self], "array")
    return self.concrete().view()  # of which nobody can make the memory writable


def _item(self: Array) -> Any:
    """The only element as a Python number."""
    return _scalar(self, "item")


def _to_list(self: Array) -> Any:
    """The value as nested lists."""
    return _numpy(self).tolist()


def _deepcopy(self: Array, memo: Any) -> Array:
    """Another Array, as a copied model must not be tied to the first; the numbers are shared."""
    return self if isinstance(self, Tracer) else Array(self.concrete())


def _reduce_pickle(self: Array) -> Any:
    return (as_array, (_numpy(self),))


def install() -> None:
    """Give Array everything above."""
    for name, function in {
        "add": arithmetic.add,
        "sub": arithmetic.subtract,
        "mul": arithmetic.multiply,
        "truediv": arithmetic.divide,
        "floordiv": arithmetic.floor_divide,
        "mod": arithmetic.remainder,
        "pow": arithmetic.power,
        "matmul": contract.matmul,
        **_BOOL_OPERATORS,
    }.items():
        setattr(Array, f"__{name}__", _forward(function))
        setattr(Array, f"__r{name}__", _reflected(function))
    for name, function in {
        "eq": comparison.equal,
        "ne": comparison.not_equal,
        "lt": comparison.less,
        "le": comparison.less_equal,
        "gt": comparison.greater,
        "ge": comparison.greater_equal,
    }.items():
        setattr(Array, f"__{name}__", _forward(function))
    special: dict[str, Any] = {
        "__neg__": arithmetic.negative,
        "__pos__": lambda self: self,
        "__abs__": arithmetic.abs,
        "__invert__": _on_bools("~", comparison.logical_not),
        "__getitem__": get_item,
        "__setitem__": _set_item,
        "__bool__": _bool,
        "__float__": lambda self: float(_scalar(self, "float")),
        "__int__": lambda self: int(_scalar(self, "int")),
        "__index__": _index,
        "__len__": _length,
        "__iter__": _iterate,
        "__repr__": _repr,
        "__str__": _string,
        "__format__": _format,
        "__hash__": object.__hash__,
        "__array_ufunc__": _array_ufunc,
        "__array_function__": _array_function,
        "__array__": _array_protocol,
        "__deepcopy__": _deepcopy,
        "__copy__": lambda self: self,
        "__reduce__": _reduce_pickle,
        "shape": property(lambda self: self.type.shape),
        "dtype": property(lambda self: self.type.dtype),
        "ndim": property(lambda self: self.type.ndim),
        "size": property(lambda self: self.type.size),
        "T": property(shape.transpose),
        "numpy": _numpy,
        "item": _item,
        "tolist": _to_list,
        "astype": comparison.astype,
        "reshape": shape.reshape,
        "transpose": _transpose_method,
        "sum": reduce.sum,
        "mean": reduce.mean,
        "prod": reduce.prod,
        "max": reduce.max,
        "min": reduce.min,
        "argmax": reduce.argmax,
        "argmin": reduce.argmin,
        "all": reduce.all,
        "any": reduce.any,
        "dot": contract.dot,
        "var": composite.var,
        "std": composite.std,
        "flatten": lambda self: self.reshape(-1),
        "squeeze": composite.squeeze,
        "swapaxes": composite.swapaxes,
        "clip": arithmetic.clip,
    }
    for name, attribute in special.items():
        setattr(Array, name, attribute)


def _transpose_method(self: Array, *axes: Any) -> Array:
    """The axes reversed, or in the given order (numbers or one tuple)."""
    if not axes:
        return shape.transpose(self)
    return shape.transpose(self, axes[0] if isinstance(axes[0], (tuple, list)) else axes)
