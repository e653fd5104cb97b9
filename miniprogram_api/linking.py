"""How a member becomes known to a service account or a corp: a link from the mini-program, opened in WeChat.

The page says whose red packets will be sent here and goes on only when tapped. WeChat then tells who taps
(contract 12.8). Nothing in a query is believed: `state` is sealed by us and must be about the link on whose
page this browser has tapped, which a cookie tells; the code is exchanged by us; where WeChat sends it back is
a setting. The tap takes the cookie that the page has set, which is not sent along with a form of
somebody else's site: so nobody is led through this without tapping here, and to have opened the page is not
enough.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import Blueprint as Pages
from flask import Response, redirect, request
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as Redirection

from app.config import Settings
from app.http.access import public
from app.http.api import Blueprint
from app.http.edge import respond
from app.http.idempotency import Answer
from app.http.schemas import moment
from app.identity import linking, openid_links
from app.identity import queries as persons
from app.identity.errors import AnotherWeChat, LinkOver, VirtualPerson
from app.identity.interfaces import (
    AppCredentials,
    InvalidLoginCode,
    PlatformBusy,
    PlatformRefused,
    StaffNotKnown,
    TooFrequent,
)
from app.identity.linking import LinkView
from app.identity.openid_links import Place
from app.identity.queries import Principal
from app.members.errors import NotAMember
from app.members.queries import membership
from app.organisation import queries as organisation
from app.organisation.errors import UnknownApp
from app.organisation.models import AppKind
from app.organisation.queries import AppView
from miniprogram_api import context, texts
from miniprogram_api.pages import page
from miniprogram_api.schemas import OpenidLinkAnswer, OpenidLinkBody

R = TypeVar("R", bound=Redirection)

PATH = "/miniprogram/link"
_COOKIES: Mapping[Place, str] = {Place.BROWSER: "saoma_link", Place.TAPPED: "saoma_link_tapped"}
# With this in its name a cookie is believed only if this very host has set it: no neighbouring one can (RFC
# 6265bis 4.1.3). It takes https and the path /.
_OF_THIS_HOST = "__Host-"
_PER_ADDRESS = "600/minute"
_LONGEST_CODE = 512
_IN_WECHAT = "MicroMessenger"
_SHOWN_DIGITS = 4
_LINKED = (AppKind.SERVICE, AppKind.CORP)

links = Blueprint("links", __name__, url_prefix="/miniprogram/v1", description="Service accounts and corps")


@links.route("/openid-links", methods=["POST"])
@links.operation(
    body=OpenidLinkBody,
    answers={201: OpenidLinkAnswer},
    refusals=[UnknownApp, VirtualPerson, NotAMember],
    per_person="20/minute",
)
def create_openid_link(body: dict[str, Any]) -> Response:
    """Get the link with which a service account or a corp gets to know the caller.

    For `service_account_wanted` and `corp_wanted`. Open it in a web-view, or let it be opened in a chat; it
    is good once, for ten minutes and while the session lasts. Then collect again, with a new key.
    """

    def work(session: Session, caller: Principal, now: datetime) -> Answer:
        app = organisation.app_by_appid(session, appid=body["app_id"], kinds=_LINKED)
        link = linking.invite(session, principal=caller, app_id=app.id, now=now)
        if membership(session, person_ids=caller.cluster.person_ids) is None:
            raise NotAMember("join first; only members are sent red packets")
        url = f"{context.container().settings.public_url}{PATH}/{_sealed(Place.LINK, link)}"
        return Answer(201, {"url": url, "expires_at": moment(link.expires_at)})

    return respond(context.edge().write(work, operation="create_openid_link"))


def build(settings: Settings) -> Pages:
    """Return the pages behind such a link."""
    pages = Pages("link_pages", __name__, template_folder="templates")

    @pages.get(f"{PATH}/<ticket>")
    @public("the link proves itself; who taps on its page is told by WeChat", per_address=_PER_ADDRESS)
    def show_link(ticket: str) -> Response:
        """Say whose red packets will be sent here, and remember that this browser was told."""
        if _IN_WECHAT not in request.user_agent.string:
            return _page(texts.LINK, texts.LINK_IN_WECHAT, verdict="plain")
        return _failing(lambda: _ask(settings, _open(Place.LINK, ticket)))

    @pages.post(f"{PATH}/<ticket>")
    @public("the link and this browser's cookie prove themselves", per_address=_PER_ADDRESS)
    def follow_link(ticket: str) -> Redirection:
        """Let WeChat say who this is, without asking anything of them (snsapi_base)."""
        return _failing(lambda: _send_on(settings, _open(Place.LINK, ticket)))

    @pages.get(PATH)
    @public("WeChat sends browsers back here; state, cookie and code prove it", per_address=_PER_ADDRESS)
    def come_back() -> Response:
        """Take who has come back for the member of the link."""
        return _failing(lambda: _take(settings, _open(Place.STATE, request.args.get("state", ""))))

    return pages


def _failing(work: Callable[[], R]) -> R | Response:
    """Return what `work` answers, or the page that says why it did not."""
    try:
        return work()
    except (LinkOver, InvalidLoginCode):
        return _failed(texts.LINK_OVER)
    except VirtualPerson:
        return _failed(texts.LINK_SNAPSHOT)
    except AnotherWeChat:
        return _failed(texts.LINK_ANOTHER)
    except StaffNotKnown:
        return _failed(texts.LINK_STAFF)
    except (PlatformBusy, PlatformRefused, TooFrequent):
        return _failed(texts.LINK_AGAIN)


def _ask(settings: Settings, link: LinkView) -> Response:
    app = _app(link)
    why, who = texts.LINK_WHY_CORP if app.kind is AppKind.CORP else texts.LINK_WHY, _member(link)
    told = texts.Text(why.zh.format(who=who), why.en.format(who=who))
    response = _page(texts.LINK, told, verdict="plain", go=texts.LINK_GO)
    # The form goes to this page, and from there to WeChat.
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none';"
        f" form-action 'self' {settings.wechat_open_url}"
    )
    _remember(settings, response, Place.BROWSER, link)
    return response


def _send_on(settings: Settings, link: LinkView) -> Redirection:
    _require(settings, Place.BROWSER, link)
    app = _app(link)
    # In this order: the platform's page has been seen to want it (contract 3.6).
    query = {
        "appid": app.appid,
        "redirect_uri": f"{settings.public_url}{PATH}",
        "response_type": "code",
        "scope": "snsapi_base",
        "state": _sealed(Place.STATE, link),
        **({} if app.agentid is None else {"agentid": app.agentid}),
    }
    address = f"{settings.wechat_open_url}/connect/oauth2/authorize?{urlencode(query)}#wechat_redirect"
    response = redirect(address, 303)
    _remember(settings, response, Place.TAPPED, link)
    return response


def _take(settings: Settings, link: LinkView) -> Response:
    _require(settings, Place.TAPPED, link)
    container, code = context.container(), request.args.get("code", "")[:_LONGEST_CODE]
    app = _app(link)
    gateway = container.corp if app.kind is AppKind.CORP else container.service_account
    credentials = AppCredentials(app.appid, app.secret, app.agentid or "")
    visitor = gateway.code_to_visitor(credentials, code)
    known = container.db.transact(
        lambda session: linking.complete(session, link_id=link.id, visitor=visitor, now=context.now())
    )
    if not known:
        return _failed(texts.LINK_ANOTHER)
    return _page(texts.LINK_DONE, texts.LINK_DONE_HOW, verdict="good")


def _app(link: LinkView) -> AppView:
    with context.container().db.read() as session:
        return organisation.app(session, app_id=link.app_id)


def _keys() -> list[bytes]:
    return list(context.container().keyring.signing_keys(openid_links.KEY_PURPOSE))


def _sealed(place: Place, link: LinkView) -> str:
    return openid_links.write(_keys(), place=place, link_id=link.id, expires_at=link.expires_at)


def _open(place: Place, text: str) -> LinkView:
    """Return the unused link that `text` stands for; raise LinkOver."""
    link_id = openid_links.read(_keys(), place=place, text=text, now=context.now())
    with context.container().db.read() as session:
        link = linking.link(session, link_id=link_id, now=context.now())
    if link.used:
        raise LinkOver("the link has been used: get a new one in the mini-program")
    return link


def _cookie(settings: Settings, place: Place) -> str:
    return _COOKIES[place] if settings.demo else f"{_OF_THIS_HOST}{_COOKIES[place]}"


def _remember(settings: Settings, response: Redirection, place: Place, link: LinkView) -> None:
    """Let the browser keep, while the link lasts, that it was told what the link does, or has tapped."""
    response.set_cookie(
        _cookie(settings, place),
        _sealed(place, link),
        expires=link.expires_at,
        path="/",
        secure=not settings.demo,
        httponly=True,
        samesite="Lax",
    )


def _require(settings: Settings, place: Place, link: LinkView) -> None:
    """Make sure that this browser was told what the link does, or has tapped; raise LinkOver."""
    text = request.cookies.get(_cookie(settings, place), "")
    if openid_links.read(_keys(), place=place, text=text, now=context.now()) != link.id:
        raise LinkOver("this browser has not opened the link, or not tapped on its page")


def _member(link: LinkView) -> str:
    """Return the end of the member's number, by which they know it as theirs."""
    with context.container().db.read() as session:
        cluster = persons.cluster(session, person_id=link.person_id)
        joined = membership(session, person_ids=cluster.person_ids)
    return "" if joined is None else f"…{joined.member_no[-_SHOWN_DIGITS:]}"


def _failed(why: texts.Text) -> Response:
    return _page(texts.LINK_FAILED, why, verdict="bad")


def _page(headline: texts.Text, line: texts.Text, **values: object) -> Response:
    return page("link.html", title=texts.LINK, headline=headline, lines=[line], **values)
