"""Reading order reports: what exports look like is tolerated, what is broken is named by line and column."""

import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.tape import CHINA, FAULTS_MAX, Fault, Order, TapeError, parse_tape, read_tape

NOW = datetime(2024, 1, 1, tzinfo=UTC)
HEADER = "订单编号,总金额,买家实际支付金额,订单创建时间,订单付款时间 ,退款金额"
PAID = "6064,38.0,0.0,2020-02-01 00:14:15,2020-02-01 00:14:20,38.0"
UNPAID = "6063,38.0,0.0,2020-02-01 00:17:47,,0.0"
REPORT = Path(__file__).resolve().parents[3] / "shared" / "data" / "tmall_orders.csv"


def tape(*lines: str, encoding: str = "utf-8") -> list[Order]:
    """The orders of a file with these lines."""
    return parse_tape("\n".join(lines).encode(encoding) + b"\n", NOW)


def faults(*lines: str) -> list[Fault]:
    """What is wrong with a file with these lines."""
    with pytest.raises(TapeError) as raised:
        tape(*lines)
    return raised.value.faults


def places(*lines: str) -> list[str]:
    """Where it is wrong."""
    return [fault.place for fault in faults(*lines)]


def test_a_row_is_an_order_in_china_time() -> None:
    """Created and paid are read as UTC+8; any refund makes the order refunded; no payment time means never paid."""
    paid, unpaid = tape(HEADER, PAID, UNPAID)
    created = datetime(2020, 2, 1, 0, 14, 15, tzinfo=CHINA)
    assert paid == Order("6064", created, created + timedelta(seconds=5), is_refunded=True)
    assert unpaid == Order("6063", datetime(2020, 1, 31, 16, 17, 47, tzinfo=UTC), None, is_refunded=False)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "gbk"])
def test_encodings_of_exports_are_known_by_their_header(encoding: str) -> None:
    """UTF-8 with or without BOM, and GB18030, are read alike."""
    header, row = HEADER + ",收货地址 ", PAID + ",上海市"
    assert tape(header, row, encoding=encoding) == tape(HEADER, PAID)


@pytest.mark.parametrize(
    "header",
    [
        "订单编号 ,总金额, 买家实际支付金额,\t订单创建时间,订单付款时间,退款金额\u3000",
        '"订单编号","总金额","买家实际支付金额","订单创建时间","订单付款时间 ","退款金额"',
    ],
)
def test_header_names_may_have_stray_spaces_and_quotes(header: str) -> None:
    """Spaces around a name, full-width ones too, are not part of it."""
    assert tape(header, PAID) == tape(HEADER, PAID)


def test_columns_may_come_in_any_order_and_be_more() -> None:
    """Only the four columns we need have to be there; `收货地址` of the original export is passed over."""
    header = "收货地址,退款金额,订单付款时间,订单创建时间,订单编号"
    row = '"上海市, ""浦东""\n新区",38.0,2020-02-01 00:14:20,2020-02-01 00:14:15,6064'
    assert tape(header, row) == tape(HEADER, PAID)


@pytest.mark.parametrize("number", ['="6064"', '"=""6064"""', "\t6064", '"\t6064"', "'6064", '"6064"', " 6064 "])
def test_order_numbers_kept_from_excel_are_read(number: str) -> None:
    """The marks that keep Excel from turning a number into 6.06E+17 are not part of it."""
    [order] = tape(HEADER, PAID.replace("6064", number))
    assert order.number == "6064"


@pytest.mark.parametrize("time", ["2020/2/1 0:14:15", "2020-02-01 00:14:15\t", "2020/02/01 00:14:15"])
def test_times_as_spreadsheets_write_them_are_read(time: str) -> None:
    """Slashes and missing zeros come from opening the export in a spreadsheet."""
    [order] = tape(HEADER, PAID.replace("2020-02-01 00:14:15", time))
    assert order.create_time == datetime(2020, 2, 1, 0, 14, 15, tzinfo=CHINA)


def test_blank_lines_and_a_missing_last_newline_do_no_harm() -> None:
    """Lines without any value are no orders."""
    assert parse_tape(f"{HEADER}\r\n{PAID}\r\n\r\n,,,,,\r\n{UNPAID}".encode(), NOW) == tape(HEADER, PAID, UNPAID)


@pytest.mark.parametrize(
    ("row", "place", "text"),
    [
        ("6062,38.0", "line 3, column 买家实际支付金额", "cut"),
        ("6062,38.0,0.0,2020-02-01 00:14:15,2020-02-01 00:14", "line 3, column 退款金额", "cut"),
        (PAID + ",7", "line 3", "7 columns"),
        (PAID, "line 3, column 订单编号", "on line 2"),
        (PAID.replace("6064", ""), "line 3, column 订单编号", "empty"),
        (PAID.replace("6064", "6.06E+17"), "line 3, column 订单编号", "Excel"),
        (PAID.replace("6064", "6" * 65), "line 3, column 订单编号", "no order number"),
        ("1,0,0,2020-02-30 00:00:00,,0", "line 3, column 订单创建时间", "no time"),
        ("1,0,0,2020-02-01T00:00:00,,0", "line 3, column 订单创建时间", "no time"),
        ("1,0,0,,,0", "line 3, column 订单创建时间", "empty"),
        ("1,0,0,2099-02-01 00:00:00,,0", "line 3, column 订单创建时间", "future"),
        ("1,0,0,2020-02-01 00:00:00,2099-02-01 00:00:00,0", "line 3, column 订单付款时间", "future"),
        ("1,0,0,2020-02-01 00:00:01,2020-02-01 00:00:00,0", "line 3, column 订单付款时间", "before"),
        ("1,0,0,2020-02-01 00:00:00,,1.5", "line 3, column 退款金额", "never paid"),
        ("1,0,0,2020-02-01 00:00:00,2020-02-01 00:00:00,abc", "line 3, column 退款金额", "no number"),
        ("1,0,0,2020-02-01 00:00:00,2020-02-01 00:00:00,", "line 3, column 退款金额", "empty"),
        ("1,0,0,2020-02-01 00:00:00,2020-02-01 00:00:00,-1", "line 3, column 退款金额", "no amount"),
        ("1,0,0,2020-02-01 00:00:00,2020-02-01 00:00:00,NaN", "line 3, column 退款金额", "no amount"),
        ('"1,0,0,2020-02-01 00:00:00,,0', "line 3", "quote"),
        ('"1"2,0,0,2020-02-01 00:00:00,,0', "line 3", "broken CSV"),
    ],
)
def test_a_broken_row_is_named_by_line_and_column(row: str, place: str, text: str) -> None:
    """Every kind of fault says where it is and what it is."""
    [fault] = faults(HEADER, PAID, row)
    assert fault.place == place
    assert text in fault.text


