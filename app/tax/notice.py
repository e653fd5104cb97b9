"""What somebody is told before giving name and document number, and agrees to by itself.

An identity number is sensitive personal information: purpose, necessity and effect are told, and consent is
asked for separately from everything else (PIPL 29, 30; contract 14.2). Another text is another version.
"""

VERSION = "2026-1"

ZH = (
    "您领取的奖品依法应缴纳个人所得税。为办理扣缴申报,主办方需要您的真实姓名、证件类型和证件号码,仅提供给税务机关,"
    "不作他用。信息加密保存,保存期限以税法要求为限。您可以不提供;但应税奖品在提供之前无法领取,其他奖品不受影响。"
    "尚未领取应税奖品的,您可以随时撤回同意并删除该信息。"
)
EN = (
    "Income tax is due by law on the prize that you collect. To report it, the organiser needs your real"
    " name and the kind and number of your identity document. They are given to the tax office and used"
    " for nothing else; they are stored encrypted, for as long as tax law asks. You may decline; taxed"
    " prizes cannot be collected before, all others can. Until you have collected a taxed prize you may"
    " withdraw this and have them deleted."
)
