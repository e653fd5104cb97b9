"""Conditions in words, Chinese and English: what a shopper reads is made from what the draw reads."""

from dataclasses import fields
from datetime import datetime
from zoneinfo import ZoneInfo

from app.campaigns.conditions import LAST_DAY, Conditions, Customer, Hours, Window
from app.campaigns.facts import Behaviour
from app.campaigns.rules import Text
from app.organisation.regions import name as region_name

_PHRASES = {
    ("when", "windows"): Text("时间为{}", "time: {}"),
    ("when", "weekdays"): Text("{}", "on {}"),
    ("when", "days_of_month"): Text("每月{}", "on day {} of the month"),
    ("when", "hours"): Text("每日{}", "daily {}"),
    ("where", "areas"): Text("地区为{}", "in {}"),
    ("who", "customer"): Text("{}", "{}"),
    ("who", "tiers"): Text("会员等级为{}", "member tier {}"),
    ("who", "tags_any"): Text("具有以下任一标签:{}", "with any of the tags {}"),
    ("who", "tags_all"): Text("同时具有标签:{}", "with all of the tags {}"),
    ("who", "tags_none"): Text("不具有标签:{}", "without the tags {}"),
    ("which", "skus"): Text("商品编号为{}", "product {}"),
    ("which", "lines"): Text("产品系列为{}", "product line {}"),
    ("which", "categories"): Text("产品类别为{}", "product category {}"),
    ("which", "specs"): Text("产品规格为{}", "product specification {}"),
    ("which", "tags"): Text("产品标签为{}", "product tag {}"),
    ("what", "behaviours"): Text("参与方式为{}", "taking part by {}"),
    ("what", "draw_from"): Text("本活动第{}次抽奖起", "from draw number {} in this campaign"),
    ("what", "draw_to"): Text("至本活动第{}次抽奖止", "up to draw number {} in this campaign"),
    ("own", "cases"): Text("箱号为{}", "case {}"),
    ("own", "channels"): Text("渠道为{}", "sales channel {}"),
    ("own", "orders"): Text("订单为{}", "shipping order {}"),
    ("own", "origins"): Text("产地为{}", "origin {}"),
}
_WEEKDAYS = (
    Text("周一", "Monday"),
    Text("周二", "Tuesday"),
    Text("周三", "Wednesday"),
    Text("周四", "Thursday"),
    Text("周五", "Friday"),
    Text("周六", "Saturday"),
    Text("周日", "Sunday"),
)
_BEHAVIOURS = {
    Behaviour.SCAN: Text("扫码", "scanning"),
    Behaviour.SHAKE: Text("摇一摇", "shaking"),
    Behaviour.SIGN_IN: Text("签到", "signing in"),
    Behaviour.VIDEO: Text("观看视频", "watching a video"),
}
_CUSTOMERS = {
    Customer.NEW: Text("首次抽奖的新顾客", "new customers, at their first draw ever"),
    Customer.OLD: Text("抽过奖的老顾客", "customers who have drawn before"),
}
_NO_CONDITIONS = Text("不限", "no conditions")


def describe(conditions: Conditions, zone: ZoneInfo) -> Text:
    """Return the conditions as a phrase in both languages."""
    zh: list[str] = []
    en: list[str] = []
    for dimension in fields(conditions):
        part = getattr(conditions, dimension.name)
        for item in fields(part):
            value = getattr(part, item.name)
            if value is None or value == ():
                continue
            words = [_word(dimension.name, item.name, entry, zone) for entry in _entries(value)]
            phrase = _PHRASES[dimension.name, item.name]
            zh.append(phrase.zh.format("、".join(word.zh for word in words)))
            en.append(phrase.en.format(", ".join(word.en for word in words)))
    return Text(",且".join(zh), "; and ".join(en)) if zh else _NO_CONDITIONS


def write_local(moment: datetime, zone: ZoneInfo) -> str:
    """Return a moment on the market's wall clock, with its offset spelt out so that nobody has to guess."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S} (UTC{moment.astimezone(zone):%z})"


def _entries(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def _word(dimension: str, name: str, value: object, zone: ZoneInfo) -> Text:
    if isinstance(value, Window):
        start, end = write_local(value.start, zone), write_local(value.end, zone)
        return Text(f"{start}至{end}", f"{start} to {end}")
    if isinstance(value, Hours):
        stretch = f"{value.start:%H:%M}–{value.end:%H:%M}"
        return Text(stretch, stretch)
    if isinstance(value, Behaviour):
        return _BEHAVIOURS[value]
    if isinstance(value, Customer):
        return _CUSTOMERS[value]
    if dimension == "where":
        # The code says exactly which area is meant; a small one is named by the province above it.
        return Text(f"{region_name(str(value))}({value})", f"{region_name(str(value), 'en')} ({value})")
    if (dimension, name) == ("when", "weekdays") and isinstance(value, int):
        return _WEEKDAYS[value - 1]
    if (dimension, name) == ("when", "days_of_month"):
        return Text("最后一天", "(the last)") if value == LAST_DAY else Text(f"{value}日", str(value))
    return Text(str(value), str(value))
