"""Kinds of identifiers, and what a value must look like before it may stand for somebody (pure).

A value that many people share by accident ("0", "null", "anonymous", 00000000000) would join strangers;
such values are blocked before anything is looked up. Phones are written one way, so that the number from
WeChat, the one from a till and the one from a web shop are equal when they are the same.
"""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum

_SEPARATORS = re.compile(r"[\s().\-]")
_MOBILE = re.compile(r"1[3-9][0-9]{9}")
_LANDLINE = re.compile(r"0[1-9][0-9]{8,10}")
_INTERNATIONAL = re.compile(r"\+[1-9][0-9]{6,14}")
_LONGEST = 128
_LONG_ENOUGH = 12


class IdentifierKind(StrEnum):
    """What an identifier is, and in brackets what its scope names (ID-01, ID-05).

    unionid (open platform account) · openid (app id) · external_userid (WeCom corp) · member_card (issuer)
    · phone (empty) · shop_id (shop platform) · device (empty)
    """

    UNIONID = "unionid"
    OPENID = "openid"
    EXTERNAL_USERID = "external_userid"
    MEMBER_CARD = "member_card"
    PHONE = "phone"
    SHOP_ID = "shop_id"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Claimed:
    """An identifier as a record shows it; `scope` says within what it is unique."""

    kind: IdentifierKind
    scope: str
    value: str = field(repr=False)


def openid_claim(app_id: int, openid: str) -> Claimed:
    """Return the claim of an openid, which is one user's name within one app."""
    return Claimed(IdentifierKind.OPENID, str(app_id), openid)


def phone_claim(number: str) -> Claimed:
    """Return the claim of a phone number in any spelling, best with its country code: "+86138…"."""
    return Claimed(IdentifierKind.PHONE, "", number)


def sift(claim: Claimed, blocked: AbstractSet[str]) -> Claimed | None:
    """Return `claim` in its one spelling, or None when its value stands for nobody.

    `blocked` are lower-case values of the kind's rule. A value of one repeated character is blocked
    whatever the rule says.
    """
    value = claim.value.strip()
    if not value or len(value) > _LONGEST or value.lower() in blocked or len(set(value)) == 1:
        return None
    if claim.kind is IdentifierKind.PHONE:
        value = normalise_phone(value) or ""
        digits = value.removeprefix("+86").removeprefix("+")
        if not value or digits in blocked or len(set(digits)) == 1:
            return None
    return Claimed(claim.kind, claim.scope, value)


def normalise_phone(text: str) -> str | None:
    """Return a phone number as +, country code, number; None for what is no number.

    A number without a country code is read as a Chinese mobile number or a landline with area code.
    """
    number = _SEPARATORS.sub("", text)
    if number.startswith("00"):
        number = f"+{number[2:]}"
    if number.startswith("86") and _MOBILE.fullmatch(number[2:]):
        number = f"+{number}"
    if _MOBILE.fullmatch(number):
        number = f"+86{number}"
    elif _LANDLINE.fullmatch(number):
        number = f"+86{number[1:]}"
    if not number.isascii() or not _INTERNATIONAL.fullmatch(number):
        return None
    return number


def mask(kind: IdentifierKind, value: str) -> str:
    """Return an identifier for an operator who has to tell two of them apart: "o1…9xQz"; a phone as usual."""
    if kind is IdentifierKind.PHONE:
        return mask_phone(value)
    return f"{value[:2]}…{value[-4:]}" if len(value) >= _LONG_ENOUGH else f"…{value[-2:]}"


def mask_phone(number: str) -> str:
    """Return a normalised phone number for display to its owner: "+86 138****5678"."""
    if number.startswith("+86"):
        return f"+86 {number[3:6]}****{number[-4:]}"
    return f"{number[:4]}****{number[-2:]}"
