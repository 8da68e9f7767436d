"""Answers in the platform's forms: JSON or XML, wrapped or simplified."""

import json
import re
from xml.etree import ElementTree as ET

from starlette.responses import Response

_JSON, _XML = "application/json;charset=UTF-8", "text/xml;charset=UTF-8"
# XML cannot say these at all.
_UNSPEAKABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Answer = dict[str, object]


def response(name: str, answer: Answer, *, form: str, simplified: bool) -> Response:
    """`{name: answer}`; simplified, a result loses that wrapper and its lists lose theirs."""
    if form == "json":
        is_bare = simplified and name != "error_response"
        body = _simplified(answer) if is_bare else {name: answer}
        return Response(json.dumps(body, ensure_ascii=False), headers={"content-type": _JSON})
    element = _element(name, answer)
    text = ET.tostring(element, encoding="unicode")
    return Response(f'<?xml version="1.0" encoding="utf-8" ?>{text}', headers={"content-type": _XML})


def numeric(identity: str) -> int | str:
    """An id as the platform writes it: a number."""
    return int(identity) if identity.isascii() and identity.isdigit() else identity


def _simplified(value: object) -> object:
    if isinstance(value, list):
        return [_simplified(one) for one in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and isinstance(only := next(iter(value.values())), list):
        return _simplified(only)
    return {name: _simplified(one) for name, one in value.items()}


def _element(name: str, value: object) -> ET.Element:
    element = ET.Element(name)
    if isinstance(value, dict):
        for inner, one in value.items():
            if isinstance(one, list):
                element.set("list", "true")
                element.extend(_element(inner, each) for each in one)
            else:
                element.append(_element(inner, one))
    elif isinstance(value, bool):
        element.text = "true" if value else "false"
    else:
        element.text = _UNSPEAKABLE.sub("\ufffd", str(value))
    return element
