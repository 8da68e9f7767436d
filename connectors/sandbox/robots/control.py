"""Steering the robots over HTTP on this machine, beside the shops: JSON in, JSON out.

    GET  /robots                    each robot: what it has kept, how many calls it had, what goes wrong
    POST /robots/{robot}/fault      {"fault": "hang", "calls": 3}    no "calls": until {"fault": null}
    POST /robots/{robot}/forget     {}                               what it has kept

A refusal is {"error": "..."}: 400 what was asked makes no sense, 404 no such robot, 413 too much.
"""

from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from connectors.sandbox.control import Refused, answering, body_of
from connectors.sandbox.robots.desk import Desk, Fault
from connectors.sandbox.robots.hall import Hall

# So many of the newest messages are shown.
SHOWN_MAX = 200


class _Ordered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fault: Fault | None
    calls: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None


class _Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


def robot_routes(hall: Hall, address: str) -> list[Route]:
    """What steers the robots of this hall, which answers at `address`."""
    control = _Control(hall, address)
    return [
        Route("/robots", answering(control.robots), methods=["GET"]),
        Route("/robots/{robot}/fault", answering(control.fault), methods=["POST"]),
        Route("/robots/{robot}/forget", answering(control.forget), methods=["POST"]),
    ]


def robots_document(hall: Hall, address: str) -> dict[str, Any]:
    """Where each robot is, and the keys a notifier needs."""
    url = f"http://{address}"
    return {name: {"base_url": url, **hall.credentials(name)} for name in hall.desks}


class _Control:
    def __init__(self, hall: Hall, address: str) -> None:
        self._hall, self._address = hall, address

    async def robots(self, _: Request) -> object:
        return {name: self._shown(desk) for name, desk in self._hall.desks.items()}

    async def fault(self, request: Request) -> object:
        desk = self._desk(request)
        ordered = await body_of(request, _Ordered)
        desk.go_wrong(ordered.fault, ordered.calls)
        return self._shown(desk)

    async def forget(self, request: Request) -> object:
        desk = self._desk(request)
        await body_of(request, _Nothing)
        desk.kept.clear()
        return self._shown(desk)

    def _desk(self, request: Request) -> Desk:
        name = request.path_params["robot"]
        if name not in self._hall.desks:
            raise Refused(404, f"the robots are {', '.join(self._hall.desks)}")
        return self._hall.desks[name]

    def _shown(self, desk: Desk) -> dict[str, Any]:
        return {
            "address": self._address,
            "calls": desk.calls,
            "refused": desk.refused,
            "fault": desk.fault,
            "fault_calls": desk.fault_calls,
            "kept": len(desk.kept),
            "messages": [
                {
                    "number": kept.number,
                    "time": kept.time,
                    "target": kept.target,
                    "mentions_all": kept.mentions_all,
                    "text": kept.text,
                }
                for kept in list(desk.kept)[-SHOWN_MAX:]
            ],
        }
