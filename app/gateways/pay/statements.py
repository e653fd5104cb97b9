"""Fund-flow bills: the StatementGateway that reconciliation asks for (platform contracts 11.1, 11.2).

The application is an ordinary signed call. The download is the one answer of WeChat Pay that is not signed:
there the digest in the signed answer before it is what proves the file. It is read in pieces, hashed as it
comes and written beside its place; only a file that is right gets its name.
"""

import hashlib
import os
import secrets
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode, urlsplit

import requests

from app.gateways.http import check_origin, make_session, pieces, run_within
from app.gateways.pay.answers import text_of
from app.gateways.pay.client import PayClient
from app.gateways.pay.failures import FAILURES, Failure, failure, refusal
from app.payouts.interfaces import PayerCredentials
from app.reconciliation.interfaces import AccountType, FetchAnswer, FetchOutcome

_BILL = "/v3/bill/fundflowbill"
_LARGEST_BYTES = 8 << 30
_PIECE_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
_WITH_GZIP_HEADER = 31
_STALE_SECONDS = 3600
_OUTCOMES = {
    "NO_STATEMENT_EXIST": FetchOutcome.EMPTY,
    "STATEMENT_CREATING": FetchOutcome.CREATING,
}


class _Unusable(Exception):
    """The download is not the file that was announced; the text says how."""


class WeChatPayStatements:
    """The StatementGateway on WeChat Pay v3 at `api_url` (an origin).

    `deadline_seconds` ends one application, `download_seconds` one download.
    """

    def __init__(
        self,
        api_url: str,
        *,
        deadline_seconds: float = 8.0,
        download_seconds: float = 120.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._origin = check_origin(api_url)
        self._session = make_session(self._origin)
        self._deadline_seconds = deadline_seconds
        self._download_seconds = download_seconds
        self._wall = wall

    def fetch(self, payer: PayerCredentials, *, day: date, account: AccountType, into: Path) -> FetchAnswer:
        """Apply for the bill, download it and check it; `into` appears whole or not at all."""
        try:
            client = PayClient(
                payer,
                origin=self._origin,
                session=self._session,
                deadline_seconds=self._deadline_seconds,
                wall=self._wall,
            )
            query = {"bill_date": day.isoformat(), "account_type": account.value, "tar_type": "GZIP"}
            reply = client.get(f"{_BILL}?{urlencode(query)}")
            body: dict[str, Any] = reply.body if isinstance(reply.body, dict) else {}
            if not 200 <= reply.http_status < 300:
                return _without(refusal(reply))
            url, digest = text_of(body, "download_url"), text_of(body, "hash_value")
            if url is None or digest is None or body.get("hash_type") != "SHA1":
                return FetchAnswer(FetchOutcome.RETRY, code="unreadable", message="no address or no SHA1")
            return self._download(client, _target(url), digest.lower(), into)
        except FAILURES as error:
            return _without(failure(error))
        except _Unusable as reason:
            return FetchAnswer(FetchOutcome.RETRY, code="unusable", message=str(reason))

    def _download(self, client: PayClient, target: str, digest: str, into: Path) -> FetchAnswer:
        into.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(into)
        part = into.with_name(f"{into.name}.{secrets.token_hex(4)}.part")

        def work() -> int:
            # In a thread that may outlive its caller: it cleans up after itself, and names nothing.
            try:
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    size = _save(client.stream(target), file, digest)
                    file.flush()
                    os.fsync(file.fileno())
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            return size

        size = run_within(self._download_seconds, work)
        part.replace(into)
        return FetchAnswer(FetchOutcome.LOADED, sha1=digest, size_bytes=size)


class NullStatements:
    """The StatementGateway of an installation without WeChat Pay."""

    def fetch(self, payer: PayerCredentials, *, day: date, account: AccountType, into: Path) -> FetchAnswer:
        """Refuse."""
        return FetchAnswer(
            FetchOutcome.REFUSED, code="local", message="WeChat Pay is not connected: set SAOMA_PAY_API_URL"
        )


def _without(failed: Failure) -> FetchAnswer:
    otherwise = FetchOutcome.RETRY if failed.again else FetchOutcome.REFUSED
    outcome = _OUTCOMES.get(failed.code, otherwise)
    return FetchAnswer(outcome, code=failed.code, message=failed.message)


def _target(url: str) -> str:
    """Return path and query of the download address; its host is the platform's origin anyway."""
    parts = urlsplit(url)
    if not parts.path.startswith("/") or not parts.query:
        raise _Unusable("the download address is not one")
    return f"{parts.path}?{parts.query}"


def _save(response: requests.Response, file: IO[bytes], digest: str) -> int:
    """Write the answer as it comes; return the uncompressed size. Raises _Unusable."""
    with response:
        if response.status_code != requests.codes.ok:
            raise _Unusable(f"the download answers {response.status_code}; the address may have expired")
        hashed = hashlib.sha1()  # noqa: S324 - the platform's choice; its announcement is signed
        size, unpack = 0, None
        for number, piece in enumerate(pieces(response)):
            if number == 0 and piece.startswith(_GZIP):
                unpack = zlib.decompressobj(_WITH_GZIP_HEADER)
            file.write(piece)
            for plain in _plain(unpack, piece):
                hashed.update(plain)
                size += len(plain)
                if size > _LARGEST_BYTES:
                    raise _Unusable("the file is larger than any bill")
        if unpack is not None and not unpack.eof:
            raise _Unusable("the file broke off")
        if not secrets.compare_digest(hashed.hexdigest(), digest):
            raise _Unusable("the file's SHA-1 is not the one that was announced")
    return size


def _plain(unpack: Any, piece: bytes) -> Any:
    """Yield what `piece` unpacks to, a little at a time: a small file may hold an endless one."""
    if unpack is None:
        yield piece
        return
    try:
        while piece:
            yield unpack.decompress(piece, _PIECE_BYTES)
            piece = unpack.unconsumed_tail
    except zlib.error:
        raise _Unusable("the file cannot be unpacked") from None


def _sweep(into: Path) -> None:
    """Remove what an attempt left that died half-way."""
    for part in into.parent.glob(f"{into.name}.*.part"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _STALE_SECONDS:
                part.unlink()
