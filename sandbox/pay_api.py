"""WeChat Pay v3 over HTTP: merchant transfers, fund-flow bills, balance, and the answers for what a new
merchant does not have.

Source: contracts 4.1, 4.2, 4.5, 4.8, 11.1, 11.2 and 11.4. Every request is verified over the bytes as they
came in.
"""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, g, jsonify, request

from sandbox.book import available
from sandbox.clock import wire_time
from sandbox.directory import Merchant
from sandbox.errors import PayError
from sandbox.intercept import business_fault
from sandbox.pay_signing import TOLERANCE_SECONDS, parse_authorization, sign_error, verify_request
from sandbox.statements import ACCOUNT_TYPES, BILL_PATH, DOWNLOAD_PATH
from sandbox.transfer_request import TRANSFER_PATH, read_order
from sandbox.world import World

CALLS_PER_SECOND = 100
BILLS_PER_SECOND = 3


def blueprint(world: World) -> Blueprint:
    """The routes, bound to ``world``."""
    routes = Blueprint("pay", __name__)

    @routes.before_request
    def authenticate() -> None:
        g.merchant = _authenticate(world)

    @routes.post(TRANSFER_PATH)
    def open_bill() -> Response:
        merchant = _limited(world, "open")
        order = read_order(
            request.get_data(),
            merchant=merchant,
            wechatpay_serial=request.headers.get("Wechatpay-Serial"),
            strict=world.settings.current.strict_unverified,
        )
        answer = world.transfers.open(
            merchant,
            order,
            short=business_fault("not_enough"),
            accepted_first=business_fault("accepted_first"),
        )
        return jsonify(answer)

    @routes.get(f"{TRANSFER_PATH}/out-bill-no/<out_bill_no>")
    def query_by_own_number(out_bill_no: str) -> Response:
        return jsonify(world.transfers.query(_limited(world, "query"), out_bill_no=out_bill_no))

    @routes.get(f"{TRANSFER_PATH}/transfer-bill-no/<transfer_bill_no>")
    def query_by_their_number(transfer_bill_no: str) -> Response:
        return jsonify(world.transfers.query(_limited(world, "query"), transfer_bill_no=transfer_bill_no))

    @routes.post(f"{TRANSFER_PATH}/out-bill-no/<out_bill_no>/cancel")
    def cancel(out_bill_no: str) -> Response:
        merchant = _limited(world, "cancel")
        if request.get_data():
            raise PayError(400, "PARAM_ERROR", "a cancellation has no body")
        return jsonify(world.transfers.cancel(merchant, out_bill_no))

    @routes.get(BILL_PATH)
    def fund_flow_bill() -> Response:
        return jsonify(_apply_for_bill(world))

    @routes.get(DOWNLOAD_PATH)
    def download() -> Response:
        content, gzipped = world.statements.download(g.merchant.mchid, request.args.get("token", ""))
        kind = "application/x-gzip" if gzipped else "text/plain"
        # Without Wechatpay-* headers, as the only answer of the platform (11.2).
        return Response(content, mimetype=kind)

    @routes.get("/v3/certificates")
    def certificates() -> Response:
        # Merchants opened lately verify with a public key and have no platform certificate (4.2).
        raise PayError(
            404, "RESOURCE_NOT_EXISTS", "this merchant has no platform certificate; use the public key"
        )

    _add_balances(routes, world)
    routes.register_error_handler(PayError, _problem)
    return routes


def _add_balances(routes: Blueprint, world: World) -> None:
    @routes.get("/v3/merchant/fund/balance/<account_type>")
    def balance(account_type: str) -> Response:
        return jsonify(_balance(world, g.merchant, account_type))

    @routes.get("/v3/merchant/fund/dayendbalance/<account_type>")
    def day_end_balance(account_type: str) -> Response:
        _require_balance_api(g.merchant, account_type)
        held = world.statements.day_end(
            g.merchant.mchid, day=request.args.get("date", ""), account_type=account_type
        )
        return jsonify({"available_amount": held, "pending_amount": 0})


def _problem(error: PayError) -> Response:
    response = jsonify(error.body())
    response.status_code = error.status
    return response


