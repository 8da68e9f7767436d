"""The reasons of refusals are in the contract, where who writes a client looks."""

import re
from pathlib import Path

from gateway.rpc.status import INTERNAL, STATUS_OF

CONTRACT = Path(__file__).resolve().parents[2] / "proto" / "gateway" / "v1"
# A status and its reasons; they may go on in the next line.
LISTED = re.compile(r"^//   ([A-Z_]+): ([A-Z_, ]+(?:\n//   [A-Z_, ]+(?=\n))*)", re.MULTILINE)


def test_the_contract_lists_every_reason_under_its_status() -> None:
    """The list is closed: what stands in a service's comment is what the gateway can answer, no more and no less."""
    listed = {
        (status, reason)
        for file in CONTRACT.glob("*_service.proto")
        for status, reasons in LISTED.findall(file.read_text(encoding="utf-8"))
        for reason in re.findall(r"[A-Z_]+", reasons)
    }
    known = {(code.name, reason) for code, reason in (*STATUS_OF.values(), (INTERNAL.code, INTERNAL.reason))}
    assert listed == known
