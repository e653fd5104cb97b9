"""Pages for scanners that are not WeChat, for newcomers, and the demo's sheet of codes.

Who scans a bottle with another camera opens the link itself: the page says whether the code is genuine and
when it was first scanned, and points to WeChat (contracts 1.10, 13.8). It shows no draw, sets nothing,
records nothing, and runs no script.
"""

import base64
from functools import cache
from pathlib import Path
from typing import TypedDict
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, send_file

from app.catalogue.queries import product
from app.codes import qr, queries
from app.codes.errors import CodeAltered, NotACode
from app.codes.links import CodeLink
from app.codes.outcome import CodeFacts, ScanOutcome, decide
from app.codes.qr import LinkQr
from app.config import Settings
from app.http.access import public
from app.http.edge import respond_json
from app.members.errors import UnknownPlacement
from app.members.queries import resolve_placement
from miniprogram_api import context, texts
from miniprogram_api.negotiation import language, say

SHEET_CODES = 12
_STYLE = Path(__file__).parent / "static" / "page.css"
_ZONE = ZoneInfo("Asia/Shanghai")
_PER_ADDRESS = "600/minute"


def build(settings: Settings) -> list[Blueprint]:
    """Return the pages that this installation has."""
    path = urlsplit(settings.link_prefix).path.rstrip("/")
    landing = _landing(path)
    if settings.verification_file is not None:
        name, content = settings.verification_file
        _verification(landing, f"{path}/{name}", content)
    start = _start(settings)
    if settings.demo:
        _sheet(start)
    return [landing, start]


def _landing(path: str) -> Blueprint:
    landing = Blueprint("landing", __name__, template_folder="templates")

    @landing.get(f"{path}/<code>")
    @public("whoever holds a bottle may ask whether it is genuine", per_address=_PER_ADDRESS)
    def show_code(code: str) -> Response:
        """Tell whether a code is genuine; record nothing."""
        container = context.container()
        try:
            with container.db.read() as session:
                facts = queries.check(session, book=container.code_book, text=code)
                view = None if facts is None else product(session, product_id=facts.product_id)
        except NotACode:
            return page("landing.html", verdict="bad", headline=texts.NOT_GENUINE, lines=[texts.NO_CODE])
        if facts is None or view is None:
            headline = texts.NOT_GENUINE
            return page("landing.html", verdict="bad", headline=headline, lines=[_not_ours(code)])
        names = texts.Text(view.name_zh, view.name_en)
        return page(
            "landing.html",
            verdict="good",
            headline=texts.GENUINE,
            product=names,
            lines=_lines(facts),
            how=texts.OPEN_WECHAT,
        )

    @landing.get("/p/<key>")
    @public("whoever stands before a placement may read what it is for", per_address=_PER_ADDRESS)
    def show_placement(key: str) -> Response:
        """Point a visitor of a placement to WeChat; a closed one leads to the general page."""
        with context.container().db.read() as session:
            try:
                resolve_placement(session, key=key)
                verdict = "good"
            except UnknownPlacement:
                verdict = "plain"
        return page(
            "landing.html",
            verdict=verdict,
            headline=texts.PLACEMENT,
            lines=[],
            how=texts.PLACEMENT_HOW,
        )

    return landing


def _not_ours(code: str) -> texts.Text:
    """Return the words for a code that is not genuine: misread, or never issued."""
    try:
        context.container().code_book.read(code)
    except CodeAltered:
        return texts.OUTCOMES[ScanOutcome.ALTERED]
    return texts.OUTCOMES[ScanOutcome.UNKNOWN]


def _lines(facts: CodeFacts) -> list[texts.Text]:
    """Return what a visitor may know of a genuine code; a frozen one tells nothing more."""
    outcome = decide(facts, ())
    lines = [] if outcome is ScanOutcome.OK else [texts.OUTCOMES[outcome]]
    if outcome is ScanOutcome.FROZEN:
        return lines
    earlier = facts.earlier
    if earlier is None or earlier.first_at is None:
        return [*lines, texts.NEVER_SCANNED]
    at = f"{earlier.first_at.astimezone(_ZONE):%Y-%m-%d %H:%M}"
    said = texts.FIRST_SCANNED
    return [
        *lines,
        texts.Text(said.zh.format(at=at, times=earlier.scans), said.en.format(at=at, times=earlier.scans)),
    ]


def page(template: str, **values: object) -> Response:
    """Return a page in the caller's language."""
    values.setdefault("title", texts.TITLE)
    response = Response(
        render_template(template, say=say, language=language(), **values),
        content_type="text/html; charset=utf-8",
    )
    response.headers["Content-Language"] = language()
    response.headers["Vary"] = "Accept-Language"
    return response


def _verification(landing: Blueprint, path: str, content: str) -> None:
    @landing.get(path)
    @public("WeChat checks by this file that the link prefix is ours")
    def verification_file() -> Response:
        """Return the text that the platform's console gave."""
        return Response(content, content_type="text/plain; charset=utf-8")


def _start(settings: Settings) -> Blueprint:
    start = Blueprint("start", __name__, template_folder="templates")

    @start.get("/")
    @public("a newcomer finds the other pages here")
    def show_start() -> Response:
        """Show where things are."""
        phone = f"http://{request.host.partition(':')[0]}:{settings.sandbox_port}/phone"
        return page("start.html", title=texts.START, demo=settings.demo, phone=phone, texts=texts)

    @start.get("/assets/page.css")
    @public("the pages' style")
    def style() -> Response:
        """Return the style of all pages."""
        response = send_file(_STYLE, mimetype="text/css")
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response

    return start


def _sheet(start: Blueprint) -> None:
    @start.get("/sheet")
    @public("only in the demo: codes to play with")
    def show_sheet() -> Response:
        """Show twelve codes of the demo's batch, to be scanned or printed."""
        codes = _demo_codes()
        drawn = _link_qr(context.container().code_book.link)
        pictures = [
            {**code, "svg": base64.b64encode(qr.svg(drawn.matrix(code["code"])).encode()).decode()}
            for code in codes
        ]
        return page("sheet.html", title=texts.SHEET, codes=pictures)

    @start.get("/sheet.json")
    @public("only in the demo: codes to play with")
    def list_sheet() -> Response:
        """Return the same codes as data."""
        return respond_json(200, {"codes": _demo_codes()})


class _SheetCode(TypedDict):
    """A code of the sheet."""

    index: int
    code: str
    url: str


def _demo_codes() -> list[_SheetCode]:
    """Return codes from both halves of the first batch: they were shipped to different regions."""
    container = context.container()
    with container.db.read() as session:
        batches = queries.batches(session)
        if not batches:
            return []
        batch = batches[-1]
        pack = queries.print_pack(
            session, book=container.code_book, batch_id=batch.id, now=container.clock.now()
        )
    half = SHEET_CODES // 2
    indexes = [*range(half), *range(batch.size // 2, batch.size // 2 + half)]
    codes = [(index, pack.code(index)) for index in indexes if index < batch.size]
    return [{"index": index, "code": code, "url": pack.link.url(code)} for index, code in codes]


@cache
def _link_qr(link: CodeLink) -> LinkQr:
    return LinkQr(link)