def test_lines_are_counted_as_editors_count_them() -> None:
    """A quoted line break inside a row does not shift the lines after it."""
    header = HEADER + ",收货地址"
    assert places(header, PAID + ',"a\nb\nc"', "1,2") == ["line 5, column 买家实际支付金额"]


@pytest.mark.parametrize("column", ["订单编号", "订单创建时间", "订单付款时间", "退款金额"])
def test_a_missing_column_is_named(column: str) -> None:
    """... with what the header has instead."""
    missing, found = faults(HEADER.replace(column, "别的"), PAID)
    assert missing.place == f"line 1, column {column}"
    assert "别的" in found.text


def test_a_column_that_is_there_twice_is_refused() -> None:
    """Which of the two holds the truth cannot be known."""
    assert places(HEADER + ",退款金额", PAID + ",0")[0] == "line 1, column 退款金额"


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (f"{HEADER}\n{PAID}\n".encode("utf-16"), "line 1"),
        (f"{HEADER}\n{PAID}\n".encode() + b"1,0,0,2020-02-01 00:00:00,\xff,0\n", "line 3, column 订单付款时间"),
        (f"{HEADER}\n{PAID}\n".encode("gb18030") + b"1,\xff,0,2020-02-01 00:00:00,,0\n", "line 3, column 总金额"),
        (b"\xff\xee\xdd", "line 1"),
        (b"", "line 1"),
        (HEADER.encode(), "line 2"),
        (b"\x00\x01", "line 1, column 订单编号"),
    ],
)
def test_what_is_no_report_is_refused_where_it_begins_to_be_none(content: bytes, place: str) -> None:
    """Wrong encodings, empty files and binaries are faults with a place too."""
    with pytest.raises(TapeError) as raised:
        parse_tape(content, NOW)
    assert raised.value.faults[0].place == place


def test_all_faults_are_reported_at_once_up_to_a_limit() -> None:
    """Whoever has to mend a file does not want to try again after each line."""
    wrong = [f"{number},0,0,nonsense,,0" for number in range(30)]
    assert places(HEADER, *wrong[:3]) == [f"line {line}, column 订单创建时间" for line in (2, 3, 4)]
    assert len(faults(HEADER, *wrong)) == FAULTS_MAX


TIMES = st.integers(10**9, 17 * 10**8).map(lambda seconds: datetime.fromtimestamp(seconds, CHINA))
ORDERS = st.builds(
    lambda number, create_time, delay, is_refunded: Order(
        str(number),
        create_time,
        None if delay is None else create_time + timedelta(seconds=delay),
        is_refunded and delay is not None,
    ),
    st.integers(1, 10**18),
    TIMES,
    st.none() | st.integers(0, 100_000),
    st.booleans(),
)


@given(
    st.lists(ORDERS, min_size=1, max_size=20, unique_by=lambda order: order.number),
    st.permutations(["订单编号", "订单创建时间", "订单付款时间 ", "退款金额", "收货地址"]),
    st.sampled_from(["utf-8", "utf-8-sig", "gb18030"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_whatever_is_written_as_a_report_is_read_back(
    orders: list[Order], columns: list[str], encoding: str, line_end: str
) -> None:
    """Orders survive any order of columns, encoding and line end."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator=line_end)
    writer.writeheader()
    for order in orders:
        paid = "" if order.pay_time is None else order.pay_time.strftime("%Y-%m-%d %H:%M:%S")
        created = order.create_time.strftime("%Y-%m-%d %H:%M:%S")
        cells = [f'="{order.number}"', created, paid, "0.5" if order.is_refunded else "0.0", '市,"区"']
        writer.writerow(
            dict(zip(["订单编号", "订单创建时间", "订单付款时间 ", "退款金额", "收货地址"], cells, strict=True))
        )
    assert parse_tape(text.getvalue().encode(encoding), NOW) == orders


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: f"{HEADER}\n{text}".encode()))
def test_no_file_breaks_the_reader(content: bytes) -> None:
    """Any bytes are either orders or faults; nothing else comes out."""
    try:
        found: list[Order] | list[Fault] = parse_tape(content, NOW)
    except TapeError as error:
        found = error.faults
    assert found


@pytest.mark.skipif(not REPORT.exists(), reason="the real report is not on this machine")
def test_the_real_report_is_read_whole() -> None:
    """14,356 orders, 2,047 of them never paid, 2,940 refunded."""
    orders = read_tape(REPORT, datetime.now(UTC))
    assert len(orders) == 14_356
    assert sum(order.pay_time is None for order in orders) == 2_047
    assert sum(order.is_refunded for order in orders) == 2_940
