"""The page's files, read as text: where text may get in, what may be loaded, words in both languages, colours that can
be read.
"""

import re
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "gateway" / "web"
STATIC = WEB / "static"
LINES_MAX = 400

# Each makes markup or code of text.
MARKUP = re.compile(
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|DOMParser|srcdoc|document\.write|eval)\b"
    r"|\bnew Function\b|\.setAttribute\(\s*[\"'](style|on\w+)|javascript:"
)
INLINE = re.compile(r"<style|<script(?![^>]*\bsrc=)|\s(style|on\w+)\s*=", re.IGNORECASE)
HOST = re.compile(r"(?:https?:|wss?:)?//[\w-]+(?:\.[\w-]+)+|@import|url\(\s*[\"']?(?!data:|#|/static/)")
# What names a language of markup is not loaded.
NAMESPACE = "http://www.w3.org/2000/svg"
# A document of its own, in one file that needs no other.
TAKEN_AWAY = "report.html"


def ours(*suffixes: str) -> list[Path]:
    """The page's own files of these kinds."""
    found = [path for path in sorted(WEB.rglob("*")) if path.suffix in suffixes and "vendor" not in path.parts]
    assert found, "found no file: this test would prove nothing"
    return found


def code_of(path: Path) -> str:
    """A file without its comments, line by line where it was."""
    text = path.read_text(encoding="utf-8")
    blank = re.sub(r"/\*.*?\*/", lambda found: "\n" * found[0].count("\n"), text, flags=re.DOTALL)
    return re.sub(r"^\s*//.*$", "", blank, flags=re.MULTILINE)


def places(pattern: re.Pattern[str], paths: list[Path]) -> list[str]:
    """Where a pattern is found, as `file:line: text`."""
    return [
        f"{path.relative_to(WEB)}:{number}: {line.strip()[:100]}"
        for path in paths
        for number, line in enumerate(code_of(path).replace(NAMESPACE, "").splitlines(), start=1)
        if pattern.search(line)
    ]


def test_scripts_and_styles_are_short() -> None:
    """A file of the page has at most 400 lines, as any other of the house."""
    long = [path.name for path in ours(".js", ".css", ".html") if len(path.read_text().splitlines()) > LINES_MAX]
    assert not long


def test_text_never_becomes_markup() -> None:
    """No script makes elements or code of text: what a platform has sent stays what it is."""
    assert not places(MARKUP, ours(".js"))


def test_nothing_stands_inline() -> None:
    """No template has a script, a style or a handler in it; the page's policy would refuse them."""
    assert not places(INLINE, [path for path in ours(".html") if path.name != TAKEN_AWAY])


def test_templates_escape() -> None:
    """No template says that a value is safe."""
    assert not places(re.compile(r"\|\s*safe|autoescape\s+false|Markup"), ours(".html", ".py"))


def test_no_other_host_is_named() -> None:
    """Whatever the page loads, it loads from the gateway."""
    assert not places(HOST, ours(".js", ".css", ".html"))


def test_everything_that_is_imported_is_there() -> None:
    """Every file that a script, a style or a template names exists."""
    missing = []
    for path in ours(".js", ".html", ".css"):
        for name in re.findall(
            r"""(?:from|import|src=|href=|url\()\s*\(?["']?((?:\.{1,2}|/static)/[\w./-]+)""", code_of(path)
        ):
            target = STATIC / name.removeprefix("/static/") if name.startswith("/static/") else path.parent / name
            if not target.is_file():
                missing.append(f"{path.relative_to(WEB)}: {name}")
    assert not missing


# ---- colours

INKS = ("ink", "muted", "accent", "trend", "threshold", "urgent", "sold-out", "ok")
GROUNDS = ("paper", "card", "raised")
TINTED = ("trend", "threshold", "urgent", "sold-out", "ok", "muted")
RATIO_MIN = 4.5  # WCAG 2.2, 1.4.3


def themes() -> dict[str, dict[str, str]]:
    """The colours of each theme, by name."""
    text = (STATIC / "css" / "app.css").read_text(encoding="utf-8")
    light, dark, by_system = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root[^{]*{([^}]*)}", text)[:3]
    )
    return {"light": light, "dark": dark, "auto": by_system}


def luminance(colour: str) -> float:
    """Relative luminance, https://www.w3.org/TR/WCAG22/#dfn-relative-luminance."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def ratio(one: str, other: str) -> float:
    """Contrast, https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_what_contrast_is() -> None:
    """The formula knows black on white, and a colour on itself."""
    assert round(ratio("#000000", "#ffffff"), 2) == 21.0
    assert ratio("#1a56db", "#1a56db") == 1.0


@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_every_colour_of_text_stands_out(theme: str) -> None:
    """Each text's colour on each ground, each tier's on its own tint, and a button's on its colour."""
    colour = themes()[theme]
    pairs = {
        *((ink, ground) for ink in INKS for ground in GROUNDS),
        *((tier, f"tint-{tier}") for tier in TINTED),
        *(("ink", f"tint-{tier}") for tier in TINTED),
        ("on-accent", "accent"),
    }
    found = {pair: round(ratio(colour[pair[0]], colour[pair[1]]), 2) for pair in pairs}
    assert {pair: value for pair, value in found.items() if value < RATIO_MIN} == {}


def test_dark_is_dark_whoever_chose_it() -> None:
    """The system's dark is the one that people choose by hand."""
    assert themes()["auto"] == themes()["dark"] != themes()["light"]
