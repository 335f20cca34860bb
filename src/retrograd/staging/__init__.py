"""Traces a structural copy of the caller's arguments into a Graph, and writes changes back once.

Every transform (grad, compile, scan, checkpoint, jvp) works in the same steps: `describe` finds
the Arrays in the arguments, Modules and Optimizers included; `trace` calls the function with
copies that hold tracers; what the function changed in the copies comes back as extra outputs;
`write_back` puts those into the caller's objects when everything has succeeded.
"""

from .ambient import AMBIENT, register_ambient
from .changes import Builder, find_place
from .describe import Call, Leaf, Template, describe
from .needs_state import NeedsState
from .results import build_result, describe_result
from .retraces import Retrace, TraceHistory
from .stage import Staged, describe_owner, trace

__all__ = [
    "AMBIENT",
    "Builder",
    "Call",
    "Leaf",
    "NeedsState",
    "Retrace",
    "Staged",
    "Template",
    "TraceHistory",
    "build_result",
    "describe",
    "describe_owner",
    "describe_result",
    "find_place",
    "register_ambient",
    "trace",
]
