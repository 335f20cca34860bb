"""retrograd: train neural networks by backpropagation on the machine you have.

Public names, nothing else. The way through the house is docs/layout.md.
"""

from typing import TYPE_CHECKING as _TYPE_CHECKING

from . import tree
from .compile import compile
from .errors import RetrogradError
from .ops import operators as _operators
from .ops import random
from .ops.arithmetic import (
    abs,
    add,
    clip,
    divide,
    floor,
    floor_divide,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    remainder,
    sign,
    square,
    subtract,
)
from .ops.comparison import (
    astype,
    equal,
    greater,
    greater_equal,
    is_finite,
    is_nan,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
    stop_gradient,
    where,
)
from .ops.composite import (
    log_softmax,
    logsumexp,
    softmax,
    squeeze,
    std,
    swapaxes,
    var,
)
from .ops.contract import dot, matmul, outer, tensordot
from .ops.control import checkpoint, cond, custom_gradient, scan, while_loop
from .ops.convolve import conv, conv_transpose
from .ops.creation import (
    arange,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    zeros,
    zeros_like,
)
from .ops.einsum import einsum
from .ops.index import one_hot, take, take_along_axis
from .ops.joining import concatenate, stack
from .ops.order import argsort, cumsum, sort, top_k
from .ops.pooling import avg_pool, max_pool
from .ops.promotion import array
from .ops.random import seed
from .ops.rearrange import flip, moveaxis, pad, repeat, roll, split, tile, tril, triu, unstack
from .ops.reduce import all, any, argmax, argmin, max, mean, min, prod, sum
from .ops.row_gradient import RowGradient
from .ops.shape import broadcast_to, expand_dims, reshape, transpose
from .ops.transcendental import (
    cos,
    erf,
    exp,
    expm1,
    log,
    log1p,
    rsqrt,
    sigmoid,
    sin,
    sqrt,
    tanh,
)
from .trace import Array
from .transforms import grad, hessian, jacobian, jvp, value_and_grad, vjp, vmap
from .version import VERSION

_operators.install()

__version__ = VERSION

# What not every program needs is imported when it is first used: `import retrograd` stays
# quick. Type checkers read the ordinary imports.
if _TYPE_CHECKING:
    from . import losses, metrics, models, nn, optim, testing
    from .data import datasets
    from .train import (
        Callback,
        EarlyStopping,
        History,
        ModelCheckpoint,
        RunCheckpoint,
        StopAtLoss,
        StopAtMetric,
        Trainer,
    )
    from .train.saving import (
        load_model,
        load_model_info,
        load_weights,
        save_model,
        save_weights,
    )

_LATER = {
    "datasets": ".data.datasets",
    "losses": ".losses",
    "metrics": ".metrics",
    "models": ".models",
    "nn": ".nn",
    "optim": ".optim",
    "testing": ".testing",
    **dict.fromkeys(
        (
            "Callback",
            "EarlyStopping",
            "History",
            "ModelCheckpoint",
            "RunCheckpoint",
            "StopAtLoss",
            "StopAtMetric",
            "Trainer",
        ),
        ".train",
    ),
    **dict.fromkeys(
        ("load_model", "load_model_info", "load_weights", "save_model", "save_weights"),
        ".train.saving",
    ),
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _LATER:
        raise AttributeError(f"module 'retrograd' has no attribute {name!r}")
    module = import_module(_LATER[name], __name__)
    found = module if _LATER[name].endswith(f".{name}") else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


__all__ = [
    "Array",
    "Callback",
    "EarlyStopping",
    "History",
    "ModelCheckpoint",
    "RetrogradError",
    "RowGradient",
    "RunCheckpoint",
    "StopAtLoss",
    "StopAtMetric",
    "Trainer",
    "abs",
    "add",
    "all",
    "any",
    "arange",
    "argmax",
    "argmin",
    "argsort",
    "array",
    "astype",
    "avg_pool",
    "broadcast_to",
    "checkpoint",
    "clip",
    "compile",
    "concatenate",
    "cond",
    "conv",
    "conv_transpose",
    "cos",
    "cumsum",
    "custom_gradient",
    "datasets",
    "divide",
    "dot",
    "einsum",
    "equal",
    "erf",
    "exp",
    "expand_dims",
    "expm1",
    "eye",
    "flip",
    "floor",
    "floor_divide",
    "full",
    "full_like",
    "grad",
    "greater",
    "greater_equal",
    "hessian",
    "is_finite",
    "is_nan",
    "jacobian",
    "jvp",
    "less",
    "less_equal",
    "linspace",
    "load_model",
    "load_model_info",
    "load_weights",
    "log",
    "log1p",
    "log_softmax",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logsumexp",
    "losses",
    "matmul",
    "max",
    "max_pool",
    "maximum",
    "mean",
    "metrics",
    "models",
    "min",
    "minimum",
    "moveaxis",
    "multiply",
    "negative",
    "nn",
    "not_equal",
    "one_hot",
    "ones",
    "ones_like",
    "optim",
    "outer",
    "pad",
    "power",
    "prod",
    "random",
    "remainder",
    "repeat",
    "reshape",
    "roll",
    "rsqrt",
    "save_model",
    "save_weights",
    "scan",
    "seed",
    "sigmoid",
    "sign",
    "sin",
    "softmax",
    "sort",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "stop_gradient",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "take_along_axis",
    "tanh",
    "tensordot",
    "testing",
    "tile",
    "top_k",
    "transpose",
    "tree",
    "tril",
    "triu",
    "unstack",
    "value_and_grad",
    "var",
    "vjp",
    "vmap",
    "where",
    "while_loop",
    "zeros",
    "zeros_like",
]
