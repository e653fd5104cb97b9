"""Red packets of WeChat Pay v2 over HTTP: contract 5, rows 11 and 12 of section 8."""

import hashlib
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.contract.sandbox.conftest import APIV2_KEY, WORKWX_SECRET, Giver
from tests.contract.sandbox.packet_client import (
    QUERY_WECOM,
    SEND,
    SEND_MINIPROGRAM,
    SEND_WECOM,
    call,
    post,
    query,
    signed,
    wecom_packet,
    workwx_signed,
)
from tests.support.certificates import certificate
from tests.support.sandbox import SandboxRefusedError, new_private_key

DAY = 86_400
SEVEN = {"act_name", "mch_billno", "mch_id", "nonce_str", "re_openid", "total_amount", "wxappid"}


def test_a_packet_is_sent_opened_and_asked_about(giver: Giver) -> None:
    fields = giver.packet()
    answer = giver.send(fields)

    assert (answer["return_code"], answer["result_code"]) == ("SUCCESS", "SUCCESS")
    for name in ("mch_billno", "mch_id", "wxappid", "re_openid", "total_amount"):
        assert answer[name] == fields[name]
    asked = giver.ask(fields["mch_billno"])
    assert (asked["status"], asked["detail_id"]) == ("SENT", answer["send_listid"])
    assert giver.money() == (999_900, 100)
    giver.open(fields["mch_billno"])
    asked = giver.ask(fields["mch_billno"])
    assert asked["status"] == "RECEIVED"
    assert asked["hblist"]["openid"] == giver.openid  # type: ignore[index]
    assert giver.money() == (999_900, 0)
    assert giver.sandbox.book()["paid"][giver.openid] == 100


def test_the_same_number_is_the_same_packet(giver: Giver) -> None:
    fields = giver.packet()
    first, second = giver.send(fields), giver.send({**fields, "nonce_str": "another"})

    assert first["send_listid"] == second["send_listid"]
    assert giver.money() == (999_900, 100)
    assert giver.send({**fields, "total_amount": "101"})["err_code"] == "FATAL_ERROR"


def test_md5_over_exactly_what_was_received(giver: Giver) -> None:
    fields = giver.packet()

    for lie in ({"sign": "0" * 32}, {"remark": "another"}, {"unknown": "field"}):
        refused = giver.send(fields, **lie)
        assert (refused["return_code"], refused["err_code"]) == ("FAIL", "SIGN_ERROR")
    # A field that it does not know, though it is signed.
    assert giver.send({**fields, "unknown": "field"})["err_code"] == "SIGN_ERROR"
    assert giver.ask(fields["mch_billno"])["err_code"] == "NOT_FOUND"


def test_the_certificate_is_the_merchants(giver: Giver) -> None:
    for shown in ("", "no certificate", certificate(new_private_key())):
        assert giver.send(giver.packet(), certificate_pem=shown)["err_code"] == "CA_ERROR"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"total_amount": "99"}, "MONEY_LIMIT"),
        ({"total_amount": "20001"}, "MONEY_LIMIT"),
        ({"total_amount": "20001", "scene_id": "PRODUCT_2"}, None),
        ({"total_amount": "30", "scene_id": "PRODUCT_9"}, "PARAM_ERROR"),
        ({"total_amount": "1.5"}, "PARAM_ERROR"),
        ({"total_num": "2"}, "PARAM_ERROR"),
        ({"wishing": ""}, "PARAM_ERROR"),
        ({"send_name": "茶" * 33}, "PARAM_ERROR"),
        ({"mch_billno": "with-a-dash"}, "PARAM_ERROR"),
        ({"re_openid": "oSomebodyElse"}, "OPENID_ERROR"),
    ],
)
def test_amounts_scenes_and_fields(giver: Giver, changes: dict[str, str], code: str | None) -> None:
    answer = giver.send(giver.packet(**changes))

    assert (answer.get("err_code") if answer["result_code"] == "FAIL" else None) == code


