"""Which machine a figure is of."""

from __future__ import annotations

import datetime
import os
import platform
from pathlib import Path
from typing import Any


def describe_machine() -> dict[str, Any]:
    """Processor, system, load: what a figure means nothing without."""
    try:
        load = os.getloadavg()[0]
    except OSError:
        load = None
    return {
        "cpu": read_processor_name(),
        "system": platform.platform(),
        "load": load,
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def read_processor_name() -> str:
    """The name that the system gives, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
