"""Arithmetic, comparison and the elementary functions."""

from __future__ import annotations

import math
from typing import Any

import retrograd as rg
from adapters.common import adapts

LOG_2 = math.log(2.0)
LOG_10 = math.log(10.0)

for _name, _function in {
    "abs": rg.abs,
    "cos": rg.cos,
    "erf": rg.erf,
    "exp": rg.exp,
    "expm1": rg.expm1,
    "floor": rg.floor,
    "log": rg.log,
    "log1p": rg.log1p,
    "rsqrt": rg.rsqrt,
    "sigmoid": rg.sigmoid,
    "sgn": rg.sign,
    "sign": rg.sign,
    "sin": rg.sin,
    "sqrt": rg.sqrt,
    "square": rg.square,
    "tanh": rg.tanh,
    "maximum": rg.maximum,
    "max.binary": rg.maximum,
    "minimum": rg.minimum,
    "min.binary": rg.minimum,
    "mul": lambda a, b: a * b,
    "true_divide": lambda a, b: a / b,
    "__radd__": lambda a, b: b + a,
    "__rmul__": lambda a, b: b * a,
    "__rsub__": lambda a, b: b - a,
    "__rdiv__": lambda a, b: b / a,
    "__rpow__": lambda a, b: b**a,
    "neg": lambda x: -x,
    "positive": lambda x: x,
    "clone": lambda x, memory_format=None: x,
    "contiguous": lambda x, memory_format=None: x,
    "reciprocal": lambda x: 1.0 / x,
    "ceil": lambda x: -rg.floor(-x),
    "trunc": lambda x: rg.sign(x) * rg.floor(rg.abs(x)),
    "frac": lambda x: x - rg.sign(x) * rg.floor(rg.abs(x)),
    "tan": lambda x: rg.sin(x) / rg.cos(x),
    "sinh": lambda x: (rg.exp(x) - rg.exp(-x)) / 2.0,
    "cosh": lambda x: (rg.exp(x) + rg.exp(-x)) / 2.0,
    "exp2": lambda x: rg.exp(x * LOG_2),
    "log2": lambda x: rg.log(x) / LOG_2,
    "log10": lambda x: rg.log(x) / LOG_10,
    "erfc": lambda x: 1.0 - rg.erf(x),
    "deg2rad": lambda x: x * (math.pi / 180.0),
    "rad2deg": lambda x: x * (180.0 / math.pi),
    "special.ndtr": lambda x: 0.5 * (1.0 + rg.erf(x / math.sqrt(2.0))),
    "hypot": lambda a, b: rg.sqrt(a * a + b * b),
}.items():
    adapts(_name)(_function)


@adapts("add")
def add(a: Any, b: Any, alpha: float = 1) -> Any:
    return a + b if alpha == 1 else a + alpha * b


@adapts("sub")
def sub(a: Any, b: Any, alpha: float = 1) -> Any:
    return a - b if alpha == 1 else a - alpha * b


@adapts("rsub")
def rsub(a: Any, b: Any, alpha: float = 1) -> Any:
    return sub(b, a, alpha)


@adapts("div.no_rounding_mode", "div.floor_rounding", "div.trunc_rounding")
def div(a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    quotient = a / b
    if rounding_mode is None:
        return quotient
    if rounding_mode == "floor":
        return rg.floor(quotient)
    return rg.sign(quotient) * rg.floor(rg.abs(quotient))


@adapts("pow", "float_power")
def power(a: Any, b: Any) -> Any:
    return rg.power(a, b)


@adapts("clamp")
def clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    return rg.clip(x, min, max)


@adapts("clamp_min")
def clamp_min(x: Any, min: Any) -> Any:
    return rg.maximum(x, min)


@adapts("clamp_max")
def clamp_max(x: Any, max: Any) -> Any:
    return rg.minimum(x, max)


@adapts("where")
def where(x: Any, condition: Any, other: Any) -> Any:
    # The sample's input is the first branch: torch.where(condition, input, other).
    return rg.where(condition, x, other)


@adapts("masked_fill")
def masked_fill(x: Any, mask: Any, value: Any) -> Any:
    return rg.where(mask, value, x)


@adapts("addcmul")
def addcmul(x: Any, a: Any, b: Any, value: float = 1) -> Any:
    return x + value * a * b


@adapts("addcdiv")
def addcdiv(x: Any, a: Any, b: Any, value: float = 1) -> Any:
    return x + value * a / b


@adapts("lerp")
def lerp(a: Any, b: Any, weight: Any) -> Any:
    return a + weight * (b - a)


@adapts("logaddexp")
def logaddexp(a: Any, b: Any) -> Any:
    largest = rg.stop_gradient(rg.maximum(a, b))
    return largest + rg.log(rg.exp(a - largest) + rg.exp(b - largest))


@adapts("logit")
def logit(x: Any, eps: float | None = None) -> Any:
    if eps is not None:
        x = rg.clip(x, eps, 1.0 - eps)
    return rg.log(x) - rg.log1p(-x)
