"""Chinese or English: what the caller's browser asks for, Chinese when it says nothing."""

from flask import request

from miniprogram_api.texts import Text

LANGUAGES = ("zh", "en")


def language() -> str:
    """Return "zh" or "en" by Accept-Language."""
    return request.accept_languages.best_match(LANGUAGES, default="zh") or "zh"


def say(text: Text) -> str:
    """Return `text` in the caller's language."""
    return text.en if language() == "en" else text.zh
