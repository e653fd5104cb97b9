"""CSV packs: right rows, one fixed width, whole or absent after a kill, the same memory for any size."""

import csv
import errno
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from app.codes import files, packs
from app.codes.errors import PackBusy
from app.codes.format import MAX_BATCH_SIZE, BatchKey, CodeKeys
from app.codes.links import CodeLink
from app.codes.packs import write_csv

ROOT = Path(__file__).parents[3]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "_BLOCK_ROWS", 100)
    monkeypatch.setattr(packs, "_SYNC_BLOCKS", 2)


def read_rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("count", [1, 99, 100, 101, 1000])
def test_each_row_is_index_code_and_link(small_blocks, make_pack, tmp_path: Path, count: int) -> None:
    pack = make_pack(count, first_index=9_950)
    manifest = write_csv(pack, tmp_path)
    header, *rows = read_rows(tmp_path / manifest.files[0].name)
    assert header == ["index", "code", "url"]
    assert len(rows) == count
    for place, (index, code, url) in enumerate(rows):
        assert index == f"{9_950 + place:09}"
        assert code == pack.code(9_950 + place)
        assert url == "https://codes.example.com/q/" + code


def test_the_file_is_crlf_in_rows_of_one_width(make_pack, tmp_path: Path) -> None:
    """A printer's machine may seek to any row."""
    manifest = write_csv(make_pack(500), tmp_path)
    lines = (tmp_path / manifest.files[0].name).read_bytes().split(b"\r\n")
    assert lines[0] == b"index,code,url"
    assert lines[-1] == b""
    assert {len(line) for line in lines[1:-1]} == {9 + 1 + 16 + 1 + 28 + 16}


def test_the_last_codes_of_the_largest_batch(make_pack, tmp_path: Path) -> None:
    manifest = write_csv(make_pack(3, first_index=MAX_BATCH_SIZE - 3), tmp_path)
    rows = read_rows(tmp_path / manifest.files[0].name)
    assert [row[0] for row in rows[1:]] == ["134217725", "134217726", "134217727"]


def test_the_manifest_says_what_is_there(make_pack, tmp_path: Path) -> None:
    manifest = write_csv(make_pack(1000, first_index=5), tmp_path)
    content = json.loads(manifest.path(tmp_path).read_text())
    file = content.pop("files")
    assert content == {
        "kind": "csv",
        "format_version": 1,
        "created_at": "2026-11-01T08:30:00Z",
        "batch": {"id": "ba_abc", "product": "橙汁 330 ml", "lot": "L-7"},
        "url_prefix": "https://codes.example.com/q/",
        "first_index": 5,
        "rows": 1000,
    }
    written = (tmp_path / file[0]["name"]).read_bytes()
    assert file == [
        {
            "name": "batch-5-000000005-1000.csv",
            "first_index": 5,
            "rows": 1000,
            "bytes": len(written),
            "sha256": hashlib.sha256(written).hexdigest(),
        }
    ]


def test_a_finished_pack_leaves_the_file_and_its_manifest_only_for_its_owner(
    make_pack, tmp_path: Path
) -> None:
    write_csv(make_pack(10), tmp_path)
    left = sorted(tmp_path.iterdir())
    assert [path.name for path in left] == [
        "batch-5-000000000-10.csv",
        "batch-5-000000000-10.csv.manifest.json",
    ]
    assert {path.stat().st_mode & 0o777 for path in left} == {0o600}


def test_keys_do_not_show_in_a_pack(make_pack) -> None:
    assert "batch_key" not in repr(make_pack())
    assert "keys=" not in repr(make_pack())


def test_progress_counts_up_to_all_rows(small_blocks, make_pack, tmp_path: Path) -> None:
    heard: list[int] = []
    write_csv(make_pack(450), tmp_path, progress=heard.append)
    assert heard == [100, 200, 300, 400, 450]


class Killed(BaseException):
    """What stands for a kill where a process of its own is not needed."""


def interrupt_at(row: int):  # type: ignore[no-untyped-def]
    def progress(done: int) -> None:
        if done >= row:
            raise Killed

    return progress


def whole_file(make_pack, folder: Path, count: int) -> bytes:
    return (folder / write_csv(make_pack(count), folder).files[0].name).read_bytes()


@pytest.mark.parametrize("row", [100, 200, 300, 800, 1000])
def test_an_interrupted_pack_goes_on_and_ends_the_same(
    small_blocks, make_pack, tmp_path: Path, row: int
) -> None:
    expected = whole_file(make_pack, tmp_path / "whole", 1000)
    broken = tmp_path / "broken"
    with pytest.raises(Killed):
        write_csv(make_pack(1000), broken, progress=interrupt_at(row))
    assert not list(broken.glob("*.csv"))
    assert not list(broken.glob("*.manifest.json"))
    heard: list[int] = []
    manifest = write_csv(make_pack(1000), broken, progress=heard.append)
    assert (broken / manifest.files[0].name).read_bytes() == expected
    assert manifest.files[0].sha256 == hashlib.sha256(expected).hexdigest()
    if row >= 300:
        assert heard[:1] != [100], "it began again instead of going on"


