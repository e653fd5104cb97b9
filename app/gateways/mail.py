"""E-mail by SMTP: the Mailer of notices, and one for a house that has not said where letters go.

TLS from the first byte (smtps), or STARTTLS wherever the server offers it; a password is never sent in clear.
"""

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

from app.notices.interfaces import Letter, NotSent

_SECONDS = 10.0
_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where letters are handed over. `secure`: TLS from the first byte."""

    host: str
    port: int
    secure: bool
    user: str = ""
    password: str = field(default="", repr=False)


def read_server(url: str) -> MailServer:
    """Return the server that smtp://user:password@host:587 or smtps://… names; settings have checked it."""
    parts = urlsplit(url)
    return MailServer(
        host=parts.hostname or "",
        port=parts.port or _PORTS[parts.scheme],
        secure=parts.scheme == "smtps",
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


class SmtpMailer:
    """Sends through one server, a connection per letter: letters are rare."""

    def __init__(self, server: MailServer, sender: str) -> None:
        self._server = server
        self._sender = sender

    def send(self, letter: Letter, recipients: Sequence[str]) -> None:
        """Hand the letter over; raise NotSent while it certainly has not been accepted."""
        message = EmailMessage()
        message["Subject"] = letter.subject
        message["From"] = self._sender
        message["To"] = ", ".join(recipients)
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain=self._sender.rpartition("@")[2] or None)
        message.set_content(letter.body)
        try:
            connection = self._connect()
        except (OSError, smtplib.SMTPException) as error:
            raise NotSent(f"the mail server does not let us in ({type(error).__name__})") from None
        with connection:
            try:
                connection.send_message(message)
            except (
                smtplib.SMTPRecipientsRefused,
                smtplib.SMTPSenderRefused,
                smtplib.SMTPDataError,
                smtplib.SMTPNotSupportedError,
            ) as error:
                raise NotSent(f"the mail server refused the letter ({type(error).__name__})") from None

    def _connect(self) -> smtplib.SMTP:
        server, context = self._server, ssl.create_default_context()
        if server.secure:
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=_SECONDS, context=context
            )
        else:
            connection = smtplib.SMTP(server.host, server.port, timeout=_SECONDS)
        try:
            connection.ehlo()
            protected = server.secure
            if not protected and connection.has_extn("starttls"):
                connection.starttls(context=context)
                connection.ehlo()
                protected = True
            if server.user:
                if not protected:
                    raise smtplib.SMTPException("the server offers no TLS")
                connection.login(server.user, server.password)
        except BaseException:
            connection.close()
            raise
        return connection


class NullMailer:
    """No server is set: says so, always. Nothing is queued for it."""

    def send(self, letter: Letter, recipients: Sequence[str]) -> None:
        """Raise NotSent."""
        raise NotSent("no mail server is set: SAOMA_SMTP_URL")
