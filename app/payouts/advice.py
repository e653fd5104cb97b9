"""What an operator can do about a refusal of WeChat Pay, by its code (platform contracts 4.5, 4.8, 5)."""

from app.payouts.interfaces import TransferAnswer

_ADVICE = {
    "PARAM_ERROR": "compare the payer's scene and report fields with the merchant platform",
    "INVALID_REQUEST": "compare the amount with the scene's limits, and the payer's scene and style",
    "SIGN_ERROR": "check the payer's certificate serial number and private key, and this machine's clock",
    "NO_AUTH": "on the merchant platform, open merchant transfers and the scene, and allow this server's IP",
    "APPID_MCHID_NOT_MATCH": "bind the app to the merchant number on the merchant platform",
    "MCH_NOT_EXISTS": "check the payer's merchant number",
    "ACCOUNT_ERROR": "look at the merchant account's state on the merchant platform",
    "USER_ERROR": "the receiver's WeChat account cannot take money; ask them to contact WeChat",
    "USER_ACCOUNT_ABNORMAL": "the receiver's WeChat account cannot take money; ask them to contact WeChat",
    "RULE_LIMIT": "a limit of the merchant platform is reached; raise it, or wait for the next day",
    "V2_ACCOUNT_SIMPLE_BAN": "the receiver has to verify a name in WeChat; replay it then",
    "MONEY_LIMIT": "red packets go from 1 to 200 yuan; other amounts want a scene that the merchant holds",
    "CA_ERROR": "renew the payer's client certificate: apiclient_cert.pem of the merchant platform",
    "XML_ERROR": "the request was not understood there: look whether something in between alters it",
    "ILLEGAL_APPID": "bind the app to the merchant number on the merchant platform",
    "OPENID_ERROR": "the receiver's openid is not one of this app; close the bill",
    "SYSTEMERROR": "it was said each time, and is said of a wrong secret, too: compare the payer's secret of"
    " the 企业支付 app with WeCom's console, and renew it with `saoma payers add`",
    "WORKWX_SIGN_ERROR": "the payer's secret of the 企业支付 app is not that of WeCom's console: renew it"
    " with `saoma payers add`",
    "TRADE_ERROR": "read the message; the merchant platform's transfer list may say more",
}


def advice(answer: TransferAnswer) -> str:
    """Return why a request was refused and what mends it; the number stays, a replay tries it again."""
    code = answer.code or "refused"
    said = f" ({answer.message})" if answer.message else ""
    return f"{code}{said}: {_ADVICE.get(code, 'mend what the message says')}"