@pytest.mark.parametrize("damage", ["torn tail", "long tail", "short", "changed", "no state", "half a state"])
def test_what_lies_there_is_proven_not_believed(small_blocks, make_pack, tmp_path: Path, damage: str) -> None:
    expected = whole_file(make_pack, tmp_path / "whole", 1000)
    broken = tmp_path / "broken"
    with pytest.raises(Killed):
        write_csv(make_pack(1000), broken, progress=interrupt_at(900))
    (part,) = broken.glob("*.part")
    (state,) = broken.glob("*.state")
    content = part.read_bytes()
    if damage == "torn tail":
        part.write_bytes(content + b"\x00" * 777)
    elif damage == "long tail":
        part.write_bytes(content + b"\x00" * 777_777)
    elif damage == "short":
        part.write_bytes(content[:500])
    elif damage == "changed":
        part.write_bytes(content[:500] + b"X" + content[501:])
    elif damage == "no state":
        state.unlink()
    else:
        state.write_bytes(state.read_bytes()[:20])
    manifest = write_csv(make_pack(1000), broken)
    assert (broken / manifest.files[0].name).read_bytes() == expected


@pytest.mark.parametrize(
    "change",
    [
        {"keys": CodeKeys(b"k" * 32)},
        {"batch_key": BatchKey(b"b" * 32)},
        {"link": CodeLink("https://codes.example.org/q/")},
    ],
    ids=["code key", "batch key", "prefix"],
)
def test_a_pack_never_mixes_two_keys_or_prefixes(small_blocks, make_pack, tmp_path: Path, change) -> None:
    whole = tmp_path / "whole"
    expected = (whole / write_csv(make_pack(1000, **change), whole).files[0].name).read_bytes()
    with pytest.raises(Killed):
        write_csv(make_pack(1000), tmp_path, progress=interrupt_at(900))
    manifest = write_csv(make_pack(1000, **change), tmp_path)
    assert (tmp_path / manifest.files[0].name).read_bytes() == expected


def test_a_kill_between_the_final_name_and_the_manifest_is_mended(
    small_blocks, make_pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(packs.Manifest, "write", killed)
        with pytest.raises(Killed):
            write_csv(make_pack(1000), tmp_path)
    heard: list[int] = []
    manifest = write_csv(make_pack(1000), tmp_path, progress=heard.append)
    assert heard == [], "all rows were there"
    assert manifest.files[0].is_intact(tmp_path)
    assert manifest.path(tmp_path).exists()


def test_a_full_disk_is_told_and_the_pack_goes_on_later(
    small_blocks, make_pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole_file(make_pack, tmp_path / "whole", 1000)
    append = packs._CsvFile.append
    blocks: list[int] = []

    def fail_at_the_fifth(self, start, block, count):  # type: ignore[no-untyped-def]
        blocks.append(start)
        if start == 400:
            self._file.write(block[:333])
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, start, block, count)

    with monkeypatch.context() as patch:
        patch.setattr(packs._CsvFile, "append", fail_at_the_fifth)
        with pytest.raises(OSError, match="No space left"):
            write_csv(make_pack(1000), tmp_path)
    (state,) = tmp_path.glob("*.state")
    assert json.loads(state.read_text())["rows"] == 400
    manifest = write_csv(make_pack(1000), tmp_path)
    assert (tmp_path / manifest.files[0].name).read_bytes() == expected


def test_two_writers_of_one_folder_do_not_meet(make_pack, tmp_path: Path) -> None:
    with files.only_writer(tmp_path), pytest.raises(PackBusy) as refusal:
        write_csv(make_pack(), tmp_path)
    assert refusal.value.code == "pack_busy"
    write_csv(make_pack(), tmp_path)


KILLED_PROCESS = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from app.codes import packs
from app.codes.format import BatchKey, CodeKeys
from app.codes.links import CodeLink
packs._BLOCK_ROWS, packs._SYNC_BLOCKS = 1000, 2
def progress(done):
    if done >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
pack = packs.Pack(CodeKeys(bytes(range(32))), BatchKey(bytes(range(32, 64))), 5, 0, 20_000,
    CodeLink("https://codes.example.com/q/"), {"lot": "L-7"}, datetime(2026, 11, 1, tzinfo=UTC))
packs.write_csv(pack, Path(sys.argv[1]), progress=progress)
"""


@pytest.mark.crash
def test_a_pack_survives_being_killed_again_and_again(make_pack, tmp_path: Path) -> None:
    expected = whole_file(make_pack, tmp_path / "whole", 20_000)
    broken = tmp_path / "broken"
    for row in (3000, 9000, 15000, 20000):
        process = subprocess.run(
            [sys.executable, "-c", KILLED_PROCESS, str(broken), str(row)], cwd=ROOT, check=False
        )
        assert process.returncode == -9
        assert not list(broken.glob("*.manifest.json"))
    manifest = write_csv(make_pack(20_000), broken)
    assert (broken / manifest.files[0].name).read_bytes() == expected


MEASURED_PROCESS = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from app.codes.format import BatchKey, CodeKeys
from app.codes.links import CodeLink
from app.codes.pack import Pack
from app.codes.packs import write_csv
pack = Pack(CodeKeys(bytes(32)), BatchKey(bytes(32)), 5, 0, int(sys.argv[2]),
    CodeLink("https://codes.example.com/q/"), {}, datetime(2026, 11, 1, tzinfo=UTC))
write_csv(pack, Path(sys.argv[1]))
# Not ru_maxrss: a child inherits the peak of the parent that started it.
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
"""


def test_memory_does_not_grow_with_the_size_of_a_pack(tmp_path: Path) -> None:
    """The bar is 150 MB whatever the size: a file larger by 130 MB may cost the allocator's noise only."""
    kilobytes = []
    for rows in (200_000, 2_000_000):
        process = subprocess.run(
            [sys.executable, "-c", MEASURED_PROCESS, str(tmp_path / str(rows)), str(rows)],
            capture_output=True,
            check=True,
            cwd=ROOT,
        )
        kilobytes.append(int(process.stdout))
    assert kilobytes[1] < 150_000
    assert kilobytes[1] - kilobytes[0] < 15_000
