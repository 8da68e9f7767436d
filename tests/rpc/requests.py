"""Of every RPC a request that is good, and of each of its fields what can be wrong with it.

A field that is not here has not been thought about: `test_bad_input.py` holds the two against the contract.
"""

from google.protobuf.message import Message
from grpc import StatusCode

from gateway.v1 import catalog_service_pb2 as catalog
from gateway.v1 import operations_service_pb2 as operations
from gateway.v1 import stock_service_pb2 as stock
from tests.client import made, new_id
from tests.rpc import spoils as wrong
from tests.rpc.alert_requests import ALERTS, alerts_of
from tests.rpc.board_requests import BOARD, boards_of
from tests.rpc.channel_requests import CHANNEL, channel_of
from tests.rpc.desk_requests import DESK, desk_of
from tests.rpc.drill_requests import DRILLS, drills_of
from tests.rpc.explain_requests import EXPLANATIONS, explanations_of
from tests.rpc.health_requests import HEALTH, healths_of
from tests.rpc.live_requests import LIVE, live_of
from tests.rpc.selling_requests import SELLING, selling_of
from tests.rpc.spoils import FREE, MISSING, Fields, Spoil, times
from tests.rpc.stalls import ON_HAND, SOLD, Stall
from tests.rpc.timeline_requests import TIMELINE, timelines_of
from tests.rpc.trace_requests import TRACES, traces_of

# No hold of these may end while a module's tests run.
HOUR_MS = 3_600_000


def mutations_of(stall: Stall) -> dict[str, Message]:
    """A good request of each mutation, by its name in a batch."""
    sku, lines = stall.sku, [stock.LineQuantity(line_number=1, quantity=SOLD)]
    past = {"seconds": 1_700_000_000}
    return {
        "receive": made(
            stock.ReceiveStockRequest,
            request_id=new_id(),
            sku=sku,
            location=stall.location,
            quantity=1,
            reason="delivery",
            occur_time=past,
        ),
        "adjust": made(
            stock.AdjustStockRequest,
            request_id=new_id(),
            sku=sku,
            location="main",
            change=1,
            reason="found",
            expected_on_hand=ON_HAND,
            record_reality=True,
            corrects_revision=1,
            occur_time=past,
        ),
        "count": made(
            stock.CountStockRequest,
            request_id=new_id(),
            sku=sku,
            location="main",
            counted=9,
            count_time=past,
            reason="",
            expected_on_hand=ON_HAND,
        ),
        "transfer": made(
            stock.TransferStockRequest,
            request_id=new_id(),
            sku=sku,
            from_location="main",
            to_location=stall.location,
            quantity=1,
            reason="nearer",
        ),
        "reserve": made(
            stock.ReserveStockRequest,
            request_id=new_id(),
            lines=[{"sku": sku, "quantity": 1, "location": "main"}],
            ttl_ms=HOUR_MS,
            order_id="order",
            locations=["main"],
        ),
        "commit": made(stock.CommitReservationRequest, request_id=new_id(), reservation_id=stall.held, lines=lines),
        "release": made(
            stock.ReleaseReservationRequest, request_id=new_id(), reservation_id=stall.held, reason="changed"
        ),
        "extend": made(stock.ExtendReservationRequest, request_id=new_id(), reservation_id=stall.held, ttl_ms=HOUR_MS),
        "resize": made(stock.ResizeReservationRequest, request_id=new_id(), reservation_id=stall.held, lines=lines),
        "return_stock": made(
            stock.ReturnStockRequest,
            request_id=new_id(),
            reservation_id=stall.sold,
            lines=lines,
            location=stall.location,
            reason="wrong size",
        ),
    }


