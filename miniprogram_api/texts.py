"""What shoppers read, in Chinese and English; docs/codes.md has the table of outcomes."""

from dataclasses import dataclass

from app.codes.outcome import ScanOutcome
from app.incentives.operations import CaseOutcome


@dataclass(frozen=True, slots=True)
class Text:
    """One text in both languages."""

    zh: str
    en: str


OUTCOMES = {
    ScanOutcome.OK: Text("正品，可以抽奖。", "Genuine. You can draw."),
    ScanOutcome.UNKNOWN: Text(
        "未查到该二维码，不是我们发出的码，请谨防假冒。",
        "We did not issue this code. Beware of imitations.",
    ),
    ScanOutcome.ALTERED: Text(
        "二维码识别有误，请对照包装重新扫码或输入；若与包装一致，请谨防假冒。",
        "The code was not read correctly. Compare it with the pack and try again; if it is the same, beware"
        " of imitations.",
    ),
    ScanOutcome.INACTIVE: Text(
        "该码尚未启用，请稍后再试或联系客服。", "This code is not in use yet. Try later or ask our service."
    ),
    ScanOutcome.FROZEN: Text(
        "该批次产品正在核查，暂时不能参与活动，请联系客服。",
        "This batch is being checked and cannot take part for now. Please ask our service.",
    ),
    ScanOutcome.NOT_SHIPPED: Text(
        "该产品尚未发货，暂时不能参与活动。", "This product has not been delivered yet and cannot take part."
    ),
    ScanOutcome.DRAWN_BY_ME: Text(
        "您已用该码抽过奖，查看结果。", "You have drawn with this code. See your result."
    ),
    ScanOutcome.DRAWN_BY_ANOTHER: Text(
        "该码已被他人使用；若您刚刚开启，请联系客服。",
        "Somebody else has used this code. If you have just opened the pack, ask our service.",
    ),
    ScanOutcome.PACKAGE: Text(
        "这是箱码，请扫描单件产品上的二维码参与活动。",
        "This is the code of a case. Scan the code on a single product to take part.",
    ),
}
"""What the mini-program shows for each outcome of a scan."""

CASE_OUTCOMES = {
    CaseOutcome.GRANTED: Text("门店奖励积分已到账。", "Your points for this case are there."),
    CaseOutcome.GRANTED_BEFORE: Text("您已领取过这一箱的积分。", "You have had the points for this case."),
    CaseOutcome.GRANTED_TO_ANOTHER: Text(
        "这一箱的积分已被他人领取。", "Somebody else has had the points for this case."
    ),
    CaseOutcome.NOT_FOR_STORE: Text(
        "这一箱不是发往您门店所属经销商的，没有积分。",
        "This case was not shipped to your store's dealer and earns no points.",
    ),
}
"""What it shows store staff who scan a case."""

GENUINE = Text("正品：这是我们发出的码。", "Genuine: we issued this code.")
NOT_GENUINE = Text("请注意：未能确认为正品", "Take care: not confirmed as genuine")
NO_CODE = Text("这不是我们的二维码。", "This is not one of our codes.")
NEVER_SCANNED = Text("此前没有人扫过该码。", "Nobody has scanned this code before.")
FIRST_SCANNED = Text("首次扫码时间：{at}（共 {times} 次）", "First scanned on {at} ({times} times in all)")
OPEN_WECHAT = Text(
    "打开微信，用“扫一扫”扫描同一个二维码即可入会和抽奖。本页面不能抽奖，也不会记录您的任何信息。",
    "Open WeChat and scan the same code there to join and to draw. Nothing can be drawn on this page, and it"
    " records nothing about you.",
)
PLACEMENT = Text("欢迎加入会员", "Welcome, join as a member")
PLACEMENT_HOW = Text(
    "打开微信，用“扫一扫”扫描同一个二维码即可入会。", "Open WeChat and scan the same code there to join."
)
TITLE = Text("正品查询", "Is it genuine?")
START = Text("Saoma 扫码", "Saoma")
SHEET = Text("演示二维码", "Codes of the demo")
WHAT = Text(
    "从瓶盖下的一个二维码，到会员、抽奖，再到微信里的钱。",
    "From a code under a bottle cap to a member, a draw and money in WeChat.",
)
LINK_SHEET = Text("演示二维码（12 个）", "QR sheet of the demo (12 codes)")
LINK_PHONE = Text("消费者的手机（本地沙箱）", "The shopper's phone (local sandbox)")
LINK_DOCS = Text("接口文档", "API pages")
LINK_OPENAPI = Text("OpenAPI 文件", "OpenAPI document")

LINK = Text("接收红包", "Receive red packets")
LINK_WHY = Text(
    "用此微信接收会员 {who} 的红包。请确认是您本人的会员号；"
    "我们只记录此微信在服务号中的编号（openid），仅用于发放红包。",
    "This WeChat account will receive the red packets of member {who}. Go on only if that is you. All that is"
    " kept is this account's number at our service account (openid), to send the red packets to.",
)
LINK_WHY_CORP = Text(
    "用此微信接收会员 {who} 的红包。请确认是您本人的会员号；"
    "我们只记录此微信在本企业的企业微信中的编号（openid；如您已添加我们的导购，还有外部联系人编号），"
    "用于发放红包和识别您的会员身份。",
    "This WeChat account will receive the red packets of member {who}. Go on only if that is you. All that is"
    " kept is this account's number at our company's WeCom (openid; if a guide of ours is your contact, its"
    " number as a contact, too), to send the red packets to and to recognise you as a member.",
)
LINK_GO = Text("确认接收", "Receive them here")
LINK_IN_WECHAT = Text("请在微信中打开此链接。", "Open this link in WeChat.")
LINK_DONE = Text("已设置成功", "Done")
LINK_DONE_HOW = Text("请返回小程序，再次点击领取。", "Go back to the mini-program and tap Collect again.")
LINK_FAILED = Text("未能设置", "That did not work")
LINK_OVER = Text(
    "链接已使用或已过期。若您已设置成功，请返回小程序领取；否则请在小程序中重新获取链接。",
    "The link has been used or is too old. If it worked before, go back and collect; else get a new link in"
    " the mini-program.",
)
LINK_ANOTHER = Text(
    "此微信已属于另一位会员，或该会员已绑定其他微信。请使用会员本人的微信，或联系客服。",
    "This WeChat account belongs to another member, or the member uses another one. Use the member's own, or"
    " ask our service.",
)
LINK_SNAPSHOT = Text(
    "当前为页面快照，请点击“使用完整服务”后重试。",
    "This is a snapshot of the page. Open the full service and try again.",
)
LINK_STAFF = Text(
    "本企业员工：请先用此微信登录企业微信，或联系企业管理员开通，然后重新打开链接。",
    "Staff: sign in to WeCom with this WeChat, or ask your administrator; then open the link again.",
)
LINK_AGAIN = Text(
    "微信暂时没有响应，请稍后重新打开链接。", "WeChat does not answer. Open the link again in a while."
)
