"""`import retrograd` stays quick: what is heavy or seldom used is imported when it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import retrograd as rg

HEAVY = ("llvmlite", "rich", "typer", "safetensors", "polars", "matplotlib", "urllib.request")


def test_importing_retrograd_does_not_import_what_is_heavy() -> None:
    program = "import sys, retrograd; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = set(done.stdout.split())
    assert "numpy" in loaded
    assert not loaded & set(HEAVY)
    assert "retrograd.train" not in loaded


@pytest.mark.parametrize("name", rg.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(rg, name) is not None
    assert name in dir(rg)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        rg.nonsense  # noqa: B018
