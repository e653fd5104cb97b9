"""What an installation is told from outside: the environment, read once, every fault listed at once."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

_KEY_BYTES = 32


class BadSettings(Exception):
    """The environment is not right; `faults` says what and where, one sentence each."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class CaptchaAccount:
    """Tencent Cloud Captcha: who asks (secret id and key), and about which captcha app with which key."""

    api_url: str
    secret_id: str = field(repr=False)
    secret_key: str = field(repr=False)
    app_id: int
    app_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process; `docs/settings.md` explains each."""

    data: Path
    port: int
    sandbox_port: int
    database_url: str
    master_keys: dict[int, bytes] = field(repr=False)
    sealing_version: int | None
    code_key: bytes = field(repr=False)
    link_prefix: str
    public_url: str
    wechat_api_url: str
    wechat_open_url: str
    wecom_api_url: str
    pay_api_url: str
    redis_url: str | None = field(repr=False)
    trusted_proxies: int
    fast_driver: bool
    log_level: str
    demo: bool
    location: bool
    address_regions: Path | None
    session_hours: int
    verification_file: tuple[str, str] | None
    risk_rank: bool
    smtp_url: str | None = field(repr=False)
    alert_from: str
    alert_to: tuple[str, ...] = field(repr=False)
    sms_url: str | None
    sms_key: bytes = field(repr=False)
    sms_to: tuple[str, ...] = field(repr=False)
    sms_per_day: int
    alert_minutes: int
    diversion: tuple[int, int, int] = (3, 3, 30)
    captcha: CaptchaAccount | None = None

    @property
    def embedded(self) -> bool:
        """Tell whether one process does everything on SQLite (architecture section 5)."""
        return self.database_url.startswith("sqlite")

    @property
    def statements(self) -> Path:
        """Return the folder of WeChat Pay's bills: evidence, as they came."""
        return self.data / "statements"

    @property
    def sandbox_url(self) -> str:
        """Return where the local platform listens."""
        return f"http://127.0.0.1:{self.sandbox_port}"