def _authenticate(world: World) -> Merchant:
    """The merchant whose signature is on the request. Raises PayError 401 SIGN_ERROR or 400 PARAM_ERROR."""
    authorization = parse_authorization(request.headers.get("Authorization"))
    merchant = world.directory.merchants.get(authorization.mchid)
    if merchant is None or authorization.serial_no.upper() != merchant.serial_no.upper():
        raise sign_error("no merchant has this mchid and certificate serial number")
    target = request.environ.get("RAW_URI") or request.full_path.rstrip("?")
    verify_request(
        authorization,
        public_key_pem=merchant.public_key_pem,
        method=request.method,
        target=target.encode("latin-1"),
        body=request.get_data(),
        now=wire_time(),
    )
    if world.settings.current.strict_unverified and not world.limiter.allows(
        f"nonce:{merchant.mchid}:{authorization.nonce}", calls=1, seconds=2 * TOLERANCE_SECONDS
    ):
        raise sign_error("the nonce was used before")
    _check_headers(merchant)
    return merchant


def _check_headers(merchant: Merchant) -> None:
    # One SDK asks for application/json first and for the forms of downloads after it.
    accepted = {kind.split(";")[0].strip() for kind in request.headers.get("Accept", "").split(",")}
    if "application/json" not in accepted:
        raise PayError(400, "PARAM_ERROR", "the header Accept must name application/json")
    if not request.headers.get("User-Agent"):
        raise PayError(400, "PARAM_ERROR", "the header User-Agent is required")
    if request.get_data() and request.mimetype != "application/json":
        raise PayError(400, "PARAM_ERROR", "the header Content-Type must be application/json")
    serial = request.headers.get("Wechatpay-Serial")
    if serial is not None and serial != merchant.platform_key_id:
        raise PayError(
            400, "PARAM_ERROR", "Wechatpay-Serial does not name the platform's key for this merchant"
        )


def _limited(world: World, call: str) -> Merchant:
    merchant: Merchant = g.merchant
    key = f"pay:{call}:{merchant.mchid}"
    if world.settings.current.limits and not world.limiter.allows(key, calls=CALLS_PER_SECOND, seconds=1):
        raise PayError(429, "FREQUENCY_LIMITED", f"more than {CALLS_PER_SECOND} calls a second; slow down")
    return merchant


def _apply_for_bill(world: World) -> dict[str, Any]:
    """11.1: 3 calls a second are written of providers only, so direct merchants have them when strict."""
    merchant = _limited(world, "bill")
    strict = world.settings.current.strict_unverified and world.settings.current.limits
    if strict and not world.limiter.allows(f"pay:bills:{merchant.mchid}", calls=BILLS_PER_SECOND, seconds=1):
        raise PayError(429, "FREQUENCY_LIMITED", f"more than {BILLS_PER_SECOND} bills a second; slow down")
    tar_type = request.args.get("tar_type", "")
    found = world.statements.apply_for(
        merchant.mchid,
        bill_date=request.args.get("bill_date", ""),
        account_type=request.args.get("account_type", "BASIC"),
        tar_type=tar_type,
    )
    address = f"{request.host_url.rstrip('/')}{DOWNLOAD_PATH}?token={found.pop('token')}"
    return {**found, "download_url": address + ("&tartype=gzip" if tar_type else "")}


def _balance(world: World, merchant: Merchant, account_type: str) -> dict[str, Any]:
    """11.4: the sandbox keeps all money in the OPERATION account."""
    _require_balance_api(merchant, account_type)
    amount = world.book.balance(available(merchant.mchid)) if account_type == "OPERATION" else 0
    return {"available_amount": amount, "pending_amount": 0}


def _require_balance_api(merchant: Merchant, account_type: str) -> None:
    """Both are open to few merchants."""
    if not merchant.balance_api:
        raise PayError(403, "NO_AUTH", "当前商户号没有使用该接口的权限")
    if account_type not in ACCOUNT_TYPES:
        raise PayError(400, "INVALID_REQUEST", f"account_type must be one of {', '.join(ACCOUNT_TYPES)}")
