"""What primitives that hold one Graph, their body, have in common."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentTypeError
from ..ir import ArrayType, Graph, Transforms


def infer_body(*types: ArrayType, body: Graph, **parameters: Any) -> tuple[ArrayType, ...]:
    if types != body.input_types:
        raise ArgumentTypeError(f"{body.name} takes {body.input_types}, received {types}.")
    return body.output_types


def evaluate_body(
    *arrays: Any, body: Graph, transforms: Transforms, **parameters: Any
) -> list[Any]:
    return transforms.evaluate(body, arrays)
