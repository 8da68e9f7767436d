"""The house rules of CONTRIBUTING.md that no other tool checks: sizes, names, documentation, suppressions.

Every failure is a list of places to mend, as `file:line`.
"""

import ast
import io
import re
import statistics
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from gateway.domain import errors
from gateway.rpc.status import STATUS_OF

ROOT = Path(__file__).resolve().parents[1]
SOURCE_FOLDERS = ("gateway", "connectors", "migrations")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
FUNCTION_LINES_MEDIAN_MAX = 10

VAGUE_MODULE = re.compile(r"utils?|helpers?|common|core|managers?|base_.*")
VAGUE_CLASS = re.compile(r"\w*(?:Manager|Helper|Utils?)")
SETTING = re.compile(r"\bSTOCKGATE_[A-Z0-9_]*[A-Z0-9]\b")
PIN = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+")

SUPPRESSION = re.compile(r"#\s*(?:type:\s*ignore|noqa|ruff:|mypy:|pyright:|pylint:|fmt:)")
REASONED = re.compile(
    r"(?:#\s*(?:type: ignore\[[a-z, -]+\]|noqa: [A-Z]+\d+(?:, ?[A-Z]+\d+)*)\s+)+(?:#|-)\s+(?!noqa|type:)\w.*"
)

# The agent and the notifier open connections, the transport sends over them.
SENDERS = {Path("connectors/agent.py"), Path("connectors/notify/serve.py"), Path("connectors/transport.py")}
SENDING = re.compile(r"(?:Async)?Client|get|post|put|patch|delete|head|options|request|stream")

SDK_USERS = {Path("gateway/telemetry.py"), Path("gateway/exposition.py"), Path("connectors/exporting.py")}
SDK = re.compile(r"opentelemetry\.(sdk|exporter)\b")

# Written with brackets so that the patterns do not find themselves.
UNFINISHED = re.compile(
    r"\b(T[O]DO|F[I]XME|X[X]X|H[A]CK|NotImplemented[E]rror|for [n]ow(?!,)|place[h]older|in a [r]eal"
    r"|simplified [v]ersion)\b",
    re.IGNORECASE,
)
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|home|Users|opt/pypi)/")
REGISTRY = re.compile(r"pypi[.]org|pythonhosted[.]org|npmjs[.]|proxy[.]golang|[i]ndex-url|find-[l]inks")


def test_files_are_short() -> None:
    """A Python file has at most 400 lines; a longer one is two nouns."""
    lengths = ((module, len(module.text.splitlines())) for module in modules())
    found_nowhere(f"{module.path}: {lines} lines" for module, lines in lengths if lines > FILE_LINES_MAX)


def test_functions_are_short() -> None:
    """A function has at most 70 lines."""
    found_nowhere(
        f"{module.at(function)}: {function.name} has {length(function)} lines"
        for module in modules()
        for function in functions(module)
        if length(function) > FUNCTION_LINES_MAX
    )


def test_most_functions_are_tiny() -> None:
    """The median function of the product has at most 10 lines."""
    lengths = [length(function) for module in source() for function in functions(module)]
    assert statistics.median(lengths) <= FUNCTION_LINES_MEDIAN_MAX


def test_suppressions_have_a_code_and_a_reason() -> None:
    """A checker is silenced for one rule on one line, and the line says why: `# noqa: S608 - the names are ours`."""
    found_nowhere(
        f"{module.path}:{line}: {comment}"
        for module in modules()
        for line, comment in module.comments.items()
        if SUPPRESSION.match(comment) and not REASONED.fullmatch(comment)
    )


