"""What TOP's answers hold, as far as it is used (the API metadata of the official docs).

Lists stand in a wrapper of their own: `{"skus": {"sku": [...]}}`; one that would be empty may be missing. Ids are
numbers beyond 2^53 or strings of digits, never floats; `identity` makes one text of them.
"""

import msgspec

Id = int | str


def identity(value: Id | None) -> str:
    """An id as text; "" where there is none, which TOP also writes as 0."""
    return "" if value in {None, 0, "0", ""} else str(value)


class Sku(msgspec.Struct, frozen=True):
    """One SKU; `quantity` includes what is withheld for unpaid orders."""

    sku_id: Id
    num_iid: Id | None = None
    quantity: int | None = None
    with_hold_quantity: int = 0
    status: str = ""


class Skus(msgspec.Struct, frozen=True):
    """The list of them."""

    sku: list[Sku] = msgspec.field(default_factory=list)


class Item(msgspec.Struct, frozen=True):
    """One item; `num` is its own quantity or, where it has SKUs, theirs together."""

    num_iid: Id | None = None
    num: int | None = None
    with_hold_quantity: int = 0
    skus: Skus = msgspec.field(default_factory=Skus)


class ItemAnswer(msgspec.Struct, frozen=True):
    """Of both stock writes, and of `taobao.item.seller.get`."""

    item: Item


class SkusAnswer(msgspec.Struct, frozen=True):
    """Of `taobao.item.skus.get`."""

    skus: Skus = msgspec.field(default_factory=Skus)


class Order(msgspec.Struct, frozen=True):
    """One line of a trade."""

    oid: Id
    num_iid: Id
    num: int
    sku_id: Id | None = None
    status: str = ""
    refund_status: str = ""
    refund_id: Id | None = None
    consign_time: str = ""
    end_time: str = ""


class Orders(msgspec.Struct, frozen=True):
    """The list of them."""

    order: list[Order] = msgspec.field(default_factory=list)


class Trade(msgspec.Struct, frozen=True):
    """One order."""

    tid: Id
    status: str
    created: str
    modified: str
    orders: Orders
    pay_time: str = ""
    consign_time: str = ""
    end_time: str = ""


class Trades(msgspec.Struct, frozen=True):
    """The list of them."""

    trade: list[Trade] = msgspec.field(default_factory=list)


class TradesAnswer(msgspec.Struct, frozen=True):
    """Of `taobao.trades.sold.increment.get`: a page, and how many there are, unless the call said `use_has_next`."""

    trades: Trades = msgspec.field(default_factory=Trades)
    total_results: int | None = None


class TradeAnswer(msgspec.Struct, frozen=True):
    """Of `taobao.trade.fullinfo.get`."""

    trade: Trade


class Refund(msgspec.Struct, frozen=True):
    """What became of a buyer's wish for the money back, of one line.

    Published (the API's metadata): `num` is the quantity that was bought, not what is given back; `refund_fee` is what
    the buyer gets, `total_fee` what the trade cost, both in yuan; `special_refund_type` marks price protection and the
    like. How many units it is about is nowhere said.
    """

    refund_id: Id
    status: str
    num: int = 0
    modified: str = ""
    refund_fee: str = ""
    total_fee: str = ""
    special_refund_type: str = ""


class RefundAnswer(msgspec.Struct, frozen=True):
    """Of `taobao.refund.get`."""

    refund: Refund


class TokenAnswer(msgspec.Struct, frozen=True):
    """Of `taobao.top.auth.token.refresh`: the grant as JSON text in a field of its own."""

    token_result: str


class Grant(msgspec.Struct, frozen=True):
    """A seller's grant."""

    access_token: str
    refresh_token: str = ""
    expires_in: int | None = None


class Message(msgspec.Struct, frozen=True):
    """One message, as `taobao.tmc.messages.consume` hands it out."""

    id: Id
    topic: str = ""
    content: str = ""


class Messages(msgspec.Struct, frozen=True):
    """The list of them."""

    tmc_message: list[Message] = msgspec.field(default_factory=list)


class MessagesAnswer(msgspec.Struct, frozen=True):
    """Of `taobao.tmc.messages.consume`."""

    messages: Messages = msgspec.field(default_factory=Messages)


class Confirmation(msgspec.Struct, frozen=True):
    """Of `taobao.tmc.messages.confirm`."""

    is_success: bool = False
