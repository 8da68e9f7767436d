"""What the sandbox is, and what it chooses where no source says what the platform does."""

from dataclasses import dataclass, field

from connectors.base import BelowZeroRule
from connectors.douyin.signing import SignMethod


@dataclass(frozen=True)
class DouyinSettings:
    """One application and one shop."""

    app_key: str = "7123456789012345678"
    app_secret: str = field(default="01234567-89ab-cdef-0123-456789abcdef", repr=False)
    shop_id: str = "4463798"
    shop_name: str = "sandbox"

    # Choices: no source says.
    timestamp_window_seconds: float = 600.0
    # The old refresh token works for so long after it was used, so that a lost answer does not end the grant.
    refresh_grace_seconds: float = 60.0
    below_zero: BelowZeroRule = BelowZeroRule.REFUSES
    # Refused calls, too, use up their idempotent_id.
    refusals_use_up_ids: bool = False
    below_zero_number: int = 31009
    unknown_sku_number: int = 20012
    bad_quantity_number: int = 20013
    unknown_order_number: int = 20014
    quantity_max: int = 100_000_000
    batch_max: int = 50
    # `sku_sync_list` of one product has no documented bound.
    product_batch_max: int = 100
    legacy_failure_number: int = 7
    page_rows_max: int = 10_000
    window_days_max: int = 90
    push_tries_max: int = 5
    push_again_seconds: float = 10.0

    # Said by the official sources.
    access_token_seconds: int = 7 * 86400
    refresh_token_seconds: int = 14 * 86400
    code_seconds: int = 600
    push_ack_seconds: float = 5.0
    event_sign_method: SignMethod = SignMethod.MD5
