import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from sandbox.directory import Merchant
from sandbox.errors import PayError
from sandbox.transfer_request import TransferOrder, check_notify_url, read_order

REPORT = [
    {"info_type": "活动名称", "info_content": "夏日扫码"},
    {"info_type": "奖励说明", "info_content": "扫码红包"},
]
SCENE_REPORTS = {
    "1000": ["活动名称", "奖励说明"],
    "1002": ["补贴类型"],
    "1004": ["保险产品备案编号", "保险名称", "保险操作单号"],
    "1005": ["岗位类型", "报酬说明"],
    "1006": ["报销类型"],
    "1009": ["采购商品名称"],
    "1010": ["回收商品名称"],
    "1011": ["赔付原因"],
    "1013": ["公益活动名称", "公益活动备案编号"],
}


def body(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = {
        "appid": "wxunit0000000001",
        "out_bill_no": "P1",
        "transfer_scene_id": "1000",
        "openid": "oABC",
        "transfer_amount": 100,
        "transfer_remark": "扫码奖励",
        "transfer_scene_report_infos": REPORT,
        **changes,
    }
    return {name: value for name, value in document.items() if value is not ...}


def report(scene: str) -> list[dict[str, str]]:
    return [{"info_type": info_type, "info_content": "x"} for info_type in SCENE_REPORTS[scene]]


def seal(merchant: Merchant, name: str) -> str:
    key = serialization.load_pem_public_key(merchant.platform_public_key_pem.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)
    return base64.b64encode(key.encrypt(name.encode(), oaep)).decode()


def read(
    merchant: Merchant, document: Any, *, strict: bool = False, serial: str | None = "PUB_KEY_ID_1"
) -> TransferOrder:
    raw = document if isinstance(document, bytes) else json.dumps(document, ensure_ascii=False).encode()
    return read_order(raw, merchant=merchant, wechatpay_serial=serial, strict=strict)


def refusal(merchant: Merchant, document: Any, *, strict: bool = False, serial: str | None = "x") -> PayError:
    with pytest.raises(PayError) as caught:
        read(merchant, document, strict=strict, serial=serial)
    return caught.value


def test_the_smallest_order(merchant: Merchant) -> None:
    order = read(merchant, body())

    assert order == TransferOrder(
        appid="wxunit0000000001",
        out_bill_no="P1",
        scene_id="1000",
        openid="oABC",
        user_name=None,
        amount_fen=100,
        remark="扫码奖励",
        notify_url=None,
        perception=None,
        report_infos=(("奖励说明", "扫码红包"), ("活动名称", "夏日扫码")),
        recv_style="CONFIRM_PAGE",
    )


def test_the_order_of_report_fields_says_nothing(merchant: Merchant) -> None:
    assert read(merchant, body()) == read(merchant, body(transfer_scene_report_infos=REPORT[::-1]))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"appid": ...}, "/appid"),
        ({"out_bill_no": ...}, "/out_bill_no"),
        ({"transfer_scene_id": ...}, "/transfer_scene_id"),
        ({"openid": ...}, "/openid"),
        ({"transfer_amount": ...}, "/transfer_amount"),
        ({"transfer_remark": ...}, "/transfer_remark"),
        ({"transfer_scene_report_infos": ...}, "/transfer_scene_report_infos"),
        ({"appid": "a" * 33}, "/appid"),
        ({"appid": ""}, "/appid"),
        ({"openid": "a" * 65}, "/openid"),
        ({"out_bill_no": "a" * 33}, "/out_bill_no"),
        ({"out_bill_no": "a-b"}, "/out_bill_no"),
        ({"out_bill_no": "号"}, "/out_bill_no"),
        ({"transfer_amount": 9}, "/transfer_amount"),
        ({"transfer_amount": -1}, "/transfer_amount"),
        ({"transfer_amount": "100"}, "/transfer_amount"),
        ({"transfer_amount": 100.0}, "/transfer_amount"),
        ({"transfer_amount": True}, "/transfer_amount"),
        ({"transfer_remark": "奖" * 33}, "/transfer_remark"),
        ({"transfer_scene_id": "1001"}, "/transfer_scene_id"),
        ({"transfer_scene_report_infos": []}, "/transfer_scene_report_infos"),
        ({"transfer_scene_report_infos": REPORT[:1]}, "/transfer_scene_report_infos"),
        ({"transfer_scene_report_infos": [*REPORT, REPORT[0]]}, "/transfer_scene_report_infos"),
        ({"transfer_scene_report_infos": report("1009")}, "/transfer_scene_report_infos"),
        ({"transfer_scene_report_infos": [*REPORT, "x"]}, "/transfer_scene_report_infos/2"),
        (
            {"transfer_scene_report_infos": [{**REPORT[0], "info_content": "x" * 33}, REPORT[1]]},
            "/transfer_scene_report_infos/0/info_content",
        ),
        (
            {"transfer_scene_report_infos": [{**REPORT[0], "info_content": ""}, REPORT[1]]},
            "/transfer_scene_report_infos/0/info_content",
        ),
        (
            {"transfer_scene_report_infos": [{**REPORT[0], "extra": "x"}, REPORT[1]]},
            "/transfer_scene_report_infos/0/extra",
        ),
        ({"notify_url": None}, "/notify_url"),
        ({"user_name": None}, "/user_name"),
        ({"user_recv_perception": None}, "/user_recv_perception"),
        ({"scene_info": {}}, "/scene_info"),
        ({"user_recv_style": {}}, "/user_recv_style/type"),
        ({"user_recv_style": {"type": "PARTY"}}, "/user_recv_style/type"),
        ({"user_recv_style": {"type": "CONFIRM_PAGE", "colour": "red"}}, "/user_recv_style/colour"),
        ({"user_recv_style": "RED_PACKET"}, "/user_recv_style"),
    ],
)
def test_a_field_that_breaks_its_rule_is_named(
    merchant: Merchant, changes: dict[str, Any], field: str
) -> None:
    error = refusal(merchant, body(**changes))

    assert (error.status, error.code) == (400, "PARAM_ERROR")
    assert error.detail is not None
    assert error.detail["field"] == field


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b'{"a":1,"a":2}', b'{"a":NaN}', b"[" * 100_000],
    ids=["empty", "torn", "list", "null", "text", "not utf-8", "name twice", "nan", "deep"],
)
def test_a_body_that_is_not_one_json_object_is_refused(merchant: Merchant, raw: bytes) -> None:
    assert refusal(merchant, raw).code == "PARAM_ERROR"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    ),
    st.sampled_from(sorted(body(user_name=1, notify_url=1, user_recv_perception=1, user_recv_style=1))),
)
def test_no_value_in_any_field_gets_past_reading_as_anything_but_an_order_or_a_refusal(
    merchant: Merchant, value: Any, field: str
) -> None:
    try:
        order = read(merchant, body(**{field: value}))
    except PayError as error:
        assert error.status == 400  # noqa: PT017 - either outcome is fine, a crash is not
    else:
        assert isinstance(order, TransferOrder)


