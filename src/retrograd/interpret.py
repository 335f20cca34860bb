"""Runs a Graph with NumPy: the meaning of every program, and the oracle of the compiler."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .config import get_config
from .errors import RetrogradError, VerificationError
from .ir import Constant, Graph, Node
from .trace import get_transforms

NumpyArray = np.ndarray[Any, Any]


@dataclass(slots=True)
class Instruction:
    """One node with its values numbered, and the numbers that are not needed after it."""

    node: Node
    parameters: dict[str, Any]
    inputs: list[int]
    outputs: list[int]
    release: list[int]


@dataclass(slots=True)
class Plan:
    """A Graph prepared to be run: instructions over a list of slots."""

    size: int
    constants: list[tuple[int, NumpyArray]]
    instructions: list[Instruction]
    outputs: list[int]


def plan(graph: Graph) -> Plan:
    """Number the values of a Graph, and find where each is used last."""
    slots: dict[int, int] = {}
    constants: list[tuple[int, NumpyArray]] = []

    def slot_of(atom: Any) -> int:
        known = slots.get(id(atom))
        if known is None:
            known = slots[id(atom)] = len(slots)
            if isinstance(atom, Constant):
                constants.append((known, atom.value))
        return known

    for variable in graph.inputs:
        slot_of(variable)
    instructions = [
        Instruction(
            node,
            dict(node.parameters),
            [slot_of(atom) for atom in node.inputs],
            [slot_of(variable) for variable in node.outputs],
            [],
        )
        for node in graph.nodes
    ]
    outputs = [slot_of(atom) for atom in graph.outputs]
    kept = {slot for slot, _ in constants} | set(outputs)
    for instruction in reversed(instructions):
        for slot in (*instruction.inputs, *instruction.outputs):
            if slot not in kept:
                kept.add(slot)
                instruction.release.append(slot)
    return Plan(len(slots), constants, instructions, outputs)


def run(graph: Graph, arrays: Sequence[NumpyArray]) -> list[NumpyArray]:
    """Evaluate a program with NumPy.

    Args:
        graph: the program.
        arrays: one value for each input.

    Returns:
        One value for each output.

    Raises:
        RetrogradError: an operation refuses its values (an index out of range); the message
            names the user's line.
    """
    prepared: Plan | None = graph.cache.get("plan")
    if prepared is None:
        prepared = graph.cache["plan"] = plan(graph)
    slots: list[Any] = [None] * prepared.size
    slots[: len(arrays)] = arrays
    for slot, value in prepared.constants:
        slots[slot] = value
    check = get_config().verify
    with np.errstate(all="ignore"):
        for instruction in prepared.instructions:
            inputs = [slots[slot] for slot in instruction.inputs]
            results = _apply(instruction, inputs)
            for slot, result in zip(instruction.outputs, results, strict=True):
                slots[slot] = result if isinstance(result, np.ndarray) else np.asarray(result)
            if check:
                _check(instruction, slots)
            for slot in instruction.release:
                slots[slot] = None
    return [slots[slot] for slot in prepared.outputs]


def _apply(instruction: Instruction, inputs: list[NumpyArray]) -> Any:
    primitive = instruction.node.primitive
    try:
        if primitive.holds_graphs:
            return primitive.evaluate(
                *inputs, **instruction.parameters, transforms=get_transforms()
            )
        return primitive.evaluate(*inputs, **instruction.parameters)
    except RetrogradError as error:
        if instruction.node.source is not None:
            error.where = instruction.node.source
        raise


def _check(instruction: Instruction, slots: list[Any]) -> None:
    for variable, slot in zip(instruction.node.outputs, instruction.outputs, strict=True):
        value = slots[slot]
        if value.dtype != variable.type.dtype or value.shape != variable.type.shape:
            raise VerificationError(
                f"{instruction.node.primitive.name} evaluates to {value.dtype}{value.shape}, "
                f"its type rule says {variable.type}."
            )
