"""The page's files, read as text: where text may get in, what may be loaded, words in both languages, colours that can
be read.
"""

import re
from collections.abc import Iterator
from pathlib import Path

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
CHINESE = re.compile(r"[\u4e00-\u9fff]")


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
    assert not places(INLINE, ours(".html"))


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


# ---- words


def words_of(path: Path) -> dict[str, set[str]]:
    """The keys of a module's words, by language; `words = {zh: {...}, en: {...}}`."""
    text = path.read_text(encoding="utf-8")
    found = {}
    for language in ("zh", "en"):
        opening = re.search(rf"^(\s*){language}: {{$", text, flags=re.MULTILINE)
        if opening:
            block = text[opening.end() :].partition(f"\n{opening[1]}}}")[0]
            found[language] = set(re.findall(r"""^\s*["']?([\w.]+)["']?:""", block, flags=re.MULTILINE))
    return found


def modules_with_words() -> Iterator[Path]:
    """The scripts that bring words along."""
    return (path for path in ours(".js") if words_of(path))
