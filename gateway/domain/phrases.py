"""The built-in words of the live room, zh-CN and English, by what they are for and the tier.

They turn by themselves (`lines.py`); of the variants those are passed over whose variable nobody knows, so in each row
one at least needs nothing that may be unknown. What is said while our knowledge is old has no number in it.
"""

from gateway.domain.tiers import Tier

ZH, EN = "zh-CN", "en"
_N, _T, _S, _U, _O = Tier.NORMAL, Tier.TREND, Tier.THRESHOLD, Tier.URGENT, Tier.SOLD_OUT

_GONE_ZH = ("{title}已经拍完啦，可以看看{substitute}", "{title}卖完了，谢谢宝宝们支持", "来晚一步，{title}已经没有了哦")
_GONE_EN = (
    "{title} is sold out, have a look at {substitute}",
    "{title} is gone, thank you all",
    "Just missed it: {title} is sold out",
)

_CHINESE: dict[str, dict[Tier, tuple[str, ...]]] = {
    "HOST": {
        _N: ("{title}还能卖{sellable}单，库存充足，按正常节奏讲", "{title}还有{sellable}单，可以放心讲"),
        _T: ("{title}卖得越来越快，还能卖{sellable}单", "{title}正在走量，还能卖{sellable}单，留意库存"),
        _S: (
            "{title}还能卖{sellable}单，照这个速度{minutes}分钟卖完",
            "{title}库存不多了，还能卖{sellable}单，提醒想要的宝宝抓紧拍",
        ),
        _U: ("{title}只能再卖{sellable}单，卖完就没有了", "{title}最后{sellable}单，不要再承诺加货"),
        _O: ("{title}卖完了，给大家介绍{substitute}", "{title}卖完了，不要再挂这款，换下一个"),
    },
    "CHAT": {
        _N: ("{title}现货在售，喜欢的宝宝可以拍", "想要{title}的宝宝，现在就可以下单哦", "{title}有货，慢慢挑"),
        _T: ("{title}好多宝宝在拍，喜欢别犹豫", "{title}卖得很快，想要的可以先拍下", "{title}今天很热门，看中了就拍"),
        _S: (
            "这款库存不多了，想要的宝宝抓紧拍",
            "{title}还剩{sellable}单，想要的宝宝抓紧",
            "{title}不多了，犹豫的宝宝可以先拍下",
        ),
        _U: (
            "{title}只剩{sellable}单啦，手慢无",
            "{title}马上拍完，最后{sellable}单",
            "这款快没有了，要的宝宝现在拍",
        ),
        _O: _GONE_ZH,
    },
    "STOCK": {
        _N: ("有货的宝宝，{title}可以直接拍", "{title}还有{sellable}单，放心拍", "在售哦，{title}库存够的"),
        _T: ("还有的，{title}还剩{sellable}单，卖得挺快", "有货，{title}现在很多人在拍", "{title}还有，喜欢就早点拍"),
        _S: (
            "还有{sellable}单，{title}不多了哦",
            "{title}还能拍，预计{minutes}分钟内拍完",
            "还有的，不过{title}库存不多，抓紧拍",
        ),
        _U: (
            "只剩{sellable}单了，{title}要的话现在拍",
            "{title}最后一点了，先拍先得",
            "快没有了，{title}还剩{sellable}单",
        ),
        _O: _GONE_ZH,
    },
    "RESTOCK": {
        _N: ("{title}现在就有货，不用等补货", "{title}有现货，可以直接拍", "不用等，{title}现在能拍"),
        _T: ("{title}现在还有货，可以先拍", "{title}有现货，{restock}后还会补一批", "还有货的，{title}现在能拍"),
        _S: ("{title}还剩一些，{restock}后补货", "{title}还有少量，先拍先得", "{title}现在还能拍，补货请听主播通知"),
        _U: (
            "{title}快没了，预计{restock}后补货",
            "{title}先拍先得，补货请听主播通知",
            "{title}只剩一点，补货请留意直播间通知",
        ),
        _O: (
            "{title}卖完了，预计{restock}后补货，可以先关注",
            "{title}暂时没货，补货消息听主播的",
            "{title}这一批拍完了，补货请留意直播间通知",
        ),
    },
    "SUBSTITUTE": {
        _N: ("{title}有货，可以直接拍", "{title}现在就能拍，不用换款", "喜欢{title}直接下单就好"),
        _T: ("{title}还有，也可以看看{substitute}", "{title}还能拍，喜欢就下单", "{title}有货，很多宝宝选这款"),
        _S: ("{title}不多了，{substitute}也很合适", "{title}还能拍，抓紧哦", "想要{title}先拍下，慢了就没有了"),
        _U: ("{title}快没了，可以看看{substitute}", "{title}只剩一点，要就现在拍", "{title}马上拍完，同类款请问主播"),
        _O: (
            "{title}卖完了，{substitute}也不错，现在有货",
            "{title}没有了，可以问问主播有没有同类款",
            "{title}拍完了，主播会介绍别的款，留意一下",
        ),
    },
}

