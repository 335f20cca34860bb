"""retrograd: train neural networks by backpropagation on the machine you have.

Public names, nothing else. The way through the house is docs/layout.md.
"""

from . import losses, metrics, nn, optim, tree
from .data import datasets
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
from .ops.contract import dot, matmul, outer, tensordot
from .ops.control import checkpoint, custom_gradient, scan
from .ops.promotion import array
from .ops.random import seed
from .ops.reduce import all, any, argmax, argmin, max, mean, min, prod, sum
from .ops.shape import broadcast_to, concatenate, expand_dims, reshape, stack, transpose
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
from .transforms import grad, hessian, jacobian, jvp, value_and_grad, vjp

_operators.install()

__version__ = "0.1.0"
