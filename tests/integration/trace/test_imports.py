"""Files of events: by line, in constant memory, resumed where they stood, and never twice."""

import json
import tracemalloc
from itertools import islice
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from app.codes import files
from app.kernel.errors import DomainError
from app.trace import documents, epcis, imports, queries
from app.trace.documents import Record
from app.trace.errors import ImportBusy, UnreadableFile
from app.trace.events import Run
from app.trace.queries import CodeRef
from tests.integration.trace.conftest import OPERATOR

HEAD = "step,event_time,batch,first,last,parent_batch,parent_first,parent_last,dealer,code\n"
AT = "2026-05-04T08:00:00+08:00"


def take(
    factory, path: Path, *, portion: int = 3, portions: int | None = None
) -> tuple[list[Record], object]:
    """Import a file, or its first `portions`, and return what was refused and the import."""
    more = {"file_sha256": files.sha256(path), "file_name": path.name, "actor": OPERATOR}
    now = factory.clock.now()
    found = imports.begin(factory.session, now=now, **more)
    records, done, refused = documents.read(path), found.records, []
    list(islice(records, done))
    for _ in range(portions or 1_000_000):
        piece = list(islice(records, portion))
        if not piece:
            imports.end(factory.session, import_id=found.id, now=now)
            break
        refused += imports.add_portion(
            factory.session,
            import_id=found.id,
            done=done,
            records=piece,
            book=factory.book,
            actor=OPERATOR,
            now=now,
        )
        done += len(piece)
    return refused, imports.begin(factory.session, now=now, **more)


def write(path: Path, *lines: str) -> Path:
    path.write_text(HEAD + "".join(line + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_file_tells_what_is_wrong_by_line_and_keeps_the_rest(factory, tmp_path: Path) -> None:
    path = write(
        tmp_path / "day.csv",
        f"packing,{AT},{factory.items},0,239,{factory.cases},0,9,,",
        f"shipping,{AT},{factory.cases},0,4,,,,EAST,",
        f"shipping,{AT},{factory.cases},5,9,,,,NORTH,",
        f"shipping,2026-05-04,{factory.cases},5,9,,,,EAST,",
        f"packing,{AT},{factory.items},0,23,{factory.cases},50,50,,",
        f"burning,{AT},{factory.items},0,23,,,,,",
        f"shipping,{AT},,,,,,,EAST,{factory.code(factory.cases, 7)}",
        f"shipping,{AT},,,,,,,EAST,N9P4JWSJFGD7A6P0",
        f"shipping,{AT}",
    )
    refused, done = take(factory, path)
    said = [(item.line, item.said.code) for item in refused if isinstance(item.said, DomainError)]
    assert said == [
        (4, "unknown_dealer"),
        (5, "invalid_event"),
        (6, "already_packed"),
        (7, "invalid_event"),
        (9, "invalid_event"),
        (10, "invalid_event"),
    ]
    assert (done.records, done.stored, done.known, done.faulty) == (9, 3, 0, 6)
    assert done.ended_at is not None
    listed = queries.import_faults(factory.session, import_id=done.id)
    assert [(fault.line, fault.code) for fault in listed] == said
    assert factory.shipped_to(factory.items, 4 * 24) == ("310000", "EAST")
    assert factory.shipped_to(factory.items, 7 * 24) == ("310000", "EAST")
    assert factory.shipped_to(factory.items, 8 * 24) == (None, None)


def test_an_import_goes_on_where_it_was_and_a_mended_file_knows_what_is_there(
    factory, tmp_path: Path
) -> None:
    lines = [f"commissioning,{AT},{factory.items},{n * 10},{n * 10 + 9},,,,," for n in range(10)]
    path = write(tmp_path / "made.csv", *lines)
    _, half = take(factory, path, portions=2)
    assert (half.records, half.stored, half.ended_at) == (6, 6, None)
    _, whole = take(factory, path)
    assert (whole.id, whole.records, whole.stored, whole.known) == (half.id, 10, 10, 0)
    _, again = take(factory, path)
    assert again == whole
    longer = write(tmp_path / "made-2.csv", *lines, f"commissioning,{AT},{factory.items},100,109,,,,,")
    _, mended = take(factory, longer)
    assert (mended.stored, mended.known) == (1, 10)
    assert len(queries.imports(factory.session)) == 2


def test_two_runs_of_one_file_do_not_both_go_on(factory, tmp_path: Path) -> None:
    path = write(tmp_path / "one.csv", f"commissioning,{AT},{factory.items},0,9,,,,,")
    _, done = take(factory, path)
    record = next(documents.read(path))
    with pytest.raises(ImportBusy):
        imports.add_portion(
            factory.session,
            import_id=done.id,
            done=0,
            records=[record],
            book=factory.book,
            actor=OPERATOR,
            now=factory.clock.now(),
        )


def test_an_epcis_document_goes_in_and_comes_out(factory, tmp_path: Path, session: Session) -> None:
    link = factory.book.link
    bottles = [link.url(factory.code(factory.items, index)) for index in range(24)]
    case = link.url(factory.code(factory.cases, 0))
    events = [
        {
            "type": "AggregationEvent",
            "eventID": "urn:uuid:pack",
            "eventTime": AT,
            "eventTimeZoneOffset": "+08:00",
            "action": "ADD",
            "bizStep": "https://ref.gs1.org/cbv/BizStep-packing",
            "parentID": case,
            "childEPCs": bottles,
            "readPoint": {"id": "urn:epc:id:sgln:6900001.00001.0"},
        },
        {
            "type": "ObjectEvent",
            "eventID": "urn:uuid:ship",
            "eventTime": "2026-05-05T08:00:00+08:00",
            "eventTimeZoneOffset": "+08:00",
            "action": "OBSERVE",
            "bizStep": "shipping",
            "epcList": [case],
            "destinationList": [{"type": "possessing_party", "destination": "urn:saoma:dealer:EAST"}],
            "bizTransactionList": [{"type": "po", "bizTransaction": "urn:saoma:order:PO-7"}],
        },
        {"type": "TransformationEvent", "eventTime": AT},
        "nonsense",
    ]
    path = tmp_path / "events.json"
    body = {"eventList": events}
    document = {"@context": ["x", {"eventList": "y"}], "type": "EPCISDocument", "epcisBody": body}
    path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    refused, done = take(factory, path)
    assert [item.said.detail for item in refused] == [
        "only ObjectEvent and AggregationEvent are kept",
        "an event is a JSON object",
    ]
    assert path.read_text().splitlines()[refused[1].line - 1].strip() == '"nonsense"'
    assert done.stored == 2
    assert factory.shipped_to(factory.items, 23) == ("310000", "EAST")

    code = CodeRef(factory.items, 5)
    told = [
        (event, queries.event_ranges(session, event_id=event.id))
        for event in queries.events_of(session, batch_id=factory.items, index=5)
    ]
    parents = {event.id: queries.parent_in(ranges, code) for event, ranges in told}
    out = epcis.document(
        told,
        code=code,
        parents=parents,
        link=lambda ref: link.url(factory.code(ref.batch_id, ref.code_index)),
        now=factory.clock.now(),
    )
    packed, shipped = out["epcisBody"]["eventList"]
    assert (packed["parentID"], packed["childEPCs"]) == (case, [bottles[5]])
    assert packed["eventTime"] == "2026-05-04T08:00:00.000+08:00"
    assert (shipped["epcList"], shipped["saoma:region"]) == ([bottles[5]], "310000")
    assert shipped["destinationList"] == events[1]["destinationList"]
    assert shipped["bizTransactionList"] == events[1]["bizTransactionList"]
    assert bottles[6] not in json.dumps(out), "other codes are worth money"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"epcisBody": {}}',
        '{"epcisBody": {"eventList": {}}}',
        '{"epcisBody": {"eventList": [{"type": ',
        '{"epcisBody": {"eventList": [{"a": NaN}]}}',
        '{"epcisBody": {"eventList": [1 2]}}',
        '{"epcisBody": {"eventList": [' + "[" * 100_000,
    ],
)
def test_a_broken_document_is_refused_with_its_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UnreadableFile):
        list(documents.read(path))


