"""The administration of the sandbox under /_sandbox: registers, shoppers' taps, the book, faults, time.

Nothing here exists at Tencent. It is what a person, a test or the phone page does around the platform.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict
from datetime import date
from typing import Any

from flask import Blueprint, Response, jsonify, request

from sandbox.book import available, frozen, wallet
from sandbox.clock import utc_timestamp
from sandbox.directory import SHORTAGES, App, Merchant, Shopper
from sandbox.errors import AdminError
from sandbox.faults import KINDS
from sandbox.fields import Required, read_document, read_fields
from sandbox.pay_signing import is_rsa_public_key
from sandbox.red_packets import Packet
from sandbox.scenes import SCENES
from sandbox.signing_tool import sign_by_hand
from sandbox.statements import Falsification
from sandbox.transfers import Bill
from sandbox.world import World

LONGEST_ADVANCE_SECONDS = 400 * 86400


def blueprint(world: World) -> Blueprint:
    """The routes, bound to ``world``."""
    routes = Blueprint("admin", __name__, url_prefix="/_sandbox")
    _add_registers(routes, world)
    _add_taps(routes, world)
    _add_faults(routes, world)
    _add_controls(routes, world)
    _add_insight(routes, world)
    return routes


def _add_registers(routes: Blueprint, world: World) -> None:
    @routes.post("/apps")
    def put_app() -> tuple[Response, int]:
        app = _read_app()
        world.directory.put_app(app)
        return jsonify({"app": _app_view(app)}), 201

    @routes.get("/apps")
    def list_apps() -> Response:
        return jsonify({"apps": [_app_view(app) for app in world.directory.apps.values()]})

    @routes.post("/merchants")
    def put_merchant() -> tuple[Response, int]:
        fields = _merchant_fields()
        balance_fen = fields.pop("balance_fen")
        merchant, is_new = world.directory.put_merchant(fields)
        if is_new and balance_fen:
            world.transfers.top_up(merchant.mchid, balance_fen)
        return jsonify(_merchant_view(world, merchant)), 201

    @routes.get("/merchants")
    def list_merchants() -> Response:
        merchants = world.directory.merchants.values()
        return jsonify({"merchants": [_merchant_view(world, merchant) for merchant in merchants]})

    @routes.post("/merchants/<mchid>/topup")
    def top_up(mchid: str) -> Response:
        fields = read_fields({"fen": Required(int)})
        return jsonify({"mchid": mchid, "available_fen": world.transfers.top_up(mchid, fields["fen"])})

    @routes.post("/shoppers")
    def add_shopper() -> tuple[Response, int]:
        fields = read_fields(
            {
                "name": Required(str),
                "phone": Required(str),
                "country_code": "86",
                "high_risk": False,
                "risk_rank": 0,
            }
        )
        if not 1 <= len(fields["name"]) <= 40 or not re.fullmatch(r"[0-9]{5,15}", fields["phone"]):
            raise AdminError(422, "bad_shopper", "name must have 1 to 40 characters, phone 5 to 15 digits")
        if not re.fullmatch(r"[0-9]{1,4}", fields["country_code"]):
            raise AdminError(422, "bad_shopper", "country_code must have 1 to 4 digits")
        shopper = world.directory.add_shopper(**fields)
        return jsonify({"shopper": _shopper_view(world, shopper)}), 201

    @routes.get("/shoppers")
    def list_shoppers() -> Response:
        shoppers = world.directory.shoppers.values()
        return jsonify({"shoppers": [_shopper_view(world, shopper) for shopper in shoppers]})


def _add_taps(routes: Blueprint, world: World) -> None:
    @routes.post("/shoppers/<shopper_id>/js_code")
    def js_code(shopper_id: str) -> tuple[Response, int]:
        fields = read_fields({"appid": Required(str), "virtual": False})
        _shopper_in_app(world, shopper_id, fields["appid"], "miniprogram")
        code = world.codes.issue(purpose="login", shopper_id=shopper_id, **fields)
        return jsonify({"js_code": code}), 201

    @routes.post("/shoppers/<shopper_id>/phone_code")
    def phone_code(shopper_id: str) -> tuple[Response, int]:
        fields = read_fields({"appid": Required(str), "quota_empty": False})
        _shopper_in_app(world, shopper_id, fields["appid"], "miniprogram")
        code = world.codes.issue(purpose="phone", shopper_id=shopper_id, **fields)
        return jsonify({"code": code}), 201

    @routes.post("/shoppers/<shopper_id>/oauth_code")
    def oauth_code(shopper_id: str) -> tuple[Response, int]:
        fields = read_fields({"appid": Required(str), "scope": "snsapi_base", "virtual": False})
        if fields["scope"] not in ("snsapi_base", "snsapi_userinfo"):
            raise AdminError(422, "bad_scope", "scope must be snsapi_base or snsapi_userinfo")
        _shopper_in_app(world, shopper_id, fields["appid"], "service", "corp")
        code = world.codes.issue(purpose="oauth", shopper_id=shopper_id, **fields)
        return jsonify({"code": code}), 201

    @routes.post("/shoppers/<shopper_id>/corp")
    def relate(shopper_id: str) -> Response:
        fields = read_fields({"appid": Required(str), "relation": Required(str)})
        _shopper_in_app(world, shopper_id, fields["appid"], "corp")
        world.directory.relate(fields["appid"], shopper_id, fields["relation"])
        return jsonify(fields)

    @routes.post("/shoppers/<shopper_id>/confirm")
    def confirm(shopper_id: str) -> Response:
        fields = read_fields(
            {
                "package_info": Required(str),
                "mch_id": Required(str),
                "app_id": Required(str),
                "fail_reason": "",
            }
        )
        return jsonify(world.transfers.confirm(shopper_id=shopper_id, **fields))

    @routes.post("/shoppers/<shopper_id>/decline")
    def decline(shopper_id: str) -> Response:
        fields = read_fields(
            {"package_info": Required(str), "mch_id": Required(str), "app_id": Required(str)}
        )
        return jsonify(world.transfers.decline(shopper_id=shopper_id, **fields))

    @routes.post("/shoppers/<shopper_id>/open_packet")
    def open_packet(shopper_id: str) -> Response:
        fields = read_fields({"mchid": Required(str), "mch_billno": Required(str)})
        return jsonify(_packet_view(world.red_packets.open(shopper_id, **fields)))

    @routes.post("/shoppers/<shopper_id>/send_biz_red_packet")
    def send_biz_red_packet(shopper_id: str) -> Response:
        names = ("appId", "timeStamp", "nonceStr", "package", "signType", "paySign")
        call = read_fields({name: Required(str) for name in names})
        return jsonify(_packet_view(world.red_packets.open_in_miniprogram(shopper_id, call)))

    @routes.post("/merchants/<mchid>/confirm_all")
    def confirm_all(mchid: str) -> Response:
        world.directory.merchant(mchid)
        return jsonify({"confirmed": world.transfers.confirm_all(mchid)})


def _add_faults(routes: Blueprint, world: World) -> None:
    @routes.post("/merchants/<mchid>/falsify")
    def falsify(mchid: str) -> tuple[Response, int]:
        fields = read_fields({"day": Required(str), "kind": Required(str), "number": "", "fen": 1})
        world.directory.merchant(mchid)
        try:
            day = date.fromisoformat(fields.pop("day"))
        except ValueError:
            raise AdminError(422, "bad_field", "day must be a date such as 2026-06-01") from None
        if not 1 <= fields["fen"] <= 10**14:
            raise AdminError(422, "bad_amount", "fen must be a whole number from 1 to 10^14")
        world.statements.falsify(Falsification(mchid, day, **fields))
        return jsonify({"mchid": mchid, "day": day.isoformat(), **fields}), 201

    @routes.delete("/falsifications")
    def tell_the_truth() -> Response:
        return jsonify({"cleared": world.statements.clear()})

    @routes.post("/faults")
    def add_fault() -> tuple[Response, int]:
        return jsonify({"fault": world.faults.add(read_document()).view()}), 201

    @routes.get("/faults")
    def list_faults() -> Response:
        return jsonify({"faults": world.faults.views(), "kinds": sorted(KINDS)})

    @routes.delete("/faults")
    def clear_faults() -> Response:
        return jsonify({"cleared": world.faults.clear()})


def _add_controls(routes: Blueprint, world: World) -> None:
    @routes.get("/book")
    def book() -> Response:
        return jsonify(_book_view(world))

    @routes.delete("/callbacks")
    def forget_callbacks() -> Response:
        world.callbacks.forget()
        return jsonify({})

    @routes.post("/merchants/<mchid>/probe")
    def probe(mchid: str) -> Response:
        fields = read_fields({"notify_url": Required(str)})
        return jsonify(world.callbacks.probe(mchid, fields["notify_url"]))

    @routes.post("/clock")
    def advance() -> Response:
        seconds = read_document().get("advance_seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
            raise AdminError(422, "bad_field", "advance_seconds must be a number")
        if not 0 <= seconds <= LONGEST_ADVANCE_SECONDS:
            raise AdminError(
                422, "bad_field", f"advance_seconds must be between 0 and {LONGEST_ADVANCE_SECONDS}"
            )
        return jsonify({"now": utc_timestamp(world.advance(seconds))})

    @routes.get("/clock")
    def clock() -> Response:
        return jsonify({"now": utc_timestamp(world.clock.now())})

    @routes.post("/settings")
    def change_settings() -> Response:
        return jsonify(asdict(world.settings.change(read_document())))

    @routes.get("/settings")
    def show_settings() -> Response:
        return jsonify(asdict(world.settings.current))


def _add_insight(routes: Blueprint, world: World) -> None:
    @routes.get("/exchanges")
    def exchanges() -> Response:
        after = request.args.get("after", "0")
        if not after.isdecimal() or len(after) > 18:
            raise AdminError(422, "bad_field", "after must be the id of an exchange")
        return jsonify({"exchanges": world.exchanges.after(int(after))})

    @routes.post("/sign")
    def sign() -> Response:
        fields = read_fields({"kind": Required(str), "fields": Required(dict), "key": ""})
        return jsonify({"signature": sign_by_hand(**fields)})

    @routes.get("/health")
    def health() -> Response:
        return jsonify({"status": "ok"})


def _read_app() -> App:
    fields = read_fields(
        {
            "appid": Required(str),
            "secret": Required(str),
            "kind": "miniprogram",
            "open_platform": "",
            "pages": ["pages/index/index"],
            "oauth_host": "",
            "agentid": "",
            "notify": "",
        }
    )
    if not re.fullmatch(r"[0-9A-Za-z_-]{4,32}", fields["appid"]) or not fields["secret"]:
        raise AdminError(422, "bad_app", "appid must be 4 to 32 letters and digits, secret must not be empty")
    return App(
        fields["appid"],
        fields["secret"],
        fields["kind"],
        fields["open_platform"] or None,
        tuple(str(page) for page in fields["pages"]),
        fields["oauth_host"],
        fields["agentid"],
    )


def _merchant_fields() -> dict[str, Any]:
    fields = read_fields(
        {
            "mchid": Required(str),
            "serial_no": Required(str),
            "public_key_pem": Required(str),
            "apiv3_key": Required(str),
            "appids": Required(list),
            "scenes": ["1000"],
            "balance_fen": 0,
            "shortage": "not_enough",
            "balance_api": False,
            "red_packets": False,
            "apiv2_key": "",
            "workwx_secret": "",
        }
    )
    if not re.fullmatch(r"[0-9]{8,32}", fields["mchid"]) or not re.fullmatch(
        r"[0-9A-Fa-f]{8,40}", fields["serial_no"]
    ):
        raise AdminError(
            422, "bad_merchant", "mchid must be 8 to 32 digits, serial_no 8 to 40 hexadecimal digits"
        )
    if not is_rsa_public_key(fields["public_key_pem"]):
        raise AdminError(422, "bad_merchant", "public_key_pem must be an RSA public key of 2048 bits or more")
    if len(fields["apiv3_key"].encode()) != 32:
        raise AdminError(422, "bad_merchant", "apiv3_key must be 32 bytes")
    if fields["red_packets"] and len(fields["apiv2_key"]) != 32:
        raise AdminError(422, "bad_merchant", "a merchant with red packets has an apiv2_key of 32 characters")
    if fields["shortage"] not in SHORTAGES:
        raise AdminError(422, "bad_merchant", f"shortage must be one of {', '.join(SHORTAGES)}")
    if not 0 <= fields["balance_fen"] <= 10**14:
        raise AdminError(422, "bad_merchant", "balance_fen must be between 0 and 10^14")
    fields["appids"] = [str(appid) for appid in fields["appids"]]
    fields["scenes"] = dict(_read_scene(scene) for scene in fields["scenes"])
    return fields


def _read_scene(scene: Any) -> tuple[str, int | None]:
    """A scene is its id, or {"id", "max_fen"} with the largest single amount."""
    if isinstance(scene, str):
        scene = {"id": scene}
    if not isinstance(scene, dict) or scene.get("id") not in SCENES or set(scene) - {"id", "max_fen"}:
        raise AdminError(
            422, "bad_scene", f"a scene is one of {', '.join(SCENES)} or {{id, max_fen}} with such an id"
        )
    bound = scene.get("max_fen")
    if bound is not None and (not isinstance(bound, int) or isinstance(bound, bool) or bound < 1):
        raise AdminError(422, "bad_scene", "max_fen must be a whole number above 0")
    return scene["id"], bound


def _shopper_in_app(world: World, shopper_id: str, appid: str, *kinds: str) -> None:
    world.directory.shopper(shopper_id)
    if world.directory.app(appid).kind not in kinds:
        raise AdminError(409, "wrong_kind_of_app", f"{appid} is not a {' or '.join(kinds)} app")


def _app_view(app: App) -> dict[str, Any]:
    return {
        "appid": app.appid,
        "kind": app.kind,
        "open_platform": app.open_platform,
        "pages": list(app.pages),
    }


def _merchant_view(world: World, merchant: Merchant) -> dict[str, Any]:
    return {
        "mchid": merchant.mchid,
        "serial_no": merchant.serial_no,
        "appids": list(merchant.appids),
        "scenes": dict(merchant.scenes),
        "shortage": merchant.shortage,
        "balance_api": merchant.balance_api,
        "red_packets": merchant.red_packets,
        "available_fen": world.book.balance(available(merchant.mchid)),
        "platform_public_key_id": merchant.platform_key_id,
        "platform_public_key_pem": merchant.platform_public_key_pem,
    }


def _shopper_view(world: World, shopper: Shopper) -> dict[str, Any]:
    return {
        "id": shopper.id,
        "name": shopper.name,
        "phone": shopper.phone,
        "country_code": shopper.country_code,
        "high_risk": shopper.high_risk,
        "risk_rank": shopper.risk_rank,
        "balance_fen": world.book.balance(wallet(shopper.id)),
        "openids": {appid: world.directory.openid(appid, shopper.id) for appid in world.directory.apps},
    }


def _book_view(world: World) -> dict[str, Any]:
    """One consistent picture of the money: taken under the store's lock."""
    with world.store.lock:
        bills = world.transfers.bills()
        paid: dict[str, int] = {}
        for bill in bills:
            if bill.state == "SUCCESS":
                paid[bill.order.openid] = paid.get(bill.order.openid, 0) + bill.order.amount_fen
        packets = world.red_packets.packets()
        taken = [packet for packet in packets if packet.state == "RECEIVED"]
        for packet in taken:
            paid[packet.order.openid] = paid.get(packet.order.openid, 0) + packet.order.amount_fen
        merchants = [
            {
                "mchid": mchid,
                "available_fen": world.book.balance(available(mchid)),
                "frozen_fen": world.book.balance(frozen(mchid)),
                "paid_fen": sum(
                    b.order.amount_fen for b in bills if b.mchid == mchid and b.state == "SUCCESS"
                )
                + sum(p.order.amount_fen for p in taken if p.mchid == mchid),
            }
            for mchid in world.directory.merchants
        ]
        faults = world.transfers.audit()
        return {
            "balanced": not faults,
            "faults": faults,
            "entries": len(world.book.entries),
            "merchants": merchants,
            "paid": paid,
            "bills": [_bill_view(bill) for bill in bills],
            "packets": [_packet_view(packet) for packet in packets],
        }


def _bill_view(bill: Bill) -> dict[str, Any]:
    return {
        "mchid": bill.mchid,
        "out_bill_no": bill.order.out_bill_no,
        "transfer_bill_no": bill.transfer_bill_no,
        "appid": bill.order.appid,
        "openid": bill.order.openid,
        "amount_fen": bill.order.amount_fen,
        "remark": bill.order.remark,
        "state": bill.state,
        "fail_reason": bill.fail_reason,
        "acknowledged": bill.acknowledged,
        "history": [{"at": utc_timestamp(at), "state": state} for at, state in bill.history],
    }


def _packet_view(packet: Packet) -> dict[str, Any]:
    return {
        "mchid": packet.mchid,
        "mch_billno": packet.order.mch_billno,
        "send_listid": packet.listid,
        "appid": packet.order.appid,
        "openid": packet.order.openid,
        "amount_fen": packet.order.amount_fen,
        "state": packet.state,
        "history": [{"at": utc_timestamp(at), "state": state} for at, state in packet.history],
    }