def others_of(stall: Stall) -> dict[str, Message]:
    """A good request of each other RPC, by the RPC's name."""
    sku, past, page = stall.sku, {"seconds": 1_700_000_000}, {"page_size": 1, "page_token": ""}
    new = {"sku": f"{sku}-2", "title": "Cup", "substitutes": [stall.substitute], "safety_stock": 1}
    content = {**new, "lead_time_mean_days": 7.0, "lead_time_deviation_days": 1.5}
    after = stock.ResumePoint(revision=1, epoch=stall.epoch)
    return {
        "ApplyBatch": made(
            stock.ApplyBatchRequest, items=[{"receive": mutations_of(stall)["receive"], "atomic_group": "a"}]
        ),
        "GetReservation": made(stock.GetReservationRequest, reservation_id=stall.held),
        "GetStockLevel": made(stock.GetStockLevelRequest, sku=sku, location="main", as_of_time=past),
        "BatchGetStockLevels": made(stock.BatchGetStockLevelsRequest, skus=[sku], as_of_time=past),
        "ListStockLevels": made(stock.ListStockLevelsRequest, **page, sku_prefix="C", location="main"),
        "ListMovements": made(
            stock.ListMovementsRequest,
            **page,
            sku=sku,
            location="main",
            reservation_id=stall.held,
            kinds=[6],
            start_time=past,
            end_time=past,
        ),
        "ListReservations": made(stock.ListReservationsRequest, **page, sku=sku, state=1, order_id="order"),
        "WatchStockLevels": made(stock.WatchStockLevelsRequest, skus=[sku], after=after, progress_interval_ms=1000),
        "CreateSku": made(catalog.CreateSkuRequest, sku=content),
        "UpdateSku": made(
            catalog.UpdateSkuRequest, sku={**content, "sku": sku}, update_mask={"paths": ["title", "substitutes"]}
        ),
        "GetSku": made(catalog.GetSkuRequest, sku=sku),
        "ListSkus": made(catalog.ListSkusRequest, **page, sku_prefix="C"),
        "FreezeSku": made(catalog.FreezeSkuRequest, sku=sku, reason="recall"),
        "UnfreezeSku": made(catalog.UnfreezeSkuRequest, sku=sku),
        "CreateLocation": made(
            catalog.CreateLocationRequest, location={"location": sku, "title": "Store", "position": 7}
        ),
        "UpdateLocation": made(
            catalog.UpdateLocationRequest,
            location={"location": stall.location, "title": "North", "position": 3},
            update_mask={"paths": ["title"]},
        ),
        "GetLocation": made(catalog.GetLocationRequest, location=stall.location),
        "ListLocations": made(catalog.ListLocationsRequest, **page),
        "CheckConsistency": made(operations.CheckConsistencyRequest),
        "GetVersion": made(operations.GetVersionRequest),
        **selling_of(stall),
        **channel_of(stall),
        **desk_of(stall),
        **drills_of(stall),
        **alerts_of(stall),
        **timelines_of(stall),
        **traces_of(stall),
        **healths_of(stall),
        **boards_of(stall),
        **explanations_of(stall),
        **live_of(stall),
    }


def _refused(reason: str, value: int) -> Spoil:
    return Spoil(f"{value}", value, StatusCode.FAILED_PRECONDITION, reason)


