"""An operator imports what the factory and the warehouse report, and follows a bottle."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.support.operators import shell

Saoma = Callable[..., Result]
AT = "2026-05-04T08:00:00+08:00"


@pytest.fixture
def run(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Saoma:
    """The command on an installation with a dealer, 240 bottles and 10 cases."""
    call = shell(sqlite_url, tmp_path, monkeypatch)
    call("brands", "add", "tea", "--zh", "茶", "--en", "Tea")
    call("products", "add", "tea", "T-330", "--line", "tea", "--zh", "绿茶", "--en", "Green tea")
    call("batches", "create", "tea", "T-330", "--lot", "L-1", "--size", "240", "--under-cap")
    call("batches", "create", "tea", "T-330", "--lot", "L-1", "--size", "10", "--level", "case")
    call("batches", "activate", "1")
    call("dealers", "save", "EAST", "--name", "华东", "--region", "310000")
    call("stores", "save", "S-1", "--name", "南京路", "--dealer", "EAST", "--region", "310101")
    return call


def code_of(run: Saoma, folder: Path, index: int) -> str:
    run("packs", "csv", "1", "--into", str(folder))
    (path,) = folder.glob("*.csv")
    return path.read_text().splitlines()[index + 1].split(",")[1]


def test_a_file_goes_in_and_the_events_of_a_bottle_come_out(run: Saoma, tmp_path: Path) -> None:
    events = tmp_path / "may.csv"
    events.write_text(
        "step,event_time,batch,first,last,parent_batch,parent_first,parent_last,dealer\n"
        f"packing,{AT},1,0,239,2,0,9,\n"
        f"shipping,{AT},2,0,4,,,,EAST\n"
        f"shipping,{AT},2,5,9,,,,WEST\n"
    )
    told = run("trace", "import", str(events), code=2)
    assert "3 records, 2 stored, 0 known, 1 refused" in told.output
    assert "line 4: there is no dealer with this code" in told.output
    (listed,) = json.loads(run("trace", "imports", "--json").output)
    assert (listed["file"], listed["refused"], listed["by"]) == ("may.csv", 1, "olga")
    (fault,) = json.loads(run("trace", "faults", str(listed["import"]), "--json").output)
    assert (fault["line"], fault["code"]) == (4, "unknown_dealer")

    code = code_of(run, tmp_path / "packs", 30)
    document = json.loads(run("trace", "export", code).output)
    packed, shipped = document["epcisBody"]["eventList"]
    assert packed["childEPCs"] == shipped["epcList"] == [f"https://m.example.com/q/{code}"]
    assert packed["parentID"].startswith("https://m.example.com/q/")
    run("trace", "wrong", shipped["eventID"], "--reason", "another truck")
    run("trace", "export", code, "--into", str(tmp_path / "life.json"))
    corrected = json.loads((tmp_path / "life.json").read_text())["epcisBody"]["eventList"][1]
    assert corrected["errorDeclaration"]["reason"] == "another truck"
    run("trace", "export", "N9P4JWSJFGD7A6P0", code=2)


def test_dealers_and_stores_are_listed(run: Saoma) -> None:
    assert "310000" in run("dealers", "list").output
    assert json.loads(run("stores", "list", "--json").output)[0]["dealer"] == "EAST"
    run("stores", "save", "S-2", "--name", "x", "--dealer", "NONE", "--region", "310101", code=2)
    run("dealers", "save", "D", "--name", "x", "--region", "31", code=2)


def test_cases_of_diversion_are_looked_for_and_listed(run: Saoma) -> None:
    assert "0 scans were elsewhere" in run("trace", "diversions", "find").output
    assert json.loads(run("trace", "diversions", "list", "--state", "open", "--json").output) == []
    run("trace", "diversions", "show", "1", code=2)
    run("trace", "diversions", "confirm", "1", "--reason", "nobody knows it", code=2)


def test_a_codes_life_is_one_page(run: Saoma, tmp_path: Path) -> None:
    events = tmp_path / "may.csv"
    events.write_text(
        "step,event_time,batch,first,last,parent_batch,parent_first,parent_last,dealer\n"
        f"packing,{AT},1,0,239,2,0,9,\n"
        f"shipping,{AT},2,0,9,,,,EAST\n"
    )
    run("trace", "import", str(events))
    code = code_of(run, tmp_path / "packs", 30)
    life = json.loads(run("trace", "life", code, "--json").output)
    (about,) = life["code"]
    assert (about["lot"], about["shipped to"], about["dealer"]) == ("L-1", "310000", "EAST")
    assert life["packages"] == [{"batch_id": 2, "code_index": 1}]
    assert [event["step"] for event in life["events"]] == ["packing", "shipping"]
    assert life["scans"] == life["award"] == life["bills"] == []
    assert "packing" in run("trace", "life", code).output
    run("trace", "life", code, "--html", str(tmp_path / "life.html"))
    assert "<td>EAST</td>" in (tmp_path / "life.html").read_text()