def test_a_mini_program_is_no_service_account(make_giver: Callable[..., Giver]) -> None:
    wrong = make_giver("miniprogram", SEND)

    assert wrong.send(wrong.packet())["err_code"] == "ILLEGAL_APPID"


def test_a_merchant_without_the_product_or_without_money(make_giver: Callable[..., Giver]) -> None:
    poor = make_giver(balance_fen=99)
    fields = poor.packet()

    assert poor.send(fields)["err_code"] == "NOTENOUGH"
    assert poor.ask(fields["mch_billno"])["err_code"] == "NOT_FOUND"
    poor.sandbox.top_up(poor.account.mchid, 1)
    assert poor.send(fields)["result_code"] == "SUCCESS"


def test_ten_packets_and_a_thousand_yuan_a_day_for_one_person(make_giver: Callable[..., Giver]) -> None:
    giver = make_giver()
    for _ in range(10):
        assert giver.send(giver.packet())["result_code"] == "SUCCESS"
    assert giver.send(giver.packet())["err_code"] == "SENDNUM_LIMIT"
    rich = make_giver()
    for _ in range(5):
        assert rich.send(rich.packet(total_amount="20000"))["result_code"] == "SUCCESS"
    assert rich.send(rich.packet())["err_code"] == "RCVDAMOUNT_LIMIT"
    rich.sandbox.advance(DAY)
    assert rich.send(rich.packet())["result_code"] == "SUCCESS"


def test_thirty_a_second(giver: Giver) -> None:
    giver.sandbox.settings(limits=True)
    codes = [giver.send(giver.packet(re_openid="oNobody"))["err_code"] for _ in range(60)]

    # On a slow machine they may be fewer than thirty a second.
    assert set(codes) <= {"FREQ_LIMIT", "OPENID_ERROR"}
    assert codes.count("OPENID_ERROR") >= 30


def test_it_says_system_error_and_has_paid_all_the_same(giver: Giver) -> None:
    giver.sandbox.fault(SEND, "system_error", times=1, after_commit=True)
    fields = giver.packet()

    assert giver.send(fields)["err_code"] == "SYSTEMERROR"
    assert giver.ask(fields["mch_billno"])["status"] == "SENT"
    assert giver.send(fields)["result_code"] == "SUCCESS"
    assert giver.money() == (999_900, 100)


def test_sending_may_fail_and_the_number_is_spent(giver: Giver) -> None:
    giver.sandbox.fault(SEND, "send_fails", times=1)
    fields = giver.packet()
    giver.send(fields)
    assert giver.ask(fields["mch_billno"])["status"] == "SENDING"
    giver.sandbox.advance(1)

    assert giver.ask(fields["mch_billno"])["status"] == "FAILED"
    assert giver.send(fields)["err_code"] == "SEND_FAILED"
    assert giver.money() == (1_000_000, 0)


def test_what_nobody_opens_comes_back_after_a_day(giver: Giver) -> None:
    giver.sandbox.settings(transfer_seconds=60.0)
    fields = giver.packet()
    giver.send(fields)
    giver.sandbox.advance(DAY)
    assert giver.ask(fields["mch_billno"])["status"] == "RFUND_ING"
    giver.sandbox.advance(60)

    asked = giver.ask(fields["mch_billno"])
    assert (asked["status"], asked["refund_amount"]) == ("REFUND", "100")
    assert giver.money() == (1_000_000, 0)
    with pytest.raises(SandboxRefusedError, match="packet_closed"):
        giver.open(fields["mch_billno"])


