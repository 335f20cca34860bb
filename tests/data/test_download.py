"""Downloads: only whole files reach the cache, and every failure says what to do."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from retrograd.data import download
from retrograd.errors import DownloadError, SaveError
from tests.data.helpers import Server

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def fetch(server: Server, path: Path) -> Path:
    return download.download_file(
        server.address + "file.gz",
        path,
        sha256=DIGEST,
        size=len(CONTENT),
        offline_fix="pass the folder.",
    )


def test_download_once(server: Server, tmp_path: Path) -> None:
    server.files["file.gz"] = CONTENT
    path = tmp_path / "new" / "folder" / "file.gz"
    assert fetch(server, path) == path
    assert path.read_bytes() == CONTENT
    assert fetch(server, path) == path
    assert server.requests == ["file.gz"]
    assert [item.name for item in path.parent.iterdir()] == ["file.gz"]


def test_a_damaged_cache_is_downloaded_again(server: Server, tmp_path: Path) -> None:
    server.files["file.gz"] = CONTENT
    path = tmp_path / "file.gz"
    for damaged in (CONTENT[:-1], CONTENT[:-1] + b"?"):
        path.write_bytes(damaged)
        fetch(server, path)
        assert path.read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("content", "claimed", "received"),
    [
        (CONTENT[:-1] + b"?", None, f"received {len(CONTENT)} bytes"),
        (CONTENT[:1000], None, "received 1000 bytes"),
        (CONTENT[:1000], len(CONTENT), "1000"),
        (b"", None, "received 0 bytes"),
        (CONTENT * 3, None, r"received 1\d{6} or more bytes"),
    ],
)
def test_a_damaged_download_keeps_nothing(
    content: bytes, claimed: int | None, received: str, server: Server, tmp_path: Path
) -> None:
    server.files["file.gz"] = content
    if claimed is not None:
        server.claimed_sizes["file.gz"] = claimed
    path = tmp_path / "file.gz"
    with pytest.raises(
        DownloadError, match=f"expected .*{len(CONTENT)} bytes.*{received}"
    ) as caught:
        fetch(server, path)
    assert "pass the folder" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_download_keeps_the_earlier_file(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(b"earlier")
    with pytest.raises(DownloadError, match="the server answered 404 Not Found"):
        fetch(server, path)
    assert path.read_bytes() == b"earlier"
    assert [item.name for item in tmp_path.iterdir()] == ["file.gz"]


def test_no_server(server: Server, tmp_path: Path) -> None:
    server.close()
    with pytest.raises(DownloadError, match="cannot be reached") as caught:
        fetch(server, tmp_path / "file.gz")
    assert "Without a network, pass the folder." in str(caught.value)


def test_an_interrupted_download_leaves_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(url: str, timeout: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("urllib.request.urlopen", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(server, tmp_path / "file.gz")
    assert list(tmp_path.iterdir()) == []


def test_a_cache_that_cannot_be_written(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["file.gz"] = CONTENT
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(SaveError, match="cannot be written") as caught:
        fetch(server, tmp_path / "file" / "file.gz")
    assert "RETROGRAD_DATA" in str(caught.value)

    class FullDisk(io.BytesIO):
        def write(self, content: object) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("retrograd.data.download.os.fdopen", lambda *arguments: FullDisk())
    with pytest.raises(SaveError, match="No space left on device"):
        fetch(server, tmp_path / "file.gz")
    assert [item.name for item in tmp_path.iterdir()] == ["file"]


def test_progress_on_a_terminal(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    server.files["file.gz"] = CONTENT
    fetch(server, tmp_path / "file.gz")
    assert "file.gz" in terminal.getvalue()
