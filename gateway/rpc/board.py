"""OperationsService: the board."""

from gateway.board import ROWS_MAX, BoardView
from gateway.domain.board import BoardChannel, BoardRow
from gateway.domain.errors import InvalidArgument
from gateway.rpc import alert_rendering, parsing
from gateway.rpc.rendering import timestamp
from gateway.rpc.server import Call, Streaming, Unary
from gateway.v1 import alert_pb2, operations_pb2
from gateway.v1 import operations_service_pb2 as pb

ROWS = 200
SKUS_MAX = 1_000
QUERY_LENGTH_MAX = 100


async def get_board(call: Call, request: pb.GetBoardRequest) -> pb.GetBoardResponse:
    """Show how things stand, most pressing first."""
    if not 0 <= request.rows_max <= ROWS_MAX:
        raise InvalidArgument(f"rows_max is {request.rows_max}; it must be 1 to {ROWS_MAX}", field="rows_max")
    if len(request.skus) > SKUS_MAX:
        raise InvalidArgument(f"at most {SKUS_MAX} SKUs at once", field="skus")
    words = parsing.text(request.query, "query", QUERY_LENGTH_MAX) if request.query else ""
    codes = sorted({parsing.code(sku, f"skus[{place}]") for place, sku in enumerate(request.skus)})
    if words and codes:
        raise InvalidArgument("name SKUs, or say what to look for, not both", field="query")
    board, rows_max = call.merchant.board, request.rows_max or ROWS
    view = await (board.find(words, codes, rows_max) if words or codes else board.view(rows_max))
    return _response(view)


def _response(view: BoardView) -> pb.GetBoardResponse:
    response = pb.GetBoardResponse(
        skus=view.skus,
        as_of=timestamp(view.heads.now),
        revision=view.heads.revision,
        alert_revision=view.heads.alert_revision,
        epoch=view.heads.epoch,
        alerts_stale=not view.heads.is_watched,
    )
    for row in view.rows:
        fill_row(response.rows.add(), row)
    return response


def fill_row(m: operations_pb2.BoardRow, row: BoardRow) -> None:
    """Fill a row."""
    outlook, stock = row.outlook, row.stock
    m.sku, m.session_id = row.key
    m.title, m.stale, m.episode, m.frozen = outlook.title, outlook.stale, outlook.episode, outlook.frozen
    m.tier = alert_pb2.Tier.ValueType(outlook.tier)
    m.tier_time.CopyFrom(timestamp(outlook.tier_time))
    if outlook.acknowledgement is not None:
        alert_rendering.fill(m.acknowledgement, outlook.acknowledgement)
    m.silenced_by.extend(outlook.silenced_by)
    m.on_hand, m.available, m.revision = stock.on_hand, stock.available, stock.revision
    for channel in stock.channels:
        _fill_channel(m.channels.add(), channel)
    m.fast_rate, m.slow_rate = outlook.fast_rate, outlook.slow_rate
    for name in ("minutes_p10", "minutes_p50", "minutes_p90"):
        if (minutes := getattr(outlook, name)) is not None:
            setattr(m, name, minutes)
    for point in outlook.fan:
        m.fan.add(minutes=point.minutes, p10=point.p10, p50=point.p50, p90=point.p90)
    m.pace.extend(outlook.pace)
    m.why, m.why_en = outlook.why, outlook.why_en
    for proposal in outlook.proposals:
        alert_rendering.fill(m.proposals.add(), proposal)


def _fill_channel(m: operations_pb2.BoardChannel, channel: BoardChannel) -> None:
    m.channel, m.exposure, m.moving, m.problem = channel.channel, channel.exposure, channel.moving, channel.problem
    if channel.shown is not None:
        m.shown = channel.shown
    if channel.read_time is not None:
        m.read_time.CopyFrom(timestamp(channel.read_time))


METHODS: dict[str, Unary | Streaming] = {"GetBoard": get_board}
