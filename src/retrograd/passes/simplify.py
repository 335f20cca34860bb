"""Operations that do nothing, undo each other, or are dearer than others that give the same.

All rules keep every bit (signs of zeros and NaNs too) but one: small powers become products, which
are rounded once for each factor.
"""

from __future__ import annotations

import math

import numpy as np

from ..ir import Atom, Graph, Node
from .movement_rules import MOVEMENT_RULES
from .rewriting import Rewriter, Rule, inside_too, make_uniform, uniform_value

MOST_FACTORS = 4
"""Powers up to this one become products."""


@inside_too
def simplify(graph: Graph) -> Graph:
    """The Graph with simpler operations, or none, in the place of some."""
    return Rewriter(RULES).rewrite(graph)


def _multiply(rewriter: Rewriter, node: Node) -> Atom | None:
    """`x * 1`, `-a * -b`, `-a * c` with a constant c."""
    a, b = node.inputs
    for x, y in ((a, b), (b, a)):
        value = uniform_value(y)
        if value is None:
            continue
        if value == 1:
            return x
        inner = rewriter.maker(x, "negative")
        if inner is not None and node.outputs[0].type.floating:
            return rewriter.make("multiply", inner.inputs[0], make_uniform(-value, y.type))
    first, second = rewriter.maker(a, "negative"), rewriter.maker(b, "negative")
    if first is not None and second is not None:
        return rewriter.make("multiply", first.inputs[0], second.inputs[0])
    return None


def _add(rewriter: Rewriter, node: Node) -> Atom | None:
    """`x + 0` (of floats only -0, as +0 changes the sign of -0), `a + -b`."""
    a, b = node.inputs
    for x, y in ((a, b), (b, a)):
        value = uniform_value(y)
        if value is not None and value == 0:
            if value.dtype.kind != "f" or math.copysign(1.0, value) < 0:
                return x
        inner = rewriter.maker(y, "negative")
        if inner is not None:
            return rewriter.make("subtract", x, inner.inputs[0])
    return None


def _subtract(rewriter: Rewriter, node: Node) -> Atom | None:
    """`x - 0` (of floats only +0), `a - -b`."""
    a, b = node.inputs
    value = uniform_value(b)
    if value is not None and value == 0:
        if value.dtype.kind != "f" or math.copysign(1.0, value) > 0:
            return a
    inner = rewriter.maker(b, "negative")
    return None if inner is None else rewriter.make("add", a, inner.inputs[0])


def _divide(rewriter: Rewriter, node: Node) -> Atom | None:
    """`x / c` as `x * (1 / c)` where c is a power of two, whose inverse is exact."""
    a, b = node.inputs
    value = uniform_value(b)
    if value is None or value.dtype.kind != "f" or not np.isfinite(value):
        return None
    if abs(math.frexp(float(value))[0]) != 0.5:
        return None
    with np.errstate(all="ignore"):
        inverse = value.dtype.type(1) / value
    if not np.isfinite(inverse) or abs(inverse) < np.finfo(value.dtype).tiny:
        return None
    return rewriter.make("multiply", a, make_uniform(inverse, b.type))


def _power(rewriter: Rewriter, node: Node) -> Atom | None:
    """`x ** n` with a small whole n as products."""
    base, exponent = node.inputs
    value = uniform_value(exponent)
    if value is None or value != np.floor(value) or not 0 <= value <= MOST_FACTORS:
        return None
    if value == 0:
        return make_uniform(1, base.type)
    if value == 1:
        return base
    square = rewriter.make("multiply", base, base)
    if value == 2:
        return square
    return rewriter.make("multiply", square, base if value == 3 else square)


def _negative(rewriter: Rewriter, node: Node) -> Atom | None:
    inner = rewriter.maker(node.inputs[0], "negative")
    return None if inner is None else inner.inputs[0]


def _where(rewriter: Rewriter, node: Node) -> Atom | None:
    """One branch where the condition is constant or the branches are one."""
    condition, a, b = node.inputs
    value = uniform_value(condition)
    if value is not None:
        return a if value else b
    return a if a is b else None


def _cast(rewriter: Rewriter, node: Node) -> Atom | None:
    """A cast to the dtype that it has, and casts over a dtype that holds all values."""
    atom, dtype = node.inputs[0], node.parameters["dtype"]
    if atom.type.dtype == dtype:
        return atom
    inner = rewriter.maker(atom, "cast")
    if inner is None:
        return None
    source = inner.inputs[0]
    # A cast to bool asks for zero, and one from bool gives 0 or 1: both see the same values.
    if not np.can_cast(source.type.dtype, atom.type.dtype, "safe"):
        return None
    if source.type.dtype == np.int64:  # NumPy calls float64 safe for int64, which it is not
        return None
    return rewriter.make("cast", source, dtype=dtype)


def _identity(rewriter: Rewriter, node: Node) -> Atom | None:
    return node.inputs[0]


RULES: dict[str, tuple[Rule, ...]] = {
    "multiply": (_multiply,),
    "add": (_add,),
    "subtract": (_subtract,),
    "divide": (_divide,),
    "power": (_power,),
    "negative": (_negative,),
    "where": (_where,),
    "cast": (_cast,),
    "stop_gradient": (_identity,),
    **MOVEMENT_RULES,
}
"""What is tried on each primitive."""
