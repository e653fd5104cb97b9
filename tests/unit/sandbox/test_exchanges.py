from sandbox.exchanges import HIDDEN, KEPT, Exchanges, redact


def add(exchanges: Exchanges, url: str = "/x", request: object = None) -> None:
    exchanges.add(
        direction="in",
        at=0,
        method="POST",
        url=url,
        status=200,
        request=request,
        response=b'{"session_key":"k","openid":"o"}',
        milliseconds=1.26,
    )


def test_secrets_are_hidden_wherever_they_are_nested() -> None:
    hidden = redact({"a": [{"secret": "s", "appid": "wx"}], "access_token": {"b": 1}})

    assert hidden == {"a": [{"secret": HIDDEN, "appid": "wx"}], "access_token": HIDDEN}


def test_bytes_are_shown_as_json_or_as_text() -> None:
    assert redact(b'{"secret":"s","n":1}') == {"secret": HIDDEN, "n": 1}
    assert redact(b"<html>\xff") == "<html>\ufffd"
    assert redact(b"[" * 100_000) == "[" * 4000


def test_an_exchange_is_kept_with_its_time_and_without_its_secrets() -> None:
    exchanges = Exchanges()
    add(exchanges, request={"n": 1})

    assert exchanges.after(0) == [
        {
            "id": 1,
            "direction": "in",
            "at": "1970-01-01T00:00:00.000Z",
            "method": "POST",
            "url": "/x",
            "status": 200,
            "request": {"n": 1},
            "response": {"session_key": HIDDEN, "openid": "o"},
            "ms": 1.3,
            "note": "",
        }
    ]


def test_only_the_last_ones_are_kept_and_a_reader_continues_where_it_was() -> None:
    exchanges = Exchanges()
    for number in range(KEPT + 10):
        add(exchanges, f"/{number}")

    assert len(exchanges.after(0)) == KEPT
    assert [entry["url"] for entry in exchanges.after(KEPT + 8)] == [f"/{KEPT + 8}", f"/{KEPT + 9}"]
