"""The platform's words for what it will not do (developer.alibaba.com document 102707, "Error codes")."""

from dataclasses import dataclass

MESSAGES = {
    7: "App Call Limited",
    10: "Service currently unavailable",
    15: "Remote service error",
    21: "Missing method",
    22: "Invalid method",
    23: "Invalid format",
    24: "Missing signature",
    25: "Invalid signature",
    26: "Missing session",
    27: "Invalid session",
    28: "Missing app key",
    29: "Invalid app key",
    30: "Missing timestamp",
    31: "Invalid timestamp",
    32: "Missing version",
    33: "Invalid version",
    40: "Missing required arguments",
    41: "Invalid arguments",
}
ITEM_UNKNOWN = "isv.item-not-exist:invalid-numIid-or-iid"
ITEM_DELETED = "isv.item-is-delete:invalid-numIid-or-iid"
ITEM_NOT_FOUND = "isv.item-get-service-error:ITEM_NOT_FOUND"
ITEM_HAS_SKUS = "isv.item-quantity-item-update-service-error"
SKU_UNKNOWN = "isv.item-quantity-sku-update-service-error"
BELOW_WITHHELD = "isv.error-inventory-invalid-item-quantity-tmall"
INVALID_QUANTITY = "isv.invalid-parameter:quantity"
INVALID_PARAMETER = "isv.invalid-parameter"
TRADE_UNKNOWN = "isv.trade-not-exist"
REFUND_UNKNOWN = "isv.refund-not-exist"
DEAD_SESSION = "invalid-sessionkey"


@dataclass
class Refusal(Exception):
    """An `error_response`; gateway errors carry no `sub_code`."""

    code: int
    sub_code: str = ""
    sub_msg: str = ""
    msg: str = ""

    @property
    def fields(self) -> dict[str, object]:
        """What stands in the answer; what is empty is left out."""
        fields = {
            "code": self.code,
            "msg": self.msg or MESSAGES.get(self.code, "Remote service error"),
            "sub_code": self.sub_code,
            "sub_msg": self.sub_msg,
        }
        return {name: value for name, value in fields.items() if value != ""}


def missing(name: str) -> Refusal:
    """A parameter that must be there is not."""
    return Refusal(40, f"isv.missing-parameter:{name}", f"{name} is required", f"Missing required arguments:{name}")


def invalid(name: str) -> Refusal:
    """A parameter is not what it should be."""
    return Refusal(41, f"isv.invalid-parameter:{name}", f"{name} is invalid", f"Invalid arguments:{name}")


def service(sub_code: str, sub_msg: str = "") -> Refusal:
    """A service behind the gateway refuses."""
    return Refusal(15, sub_code, sub_msg)