@pytest.mark.parametrize("scene", sorted(SCENE_REPORTS))
def test_every_scene_takes_exactly_its_own_report(merchant: Merchant, scene: str) -> None:
    document = body(transfer_scene_id=scene, transfer_scene_report_infos=report(scene))
    more = [*report(scene), {"info_type": "备注", "info_content": "x"}]

    assert read(merchant, document, strict=True).scene_id == scene
    for wrong in (more, report(scene)[1:]):
        document["transfer_scene_report_infos"] = wrong
        assert refusal(merchant, document, strict=True).code == "PARAM_ERROR"


def test_what_is_unverified_is_refused_only_when_strict(merchant: Merchant) -> None:
    other_report = [{"info_type": "事由", "info_content": "x"}]
    unverified = [
        body(transfer_scene_id="1006", transfer_scene_report_infos=other_report),
        body(
            transfer_scene_id="1005",
            transfer_scene_report_infos=report("1005"),
            user_recv_perception="劳务报酬",
        ),
        body(
            transfer_scene_id="1009",
            transfer_scene_report_infos=report("1009"),
            user_recv_perception="货款",
        ),
        body(
            transfer_scene_id="1011",
            transfer_scene_report_infos=report("1011"),
            user_recv_style={"type": "RED_PACKET"},
        ),
    ]
    for document in unverified:
        assert isinstance(read(merchant, document), TransferOrder)
        assert refusal(merchant, document, strict=True).status == 400


