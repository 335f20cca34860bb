"""Every primitive natively over a table of shapes: empty, of size 1, odd, and large."""

from __future__ import annotations

import pytest

from retrograd.ir import PRIMITIVES
from retrograd.runtime.target import host_target
from tests.native.helpers import check, trace
from tests.native.shape_families import FAMILIES, SIZES
from tests.native.terms import narrower_target

FACTOR = 100.0
TARGETS = {"host": host_target, "avx2": narrower_target}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_at_every_size(family: str, size: str, target: str) -> None:
    function, arrays = FAMILIES[family](SIZES[size])
    cpu = TARGETS[target]()
    if cpu is None:
        pytest.skip(f"this machine cannot run {target}")
    check(function, arrays, FACTOR, cpu)


@pytest.mark.parametrize("size", SIZES)
def test_no_primitive_is_missing(size: str) -> None:
    used = set()
    for family in FAMILIES.values():
        function, arrays = family(SIZES[size])
        used |= {node.primitive.name for node in trace(function, arrays).walk()}
    missing = set(PRIMITIVES) - used
    assert not missing, f"add them to tests/native/shape_families.py: {sorted(missing)}"
