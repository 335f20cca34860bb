"""Examples in docstrings may write files: each runs in a temporary folder."""

from __future__ import annotations

from pathlib import Path

import pytest


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
