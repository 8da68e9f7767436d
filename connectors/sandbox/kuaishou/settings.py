"""What a Kuaishou sandbox is told; everything under "choice" is not published and may be otherwise at the platform."""

from dataclasses import dataclass, field

SCOPES = ("merchant_item", "merchant_order", "merchant_refund", "merchant_user")


@dataclass(frozen=True)
class KuaishouSettings:
    """An app and its seller, and how the platform behaves."""

    app_key: str = "ks700000000000000001"
    app_secret: str = field(default="sandbox-app-secret", repr=False)
    sign_secret: str = field(default="sandbox-sign-secret", repr=False)
    # Base64 of 16 bytes.
    message_secret: str = field(default="AAECAwQFBgcICQoLDA0ODw==", repr=False)
    seller_id: int = 900000000001
    scopes: tuple[str, ...] = SCOPES

    # Published: how long grants live.
    access_token_seconds: float = 172_800.0
    refresh_token_seconds: float = 15_552_000.0
    code_seconds: float = 120.0
    # "Within five minutes".
    refresh_grace_seconds: float = 300.0

    # Choice: which of the numbers for a kind of refusal.
    unknown_app_code: int = 22
    missing_token_code: int = 21
    dead_token_code: int = 24
    missing_scope_code: int = 25
    wrong_sign_code: int = 27
    stale_timestamp_code: int = 28
    throttle_code: int = 1016
    busy_code: int = 803000
    timestamp_window_seconds: float = 600.0
    # Choice, of each method; 0 is no limit.
    calls_per_day_max: int = 0
    calls_per_second_max: int = 0

    # Choice: the numbers of business refusals are not published at all.
    item_not_found_code: int = 120001
    sku_not_found_code: int = 120002
    below_zero_code: int = 120003
    over_maximum_code: int = 120004
    goods_inventory_code: int = 120005
    order_not_found_code: int = 130001
    refund_not_found_code: int = 140001
    # Choice: an order that is not there is an empty answer, not a refusal.
    missing_order_is_empty: bool = True

    # Items in goods-inventory mode (`multipleStock`), and the choices of that mode.
    goods_inventory_items: frozenset[str] = frozenset()
    warehouse_code: str = "main"
    increase_word: str = "INCREASE"
    decrease_word: str = "DECREASE"
    # Choice: such an item's stock does not move by `open.item.sku.stock.update`; an absolute write leaves what unpaid
    # orders occupy; an adjustment whose id is known is not applied again.
    goods_inventory_refuses_difference: bool = True
    inventory_keeps_occupied: bool = True
    adjustment_knows_its_id: bool = True

    # Choice: a wholly refunded order ends as failed (80); a refund moves its order's update time.
    refund_fails_order: bool = True
    refund_moves_order: bool = True
    # Choice: how long an updated order stays out of the lists.
    visibility_lag_seconds: float = 0.0
    unit_price_fen: int = 9900

    # One client's comment: sent again up to three times. Choice: after how long.
    redeliveries_max: int = 3
    redelivery_seconds: float = 10.0
    push_timeout_seconds: float = 5.0
