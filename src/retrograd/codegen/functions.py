"""The vector math as rows for the table of elementwise primitives.

Every function is made of +, -, *, /, fma, integer operations and selections, in an order that does
not depend on the number of lanes: vectors and scalars give the same bits. Nothing is called but
the reduction of large arguments of sin and cos. Errors against the exact result: 2 units in the
last place, 4 for tanh, erf and power.
"""

from __future__ import annotations

from . import division, exponential, logarithm, powers, trigonometry
from .terms import Row, row

FUNCTIONS: dict[str, Row] = {
    "exp": row(exponential.exp),
    "expm1": row(exponential.expm1),
    "sigmoid": row(exponential.sigmoid),
    "tanh": row(exponential.tanh),
    "erf": row(exponential.erf),
    "log": row(logarithm.log),
    "log1p": row(logarithm.log1p),
    "sin": row(trigonometry.sin),
    "cos": row(trigonometry.cos),
    "power": row(powers.power),
    "floor_divide": row(division.floor_divide),
}
