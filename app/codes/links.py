"""The link that a code is printed in, and what comes back when somebody scans it.

The QR code holds `https://<host>/<path>/` + code, registered once as an ordinary-link rule: protocol and
host match exactly and the rule ends with a slash, so one rule serves every code (platform contracts 1.10,
13.8). A shopper's WeChat then hands the mini-program `q`, the whole link URL-encoded; a mini-program code
hands it `scene`, the code alone; a keyboard gives the bare code. What scans without WeChat opens the link.

`q` comes from the client: anybody can forge it. Nothing is believed but the code inside.
"""

from urllib.parse import unquote, urlsplit

from app.codes.errors import NotACode
from app.codes.format import MAX_TEXT

MAX_LINK = 1024
# What a prefix may consist of keeps it the same in a URL, in a CSV field, in SVG and in PDF.
_PREFIX_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:")
_MAX_PREFIX = 128


class CodeLink:
    """The link prefix of one installation; immutable, shared by all threads."""

    def __init__(self, prefix: str) -> None:
        """Take a prefix such as "https://codes.example.com/q/"; raise ValueError for one that cannot work."""
        parts = urlsplit(prefix) if set(prefix) <= _PREFIX_LETTERS else None
        if parts is None or not parts.hostname or len(prefix) > _MAX_PREFIX:
            raise ValueError("a link prefix is https://host/path/ in at most 128 plain ASCII letters")
        if not prefix.startswith("https://") or not prefix.endswith("/"):
            raise ValueError(
                "a link prefix begins with https:// and ends with a slash, as WeChat's rule does"
            )
        self.prefix = prefix
        self._host = parts.netloc.lower()
        self._path = parts.path

    def url(self, code: str) -> str:
        """Return the link that is printed for `code`."""
        return self.prefix + code

    def extract(self, text: str) -> str:
        """Return the code inside what a shopper's WeChat gave: a bare code, `scene`, or `q`.

        `q` may be URL-encoded (as the page receives it) or decoded already; it is decoded once and no more.
        Raise NotACode for a link that is not ours. Whether the code itself is right, CodeKeys.parse says.
        """
        text = text.strip()
        if len(text) > MAX_LINK:
            raise NotACode("this text is too long for a code or a link to one")
        start = text[:16].lower()
        if start.startswith(("https%3a", "http%3a")):
            text = unquote(text, errors="replace")
        elif not start.startswith(("https:", "http:")):
            return _bounded(text)
        return self._code_in(text)

    def _code_in(self, link: str) -> str:
        # The parser would drop control characters in silence; and no link of ours has a blank.
        if not link.isprintable() or " " in link:
            raise NotACode("this link is not one of ours")
        try:
            parts = urlsplit(link)
        except ValueError:
            raise NotACode("this link cannot be read") from None
        if parts.scheme != "https" or parts.netloc.lower() != self._host:
            raise NotACode("this link does not lead to us")
        path, _, code = parts.path.rpartition("/")
        if path + "/" != self._path:
            raise NotACode("this link does not lead to a code")
        return _bounded(code)


def _bounded(code: str) -> str:
    if not code or len(code) > MAX_TEXT:
        raise NotACode("a code has 16 letters and digits")
    return code
