"""How each program is found and made to list its skills."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT_S = 60


@dataclass(frozen=True)
class Place:
    """Where a program is started."""

    home: Path
    project: Path
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """An assistant's command-line program."""

    assistant: str
    title: str
    # The name of its npm package, or of the package with its executable for Linux on x86-64.
    package: str
    # The executable, relative to the package's folder.
    executable: str
    # Whether it is a script for Node.
    is_script: bool
    # The text that shows the descriptions of all skills.
    show: Callable[[list[str], Place], str]
    # Columns in which this program differs from the assistant that the row describes.
    differences: dict[str, object] = field(default_factory=dict)

    def find(self, folder: Path) -> Path | None:
        """The executable below the folder, which holds unpacked packages at any depth up to five."""
        for depth in range(6):
            for manifest in sorted(folder.glob("*/" * depth + "package.json")):
                if manifest.with_name(self.executable.split("/")[0]).exists() and self._is_package(manifest):
                    return manifest.parent / self.executable
        return None

    def _is_package(self, manifest: Path) -> bool:
        return json.loads(manifest.read_text()).get("name") == self.package

    def version(self, executable: Path) -> str:
        """The version in the package's manifest."""
        depth = len(Path(self.executable).parts) - 1
        return json.loads((executable.parents[depth] / "package.json").read_text())["version"]

    def command(self, executable: Path) -> list[str]:
        """The first words of a command line."""
        return [os.environ.get("NODE", "node"), str(executable)] if self.is_script else [str(executable)]


def output(command: list[str], place: Place, **variables: str) -> str:
    """What the command prints. It gets no variable of this process but PATH."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(place.home), **variables, **place.variables}
    done = subprocess.run(
        command,
        cwd=place.project,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.stdout


def _gemini(command: list[str], place: Place) -> str:
    return output([*command, "skills", "list"], place, GEMINI_CLI_TRUST_WORKSPACE="true")


def _opencode(command: list[str], place: Place) -> str:
    skills = json.loads(output([*command, "debug", "skill"], place, OPENCODE_DISABLE_AUTOUPDATE="1"))
    return "\n".join(skill.get("description") or "" for skill in skills)


def _codex(command: list[str], place: Place) -> str:
    items = json.loads(output([*command, "debug", "prompt-input", "hi"], place))
    texts = [part.get("text", "") for item in items for part in item.get("content") or []]
    return "\n".join(text for text in texts if "<skills_instructions>" in text)


def _copilot(command: list[str], place: Place) -> str:
    return output([*command, "skill", "list"], place)


class _Recorder(http.server.BaseHTTPRequestHandler):
    """Keeps what is sent to the model, and answers with an error that is not tried again."""

    bodies: list[str]

    def do_POST(self) -> None:
        """Every path."""
        length = int(self.headers.get("content-length", 0))
        self.bodies.append(self.rfile.read(length).decode(errors="replace"))
        answer = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": "no model"}}).encode()
        self.send_response(400)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing."""


def _claude(command: list[str], place: Place) -> str:
    bodies: list[str] = []
    handler = type("Recorder", (_Recorder,), {"bodies": bodies})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        output(
            [*command, "-p", "hi"],
            place,
            ANTHROPIC_API_KEY="none",
            ANTHROPIC_BASE_URL=f"http://127.0.0.1:{server.server_port}",
            CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1",
            CLAUDE_CODE_MAX_RETRIES="0",
        )
    finally:
        server.shutdown()
        server.server_close()
    return max((body for body in bodies if "skill" in body), key=len, default="")


PROGRAMS = [
    Program("claude-code", "Claude Code", "@anthropic-ai/claude-code-linux-x64", "claude", False, _claude),
    Program("codex", "Codex", "@openai/codex", "vendor/x86_64-unknown-linux-musl/bin/codex", False, _codex),
    Program("gemini-cli", "Gemini CLI", "@google/gemini-cli", "bundle/gemini.js", True, _gemini),
    Program("opencode", "OpenCode", "opencode-linux-x64-baseline", "bin/opencode", False, _opencode),
    Program(
        "vscode",
        "Copilot CLI",
        "@github/copilot-linux-x64",
        "copilot",
        False,
        _copilot,
        # VS Code itself cannot list its skills without a window.
        differences={
            "project": [".github/skills", ".agents/skills", ".claude/skills"],
            "user": ["~/.copilot/skills", "~/.agents/skills"],
            "skill_name": "front-matter",
            "reads_parents": True,
            "links": "followed-once",
            "depth": -1,
            "moved": [{"variable": "COPILOT_HOME", "replaces": "~/.copilot"}],
        },
    ),
]
