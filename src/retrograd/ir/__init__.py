"""The program form: types, primitives, the immutable Graph, its verifier and its printer."""

from .graph import Atom, Constant, Graph, Node, Variable, prune
from .primitive import NONDIFFERENTIABLE, PRIMITIVES, Primitive, Transforms, declare
from .text import format_graph
from .types import ArrayType, as_dtype, is_floating
from .verify import verify

__all__ = [
    "NONDIFFERENTIABLE",
    "PRIMITIVES",
    "ArrayType",
    "Atom",
    "Constant",
    "Graph",
    "Node",
    "Primitive",
    "Transforms",
    "Variable",
    "as_dtype",
    "declare",
    "format_graph",
    "is_floating",
    "prune",
    "verify",
]