@pytest.mark.parametrize(
    ("comment", "is_reasoned"),
    [
        ("# type: ignore[arg-type]  # the stub forgets that a call may be an error", True),
        ("# noqa: S608 - the names are ours", True),
        ("# noqa: BLE001, S110  # a loop goes on", True),
        ("# type: ignore[misc]  # noqa: N801 - gRPC's name", True),
        ("# type: ignore", False),
        ("# type: ignore  # because", False),
        ("# type: ignore[misc]", False),
        ("# type: ignore[misc]  # noqa: N801", False),
        ("# noqa", False),
        ("# noqa: S608", False),
        ("# ruff: noqa", False),
        ("# fmt: off", False),
    ],
)
def test_what_counts_as_a_reasoned_suppression(comment: str, *, is_reasoned: bool) -> None:
    """The rule above can tell a reason from none."""
    assert SUPPRESSION.match(comment)
    assert bool(REASONED.fullmatch(comment)) == is_reasoned


def test_nothing_is_left_unfinished() -> None:
    """No line of code or contract promises to be finished later."""
    contract = [path for path in files() if path.suffix == ".proto"]
    found_nowhere(lines_matching(UNFINISHED, [*(module.path for module in modules()), *contract]))


def test_the_public_is_documented() -> None:
    """Every module, public class and public function of the product says what it promises."""
    found_nowhere(f"{module.path}: the module" for module in source() if not ast.get_docstring(module.tree))
    found_nowhere(
        f"{module.at(node)}: {node.name}"
        for module in source()
        for node in public_definitions(module.tree.body)
        if not ast.get_docstring(node)
    )


def test_names_say_what_a_thing_is() -> None:
    """No module, folder or class is named for being useful."""
    paths = (module.path for module in modules())
    found_nowhere(str(path) for path in paths if any(VAGUE_MODULE.fullmatch(Path(part).stem) for part in path.parts))
    found_nowhere(
        f"{module.at(node)}: {node.name}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef) and VAGUE_CLASS.fullmatch(node.name)
    )


def test_nothing_is_caught_by_accident() -> None:
    """No bare `except`; a broad one says why, on its line or the line above."""
    handlers = [
        (module, node) for module in modules() for node in ast.walk(module.tree) if isinstance(node, ast.ExceptHandler)
    ]
    found_nowhere(f"{module.at(handler)}: bare" for module, handler in handlers if handler.type is None)
    found_nowhere(
        f"{module.at(handler)}: broad, without a reason"
        for module, handler in handlers
        if is_broad(handler) and not module.comments.keys() & {handler.lineno, handler.lineno - 1}
    )


def test_every_error_has_a_status() -> None:
    """Every error class of the domain is mapped to a gRPC status and a reason in one table."""
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    kinds = [kind for kind in classes if issubclass(kind, errors.GatewayError) and kind is not errors.GatewayError]
    assert kinds, "found no error: this test would prove nothing"
    found_nowhere(kind.__name__ for kind in kinds if kind not in STATUS_OF)
    for code, reason in STATUS_OF.values():
        assert isinstance(code, grpc.StatusCode)
        assert re.fullmatch(r"[A-Z][A-Z0-9_]*", reason)


def test_only_the_transport_sends() -> None:
    """A platform's package makes requests and reads responses; what could send one is opened by the agent alone."""
    ours = [module for module in source() if module.path.parts[0] == "connectors" and module.path not in SENDERS]
    packages = [module for module in ours if module.path.parts[1] not in {"sandbox", "session"}]
    assert packages, "found no module: this test would prove nothing"
    found_nowhere(
        f"{module.path}:{node.lineno}: httpx.{node.attr}"
        for module in packages
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id == "httpx" and SENDING.fullmatch(node.attr)
    )


def test_only_telemetry_knows_the_sdk() -> None:
    """OpenTelemetry's API may be used anywhere; its SDK only where signals are set up, shown and sent."""
    importers = {module.path for module in source() if any(SDK.match(name) for name in imported(module))}
    assert importers == SDK_USERS