@pytest.mark.parametrize(
    ("scene", "perception", "fine"),
    [
        ("1000", "活动奖励", True),
        ("1000", "现金奖励", True),
        ("1000", "红包", False),
        ("1011", "退款", True),
        ("1011", "商家赔付", True),
        ("1011", "活动奖励", False),
    ],
)
def test_the_perception_is_a_fixed_text(
    merchant: Merchant, scene: str, perception: str, *, fine: bool
) -> None:
    document = body(
        transfer_scene_id=scene, transfer_scene_report_infos=report(scene), user_recv_perception=perception
    )
    if fine:
        assert read(merchant, document, strict=True).perception == perception
    else:
        assert refusal(merchant, document).code == "INVALID_REQUEST"


def test_the_real_name_is_required_from_2000_yuan_and_forbidden_below_30_fen(merchant: Merchant) -> None:
    sealed = seal(merchant, "李雷")

    assert read(merchant, body(transfer_amount=199_999)).user_name is None
    assert refusal(merchant, body(transfer_amount=200_000)).code == "PARAM_ERROR"
    assert read(merchant, body(transfer_amount=200_000, user_name=sealed)).user_name == "李雷"
    assert read(merchant, body(transfer_amount=30, user_name=sealed)).user_name == "李雷"
    assert refusal(merchant, body(transfer_amount=29, user_name=sealed)).code == "PARAM_ERROR"


def test_two_sealings_of_one_name_are_the_same_order(merchant: Merchant) -> None:
    first, second = (read(merchant, body(user_name=seal(merchant, "李雷"))) for _ in range(2))

    assert first == second


def test_a_real_name_must_be_sealed_with_the_key_that_the_header_names(merchant: Merchant) -> None:
    assert refusal(merchant, body(user_name="李雷")).code == "PARAM_ERROR"
    assert refusal(merchant, body(user_name=seal(merchant, "李雷")), serial=None).code == "PARAM_ERROR"


def test_a_red_packet_holds_at_most_200_yuan(merchant: Merchant) -> None:
    style = {"type": "RED_PACKET"}

    assert read(merchant, body(transfer_amount=20_000, user_recv_style=style), strict=True).recv_style == (
        "RED_PACKET"
    )
    assert refusal(merchant, body(transfer_amount=20_001, user_recv_style=style)).code == "INVALID_REQUEST"


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example/callbacks/pay/1900000001",
        "https://shop.example:8443/c",
        "http://127.0.0.1:8000/c",
        "http://localhost/c",
    ],
)
def test_a_notify_url_is_https_or_here(url: str) -> None:
    check_notify_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/callbacks",
        "http://shop.example/c",
        "http://127.0.0.1.evil.example/c",
        "http://127.0.0.1@evil.example/c",
        "https://user:pass@shop.example/c",
        "ftp://127.0.0.1/c",
        "https://shop.example/c?a=1",
        "https://shop.example/c?",
        "https://shop.example/c#f",
        "https://",
        "https://shop.example:0/c",
        "https://shop.example:99999/c",
        "https://[::1/c",
        "https://shop.example/a b",
        "https://shop.example/\n",
    ],
)
def test_any_other_notify_url_is_refused(url: str) -> None:
    with pytest.raises(PayError) as caught:
        check_notify_url(url)

    assert caught.value.code == "PARAM_ERROR"


def test_a_notify_url_has_at_most_256_characters(merchant: Merchant) -> None:
    url = "https://shop.example/" + "a" * (256 - 21)

    assert read(merchant, body(notify_url=url)).notify_url == url
    assert refusal(merchant, body(notify_url=url + "a")).code == "PARAM_ERROR"
