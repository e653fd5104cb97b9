"""Regions: six-digit administrative codes (GB/T 2260), pure.

A code is three pairs of digits: province, prefecture, county. "310000" is Shanghai, "310115" a district of
it. A code that ends in zero pairs stands for everything below it, so "which area is this in" is a prefix
match and no table of 3,000 counties is needed. "100000" stands for the whole country.

Names are for display: the 34 units of province level and the cities that campaigns are usually about;
everything else is named by the unit above it.
"""

import re

COUNTRY = "100000"
_ADCODE = re.compile(r"[1-8][0-9]{5}")

_NAMES: dict[str, tuple[str, str]] = {
    "100000": ("全国", "all of China"),
    "110000": ("北京", "Beijing"),
    "120000": ("天津", "Tianjin"),
    "130000": ("河北", "Hebei"),
    "130100": ("石家庄", "Shijiazhuang"),
    "130200": ("唐山", "Tangshan"),
    "140000": ("山西", "Shanxi"),
    "140100": ("太原", "Taiyuan"),
    "150000": ("内蒙古", "Inner Mongolia"),
    "150100": ("呼和浩特", "Hohhot"),
    "210000": ("辽宁", "Liaoning"),
    "210100": ("沈阳", "Shenyang"),
    "210200": ("大连", "Dalian"),
    "220000": ("吉林", "Jilin"),
    "220100": ("长春", "Changchun"),
    "230000": ("黑龙江", "Heilongjiang"),
    "230100": ("哈尔滨", "Harbin"),
    "310000": ("上海", "Shanghai"),
    "320000": ("江苏", "Jiangsu"),
    "320100": ("南京", "Nanjing"),
    "320200": ("无锡", "Wuxi"),
    "320300": ("徐州", "Xuzhou"),
    "320400": ("常州", "Changzhou"),
    "320500": ("苏州", "Suzhou"),
    "320600": ("南通", "Nantong"),
    "330000": ("浙江", "Zhejiang"),
    "330100": ("杭州", "Hangzhou"),
    "330200": ("宁波", "Ningbo"),
    "330300": ("温州", "Wenzhou"),
    "330400": ("嘉兴", "Jiaxing"),
    "330600": ("绍兴", "Shaoxing"),
    "330700": ("金华", "Jinhua"),
    "340000": ("安徽", "Anhui"),
    "340100": ("合肥", "Hefei"),
    "350000": ("福建", "Fujian"),
    "350100": ("福州", "Fuzhou"),
    "350200": ("厦门", "Xiamen"),
    "350500": ("泉州", "Quanzhou"),
    "360000": ("江西", "Jiangxi"),
    "360100": ("南昌", "Nanchang"),
    "370000": ("山东", "Shandong"),
    "370100": ("济南", "Jinan"),
    "370200": ("青岛", "Qingdao"),
    "370600": ("烟台", "Yantai"),
    "370700": ("潍坊", "Weifang"),
    "410000": ("河南", "Henan"),
    "410100": ("郑州", "Zhengzhou"),
    "410300": ("洛阳", "Luoyang"),
    "420000": ("湖北", "Hubei"),
    "420100": ("武汉", "Wuhan"),
    "420500": ("宜昌", "Yichang"),
    "430000": ("湖南", "Hunan"),
    "430100": ("长沙", "Changsha"),
    "440000": ("广东", "Guangdong"),
    "440100": ("广州", "Guangzhou"),
    "440300": ("深圳", "Shenzhen"),
    "440400": ("珠海", "Zhuhai"),
    "440600": ("佛山", "Foshan"),
    "441300": ("惠州", "Huizhou"),
    "441900": ("东莞", "Dongguan"),
    "442000": ("中山", "Zhongshan"),
    "450000": ("广西", "Guangxi"),
    "450100": ("南宁", "Nanning"),
    "450300": ("桂林", "Guilin"),
    "460000": ("海南", "Hainan"),
    "460100": ("海口", "Haikou"),
    "460200": ("三亚", "Sanya"),
    "500000": ("重庆", "Chongqing"),
    "510000": ("四川", "Sichuan"),
    "510100": ("成都", "Chengdu"),
    "510700": ("绵阳", "Mianyang"),
    "520000": ("贵州", "Guizhou"),
    "520100": ("贵阳", "Guiyang"),
    "530000": ("云南", "Yunnan"),
    "530100": ("昆明", "Kunming"),
    "540000": ("西藏", "Tibet"),
    "540100": ("拉萨", "Lhasa"),
    "610000": ("陕西", "Shaanxi"),
    "610100": ("西安", "Xi'an"),
    "620000": ("甘肃", "Gansu"),
    "620100": ("兰州", "Lanzhou"),
    "630000": ("青海", "Qinghai"),
    "630100": ("西宁", "Xining"),
    "640000": ("宁夏", "Ningxia"),
    "640100": ("银川", "Yinchuan"),
    "650000": ("新疆", "Xinjiang"),
    "650100": ("乌鲁木齐", "Urumqi"),
    "710000": ("台湾", "Taiwan"),
    "810000": ("香港", "Hong Kong"),
    "820000": ("澳门", "Macao"),
}

PROVINCES = tuple(code for code in _NAMES if code.endswith("0000") and code != COUNTRY)
"""The 34 units of province level, ascending."""


def is_adcode(text: str) -> bool:
    """Tell whether `text` is a code of ours: six digits of a province that exists, or the whole country."""
    return _ADCODE.fullmatch(text) is not None and text.isascii() and f"{text[:2]}0000" in _NAMES


def contains(area: str, code: str) -> bool:
    """Tell whether the region `code` lies in `area` or is it; both are adcodes (DRAW-03).

    What is known only roughly is not inside something finer: Shanghai is not in one of its districts.
    """
    if area == COUNTRY:
        return True
    prefix = area
    while prefix.endswith("00"):
        prefix = prefix[:-2]
    return code.startswith(prefix)


def name(code: str, language: str = "zh") -> str:
    """Return the name of the smallest named region that holds `code`, in "zh" or "en".

    Raises ValueError for what is no adcode.
    """
    if not is_adcode(code):
        raise ValueError("a region is a six-digit adcode of a Chinese province or something in one")
    for candidate in (code, f"{code[:4]}00", f"{code[:2]}0000"):
        if candidate in _NAMES:
            names = _NAMES[candidate]
            return names[0] if language == "zh" else names[1]
    raise AssertionError("every province has a name")
