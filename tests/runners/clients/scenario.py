"""The calls that every client makes: from the search for a skill to the usage report, then two invalid calls."""

import base64
import hashlib
import json

from common.errors import CheckFailed, expect_equal
from common.paths import SAMPLES

# The tools that SCOPES permit.
TOOLS = [
    "search_skills", "get_skill", "install_skill", "confirm_install", "check_installed", "record_usage", "usage_report",
    "recommend_skills", "whoami", "rate_skill",
]
SCOPES = "skills:read,skills:install,usage:write,usage:read"
SAMPLE = "debug-flaky-test"


def structured_result(tool, answer):
    """The structured content of a successful tool call, which must equal its text."""
    result = answer.get("result")
    if result is None or result.get("isError"):
        raise CheckFailed(f"{tool} failed: {json.dumps(answer)[:500]}")
    text, structured = json.loads(result["content"][0]["text"]), result["structuredContent"]
    expect_equal(f"{tool}: the text and the structured content", text, structured)
    return structured


def digest(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def file_digests(files):
    """Path to digest of the files of an install, each checked against its content."""
    digests = {}
    for file in files:
        is_binary = file["encoding"] == "base64"
        data = base64.b64decode(file["content"]) if is_binary else file["content"].encode()
        expect_equal(f"the digest of {file['path']}", file["digest"], digest(data))
        digests[file["path"]] = digest(data)
    return digests


def folder_digests(folder):
    return {
        str(path.relative_to(folder)): digest(path.read_bytes()) for path in folder.rglob("*") if path.is_file()
    }


def use_skill(client):
    """Finds, reads, installs and reports the sample. Returns the (tool, outcome) pairs of the expected events."""
    sample = SAMPLES / SAMPLE

    def call(tool, **arguments):
        return structured_result(tool, client.call(tool, arguments))

    expect_equal("the tools", [tool["name"] for tool in client.list_tools()], TOOLS)
    found = call("search_skills", query="a test that fails only sometimes", limit=3)
    expect_equal("the best hit", found["hits"][0]["skill"], SAMPLE)
    read = call("get_skill", skill=SAMPLE, file="SKILL.md")
    expect_equal("the text of SKILL.md", read["file"]["text"], (sample / "SKILL.md").read_text())
    install = call("install_skill", skill=SAMPLE, assistant="folder")
    digests = file_digests(install["files"])
    expect_equal("the files", digests, folder_digests(sample))
    resource = next(resource for resource in client.list_resources() if resource["name"] == SAMPLE)
    contents = client.read_resource(resource["uri"])
    texts = [content.get("text") for content in contents]
    expect_equal("the resource's text", texts, [(sample / "SKILL.md").read_text()])
    files = [{"path": path, "digest": value} for path, value in digests.items()]
    confirmed = call("confirm_install", install_id=install["install_id"], files=files)
    expect_equal("the install's state", confirmed["state"], "confirmed")
    checked = call("check_installed", installed=[{"skill": SAMPLE, "digest": install["digest"], "files": files}])
    expect_equal("the installed skill's state", checked["skills"][0]["state"], "current")
    reported = call("record_usage", skill=SAMPLE, outcome="helped", minutes_saved=5)
    expect_equal("the reported outcome", reported["outcome"], "helped")
    return [(tool, "ok") for tool in [*TOOLS[:3], "resources/read", *TOOLS[3:6]]]


def make_invalid_calls(client):
    """Returns the (tool, outcome) pairs of the expected events."""
    refused = client.call("search_skills", {"query": "x", "limit": 99})
    expect_equal("isError for a limit of 99", refused.get("result", {}).get("isError"), True)
    events = [("search_skills", "invalid_arguments")]
    if client.calls_unknown_tools:
        error = client.call("no_such_tool", {}).get("error", {})
        expect_equal("the error's code for an unknown tool", error.get("code"), -32602)
        events.append(("no_such_tool", "unknown_tool"))
    return events


def run_scenario(client):
    return use_skill(client) + make_invalid_calls(client)
