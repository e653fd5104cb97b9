"""Tencent Cloud's signature against the example that its documentation publishes."""

from app.gateways.tc3 import CloudKey, sign

EXAMPLE = b'{"Limit": 1, "Filters": [{"Values": ["\\u672a\\u547d\\u540d"], "Name": "instance-name"}]}'
KEY = CloudKey("AKID" + "*" * 32, "*" * 32)


def headers(**changes: object) -> dict[str, str]:
    asked: dict[str, object] = {
        "host": "cvm.tencentcloudapi.com",
        "service": "cvm",
        "action": "DescribeInstances",
        "version": "2017-03-12",
        "body": EXAMPLE,
        "timestamp": 1551113065,
        **changes,
    }
    return dict(sign(KEY, **asked))  # type: ignore[arg-type]


def test_the_published_example_is_signed_as_published() -> None:
    found = headers()
    assert found["Authorization"] == (
        f"TC3-HMAC-SHA256 Credential={KEY.secret_id}/2019-02-25/cvm/tc3_request,"
        " SignedHeaders=content-type;host;x-tc-action,"
        " Signature=10b1a37a7301a02ca19a647ad722d5e43b4b3cff309d421d85b46093f6ab6c4f"
    )
    assert found["X-TC-Timestamp"] == "1551113065"


def test_body_action_host_and_day_are_signed() -> None:
    changed: list[dict[str, object]] = [
        {"body": EXAMPLE + b" "},
        {"action": "DescribeZones"},
        {"host": "cvm.example.com"},
        {"timestamp": 1551113065 + 86400},
    ]
    signatures = {headers(**change)["Authorization"][-64:] for change in [{}, *changed]}
    assert len(signatures) == 5


def test_a_key_does_not_show_itself() -> None:
    assert "AKID" not in repr(KEY)
