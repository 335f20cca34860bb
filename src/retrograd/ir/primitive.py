"""A primitive operation: declared once, with its type rule, NumPy meaning and derivative rules.

Rules never see Python state: they get values and static parameters, and return values. The
derivative rules are written with the library's own operations, so that a gradient is an ordinary
Graph, which can be differentiated, compiled and explained again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

if TYPE_CHECKING:
    from .graph import Graph

NONDIFFERENTIABLE: Final = "nondifferentiable"

Rule = Callable[..., Any]
DerivativeRule = Rule | Literal["nondifferentiable"]


class Transforms(Protocol):
    """What a primitive that holds Graphs receives from the transform that calls its rules."""

    def evaluate(self, graph: Graph, arrays: Sequence[Any]) -> list[Any]:
        """Run the graph on NumPy arrays."""

    def split(self, graph: Graph, wanted: Sequence[int]) -> tuple[Graph, Graph, int]:
        """The forward half and the backward half of the graph's gradient.

        The forward half returns the outputs, then the residuals. The backward half takes the
        residuals, then one cotangent for each floating output, and returns one cotangent for
        each wanted input. The number is the count of residuals.
        """

    def jvp(self, graph: Graph, active: Sequence[int]) -> tuple[Graph, tuple[int, ...]]:
        """The graph that also carries tangents: (inputs, tangents) -> (outputs, tangents)."""

    def batch(
        self, graph: Graph, mapped: Sequence[bool], size: int, wanted: Sequence[bool] = ()
    ) -> tuple[Graph, tuple[bool, ...]]:
        """The graph for `size` examples at once, and which of its outputs are mapped.

        Mapped values have the examples along axis 0. The `wanted` outputs are mapped in any case.
        """


@dataclass(frozen=True, eq=False, slots=True)
class Primitive:
    """One operation of the program form.

    Args:
        name: its name in printed programs.
        infer: the type rule, `infer(*types, **parameters) -> tuple of ArrayType`; raises
            ShapeError or DTypeError.
        evaluate: the NumPy meaning, `evaluate(*arrays, **parameters) -> tuple of ndarray`.
        jvp: forward mode, `jvp(primals, tangents, outputs, **parameters) -> list of tangents`;
            a tangent that is None is zero.
        backward: the second half of the backward rule, `backward(residuals, cotangents, needed,
            **parameters) -> list of cotangents`, one for each input, None where it is zero or
            not needed. `residuals` is `(inputs, outputs)` unless the first half says otherwise.
        forward_with_residuals: the first half, `(inputs, needed, **parameters) -> (outputs,
            residuals)`; by default the node itself, keeping its inputs and outputs.
        batch: many examples at once, `batch(primitive, inputs, mapped, size, **parameters) ->
            (outputs, mapped outputs)`; ops/batch_rules.py has those that primitives share.
        holds_graphs: the parameters hold Graphs; all rules then get `transforms=` as well.
        elementwise: each output element depends on the input elements at the same place.
    """

    name: str
    infer: Rule
    evaluate: Rule
    jvp: DerivativeRule
    backward: DerivativeRule
    forward_with_residuals: Rule | None = None
    batch: Rule | None = None
    holds_graphs: bool = False
    elementwise: bool = False

    @property
    def differentiable(self) -> bool:
        return self.backward != NONDIFFERENTIABLE

    def __repr__(self) -> str:
        return f"Primitive({self.name})"


PRIMITIVES: dict[str, Primitive] = {}


def declare(
    name: str,
    *,
    infer: Rule,
    evaluate: Rule,
    jvp: DerivativeRule,
    backward: DerivativeRule,
    forward_with_residuals: Rule | None = None,
    batch: Rule | None = None,
    holds_graphs: bool = False,
    elementwise: bool = False,
) -> Primitive:
    """Declare a primitive and enter it in the table that the completeness tests read."""
    if name in PRIMITIVES:
        raise ValueError(f"the primitive {name} is declared twice")
    primitive = Primitive(
        name,
        infer,
        evaluate,
        jvp,
        backward,
        forward_with_residuals,
        batch,
        holds_graphs,
        elementwise,
    )
    PRIMITIVES[name] = primitive
    return primitive
