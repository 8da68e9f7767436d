"""doudian's verifier of pushes: it takes the platform's own, and a stranger's it does not."""

import importlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.peers.desk import brief, call, expect, say, wait_for_the_end

doudian: Any = importlib.import_module("doudian")
TOLD = brief()
CLIENT = doudian.DouDian(TOLD["app_key"], TOLD["app_secret"], doudian.AppType.TOOL)
WANTED = set(TOLD["topics"])
ALL_CAME, REFUSED_ONE = threading.Event(), threading.Event()


class Door(BaseHTTPRequestHandler):
    """Where the platform pushes to."""

    def do_POST(self) -> None:
        """Verify, note the tags, acknowledge; what the peer does not believe is refused."""
        body = self.rfile.read(int(self.headers["content-length"]))
        entries = CLIENT.callback({name.lower(): value for name, value in self.headers.items()}, body)
        if entries is None:
            REFUSED_ONE.set()
        else:
            WANTED.difference_update(entry["tag"] for entry in entries if _is_of_our_order(entry))
            if not WANTED:
                ALL_CAME.set()
        answer = json.dumps({"code": 0 if entries is not None else 40041, "msg": ""}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the class above
        """Stdout and stderr are for other things."""


def _is_of_our_order(entry: dict[str, str]) -> bool:
    """What is in a push is JSON in JSON."""
    return "p_id" in json.loads(entry["data"]) if entry["tag"] != "0" else False


def _all_came() -> None:
    ALL_CAME.wait(TOLD["seconds_max"])
    expect("tags that never came", WANTED, set())


def _refused_one() -> None:
    expect("a forged push was refused", REFUSED_ONE.wait(TOLD["seconds_max"]), True)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say(serving=f"http://127.0.0.1:{server.server_port}/")
    call("pushes verified", _all_came)
    say(received=True)
    call("forged push refused", _refused_one)
    wait_for_the_end()
