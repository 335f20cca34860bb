"""An Optimizer without state stops a trace; its state is made, and the trace begins again."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ..trace import Array, Tracer
from .describe import Call


class NeedsState(Exception):
    """An Optimizer without state was used while tracing: its state is made first, then traced.

    Args:
        optimizer: the copy that was used.
        parameters: what it updates, by path; tracers that are inputs of the program.
    """

    def __init__(self, optimizer: Any, parameters: dict[str, Array]) -> None:
        super().__init__("an Optimizer needs its state before it is traced")
        self.optimizer = optimizer
        self.parameters = parameters

    def prepare(self, call: Call) -> Any:
        """Make the state of the caller's Optimizer, and give that Optimizer back."""
        original = _original_of(self.optimizer, call)
        values = {}
        for path, tracer in self.parameters.items():
            inputs = tracer.recorder.inputs if isinstance(tracer, Tracer) else []
            order = {id(variable): n for n, variable in enumerate(inputs)}
            if not isinstance(tracer, Tracer) or id(tracer.atom) not in order:
                raise ArgumentError(
                    f"The Optimizer's first update is for {path!r}, which was computed inside the "
                    "compiled function: its state cannot be made.",
                    fix="call optimizer.init(model) before the first call",
                )
            values[path] = call.leaves[order[id(tracer.atom)]].as_array()
        original.init(values)
        return original


def _original_of(copy: Any, call: Call) -> Any:
    for path, original in zip(call.description.object_paths, call.description.objects, strict=True):
        if type(original) is type(copy) and path == copy.__dict__.get("_path"):
            return original
    raise ArgumentError(
        f"The compiled function uses a {type(copy).__name__} that was not passed to it.",
        fix="pass the Optimizer as an argument",
    )
