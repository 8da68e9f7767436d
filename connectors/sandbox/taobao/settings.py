"""What the sandbox chooses where the platform's documents are silent, and whom it knows."""

from dataclasses import dataclass, field
from datetime import timedelta


@dataclass(frozen=True)
class Settings:
    """One app, one seller, and the choices. What no document states is marked as a choice."""

    app_key: str = "12345678"
    app_secret: str = field(default="topsecret0123456789abcdef0123456", repr=False)
    seller_id: int = 2_201_234_567
    seller_nick: str = "sandbox_seller"
    # Tmall's services put this at the end of their sub_codes.
    is_tmall: bool = False

    # How far a caller's clock may be off.
    skew_max: timedelta = timedelta(minutes=10)
    # The lifetime of an access token, and whether a refresh token is good for one refresh only (choices).
    access_lifetime: timedelta = timedelta(days=1)
    refresh_rotates: bool = True
    # A refresh whose answer was lost may be repeated with the old token for so long; the answer is the same (choice).
    refresh_repeat_max: timedelta = timedelta(minutes=5)
    # Only apps of the service market may refresh.
    may_refresh: bool = True
    # Code 7 `limited-by-app-access-count` after so many calls on one day in Beijing; 0: no quota.
    daily_calls_max: int = 0

    # The sub_code of a change below zero by the single API, and the words of a platform in trouble (choices).
    below_zero_sub_code: str = "isv.invalid-parameter:quantity"
    busy_sub_code: str = "isp.remote-service-error"
    busy_words: str = "库存中心服务正忙"
    ban_sub_code: str = "accesscontrol.limited-by-api-access-count"
    # A stock write answers with every SKU of the item, not only with those it moved (choice).
    answers_all_skus: bool = False
    # How long an order's change stays out of the lists (choice).
    orders_visible_after: timedelta = timedelta()

    # An unconfirmed message comes again after so long, so many times in all (choices).
    redelivery_seconds: float = 300.0
    deliveries_max: int = 10
    # Data frames carry their content as gzip bytes.
    gzips_content: bool = False