_LINES: Fields = {
    "lines": times(100),
    "lines[0].line_number": wrong.LINE,
    "lines[0].quantity": (*wrong.OF_LINE, Spoil("zero", 0, field="lines")),
}
# By the name in a batch.
MUTATIONS: dict[str, Fields] = {
    "receive": {
        "request_id": wrong.ID,
        "sku": wrong.SKU,
        "location": wrong.OPTIONAL_LOCATION,
        "quantity": wrong.UNITS,
        "reason": wrong.TEXT,
        "occur_time": wrong.PAST_TIME,
    },
    "adjust": {
        "request_id": wrong.ID,
        "sku": wrong.SKU,
        "location": wrong.OPTIONAL_LOCATION,
        "change": (*wrong.CHANGE, _refused("BELOW_RESERVED", -1000)),
        "reason": wrong.NEEDED_TEXT,
        "expected_on_hand": wrong.EXPECTED,
        "record_reality": FREE,
        "corrects_revision": wrong.REVISION,
        "occur_time": wrong.PAST_TIME,
    },
    "count": {
        "request_id": wrong.ID,
        "sku": wrong.SKU,
        "location": wrong.OPTIONAL_LOCATION,
        "counted": wrong.UNITS_OR_NONE,
        "count_time": wrong.PAST_TIME,
        "reason": wrong.TEXT,
        "expected_on_hand": wrong.EXPECTED,
    },
    "transfer": {
        "request_id": wrong.ID,
        "sku": wrong.SKU,
        "from_location": wrong.LOCATION,
        "to_location": (*wrong.LOCATION, Spoil("the same", "main")),
        "quantity": (*wrong.UNITS, _refused("INSUFFICIENT_STOCK", 1000)),
        "reason": wrong.TEXT,
    },
    "reserve": {
        "request_id": wrong.ID,
        "lines": (MISSING, *times(100)),
        "lines[0].sku": wrong.SKU,
        "lines[0].quantity": (*wrong.UNITS, _refused("INSUFFICIENT_STOCK", 1000)),
        "lines[0].location": wrong.OPTIONAL_LOCATION,
        "ttl_ms": wrong.TTL_OR_NONE,
        "allow_partial": FREE,
        "order_id": wrong.OPTIONAL_ID,
        "locations": times(100),
        "locations[0]": (Spoil("empty", ""), *wrong.OPTIONAL_LOCATION),
    },
    "commit": {
        "request_id": wrong.ID,
        "reservation_id": wrong.RESERVATION,
        "retake_expired": FREE,
        **_LINES,
    },
    "release": {"request_id": wrong.ID, "reservation_id": wrong.RESERVATION, "reason": wrong.TEXT},
    "extend": {"request_id": wrong.ID, "reservation_id": wrong.RESERVATION, "ttl_ms": wrong.TTL},
    "resize": {
        "request_id": wrong.ID,
        "reservation_id": wrong.RESERVATION,
        "lines": (MISSING, *times(100)),
        "lines[0].line_number": wrong.LINE,
        "lines[0].quantity": (
            *wrong.UNITS_OR_NONE,
            _refused("INSUFFICIENT_STOCK", 1000),
            Spoil("zero", 0, field="lines"),
        ),
    },
    "return_stock": {
        "request_id": wrong.ID,
        "reservation_id": wrong.RESERVATION,
        "location": wrong.OPTIONAL_LOCATION,
        "reason": wrong.TEXT,
        "lines": times(100),
        "lines[0].line_number": wrong.LINE,
        "lines[0].quantity": (*wrong.OF_LINE, Spoil("zero", 0, field="lines")),
    },
}

