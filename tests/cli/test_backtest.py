"""`stockgate learn` and `stockgate backtest` on small logs."""

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import backtest
from gateway.cli.command import main
from gateway.cli.errors import EXIT_USAGE, Failure
from gateway.cli.generate import generated_session
from gateway.cli.orderlog import LoggedOrder, read_log
from gateway.cli.tape import CHINA
from gateway.cli.trials import intervals
from gateway.cli.trials.board import Board, Setting, judged
from gateway.cli.trials.days import busy_days
from gateway.cli.trials.surges import surge_trial
from gateway.domain.baselines import POLICIES
from gateway.rpc.demand_profiles import require_sound

SEED = 8_4
MIDNIGHT = datetime(2020, 2, 18, tzinfo=CHINA)
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def write_log(path: Path, days: int = 3, per_minute: float = 2.0, sku: str = "A") -> Path:
    """A plain log of so many days from 8:00 on, a Poisson process each."""
    chance = random.Random(SEED)
    lines = ["time,sku,quantity"]
    for day in range(days):
        moment = MIDNIGHT + timedelta(days=day, hours=8)
        while moment < MIDNIGHT + timedelta(days=day + 1, minutes=-1):
            lines.append(f"{moment.isoformat()},{sku},1")
            moment += timedelta(minutes=chance.expovariate(per_minute))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any, str]:
    """Exit code, the document on stdout (None if there is none), and stderr."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    out, err = capsys.readouterr()
    code = ended.value.code
    assert isinstance(code, int)
    return code, json.loads(out) if out.startswith("{") else out, err


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three steady days."""
    return write_log(tmp_path_factory.mktemp("logs") / "orders.csv")


@pytest.fixture(scope="module")
def board(log: Path) -> Board:
    """Everything, judged on them."""
    orders = read_log(log, NOW)
    return judged(orders, "A", [Setting(600, 1)], [1.0], [], None, 40, SEED, lambda *_: None)


def test_every_policy_is_judged(board: Board) -> None:
    """Ours and the baselines, each on the questions it is made for."""
    assert {row.policy for row in board.trends} | {row.policy for row in board.sessions} == set(POLICIES)
    assert {row.policy for row in board.trends} == {"tiers", "two-rates", "ratio"}


def test_on_steady_days_ours_is_neither_late_nor_needless(board: Board) -> None:
    """And a static line of 20 % is late, and one rate in five minutes is guesswork."""
    scores = {row.policy: row.score for row in board.sessions}
    assert (scores["tiers"].late.value or 0.0) <= 0.03
    assert (scores["tiers"].needless.value or 0.0) <= 0.03
    assert (scores["static-20"].late.value or 0.0) > 0.2
    assert (scores["rate"].late.value or 0.0) > 0.1
    assert (scores["tiers"].urgent_recall.value or 0.0) >= 0.99
    assert (scores["tiers"].urgent_precision.value or 0.0) >= 0.75


def test_on_steady_days_a_tripling_is_seen_and_little_else(board: Board) -> None:
    """Ours raises rarely and sees nearly every tripling; the ratio raises all the time."""
    scores = {row.policy: row.score for row in board.trends}
    assert (scores["tiers"].raises_per_hour.value or 0.0) <= 0.5
    assert (scores["tiers"].recall[3].value or 0.0) >= 0.95
    assert (scores["ratio"].raises_per_hour.value or 0.0) > 3 * (scores["tiers"].raises_per_hour.value or 0.0)


def test_the_interval_told_holds_the_stock_out(board: Board) -> None:
    """At least four in five times, where the rate is steady."""
    assert (board.coverage[1.0].value or 0.0) >= 0.78


def test_what_is_told_is_nearer_to_the_truth_than_a_rate(board: Board) -> None:
    """On steady days: chances by the Brier score, times by the pinball loss; a rate has no interval at all."""
    scores = {row.policy: row.score for row in board.forecasts}
    assert set(scores) == {"tiers", "two-rates", "rate", "reorder-point"}
    assert (scores["tiers"].brier.value or 1.0) < 0.7 * (scores["rate"].brier.value or 0.0)
    assert (scores["tiers"].loss_minutes.value or 99.0) < 0.7 * (scores["rate"].loss_minutes.value or 0.0)
    assert (scores["rate"].covers.value or 0.0) < 0.1
    assert sum(each.cases for each in scores["tiers"].bins) == scores["tiers"].brier.cases