def test_every_setting_is_in_the_readme() -> None:
    """README.md names the settings that the gateway, its command line and connectors read, no fewer and no more."""
    readers = ("gateway/settings.py", "gateway/cli/", "connectors/")
    texts = [module.text for module in source() if module.path.as_posix().startswith(readers)]
    settings = {name for text in texts for name in SETTING.findall(text)}
    assert settings, "found no setting: this test would prove nothing"
    assert set(SETTING.findall(read(Path("README.md")))) == settings


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    """No file holds an absolute path of a developer's machine or the address of a package registry."""
    found_nowhere(lines_matching(MACHINE_PATH, files()))
    found_nowhere(lines_matching(REGISTRY, files()))


def test_constraints_pin_everything() -> None:
    """constraints.txt is lines of name==version, and covers all that the project and its tools need."""
    lines = read(Path("constraints.txt")).splitlines()
    found_nowhere(line for line in lines if not PIN.fullmatch(line))
    pinned = {canonicalize_name(line.partition("==")[0]) for line in lines}
    found_nowhere(sorted(needed_by("stockgate", "dev") - pinned))


class Module(NamedTuple):
    """A hand-written Python file. `path` is relative to the repository; `comments` are by line number."""

    path: Path
    text: str
    tree: ast.Module
    comments: dict[int, str]

    def at(self, node: ast.stmt | ast.ExceptHandler) -> str:
        """The place of a node, as editors understand it."""
        return f"{self.path}:{node.lineno}"


def found_nowhere(places: Iterable[str]) -> None:
    """Fail with one line per place, if there is any."""
    __tracebackhide__ = True
    found = list(places)
    assert not found, "\n".join(["", *found])


def source() -> Iterator[Module]:
    """The modules of the product, without its tests."""
    return (module for module in modules() if module.path.parts[0] in SOURCE_FOLDERS)


@cache
def modules() -> tuple[Module, ...]:
    """Every hand-written Python file of the product and its tests."""
    return tuple(parse(path) for path in files() if path.suffix == ".py" and path.parts[:2] != ("gateway", "v1"))


def parse(path: Path) -> Module:
    """Read a Python file with its comments, which the syntax tree leaves out."""
    text = read(path)
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    comments = {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}
    return Module(path, text, ast.parse(text), comments)


def read(path: Path) -> str:
    """The text of a file of the repository."""
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


@cache
def files() -> tuple[Path, ...]:
    """Every file that belongs in the repository, relative to it; what tools and runs leave behind does not."""
    found: list[Path] = []
    for top in sorted(ROOT.iterdir()):
        if top.is_dir() and not is_left_behind(top.name):
            found += [path for path in sorted(top.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
        elif top.is_file() and top.name != ".env":
            found.append(top)
    return tuple(path.relative_to(ROOT) for path in found)


def is_left_behind(folder: str) -> bool:
    """True for the top folders that git ignores, and for git's own."""
    return folder in {"build", "data"} or folder.endswith(".egg-info") or (folder.startswith(".") and folder != ".ci")


def lines_matching(pattern: re.Pattern[str], paths: Iterable[Path]) -> Iterator[str]:
    """The places where a line matches, with the line."""
    for path in paths:
        for number, line in enumerate(read(path).splitlines(), start=1):
            if pattern.search(line):
                yield f"{path}:{number}: {line.strip()}"


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, inner ones too."""
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def imported(module: Module) -> Iterator[str]:
    """The modules that a module imports, by their full names."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the last statement, docstring included."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def public_definitions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Classes and functions that a reader may use, and the methods of such classes."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node.body)


def is_broad(handler: ast.ExceptHandler) -> bool:
    """True if it catches every error there is."""
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"} for kind in caught)


def needed_by(project: str, extra: str) -> set[str]:
    """The canonical names of all projects that one needs on this Python, directly or through others."""
    needed: set[str] = set()
    visited: set[tuple[str, str]] = set()
    waiting = [(project, extra)]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in visited:
            continue
        visited.add((name, wanted))
        for requirement in map(Requirement, metadata.requires(name) or ()):
            if requirement.marker is None or requirement.marker.evaluate({"extra": wanted}):
                needed.add(canonicalize_name(requirement.name))
                waiting += [(requirement.name, more) for more in {"", *requirement.extras}]
    return needed
