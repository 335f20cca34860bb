"""The workloads of retrograd, for environments without it: their file is read alone."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

FILE = Path(__file__).resolve().parents[2] / "src" / "retrograd" / "workloads.py"

if TYPE_CHECKING:
    from retrograd.workloads import (
        GATES,
        LEARNING_RATE,
        TOKEN_SPREAD,
        WORKLOADS,
        Workload,
        list_resnet_blocks,
    )
else:
    specification = importlib.util.spec_from_file_location("workloads_of_retrograd", FILE)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look it up
    specification.loader.exec_module(module)
    LEARNING_RATE, WORKLOADS = module.LEARNING_RATE, module.WORKLOADS
    GATES, TOKEN_SPREAD = module.GATES, module.TOKEN_SPREAD
    Workload, list_resnet_blocks = module.Workload, module.list_resnet_blocks

__all__ = [
    "GATES",
    "LEARNING_RATE",
    "TOKEN_SPREAD",
    "WORKLOADS",
    "Workload",
    "list_resnet_blocks",
]