def test_a_mini_program_opens_it_with_its_own_signature(make_giver: Callable[..., Giver]) -> None:
    giver = make_giver("miniprogram", SEND_MINIPROGRAM)
    fields = giver.packet(notify_way="MINI_PROGRAM_JSAPI")
    answer = giver.send(fields)
    arguments = {
        "appId": giver.appid,
        "nonceStr": "n",
        "package": quote(answer["package"], safe=""),
        "timeStamp": "1",
    }
    text = "&".join(f"{name}={value}" for name, value in arguments.items()) + f"&key={APIV2_KEY}"
    given = {**arguments, "package": answer["package"], "signType": "MD5"}

    with pytest.raises(SandboxRefusedError, match="bad_signature"):
        giver.sandbox.send_biz_red_packet(giver.shopper_id, {**given, "paySign": "0" * 32})
    right = hashlib.md5(text.encode()).hexdigest()
    giver.sandbox.send_biz_red_packet(giver.shopper_id, {**given, "paySign": right})
    assert giver.ask(fields["mch_billno"])["status"] == "RECEIVED"


def test_wecom_wants_two_signatures_and_hides_that_the_inner_one_is_wrong(
    make_giver: Callable[..., Giver],
) -> None:
    giver = make_giver("corp", SEND_WECOM)
    fields = wecom_packet(giver.account, giver.appid, giver.openid)
    right = workwx_signed(fields, WORKWX_SECRET)
    over_all = signed(fields, WORKWX_SECRET, word="secret")
    under_key = signed({k: v for k, v in fields.items() if k in SEVEN}, WORKWX_SECRET)

    for wrong in (over_all, under_key, workwx_signed(fields, "another secret")["workwx_sign"]):
        assert giver.send({**fields, "workwx_sign": wrong})["err_code"] == "SYSTEMERROR"
    assert _asked(giver, fields["mch_billno"])["err_code"] == "NOT_FOUND"
    assert giver.send(right)["result_code"] == "SUCCESS"
    assert giver.send(right)["send_listid"] == _asked(giver, fields["mch_billno"])["detail_id"]
    giver.open(fields["mch_billno"])
    asked = _asked(giver, fields["mch_billno"])
    assert (asked["status"], asked["openid"], asked["amount"]) == ("RECEIVED", giver.openid, "100")
    assert asked["sender_name"] == "茶铺"
    # It is flat, and it is not found among the others.
    assert not {"hblist", "hb_type", "total_num"} & set(asked)
    assert giver.ask(fields["mch_billno"])["err_code"] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"agentid": "1000002"}, "PARAM_ERROR"),
        ({"sender_name": ""}, "PARAM_ERROR"),
        ({"sender_name": "", "agentid": "1000002"}, None),
        ({"total_num": "1"}, "SIGN_ERROR"),
        ({"client_ip": "127.0.0.1"}, "SIGN_ERROR"),
        ({"send_name": "茶铺"}, "SIGN_ERROR"),
        ({"total_amount": "20001"}, "MONEY_LIMIT"),
        ({"total_amount": "20001", "scene_id": "PRODUCT_2"}, None),
    ],
)
def test_one_of_wecom_names_one_sender_and_knows_no_other_field(
    make_giver: Callable[..., Giver], changes: dict[str, str], code: str | None
) -> None:
    giver = make_giver("corp", SEND_WECOM)
    fields = wecom_packet(giver.account, giver.appid, giver.openid, **changes)
    answer = giver.send(workwx_signed(fields, WORKWX_SECRET))

    assert (answer["err_code"] if answer["result_code"] == "FAIL" else None) == code


def _asked(giver: Giver, mch_billno: str) -> dict[str, str]:
    wanted = query(giver.account, giver.appid, mch_billno)
    del wanted["bill_type"]
    return call(giver.sandbox.base_url, giver.account, QUERY_WECOM, wanted)


def test_what_is_no_xml_is_refused(giver: Giver) -> None:
    bodies = (b"", b"{}", b"<xml><a>", b"<xml><a><b/></a></xml>", b"<xml><a/><a/></xml>", b"<html/>")
    entity = b'<!DOCTYPE xml [<!ENTITY a "b">]><xml><nonce_str>&a;</nonce_str></xml>'
    for body in (*bodies, entity):
        refused = post(giver.sandbox.base_url + SEND, body, {"Content-Type": "text/xml"})
        assert refused["err_code"] == "XML_ERROR"