_SKU: Fields = {
    "sku.title": wrong.TEXT,
    "sku.safety_stock": wrong.UNITS_OR_NONE,
    "sku.lead_time_mean_days": wrong.DAYS,
    "sku.lead_time_deviation_days": wrong.DAYS,
    "sku.substitutes": times(20),
    "sku.substitutes[0]": wrong.SKU[1:],
    "sku.frozen": FREE,
    "sku.freeze_reason": wrong.BYTES,
    "sku.create_time": FREE,
    "sku.update_time": FREE,
}
_LOCATION: Fields = {"location.title": wrong.TEXT, "location.position": FREE, "location.create_time": FREE}
_MASK = tuple(
    Spoil(repr(path[:10]), path, field="update_mask")
    for path in ("", "*", "sku", "frozen", "sku.title", wrong.MEGABYTE)
)
# By the name of the RPC.
OTHERS: dict[str, Fields] = {
    "ApplyBatch": {"items": (MISSING, *times(1000)), "items[0].atomic_group": wrong.BYTES},
    "GetReservation": {"reservation_id": wrong.RESERVATION},
    "GetStockLevel": {"sku": wrong.SKU, "location": wrong.OPTIONAL_LOCATION, "as_of_time": wrong.TIME},
    "BatchGetStockLevels": {
        "skus": (MISSING, *times(1000)),
        "skus[0]": wrong.SKU[1:],
        "as_of_time": wrong.TIME,
    },
    "ListStockLevels": {
        "page_size": wrong.PAGE_SIZE,
        "page_token": wrong.TOKEN_OF_TEXT,
        "sku_prefix": wrong.TEXT,
        "location": wrong.OPTIONAL_LOCATION,
    },
    "ListMovements": {
        "page_size": wrong.PAGE_SIZE,
        "page_token": wrong.TOKEN_OF_NUMBER,
        "sku": wrong.OPTIONAL_CODE,
        "location": wrong.OPTIONAL_CODE,
        "reservation_id": wrong.RESERVATION[2:],
        "kinds": times(12),
        "kinds[0]": wrong.KIND,
        "start_time": wrong.TIME,
        "end_time": wrong.TIME,
    },
    "ListReservations": {
        "page_size": wrong.PAGE_SIZE,
        "page_token": wrong.TOKEN_OF_NUMBER,
        "sku": wrong.OPTIONAL_CODE,
        "state": wrong.STATE,
        "order_id": wrong.OPTIONAL_ID,
    },
    "WatchStockLevels": {
        "skus": times(1000),
        "skus[0]": wrong.SKU[1:],
        "snapshot": FREE,
        "after.revision": (
            Spoil("negative", -1),
            Spoil("largest", wrong.INT64_MAX, StatusCode.FAILED_PRECONDITION, "REVISION_FROM_FUTURE"),
        ),
        "after.epoch": (
            *wrong.BYTES,
            Spoil("missing", None, StatusCode.FAILED_PRECONDITION, "EPOCH_MISMATCH"),
            Spoil("another", "x", StatusCode.FAILED_PRECONDITION, "EPOCH_MISMATCH"),
            Spoil("1 MB", wrong.MEGABYTE, StatusCode.FAILED_PRECONDITION, "EPOCH_MISMATCH"),
        ),
        "live_only": FREE,
        "progress_interval_ms": wrong.PROGRESS,
    },
    "CreateSku": {"sku": (Spoil("missing", None, field="sku.sku"),), "sku.sku": wrong.CODE, **_SKU},
    "UpdateSku": {
        "sku": (Spoil("missing", None, field="sku.sku"),),
        "sku.sku": wrong.SKU,
        **_SKU,
        "update_mask.paths": FREE,
        "update_mask.paths[0]": (*wrong.BYTES, *_MASK),
    },
    "GetSku": {"sku": wrong.SKU},
    "ListSkus": {
        "page_size": wrong.PAGE_SIZE,
        "page_token": wrong.TOKEN_OF_TEXT,
        "sku_prefix": wrong.TEXT,
    },
    "FreezeSku": {"sku": wrong.SKU, "reason": wrong.NEEDED_TEXT},
    "UnfreezeSku": {"sku": wrong.SKU},
    "CreateLocation": {
        "location": (Spoil("missing", None, field="location.location"),),
        "location.location": wrong.CODE,
        **_LOCATION,
    },
    "UpdateLocation": {
        "location": (Spoil("missing", None, field="location.location"),),
        "location.location": wrong.LOCATION,
        **_LOCATION,
        "update_mask.paths": FREE,
        "update_mask.paths[0]": (*wrong.BYTES, *_MASK),
    },
    "GetLocation": {"location": wrong.LOCATION},
    "ListLocations": {"page_size": wrong.PAGE_SIZE, "page_token": wrong.TOKEN_OF_PLACE},
    "CheckConsistency": {},
    "GetVersion": {},
    **SELLING,
    **CHANNEL,
    **LIVE,
    **DESK,
    **DRILLS,
    **ALERTS,
    **TIMELINE,
    **TRACES,
    **HEALTH,
    **BOARD,
    **EXPLANATIONS,
}
