"""Peers from the registries, each in a folder of its own below build/peers, installed once."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path

from tests.peers.peers import Peer, Registry

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = ROOT / "build" / "peers"
INSTALL_SECONDS_MAX = 300
NPM_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", "--fetch-retries=1")


class NotInstalled(Exception):
    """This machine cannot have the peer; the text says why."""


async def installed(peer: Peer) -> Path:
    """The folder the peer is installed in. Raises `NotInstalled`."""
    folder = INSTALLED / peer.folder
    if (folder / "done").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    match peer.registry:
        case Registry.PIP:
            await _run(sys.executable, "-m", "venv", ".", folder=folder)
            await _run("bin/python", "-m", "pip", "install", "--quiet", peer.requirement, folder=folder)
        case Registry.NPM:
            if shutil.which("node") is None or shutil.which("npm") is None:
                raise NotInstalled("there is no Node.js with npm")
            (folder / "package.json").write_text(json.dumps({"private": True}))
            await _run("npm", "install", *NPM_OPTIONS, peer.requirement, folder=folder)
    (folder / "done").touch()
    return folder


def command_of(peer: Peer, folder: Path) -> tuple[list[str], Path]:
    """What runs the peer's script, and where."""
    match peer.registry:
        case Registry.PIP:
            return [str(folder / "bin" / "python"), "-m", f"tests.peers.{peer.script}"], ROOT
        case Registry.NPM:
            return ["node", str(Path(__file__).parent / peer.script)], folder


def environment() -> dict[str, str]:
    """Ours, on the platforms' clock (peers write local times), with no proxy between them and this machine."""
    return {**os.environ, "TZ": "Asia/Shanghai", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


async def _run(*command: str, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(INSTALL_SECONDS_MAX):
            _, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise NotInstalled(f"not there after {INSTALL_SECONDS_MAX} s") from None
    if process.returncode:
        raise NotInstalled(_reason(err.decode(errors="replace")))


def _reason(err: str) -> str:
    """The first line that tells of an error, without addresses."""
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    told = next((line for line in lines if "ERROR" in line or "error" in line), "the installation failed")
    return " ".join(word for word in told.split() if "//" not in word)
