"""Claude Code, which installs plugins from a marketplace without a login. It takes archives over HTTPS only, and from no address of
the machine itself, so it runs in a network of its own, with TLS in front of the registry."""

import json
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from clients import tls_front
from clients.scenario import SAMPLE
from common.errors import CannotRun, expect_equal
from common.paths import SAMPLES
from common.process import run_checked, run_limited

CLAUDE_CODE = "@anthropic-ai/claude-code@2.1.332"
MARKETPLACE = "/claude-code/marketplace.json"
OWN_SKILL = "plugin-sample"
# A network in which the user is root, also if the user is not root outside.
NAMESPACE = ["unshare", "--map-root-user", "--net"]
# What the registry calls the marketplace of the default tenant.
NAME = "skillkeep"


def require_namespace():
    if shutil.which("unshare") is None or run_limited([*NAMESPACE, "true"], seconds=30).code != 0:
        raise CannotRun("this account may not create a network namespace with unshare; pass --without-claude-code")


def write_skill(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "SKILL.md").write_text(f"---\nname: {folder.name}\ndescription: {text}\n---\n# {text}\n")
    (folder / "scripts").mkdir(exist_ok=True)
    (folder / "scripts" / "run.sh").write_text(f"#!/bin/sh\necho {text}\n")


class ClaudeCode:
    """The client with a home of its own."""

    def __init__(self, context, home, socket):
        self.context, self.home = context, home
        self.config = home / ".claude"
        self.config.mkdir(parents=True)
        programs = list((context.modules / "@anthropic-ai").glob("claude-code-*/claude"))
        expect_equal("the number of programs of Claude Code for this platform", len(programs), 1)
        self.certificate, key = context.folder / "certificate.pem", context.folder / "key.pem"
        if not key.exists():
            command = [
                "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test",
                "-addext", f"subjectAltName=IP:{tls_front.ADDRESS}", "-keyout", key, "-out", self.certificate,
            ]
            run_checked("openssl", command, seconds=60)
        front = [sys.executable, Path(tls_front.__file__), socket, self.certificate, key]
        self.command = [*NAMESPACE, *front, programs[0]]

    def run(self, *arguments, codes=(0,)):
        env = {
            "HOME": str(self.home), "NODE_EXTRA_CA_CERTS": str(self.certificate), "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }
        return self.context.run_program(self.command, *arguments, env=env, codes=codes)

    def skills(self, plugin):
        """The folders of the skills of an installed plugin, by version."""
        folder = self.config / "plugins" / "cache" / NAME / plugin
        return {path.parent.name: path for path in folder.glob("*/skills")}


def with_settings(context, socket):
    """By an API key in the settings of the user: install, and update to a version that was published later."""
    client = ClaudeCode(context, context.folder / "by-key", socket)
    source = {
        "source": "url", "url": f"https://{tls_front.ADDRESS}{MARKETPLACE}",
        "headers": {"Authorization": f"Bearer {context.key}"},
    }
    settings = {"extraKnownMarketplaces": {NAME: {"source": source}}}
    (client.config / "settings.json").write_text(json.dumps(settings))
    own = context.folder / OWN_SKILL
    write_skill(own, "First version")
    context.skillkeep.command("publish", str(own))
    # Each start reads the settings. Without a login, the answer to the prompt is an error, which comes later.
    client.run("-p", "Hello", codes=(0, 1))
    client.run("plugin", "install", f"{OWN_SKILL}@{NAME}")
    expect_equal("the installed versions", list(client.skills(OWN_SKILL)), ["1"])
    write_skill(own, "Second version")
    context.skillkeep.command("publish", str(own))
    client.run("plugin", "marketplace", "update", NAME)
    client.run("plugin", "update", f"{OWN_SKILL}@{NAME}")
    listed = json.loads(client.run("plugin", "list", "--json"))
    versions = {entry["id"]: entry["version"] for entry in listed if entry["id"].endswith(f"@{NAME}")}
    expect_equal("the installed plugins", versions, {f"{OWN_SKILL}@{NAME}": "2"})
    return client.skills(OWN_SKILL)["2"], own


def with_secret_path(context, socket):
    """By a secret path, which needs no settings."""
    client = ClaudeCode(context, context.folder / "by-path", socket)
    url = f"https://{tls_front.ADDRESS}{context.secret_path}{MARKETPLACE}"
    client.run("plugin", "marketplace", "add", url)
    client.run("plugin", "install", f"{SAMPLE}@{NAME}")
    [skills] = client.skills(SAMPLE).values()
    return skills, SAMPLES / SAMPLE


def with_claude_code(context):
    require_namespace()
    address = urlsplit(context.address)
    socket = context.folder / "relay"
    relay = tls_front.Relay(socket, address.hostname, address.port)
    try:
        return [with_settings(context, socket), with_secret_path(context, socket)]
    finally:
        relay.stop()
