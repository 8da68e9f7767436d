"""What every answer of the page says to the browser: run and show nothing but what this gateway serves."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}
# Asked for again each time, and sent only if changed: a page and its scripts are always of one release.
_OF_FILES = "no-cache"
_OF_ANSWERS = "no-store"


class Guard:
    """Adds the headers."""

    def __init__(self, app: ASGIApp, *, is_secure: bool) -> None:
        """Around an application."""
        self._app = app
        self._headers = dict(_HEADERS)
        if is_secure:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                is_file = scope["path"].startswith("/static/")
                headers["Cache-Control"] = _OF_FILES if is_file else _OF_ANSWERS
            await send(message)

        await self._app(scope, receive, say)
