"""WeChat Pay v2 over HTTP: red packets for merchants who hold them, and asking about them (contract 5).

XML both ways, HTTP 200 whatever happens. Answers are not signed: what proves them is the TLS connection.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from flask import Blueprint, Response, request

from sandbox.clock import CHINA
from sandbox.directory import Merchant
from sandbox.errors import PacketError
from sandbox.intercept import business_fault
from sandbox.packet_request import (
    CERTIFICATE_HEADER,
    QUERY,
    QUERY_WECOM,
    SEND,
    SEND_MINIPROGRAM,
    SEND_WECOM,
    check_certificate,
    check_fields,
    check_signatures,
    read_packet,
    read_xml,
    write_xml,
)
from sandbox.red_packets import Packet
from sandbox.world import World

SENDS_PER_SECOND = 30


def blueprint(world: World) -> Blueprint:
    """The routes, bound to ``world``."""
    routes = Blueprint("pay_v2", __name__)
    for path in (SEND, SEND_MINIPROGRAM, SEND_WECOM):
        routes.add_url_rule(path, path, _send(world, path), methods=["POST"])
    for path in (QUERY, QUERY_WECOM):
        routes.add_url_rule(path, path, _query(world, path), methods=["POST"])
    routes.register_error_handler(PacketError, refusal)
    return routes


def refusal(error: PacketError) -> Response:
    """The XML answer that refuses. A broken signature or form is a failure of the communication itself."""
    spoken = error.code not in ("SIGN_ERROR", "XML_ERROR", "CA_ERROR")
    return _xml(
        {
            "return_code": "SUCCESS" if spoken else "FAIL",
            "return_msg": error.message,
            "result_code": "FAIL",
            "err_code": error.code,
            "err_code_des": error.message,
        }
    )


def _send(world: World, path: str) -> Callable[[], Response]:
    def send() -> Response:
        merchant, fields = _authenticate(world, path)
        if not merchant.red_packets:
            raise PacketError("NO_AUTH", "产品权限验证失败，请查看您当前是否具有该产品的权限")
        limits = world.settings.current.limits
        if limits and not world.limiter.allows(f"v2:{merchant.mchid}", calls=SENDS_PER_SECOND, seconds=1):
            raise PacketError("FREQ_LIMIT", "超过频率限制，请稍后再试")
        packet = world.red_packets.send(
            merchant,
            read_packet(path, fields),
            short=business_fault("not_enough"),
            slow=business_fault("accepted_first"),
            doomed=business_fault("send_fails"),
        )
        order = packet.order
        answer = {
            "mch_billno": order.mch_billno,
            "mch_id": packet.mchid,
            "wxappid": order.appid,
            "re_openid": order.openid,
            "total_amount": str(order.amount_fen),
            "send_listid": packet.listid,
        }
        return _said(answer | ({"package": packet.package} if path == SEND_MINIPROGRAM else {}))

    return send


def _query(world: World, path: str) -> Callable[[], Response]:
    def query() -> Response:
        merchant, fields = _authenticate(world, path)
        packet = world.red_packets.query(merchant, fields["mch_billno"])
        asked_rightly = (packet.order.path == SEND_WECOM) == (path == QUERY_WECOM)
        if packet.order.appid != fields["appid"] or not asked_rightly:
            raise PacketError("NOT_FOUND", "指定单号数据不存在")
        return _said(_view(packet, flat=path == QUERY_WECOM))

    return query


def _authenticate(world: World, path: str) -> tuple[Merchant, dict[str, str]]:
    """Who asks, and for what: form, certificate, signatures, fields, in that order."""
    fields = read_xml(request.get_data())
    merchant = world.directory.merchants.get(fields.get("mch_id", ""))
    if merchant is None or not merchant.apiv2_key:
        raise PacketError("SIGN_ERROR", "签名错误")
    check_certificate(request.headers.get(CERTIFICATE_HEADER), merchant)
    check_signatures(path, fields, merchant)
    check_fields(path, fields)
    return merchant, fields


def _view(packet: Packet, *, flat: bool) -> dict[str, str]:
    """What a query tells (5.3, 5.5). Times are Beijing's, without an offset."""
    order = packet.order
    view = {
        "mch_billno": order.mch_billno,
        "mch_id": packet.mchid,
        "detail_id": packet.listid,
        "status": packet.state,
        "send_type": "API",
        "hb_type": "NORMAL",
        "total_num": "1",
        "total_amount": str(order.amount_fen),
        "send_time": _time(packet.sent_at),
        "wishing": order.wishing,
        "remark": order.remark,
        "act_name": order.act_name,
    }
    if packet.refunded_at is not None:
        view |= {"refund_time": _time(packet.refunded_at), "refund_amount": str(order.amount_fen)}
    if flat:
        del view["hb_type"], view["total_num"]
        view["sender_name"] = order.sender
    if packet.received_at is not None and flat:
        view |= {
            "openid": order.openid,
            "amount": str(order.amount_fen),
            "rcv_time": _time(packet.received_at),
        }
    elif packet.received_at is not None:
        info = {
            "openid": order.openid,
            "amount": str(order.amount_fen),
            "rcv_time": _time(packet.received_at),
        }
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in info.items())
        view["hblist"] = f"<hbinfo>{inner}</hbinfo>"
    return view


def _time(at: float) -> str:
    return f"{datetime.fromtimestamp(at, CHINA):%Y-%m-%d %H:%M:%S}"


def _said(fields: dict[str, str]) -> Response:
    head = {"return_code": "SUCCESS", "return_msg": "OK", "result_code": "SUCCESS", "err_code": "SUCCESS"}
    return _xml(head | fields)


def _xml(fields: dict[str, str]) -> Response:
    nested = fields.pop("hblist", None)
    text = write_xml(fields)
    if nested is not None:
        text = text.replace("\n</xml>", f"\n<hblist>{nested}</hblist>\n</xml>")
    return Response(text, mimetype="text/xml")
