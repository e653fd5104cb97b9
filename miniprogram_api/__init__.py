"""What shoppers reach: the mini-program's JSON API, pages for other scanners, callbacks of WeChat Pay."""

from miniprogram_api.surface import register

__all__ = ["register"]