def test_a_file_in_another_alphabet_or_without_its_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gbk.csv"
    path.write_bytes((HEAD + "发货").encode("gbk"))
    with pytest.raises(UnreadableFile, match="UTF-8"):
        list(documents.read(path))
    path.write_text("what,when\n", encoding="utf-8")
    with pytest.raises(UnreadableFile, match="first line"):
        list(documents.read(path))


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_reading_takes_the_same_memory_however_long_the_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"long.{kind}"
    with path.open("w", encoding="utf-8") as file:
        if kind == "csv":
            file.write(HEAD)
            file.writelines(f"commissioning,{AT},1,{n},{n},,,,,\n" for n in range(10_000))
        else:
            event = {"type": "ObjectEvent", "action": "ADD", "bizStep": "commissioning", "eventTime": AT}
            file.write('{"epcisBody": {"eventList": [')
            for n in range(10_000):
                ranges = [{"batch": 1, "first": n, "last": n}]
                file.write(("," if n else "") + json.dumps({**event, "saoma:ranges": ranges}) + "\n")
            file.write("]}}")
    tracemalloc.start()
    records = sum(1 for record in documents.read(path) if not isinstance(record.said, DomainError))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert records == 10_000
    assert peak < 500_000, f"{peak:,} bytes for a file of {path.stat().st_size:,}"


def test_the_same_range_may_come_by_its_numbers(factory) -> None:
    said = {
        "type": "ObjectEvent",
        "action": "ADD",
        "bizStep": "commissioning",
        "eventTime": AT,
        "saoma:ranges": [{"batch": factory.items, "first": 0, "last": 9}],
    }
    assert epcis.read_event(said).runs == (Run(factory.items, 0, 9),)
