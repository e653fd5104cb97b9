from pathlib import Path

import pytest

from sandbox.journal import Journal, JournalError


def test_what_was_appended_is_replayed_in_order(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "journal"
    journal = Journal(path)
    journal.append({"event": "a", "name": "李雷"})
    journal.append({"event": "b", "line": "x\ny"})
    journal.close()

    again = Journal(path)

    assert list(again.replay()) == [{"event": "a", "name": "李雷"}, {"event": "b", "line": "x\ny"}]
    again.close()


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")

    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600
    journal.close()


def test_a_last_line_torn_by_a_crash_is_cut_off_and_writing_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text('{"event":"a"}\n{"event":"b","torn')
    journal = Journal(path)

    assert list(journal.replay()) == [{"event": "a"}]
    journal.append({"event": "c"})
    assert list(journal.replay()) == [{"event": "a"}, {"event": "c"}]
    journal.close()


def test_damage_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_text('{"event":"a"}\nnonsense\n{"event":"c"}\n')
    journal = Journal(path)

    with pytest.raises(JournalError, match="line 2 is not JSON"):
        list(journal.replay())
    journal.close()


def test_two_sandboxes_cannot_share_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")

    with pytest.raises(JournalError, match="in use by another sandbox"):
        Journal(tmp_path / "journal")

    journal.close()
    Journal(tmp_path / "journal").close()


def test_without_a_file_nothing_is_kept() -> None:
    journal = Journal(None)
    journal.append({"event": "a"})

    assert list(journal.replay()) == []
    journal.close()