_ENGLISH: dict[str, dict[Tier, tuple[str, ...]]] = {
    "HOST": {
        _N: (
            "{title}: {sellable} more can be sold, plenty in stock",
            "{title}: {sellable} left, keep your usual pace",
        ),
        _T: (
            "{title} sells faster and faster, {sellable} more can be sold",
            "{title} is picking up, {sellable} left",
        ),
        _S: (
            "{title}: {sellable} more can be sold, gone in {minutes} minutes at this pace",
            "{title} is running low, {sellable} more can be sold",
        ),
        _U: ("{title}: only {sellable} more, and then it is gone", "{title}: the last {sellable}, promise no more"),
        _O: ("{title} is sold out, go on with {substitute}", "{title} is sold out, go on with the next one"),
    },
    "CHAT": {
        _N: ("{title} is in stock", "{title} can be ordered now", "{title} is available, take your time"),
        _T: ("Many are ordering {title}", "{title} is selling fast", "{title} is popular today"),
        _S: (
            "This one is running low, order now if you want it",
            "{title}: {sellable} left",
            "Not many of {title} left",
        ),
        _U: (
            "Only {sellable} of {title} left",
            "{title} is almost gone: the last {sellable}",
            "This one is almost gone",
        ),
        _O: _GONE_EN,
    },
    "STOCK": {
        _N: ("Yes, {title} is in stock", "{title}: {sellable} left", "{title} is available"),
        _T: (
            "Yes, {sellable} of {title} left, selling fast",
            "{title} is in stock and in demand",
            "{title} is available",
        ),
        _S: (
            "{sellable} of {title} left, not many",
            "{title} is available, gone in {minutes} minutes or so",
            "Yes, but {title} is running low",
        ),
        _U: ("Only {sellable} left of {title}", "The last few of {title}", "{title} is almost gone, {sellable} left"),
        _O: _GONE_EN,
    },
    "RESTOCK": {
        _N: ("{title} is in stock now", "No need to wait, {title} is available", "{title} can be ordered now"),
        _T: (
            "{title} is still in stock",
            "{title} is in stock, and more comes in {restock}",
            "{title} is available now",
        ),
        _S: (
            "Some of {title} left, more comes in {restock}",
            "A few of {title} are left",
            "Ask the host when more {title} comes",
        ),
        _U: (
            "{title} is almost gone, more comes in {restock}",
            "Ask the host when more {title} comes",
            "{title}: the last few",
        ),
        _O: (
            "{title} is sold out, more is expected in {restock}",
            "{title} is sold out, the host will say when more comes",
            "This batch of {title} is gone, watch for news here",
        ),
    },
    "SUBSTITUTE": {
        _N: ("{title} is in stock", "{title} is available, no need for another", "{title} can be ordered now"),
        _T: (
            "{title} is still there, {substitute} is good too",
            "{title} is available",
            "{title} is what many choose",
        ),
        _S: (
            "{title} is running low, {substitute} is good too",
            "{title} is still available",
            "A few of {title} are left",
        ),
        _U: (
            "{title} is almost gone, see {substitute}",
            "The last few of {title}",
            "{title} is nearly gone, ask the host",
        ),
        _O: (
            "{title} is sold out, {substitute} is in stock",
            "{title} is gone, ask the host for something like it",
            "{title} is sold out, the host will show others",
        ),
    },
}

BUILT_IN = {
    (intent, tier, language): variants
    for language, words in ((ZH, _CHINESE), (EN, _ENGLISH))
    for intent, by_tier in words.items()
    for tier, variants in by_tier.items()
}

_CHECKING_ZH = ("{title}的库存正在核对，稍等一下哦", "{title}正在更新库存，马上告诉大家", "稍等，正在确认{title}的库存")
_CHECKING_EN = (
    "Checking the stock of {title}, one moment",
    "The stock of {title} is being updated",
    "One moment, {title} is being checked",
)
# While our knowledge is old, whatever the tier.
BUILT_IN_STALE = {
    ("HOST", ZH): ("{title}的库存数据在更新，先不要报数字",),
    ("HOST", EN): ("The numbers of {title} are being updated, name none",),
    **{(intent, ZH): _CHECKING_ZH for intent in ("CHAT", "STOCK", "RESTOCK", "SUBSTITUTE")},
    **{(intent, EN): _CHECKING_EN for intent in ("CHAT", "STOCK", "RESTOCK", "SUBSTITUTE")},
}

# What the host says while a person has it that a SKU is to last.
SLOW = {
    ZH: ("{title}还能卖{sellable}单，放慢节奏，先讲别的款", "{title}先不催单，还有{sellable}单，留到后面"),
    EN: ("{title}: {sellable} left, slow down and show others first", "{title}: do not push it now, {sellable} left"),
}

TIER_WORDS = {
    ZH: {_N: "充足", _T: "热卖", _S: "紧张", _U: "告急", _O: "售罄"},
    EN: {_N: "in stock", _T: "selling fast", _S: "running low", _U: "almost gone", _O: "sold out"},
}
