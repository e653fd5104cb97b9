"""Files that survive a kill."""

import hashlib
from pathlib import Path

import pytest

from app.codes import files
from app.codes.errors import PackBusy


def test_replace_leaves_the_new_content_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "state"
    files.replace(path, b"a longer first content")
    files.replace(path, b"second")
    assert path.read_bytes() == b"second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state"]


def test_replace_over_the_rest_of_an_interrupted_one(tmp_path: Path) -> None:
    path = tmp_path / "state"
    (tmp_path / "state.new").write_bytes(b"what a killed process left behind")
    files.replace(path, b"new")
    assert path.read_bytes() == b"new"


def test_sha256_reads_all_of_a_large_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"saoma" * 500_000)
    assert files.sha256(path) == hashlib.sha256(b"saoma" * 500_000).hexdigest()


def test_a_folder_has_one_writer_until_it_lets_go(tmp_path: Path) -> None:
    with files.only_writer(tmp_path), pytest.raises(PackBusy), files.only_writer(tmp_path):
        pass
    with files.only_writer(tmp_path):
        pass
