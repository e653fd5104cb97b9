"""Events as EPCIS 2.0 JSON-LD writes them, both ways, pure.

Codes are named by the links that are printed (GS1 allows any URI); ranges, which EPCIS has no word for, by
our own extension `saoma:ranges`. Dealers, stores and orders are URNs of ours:

    urn:saoma:dealer:D-17    urn:saoma:store:S-4    urn:saoma:order:PO-2026-118

What others add to an event, sensors and certificates, is not kept.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from app.trace.errors import InvalidEvent
from app.trace.events import Action, Declaration, Event, EventKind, RangeRole, Run, Step
from app.trace.queries import CodeRef, EventView

CONTEXT = [
    "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld",
    {"saoma": "urn:saoma:epcis:"},
]
_DEALER, _STORE, _ORDER = "urn:saoma:dealer:", "urn:saoma:store:", "urn:saoma:order:"
_KINDS = {"ObjectEvent": EventKind.OBJECT, "AggregationEvent": EventKind.AGGREGATION}
_STEP_PREFIXES = ("https://ref.gs1.org/cbv/BizStep-", "urn:epcglobal:cbv:bizstep:", "cbv:BizStep-")


def read_event(said: object) -> Event:
    """Return the event that an element of an eventList says; raise InvalidEvent."""
    if not isinstance(said, dict):
        raise InvalidEvent("an event is a JSON object")
    kind = _KINDS.get(str(said.get("type")))
    if kind is None:
        raise InvalidEvent("only ObjectEvent and AggregationEvent are kept")
    is_object = kind is EventKind.OBJECT
    parent = said.get("parentID")
    moment = read_moment(said.get("eventTime"), "eventTime")
    dealer, store = _destination(said)
    return Event(
        kind=kind,
        action=_choice(Action, str(said.get("action")).lower(), "action"),
        step=_step(said.get("bizStep")),
        event_time=moment,
        zone_minutes=_zone(said.get("eventTimeZoneOffset"), moment),
        event_id=_text(said.get("eventID"), "eventID") or "",
        runs=_runs(said.get("saoma:ranges")),
        codes=_texts(said.get("epcList" if is_object else "childEPCs"), "epcList"),
        parents=_runs(said.get("saoma:parents")),
        parent_codes=() if parent is None else _texts([parent], "parentID"),
        read_point=_place(said.get("readPoint")),
        location=_place(said.get("bizLocation")),
        dealer=dealer,
        store=store or _after(_STORE, _place(said.get("bizLocation"))),
        region=_text(said.get("saoma:region"), "saoma:region"),
        attributes=_attributes(said),
        error=_declaration(said.get("errorDeclaration")),
    )


def read_moment(text: object, name: str) -> datetime:
    """Return a moment with its zone; raise InvalidEvent for one without."""
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidEvent(f"{name} is a time with its zone, such as 2026-06-01T12:00:00+08:00")
    return moment


def _choice(kind: Any, text: str, name: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InvalidEvent(f"{name} is one of {', '.join(kind)}") from None


def _step(said: object) -> Step:
    text = str(said)
    for prefix in _STEP_PREFIXES:
        text = text.removeprefix(prefix)
    found: Step = _choice(Step, text, "bizStep")
    return found


def _zone(said: object, moment: datetime) -> int:
    if said is None:
        offset = moment.utcoffset()
        assert offset is not None
        return int(offset.total_seconds() // 60)
    try:
        offset = datetime.strptime(str(said), "%z").utcoffset()
    except ValueError:
        offset = None
    if offset is None:
        raise InvalidEvent("eventTimeZoneOffset is written +08:00")
    return int(offset.total_seconds() // 60)


def _text(said: object, name: str) -> str | None:
    if said is not None and not isinstance(said, str):
        raise InvalidEvent(f"{name} is a text")
    return said


def _texts(said: object, name: str) -> tuple[str, ...]:
    if said is None:
        return ()
    if not isinstance(said, list) or not all(isinstance(text, str) for text in said):
        raise InvalidEvent(f"{name} is a list of texts")
    return tuple(said)


def _place(said: object) -> str | None:
    if said is None:
        return None
    found = said.get("id") if isinstance(said, dict) else None
    if not isinstance(found, str):
        raise InvalidEvent('readPoint and bizLocation are written {"id": "…"}')
    return found


def _runs(said: object) -> tuple[Run, ...]:
    if said is None:
        return ()
    if not isinstance(said, list):
        raise InvalidEvent("saoma:ranges is a list")
    runs = []
    for item in said:
        numbers = [item.get(name) if isinstance(item, dict) else None for name in ("batch", "first", "last")]
        if not all(type(number) is int for number in numbers):
            raise InvalidEvent('a range is written {"batch": 1, "first": 0, "last": 23}')
        runs.append(Run(*(number for number in numbers if type(number) is int)))
    return tuple(runs)


def _destination(said: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return the codes of the dealer and of the store that something went to."""
    listed = said.get("destinationList") or []
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise InvalidEvent("destinationList is a list of objects")
    uris = [str(item.get("destination")) for item in listed]
    dealers = [code for uri in uris if (code := _after(_DEALER, uri))]
    stores = [code for uri in uris if (code := _after(_STORE, uri))]
    return next(iter(dealers), None), next(iter(stores), None)


