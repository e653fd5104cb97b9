"""WeChat's own browser on a shopper's phone: it opens our pages, goes where they send it, comes back."""

import re
from urllib.parse import urlsplit

import requests

from tests.support.shop import Shop, Shopper

AGENT = "Mozilla/5.0 (Linux; Android 14) MicroMessenger/8.0.50"
PUBLIC = "https://m.example.com"


class WeChatBrowser:
    """Holds the cookies of our site; WeChat knows whose phone it is."""

    def __init__(self, shop: Shop, shopper: Shopper, agent: str = AGENT) -> None:
        self.shop = shop
        self.shopper = shopper
        self.agent = agent
        self.cookies: dict[str, str] = {}

    def call(self, method: str, url: str) -> requests.Response:
        """Send one request to our site; redirects are not followed."""
        assert url.startswith((PUBLIC, self.shop.url)), url
        address = self.shop.url + url.removeprefix(PUBLIC).removeprefix(self.shop.url)
        headers = {"User-Agent": self.agent, "Accept-Language": "en", "Cookie": self._cookies()}
        with requests.request(method, address, headers=headers, allow_redirects=False, timeout=20) as answer:
            for name, value in re.findall(r"([\w-]+)=([^;,]*);", answer.headers.get("Set-Cookie", "")):
                if name.startswith("__Host-saoma_link"):
                    self.cookies[name] = value
            return answer

    def authorize(self, address: str) -> str:
        """Open WeChat's page and return where it sends the browser."""
        assert address.endswith("#wechat_redirect"), "WeChat demands it"
        whose = {"Cookie": f"sandbox_shopper={self.shopper.id}"}
        with requests.get(address, headers=whose, allow_redirects=False, timeout=20) as answer:
            assert answer.status_code == 302, answer.text
            return answer.headers["Location"]

    def accept(self, url: str) -> str:
        """Open a link and tap on its page; return the address at WeChat."""
        assert self.call("GET", url).status_code == 200
        answer = self.call("POST", url)
        assert answer.status_code == 303, answer.text
        assert urlsplit(answer.headers["Location"]).path == "/connect/oauth2/authorize"
        return answer.headers["Location"]

    def walk(self, url: str) -> requests.Response:
        """Do all that a link asks for; return the last page."""
        return self.call("GET", self.authorize(self.accept(url)))

    def _cookies(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())
