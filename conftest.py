"""For all tests: every Graph is verified, and examples run in a temporary folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is slow: no timing decides a test.
settings.register_profile("any speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any speed")

os.environ.setdefault("RETROGRAD_VERIFY", "1")  # read when retrograd is first used
os.environ.setdefault("RETROGRAD_CACHE", "off")  # tests compile what they test


@pytest.fixture(autouse=True)
def run_examples_in_a_temporary_folder(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> object:
    if not isinstance(request.node, pytest.DoctestItem):
        return None
    patch = pytest.MonkeyPatch()
    patch.chdir(tmp_path_factory.mktemp("example"))
    request.addfinalizer(patch.undo)
    return Path.cwd()