def _after(prefix: str, uri: str | None) -> str | None:
    return uri[len(prefix) :] if uri is not None and uri.startswith(prefix) else None


def _attributes(said: Mapping[str, Any]) -> dict[str, str]:
    known = {}
    listed = said.get("bizTransactionList") or []
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise InvalidEvent("bizTransactionList is a list of objects")
    for item in listed:
        uri = str(item.get("bizTransaction"))
        known["order"] = _after(_ORDER, uri) or uri
    channel = _text(said.get("saoma:channel"), "saoma:channel")
    return {**known, **({"channel": channel} if channel is not None else {})}


def _declaration(said: object) -> Declaration | None:
    if said is None:
        return None
    if not isinstance(said, dict):
        raise InvalidEvent("errorDeclaration is an object")
    return Declaration(
        reason=_text(said.get("reason"), "reason") or "unspecified",
        declared_at=read_moment(said.get("declarationTime"), "declarationTime"),
        corrected_by=_texts(said.get("correctiveEventIDs"), "correctiveEventIDs"),
    )


def document(
    events: Sequence[tuple[EventView, Sequence[tuple[RangeRole, Run]]]],
    *,
    code: CodeRef,
    parents: Mapping[int, CodeRef | None],
    link: Callable[[CodeRef], str],
    now: datetime,
) -> dict[str, Any]:
    """Return the EPCIS document of what happened to one code (CODE-05).

    Each event is told as far as it concerns this code: other codes are worth money and are not named.
    `parents` holds, by our id of the event, the package that the code was put into.
    """
    return {
        "@context": CONTEXT,
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": now.isoformat(timespec="milliseconds"),
        "epcisBody": {
            "eventList": [
                _written(event, ranges, code=code, parent=parents.get(event.id), link=link)
                for event, ranges in events
            ]
        },
    }


def _written(
    event: EventView,
    ranges: Sequence[tuple[RangeRole, Run]],
    *,
    code: CodeRef,
    parent: CodeRef | None,
    link: Callable[[CodeRef], str],
) -> dict[str, Any]:
    zone = timezone(timedelta(minutes=event.zone_minutes))
    written: dict[str, Any] = {
        "type": "ObjectEvent" if event.kind is EventKind.OBJECT else "AggregationEvent",
        "eventID": event.event_id,
        "eventTime": event.event_time.astimezone(zone).isoformat(timespec="milliseconds"),
        "eventTimeZoneOffset": _offset(event.zone_minutes),
        "recordTime": event.record_time.astimezone(UTC).isoformat(timespec="milliseconds"),
        "action": event.action.value.upper(),
        "bizStep": event.step.value,
    }
    is_parent = any(role is RangeRole.PARENT and _holds(run, code) for role, run in ranges)
    if event.kind is EventKind.OBJECT:
        written["epcList"] = [link(code)]
    elif is_parent:
        written["parentID"] = link(code)
    else:
        written |= {"childEPCs": [link(code)], **({"parentID": link(parent)} if parent else {})}
    for name, place in (("readPoint", event.read_point), ("bizLocation", event.location)):
        if place is not None:
            written[name] = {"id": place}
    goals = [(_DEALER, event.dealer), (_STORE, event.store)]
    listed = [{"type": "possessing_party", "destination": uri + name} for uri, name in goals if name]
    if listed:
        written["destinationList"] = listed
    if "order" in event.attributes:
        order = _ORDER + event.attributes["order"]
        written["bizTransactionList"] = [{"type": "po", "bizTransaction": order}]
    for name, said in (("region", event.region), ("channel", event.attributes.get("channel"))):
        if said is not None:
            written[f"saoma:{name}"] = said
    if event.wrong is not None and event.wrong_since is not None:
        written["errorDeclaration"] = {
            "declarationTime": event.wrong_since.isoformat(timespec="milliseconds"),
            "reason": event.wrong,
            "correctiveEventIDs": list(event.corrected_by),
        }
    return written


def _holds(run: Run, code: CodeRef) -> bool:
    return run.batch_id == code.batch_id and run.first <= code.code_index <= run.last


def _offset(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"
