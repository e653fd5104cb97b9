"""GET /cgi-bin/gettoken: the access token of one application of a corp (platform contracts 3.1)."""

from app.gateways.tokens import FetchedToken
from app.gateways.wechat import PlatformFault, WeChatApi
from app.identity.interfaces import AppCredentials


def fetch_corp_token(api: WeChatApi, corp: AppCredentials, force: bool) -> FetchedToken:  # noqa: FBT001 - the provider's own flag
    """Return the token of the application whose secret this is; the same one while it lives.

    There is no way to force another one: raises PlatformFault then, as it does for any failure.
    """
    if force:
        raise PlatformFault("still_refused")
    answer = api.get("/cgi-bin/gettoken", {"corpid": corp.appid, "corpsecret": corp.secret})
    token, lifetime = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(token, str) or not token or not isinstance(lifetime, int) or lifetime <= 0:
        raise PlatformFault("unreadable")
    return FetchedToken(token, lifetime)