def test_a_log_of_many_days_is_asked_about_days(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A few orders a day for eighty days: lead times of days are judged, minutes are not."""
    chance = random.Random(SEED)
    lines = ["InvoiceDate,InvoiceNo,StockCode,Quantity", "2020-01-01 09:00:00,1,POST,1"]
    for day in range(80):
        date = MIDNIGHT + timedelta(days=day, hours=10)
        lines += [f"{date:%Y-%m-%d %H:%M:%S},{day},{sku},{1 + chance.randrange(9)}" for sku in ("10A", "20B") * 3]
    path = tmp_path / "lines.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert {order.sku for order in read_log(path, NOW)} == {"10A", "20B"}
    code, document, _ = run(capsys, "backtest", str(path), "--json")
    assert code == 0
    assert not document["trends"]
    assert not document["sessions"]
    assert {(row["policy"], row["lead_days"]) for row in document["long_leads"]} == {
        (policy, days) for policy in ("tiers", "normal", "mean-150") for days in (1, 3, 5)
    }
    assert all(row["stock_outs"]["cases"] == 2 for row in document["long_leads"])


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "tiers"])
def test_no_baseline_is_better_on_both_axes(board: Board, name: str) -> None:
    """Late and needless; recall and raises; chances and times told: each baseline is worse in one of the two."""
    stock = {row.policy: (value(row.score.late), value(row.score.needless)) for row in board.sessions}
    trend = {row.policy: (-value(row.score.recall[3]), value(row.score.raises_per_hour)) for row in board.trends}
    told = {row.policy: (value(row.score.brier), value(row.score.loss_minutes)) for row in board.forecasts}
    for rows in (stock, trend, told):
        if name in rows:
            assert rows[name][0] >= rows["tiers"][0] or rows[name][1] >= rows["tiers"][1]


def value(figure: intervals.Figure) -> float:
    """The figure itself; 0 without a case."""
    return figure.value or 0.0


def test_equal_arguments_give_an_equal_board(log: Path, board: Board) -> None:
    """Every draw and every interval has a fixed seed."""
    again = judged(read_log(log, NOW), "A", [Setting(600, 1)], [1.0], ["tiers"], None, 40, SEED, lambda *_: None)
    assert [row.score for row in again.sessions] == [row.score for row in board.sessions if row.policy == "tiers"]
    assert [row.score for row in again.trends] == [row.score for row in board.trends if row.policy == "tiers"]


def test_a_day_is_never_judged_with_what_it_teaches_itself(log: Path) -> None:
    """With a day nearly twice as busy among three, its own prior is that of the quiet ones."""
    orders = read_log(log, NOW)
    start = MIDNIGHT.timestamp()
    busy = [LoggedOrder(start + 36_000 + second, "A", 1) for second in range(0, 30_000, 20)]
    quiet, _, crowded = sorted(busy_days([*orders, *busy], "A", 1.0), key=lambda day: len(day.orders))
    assert crowded.history.prior.rate < quiet.history.prior.rate


def test_thin_days_are_left_out(log: Path) -> None:
    """A day with a tenth of the orders says nothing."""
    thin = [LoggedOrder(MIDNIGHT.timestamp() + 10 * 86_400 + second, "A", 1) for second in range(0, 36_000, 300)]
    assert len(busy_days([*read_log(log, NOW), *thin], "A", 1.0)) == 3


def test_a_surge_that_nobody_could_miss_is_not_missed(log: Path) -> None:
    """Five times the rate is seen within a minute by ours, at two orders a minute."""
    score = surge_trial(busy_days(read_log(log, NOW), "A", 1.0), POLICIES["tiers"], SEED, lambda: None)
    assert score.recall[5].value == 1.0
    assert (score.delay_seconds[5].value or 0.0) <= 60.0


def test_faster_days_are_shorter(log: Path) -> None:
    """At four times the speed the day has all its orders in six hours."""
    plain, fast = (busy_days(read_log(log, NOW), "A", speed)[0] for speed in (1.0, 4.0))
    assert len(plain.orders) == len(fast.orders)
    assert (fast.ends, fast.opens) == (plain.ends / 4, plain.opens / 4)
    ahead = fast.history.curve.shop_time(fast.ends) - fast.history.curve.shop_time(0.0)
    assert ahead == pytest.approx(86_400 / 4)


def test_backtest_prints_a_document(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--json has every figure with its interval and the number of cases."""
    arguments = ("--policy", "tiers", "--units", "80", "--lead-time", "5m", "--sessions", "20", "--json")
    code, document, err = run(capsys, "backtest", str(log), *arguments, "--compress", "1")
    assert (code, err) == (0, "")
    assert document["days"] == 3
    (row,) = document["sessions"]
    assert row["setting"] == {"lead_seconds": 300.0, "compression": 1.0, "stocks": [80]}
    assert row["score"]["late"].keys() == {"value", "low", "high", "cases"}
    assert [trend["policy"] for trend in document["trends"]] == ["tiers"]


def test_backtest_prints_tables(log: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, one for trends and one for stock."""
    monkeypatch.setenv("COLUMNS", "200")
    arguments = ("--policy", "tiers", "--policy", "static-20", "--compress", "1", "--sessions", "10")
    code, text, _ = run(capsys, "backtest", str(log), *arguments)
    assert code == 0
    for word in ("raises/h", "late %", "needless %", "gained min", "static-20", "80 % interval", "Brier"):
        assert word in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--policy", "astrology"), "none of tiers"),
        (("--lead-time", "soon"), "no duration"),
        (("--lead-time", "0s"), "more than nothing"),
        (("--sku", "Z"), "no orders of Z"),
        (("--profile", "{log}"), "no profile"),
        (("--trial", "of-patience"), "none of trend"),
        (("--journal",), "name a LOG"),
        (("--since", "1d"), "only with --journal"),
    ],
)
def test_what_makes_no_sense_is_refused(
    log: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    """With exit code 2, before anything is played."""
    filled = [argument.format(log=log) for argument in arguments]
    code, _, err = run(capsys, "backtest", str(log), *filled, "--json")
    assert code == 2
    assert said in json.loads(err)["error"]["message"]


def test_a_picture_is_drawn_or_the_way_to_one_is_told(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With matplotlib there is a file; without it the command says what to install."""
    picture = tmp_path / "session.png"
    arguments = ("--policy", "static-20", "--compress", "1", "--sessions", "10", "--plot", str(picture), "--json")
    code, _, err = run(capsys, "backtest", str(log), *arguments)
    if code == 0:
        assert picture.read_bytes().startswith(b"\x89PNG")
    else:
        assert "pip install matplotlib" in json.loads(err)["error"]["next_step"]


def test_learn_writes_a_profile_that_backtest_reads(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hours with the mean 1, a rate per SKU; and it takes the place of the other days."""
    file = tmp_path / "profile.json"
    code, _, _ = run(capsys, "learn", str(log), "-o", str(file))
    assert code == 0
    profile = json.loads(file.read_text())
    assert sum(profile["hours"]) / 24 == pytest.approx(1.0, abs=0.1)
    assert profile["skus"]["A"]["rate"] == pytest.approx(2 * 16 / 24 / 60, rel=0.1)
    known = backtest._profile(file)
    assert {day.history.prior.rate for day in busy_days(read_log(log, NOW), "A", 1.0, known)} == {known.prior("A").rate}


def test_learn_prints_what_it_does_not_write(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without -o the profile goes to stdout."""
    code, document, _ = run(capsys, "learn", str(log))
    assert code == 0
    assert document["days"] == 3


def test_a_log_that_names_no_sku_is_of_the_one_that_is_said(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Or the gateway would not take what was learned; of a log that names its SKUs nothing else can be said."""
    nameless, file = tmp_path / "orders.csv", tmp_path / "profile.json"
    nameless.write_text("\n".join(",".join(line.split(",")[::2]) for line in log.read_text().splitlines()))
    _, out, _ = run(capsys, "learn", str(nameless), "-o", str(file))
    assert "names no SKU" in out
    code, _, _ = run(capsys, "learn", str(nameless), "--sku", "TEA", "-o", str(file))
    assert code == 0
    assert list(require_sound(file.read_text()).skus) == ["TEA"]
    code, _, _ = run(capsys, "learn", str(log), "--sku", "TEA", "--json")
    assert code == EXIT_USAGE


def test_a_tmall_report_is_a_log(tmp_path: Path) -> None:
    """One row is one unit; who never paid is known."""
    rows = ["订单编号,订单创建时间,订单付款时间 ,退款金额"]
    orders = generated_session(50, SEED)
    for order in orders:
        paid = f"{order.pay_time.astimezone(CHINA):%Y-%m-%d %H:%M:%S}" if order.pay_time else ""
        rows.append(f"{order.number},{order.create_time.astimezone(CHINA):%Y-%m-%d %H:%M:%S},{paid},0")
    path = tmp_path / "report.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    found = read_log(path, NOW)
    assert len(found) == 50
    assert sum(not order.is_paid for order in found) == sum(order.pay_time is None for order in orders)
    assert {(order.sku, order.quantity) for order in found} == {("", 1)}


def test_a_plain_log_knows_zones_lots_and_returns(tmp_path: Path) -> None:
    """China time unless a zone is named; columns in any order; what came back is no demand; sorted by time."""
    path = tmp_path / "plain.csv"
    path.write_text(
        "quantity,time,sku,note\n2,2020-02-18 10:00:00,B,late\n\n"
        "1,2020-02-18T01:00:00Z,A,\n-3,2020-02-18 09:30:00,A,\n",
        encoding="utf-8-sig",
    )
    assert [(order.sku, order.quantity) for order in read_log(path, NOW)] == [("A", 1), ("B", 2)]
    assert read_log(path, NOW)[1].time == datetime(2020, 2, 18, 2, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"time,sku,quantity\n", "no orders"),
        (b"time,sku,quantity\nyesterday,A,1\n", "line 2, column time"),
        (b"time,sku,quantity\n2020-02-18 10:00,A,some\n", "line 2, column quantity"),
        (b"time,sku,quantity\n2036-02-18 10:00,A,1\n", "in the future"),
        (b"time,sku,quantity\n2020-02-18 10:00,A,99999999999\n", "more than"),
        (b"time,sku,time\n2020-02-18 10:00,A,1\n", "there twice"),
        (b"time,sku,quantity\n2020-02-18 10:00,\xff,1\n", "not UTF-8"),
        (b'time,sku,quantity\n2020-02-18 10:00,"A,1\n', "broken CSV"),
        (b"", "empty"),
        (b"a,b\n1,2\n", "missing"),
    ],
)
def test_a_broken_log_is_refused_with_its_place(tmp_path: Path, content: bytes, fault: str) -> None:
    """Line and column, and what is wrong there."""
    path = tmp_path / "broken.csv"
    path.write_bytes(content)
    with pytest.raises(Failure) as refused:
        read_log(path, NOW)
    assert fault in " ".join(f"{each.field}: {each.description}" for each in refused.value.problem.violations)


def test_a_log_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    """As is one that is cut, or no gzip at all."""
    (tmp_path / "cut.csv.gz").write_bytes(b"no gzip")
    for name in ("none.csv", "cut.csv.gz"):
        with pytest.raises(Failure) as refused:
            read_log(tmp_path / name, NOW)
        assert refused.value.exit_code == 2


def test_an_interval_holds_its_value() -> None:
    """And no case makes no figure."""
    figure = intervals.share([True] * 30 + [False] * 70)
    assert figure.value == 0.3
    assert figure.low is not None
    assert figure.high is not None
    assert 0.2 < figure.low < 0.3 < figure.high < 0.4
    assert intervals.middle([]) == intervals.Figure(None, None, None, 0)
