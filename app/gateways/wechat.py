"""The JSON API that mini-programs, service accounts and WeCom share, with wechatpy as its transport.

wechatpy sends JSON in real UTF-8 and knows the envelope of errcode and errmsg; its token handling is not
used: it fetches without a lock or a time-out and repeats without an end (platform contracts 7.1).
"""

from collections.abc import Callable, Mapping

import requests
from wechatpy.client import WeChatClient
from wechatpy.exceptions import WeChatClientException

from app.gateways.http import LARGEST_ANSWER_BYTES, make_session, run_within

# The name only: the session of this module sends to the configured origin.
_API = "https://api.weixin.qq.com"
BUSY = -1


class PlatformFault(Exception):
    """The platform refused (`errcode` is set) or gave no answer that counts (`reason` says why).

    It carries nothing of the request, because requests to this API have secrets in their URLs.
    """

    def __init__(self, reason: str, errcode: int | None = None) -> None:
        super().__init__(reason if errcode is None else f"{reason}: errcode {errcode}")
        self.reason = reason
        self.errcode = errcode


class WeChatApi:
    """Calls of the API at `api_url`, each ended after `deadline_seconds` whatever happens."""

    def __init__(
        self,
        api_url: str,
        *,
        deadline_seconds: float = 4.0,
        largest_answer_bytes: int = LARGEST_ANSWER_BYTES,
    ) -> None:
        self._deadline_seconds = deadline_seconds
        self._client = WeChatClient("", "", timeout=deadline_seconds, auto_retry=False)
        session = make_session(api_url, largest_answer_bytes=largest_answer_bytes)
        session.hooks["response"].append(_refuse_redirect)
        self._client._http = session  # noqa: SLF001 - the library offers no other way

    def get(self, path: str, params: Mapping[str, str]) -> dict[str, object]:
        """Return the answer to a GET without a token. Raises PlatformFault."""
        # As a list, because wechatpy adds a token of its own to a dict.
        query = list(params.items())
        return self._call(lambda: self._client.get(_API + path, params=query, allow_redirects=False))

    def post(self, path: str, body: Mapping[str, object], *, token: str | None = None) -> dict[str, object]:
        """Return the answer to a POST of JSON, with an access token where one is given.

        Raises PlatformFault.
        """
        query = [] if token is None else [("access_token", token)]
        data = dict(body)
        return self._call(
            lambda: self._client.post(_API + path, params=query, data=data, allow_redirects=False)
        )

    def _call(self, send: Callable[[], object]) -> dict[str, object]:
        fault = PlatformFault("unreadable")
        try:
            answer = run_within(self._deadline_seconds, send)
            if isinstance(answer, dict):
                return answer
        except WeChatClientException as error:
            if error.errcode is not None:
                fault = PlatformFault("refused", int(error.errcode))
            elif error.response is not None:
                fault = PlatformFault(f"http_{error.response.status_code}")
        except requests.Timeout:
            fault = PlatformFault("timeout")
        except requests.TooManyRedirects:
            fault = PlatformFault("redirected")
        except requests.RequestException:
            fault = PlatformFault("network")
        except (TypeError, ValueError):
            fault = PlatformFault("unreadable")
        # Raised outside the handlers: the exceptions above name the URL, and would travel along.
        raise fault


def _refuse_redirect(response: requests.Response, **_options: object) -> None:
    # The platform never redirects; wechatpy would take the JSON of whoever does for an answer.
    if 300 <= response.status_code < 400:
        raise requests.TooManyRedirects
