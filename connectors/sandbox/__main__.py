"""`python -m connectors.sandbox`: the three platforms on this machine, until Ctrl-C."""

import asyncio
import json
import logging
import signal
from contextlib import AsyncExitStack
from typing import Annotated

import typer

from connectors.logs import log_to_stderr
from connectors.sandbox.city import PLATFORMS, SKUS_MAX, WEATHERS, City, CitySettings, Stall, open_city
from connectors.sandbox.control import control_app
from connectors.sandbox.crowd import Crowd, CrowdSettings
from connectors.sandbox.robots import Hall
from connectors.sandbox.robots.control import robot_routes, robots_document
from connectors.sandbox.serving import serving

PORT_MAX = 65_535
EXIT_FAILED = 1
# Three platforms, the door to steer them, and the robots.
PORTS = len(PLATFORMS) + 2
DEFAULT_PORT = 7101
DEFAULT_INBOX = "127.0.0.1:8088"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def sandbox(
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the buyers and the weather.")] = 1,
    weather: Annotated[str, typer.Option("--weather", help=f"One of {', '.join(WEATHERS)}.")] = "calm",
    ports: Annotated[
        int,
        typer.Option(
            "--ports",
            metavar="PORT",
            help=f"The first of {PORTS} ports in a row; 0: any free ones.",
            min=0,
            max=PORT_MAX,
        ),
    ] = DEFAULT_PORT,
    skus: Annotated[int, typer.Option("--skus", metavar="N", help="Goods in each shop.", min=1, max=SKUS_MAX)] = 3,
    shown: Annotated[
        int, typer.Option("--shown", metavar="N", help="What each listing shows at first.", min=0, max=1_000_000)
    ] = 0,
    rate: Annotated[
        float, typer.Option("--rate", metavar="N", help="Orders per minute and shop at peak.", min=0.0, max=60_000.0)
    ] = 0.0,
    speed: Annotated[
        float, typer.Option("--speed", metavar="N", help="How much faster buyers pay.", min=0.01, max=100_000.0)
    ] = 1.0,
    inbox: Annotated[
        str, typer.Option("--inbox", metavar="HOST:PORT", help="The inbox of `stockgate connect`, for pushes.")
    ] = DEFAULT_INBOX,
    as_json: Annotated[bool, typer.Option("--json", help="Print what there is as one JSON line.")] = False,
) -> None:
    """Play Taobao, Douyin, Kuaishou and group robots on this machine, shops and buyers included. Ctrl-C ends.

    The shops, keys and tokens are for play; nothing here reaches a real platform.
    """
    if weather not in WEATHERS:
        raise typer.BadParameter(f"{weather!r} is none of {', '.join(WEATHERS)}", param_hint="--weather")
    if ports and ports + PORTS - 1 > PORT_MAX:
        raise typer.BadParameter(f"there are no {PORTS} ports from {ports} on", param_hint="--ports")
    first, second, third = (ports + place if ports else 0 for place in range(len(PLATFORMS)))
    settings = CitySettings(seed=seed, weather=weather, skus=skus, shown=shown, ports=(first, second, third))
    log_to_stderr()
    # A caller whose answer the weather has lost is still waiting when its server ends.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    control_port, robots_port = (ports + len(PLATFORMS) + place if ports else 0 for place in range(2))
    doors = (control_port, robots_port)
    try:
        asyncio.run(_run(settings, CrowdSettings(seed, speed), rate / 60, doors, inbox, as_json=as_json))
    except OSError as error:
        typer.echo(f"cannot serve: {error.strerror}. Another sandbox? --ports 0 takes any free ones.", err=True)
        raise typer.Exit(EXIT_FAILED) from error


async def _run(
    settings: CitySettings, crowd: CrowdSettings, rate: float, ports: tuple[int, int], inbox: str, *, as_json: bool
) -> None:
    """`ports` are those of the control door and of the robots."""
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack:
        city = await stack.enter_async_context(open_city(settings))
        for name, stall in city.stalls.items():
            stall.push_url = f"http://{inbox}/inbox/{name}"
        buyers = Crowd(city.shops, city.likings(), dict.fromkeys(PLATFORMS, rate), crowd)
        hall = Hall()
        robots = await stack.enter_async_context(serving(hall.app, port=ports[1]))
        door = control_app(city, buyers, robot_routes(hall, robots))
        control = await stack.enter_async_context(serving(door, port=ports[0]))
        document = {**_document(city, control), "robots": robots_document(hall, robots)}
        typer.echo(json.dumps(document) if as_json else _told(city, control, robots))
        buying = asyncio.create_task(buyers.run(), name="crowd")
        ended = asyncio.create_task(stopping.wait())
        await asyncio.wait((buying, ended), return_when=asyncio.FIRST_COMPLETED)
        for task in (buying, ended):
            task.cancel()
        await asyncio.gather(ended, return_exceptions=True)
        if not stopping.is_set():
            await buying  # it never ends by itself: this raises what ended it
        await asyncio.gather(buying, return_exceptions=True)


def _document(city: City, control: str) -> dict[str, object]:
    return {
        "control": f"http://{control}",
        "shops": {
            name: {
                "address": stall.address,
                "credentials": _secrets(stall),
                "push_url": stall.push_url,
                "listings": [{"sku": good.sku, **good.keys[name]._asdict()} for good in city.goods],
            }
            for name, stall in city.stalls.items()
        },
    }


def _secrets(stall: Stall) -> dict[str, str]:
    """What `stockgate channel credentials` takes from its file."""
    tokens = stall.tokens
    expiry = {"expire_time": tokens.expire_time.isoformat()} if tokens.expire_time else {}
    return {
        **stall.credentials,
        "access_token": tokens.access_token,
        "refresh_token": tokens.refresh_token,
        **expiry,
    }


def _told(city: City, control: str, robots: str) -> str:
    """What a person needs to point a connector at the city, to be typed as it stands."""
    lines = ["Three platforms are open. They and their keys are for play only.", ""]
    lines += ["A gateway that keeps their numbers needs the SKUs first:"]
    lines += [*(f"  stockgate sku add {good.sku}" for good in city.goods), ""]
    for name, stall in city.stalls.items():
        lines += [
            f"{name} at http://{stall.address}" + (f", pushes to {stall.push_url}" if stall.push_url else ""),
            f"  stockgate channel add {name} --platform {name}",
            f"  echo '{json.dumps(_secrets(stall))}' | stockgate channel credentials {name} --file -",
            *(
                f"  stockgate listing link {name} {key.item_id} {good.sku} --platform-sku-id {key.platform_sku_id}"
                for good in city.goods
                for key in (good.keys[name],)
            ),
            "",
        ]
    lines += [
        "Then, in a terminal of its own: stockgate connect all",
        f"DingTalk, Feishu and WeCom robots and Agora rooms at http://{robots}; --json prints their keys",
        "",
        f"To steer them: http://{control} (GET /shops shows everything there is)",
        f"""  curl -s http://{control}/weather -d '{{"weather": "harsh"}}'""",
        f"""  curl -s http://{control}/shops/douyin/away -d '{{"seconds": 20}}'""",
        f"""  curl -s http://{control}/shops/taobao/rate -d '{{"orders_per_minute": 60}}'""",
        f"""  curl -s http://{control}/robots/dingtalk/fault -d '{{"fault": "throttle", "calls": 3}}'""",
        "Ctrl-C ends.",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    app(prog_name="stockgate sandbox")