class _Reader:
    """Takes settings from an environment and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.faults: list[str] = []

    def take(self, name: str, parse: Callable[[str], T], default: str | None, fallback: T) -> T:
        """Parse setting `name`; note a fault and return `fallback` when it is missing or malformed."""
        given = self._environ.get(name, "").strip()
        text = given or default
        if text is None:
            self.faults.append(f"{name} is missing")
            return fallback
        try:
            return parse(text)
        except ValueError as error:
            self.faults.append(f"{name}: {error}")
            return fallback


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError("must be 32 bytes in base64; `saoma keys new` makes one")
    return key


def _keys(text: str) -> dict[int, bytes]:
    keys = {}
    for part in text.split(","):
        version, _, body = part.strip().partition(":")
        keys[_whole(1, 65535)(version)] = _key(body)
    return keys


def _optional_version(text: str) -> int | None:
    return _whole(1, 65535)(text) if text else None


def _origin(*schemes: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        parts = urlsplit(text)
        bare = parts.path in {"", "/"} and not parts.query and not parts.fragment
        if parts.scheme not in schemes or not parts.hostname or not bare:
            raise ValueError(f"must be an origin such as {schemes[0]}://host, without a path")
        return text.rstrip("/")

    return parse


def _prefix(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" or not parts.hostname or not parts.path.endswith("/") or parts.query:
        raise ValueError("must be an https address that ends with a slash, such as https://m.example.com/q/")
    return text


def _switch(text: str) -> bool:
    if text not in {"0", "1"}:
        raise ValueError("must be 0 or 1")
    return text == "1"


def _level(text: str) -> str:
    if text.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise ValueError("must be DEBUG, INFO, WARNING or ERROR")
    return text.upper()


def _database(text: str) -> str:
    if not text.startswith(("sqlite:///", "mysql+pymysql://")):
        raise ValueError("must begin with sqlite:/// or mysql+pymysql://")
    return text


def _verification(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    name, _, content = text.partition("=")
    if not re.fullmatch(r"[A-Za-z0-9_\-]{1,64}\.txt", name) or not re.fullmatch(
        r"[A-Za-z0-9]{1,128}", content
    ):
        raise ValueError("must be NAME.txt=CONTENT as the platform's console gives them")
    return name, content


def _smtp(text: str) -> str | None:
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("must be smtp://user:password@host:587 or smtps://user:password@host:465")
    return text


def _webhook(text: str) -> str | None:
    if not text:
        return None
    parts = urlsplit(text)
    secure = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname == "127.0.0.1")
    if not secure or not parts.hostname or parts.username or parts.fragment:
        raise ValueError("must be an https address such as https://sms.example.com/saoma")
    return text


def _optional_key(text: str) -> bytes:
    return _key(text) if text else b""


def _phones(text: str) -> tuple[str, ...]:
    phones = tuple(part.strip() for part in text.split(",") if part.strip())
    if not all(re.fullmatch(r"\+?[0-9]{5,15}", phone) for phone in phones):
        raise ValueError("must be phone numbers, separated by commas")
    return phones


def _mailbox(text: str) -> str:
    if not re.fullmatch(r"[^\s@,<>]{1,64}@[^\s@,<>]{1,190}", text):
        raise ValueError("must be a mail address such as alerts@example.com")
    return text


def _mailboxes(text: str) -> tuple[str, ...]:
    return tuple(_mailbox(part.strip()) for part in text.split(",") if part.strip())


def _diversion(text: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"([0-9]{1,4}),([0-9]{1,4}),([0-9]{1,3})", text)
    numbers = tuple(map(int, found.groups())) if found else ()
    if len(numbers) != 3 or not all(numbers):
        raise ValueError("must be persons,codes,days, each at least 1, such as 3,3,30")
    persons, codes, days = numbers
    return persons, codes, days


def _optional_path(text: str) -> Path | None:
    if not text:
        return None
    if not Path(text).is_file():
        raise ValueError("names no file")
    return Path(text)


def _token(text: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{0,128}", text):
        raise ValueError("must be at most 128 letters, digits and signs without spaces")
    return text


def _app_number(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,11}", text):
        raise ValueError("must be the number that the captcha console shows, such as 190000001")
    return int(text)


_CAPTCHA = ("SECRET_ID", "SECRET_KEY", "APP_ID", "APP_KEY")


def _captcha(reader: _Reader, platform: str | None) -> CaptchaAccount | None:
    """Return the captcha account; None when nothing of it is set. Half of one is a fault."""
    url = reader.take(
        "SAOMA_CAPTCHA_API_URL",
        _origin("https", "http"),
        platform or "https://captcha.tencentcloudapi.com",
        "",
    )
    given = {name: reader.take(f"SAOMA_CAPTCHA_{name}", _token, "", "") for name in _CAPTCHA}
    if not any(given.values()):
        return None
    faults = len(reader.faults)
    reader.faults += [
        f"SAOMA_CAPTCHA_{name}: is needed with the others" for name in _CAPTCHA if not given[name]
    ]
    number = reader.take("SAOMA_CAPTCHA_APP_ID", _app_number, "0", 0) if given["APP_ID"] else 0
    if len(reader.faults) > faults:
        return None
    return CaptchaAccount(url, given["SECRET_ID"], given["SECRET_KEY"], number, given["APP_KEY"])


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from `environ`; raise BadSettings with every fault found."""
    reader = _Reader(environ)
    take = reader.take
    data = Path(environ.get("SAOMA_DATA") or "var").resolve()
    demo = take("SAOMA_DEMO", _switch, "0", False)
    sandbox_port = take("SAOMA_SANDBOX_PORT", _whole(1, 65535), "8001", 8001)
    # A demo talks to the local platform; anything else must say which one it means.
    platform = f"http://127.0.0.1:{sandbox_port}" if demo else None
    origin = _origin("https", "http")
    settings = Settings(
        data=data,
        port=take("SAOMA_PORT", _whole(1, 65535), "8000", 8000),
        sandbox_port=sandbox_port,
        database_url=take("SAOMA_DATABASE_URL", _database, f"sqlite:///{data}/saoma.db", ""),
        master_keys=take("SAOMA_MASTER_KEYS", _keys, None, {}),
        sealing_version=take("SAOMA_SEALING_VERSION", _optional_version, "", None),
        code_key=take("SAOMA_CODE_KEY", _key, None, b""),
        link_prefix=take("SAOMA_LINK_PREFIX", _prefix, None, ""),
        public_url=take("SAOMA_PUBLIC_URL", _origin("https"), None, ""),
        wechat_api_url=take("SAOMA_WECHAT_API_URL", origin, platform or "https://api.weixin.qq.com", ""),
        wechat_open_url=take("SAOMA_WECHAT_OPEN_URL", origin, platform or "https://open.weixin.qq.com", ""),
        wecom_api_url=take("SAOMA_WECOM_API_URL", origin, platform or "https://qyapi.weixin.qq.com", ""),
        pay_api_url=take("SAOMA_PAY_API_URL", origin, platform or "https://api.mch.weixin.qq.com", ""),
        redis_url=environ.get("SAOMA_REDIS_URL") or None,
        trusted_proxies=take("SAOMA_TRUSTED_PROXIES", _whole(0, 10), "0", 0),
        fast_driver=take("SAOMA_FAST_DRIVER", _switch, "1", True),
        log_level=take("SAOMA_LOG_LEVEL", _level, "INFO", "INFO"),
        demo=demo,
        location=take("SAOMA_LOCATION", _switch, "0", False),
        address_regions=take("SAOMA_ADDRESS_REGIONS", _optional_path, "", None),
        session_hours=take("SAOMA_SESSION_HOURS", _whole(1, 720), "24", 24),
        verification_file=take("SAOMA_VERIFICATION_FILE", _verification, "", None),
        risk_rank=take("SAOMA_RISK_RANK", _switch, "0", False),
        smtp_url=take("SAOMA_SMTP_URL", _smtp, "", None),
        alert_from=take("SAOMA_ALERT_FROM", _mailbox, "saoma@localhost", ""),
        alert_to=take("SAOMA_ALERT_TO", _mailboxes, "", ()),
        sms_url=take("SAOMA_SMS_URL", _webhook, "", None),
        sms_key=take("SAOMA_SMS_KEY", _optional_key, "", b""),
        sms_to=take("SAOMA_SMS_TO", _phones, "", ()),
        sms_per_day=take("SAOMA_SMS_PER_DAY", _whole(1, 1000), "10", 10),
        alert_minutes=take("SAOMA_ALERT_MINUTES", _whole(1, 1440), "15", 15),
        diversion=take("SAOMA_DIVERSION", _diversion, "3,3,30", (3, 3, 30)),
        captcha=_captcha(reader, platform),
    )
    if settings.master_keys and settings.sealing_version not in {None, *settings.master_keys}:
        reader.faults.append("SAOMA_SEALING_VERSION: must be one of the versions in SAOMA_MASTER_KEYS")
    if settings.sms_url and not settings.sms_key:
        reader.faults.append("SAOMA_SMS_KEY: is needed with SAOMA_SMS_URL")
    if reader.faults:
        raise BadSettings(reader.faults)
    return settings
