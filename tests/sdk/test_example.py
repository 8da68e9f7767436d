"""The example of the package's documentation is what it claims to be."""

import asyncio
import textwrap

import pytest

import gateway.client
from tests.sdk.log import Log


def example() -> str:
    """The indented block of the documentation."""
    assert gateway.client.__doc__
    lines = gateway.client.__doc__.split("::\n", 1)[1].split("\n**", 1)[0]
    return textwrap.dedent(lines).strip()


def test_the_example_is_short() -> None:
    """A dozen lines beside the imports."""
    lines = [line for line in example().splitlines() if line.strip() and "import" not in line]
    assert len(lines) <= 12


async def test_the_example_runs(gateway_address: str, token: str, log: Log, capsys: pytest.CaptureFixture[str]) -> None:
    """It prints where things stand, and then what comes."""
    code, last_line = example().rsplit("\n", 1)
    assert last_line == "asyncio.run(main())"
    names = {"TOKEN": token}
    exec(compile(code.replace("127.0.0.1:50051", gateway_address), "example", "exec"), names)
    running = asyncio.ensure_future(names["main"]())  # type: ignore[operator]  # the example has defined it
    printed = ""
    async with asyncio.timeout(20):
        while "not normal: []" not in printed:
            await asyncio.sleep(0.05)
            printed += capsys.readouterr().out
        await log.tell("TEA")
        while " TEA " not in printed:
            await asyncio.sleep(0.05)
            printed += capsys.readouterr().out
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
