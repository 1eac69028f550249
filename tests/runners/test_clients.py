import base64
import json
import socket
import socketserver
import tempfile
import threading
import unittest
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

from clients import inspector, scenario, tls_front
from clients.events import check_events
from clients.matrix import (
    BRIDGE, FASTMCP, INSPECTOR, MCP_REMOTE, NEW, OLD, PYTHON_1, PYTHON_2, TYPESCRIPT_1, TYPESCRIPT_2, Row, connection,
    rows,
)
from common.errors import CheckFailed
from common.paths import SAMPLES

SKILLKEEP = SimpleNamespace(
    program=Path("/bin/skillkeep"), folder=Path("/data"), settings={"SKILLKEEP_DATA_DIR": "/data/d"}
)
URL = "http://127.0.0.1:9/mcp"


class MatrixTest(unittest.TestCase):
    def test_every_client_has_its_rows(self):
        expected = {
            INSPECTOR: 10, TYPESCRIPT_2: 5, TYPESCRIPT_1: 3, PYTHON_2: 5, PYTHON_1: 3, FASTMCP: 5, MCP_REMOTE: 2,
            BRIDGE: 2,
        }
        self.assertEqual(Counter(row.package for row in rows(with_proxy=False)), expected)
        self.assertEqual(len(rows(with_proxy=False)), 35)
        self.assertEqual(len(set(rows(with_proxy=False))), 35)

    def test_clients_behind_a_proxy_are_further_rows(self):
        added = set(rows(with_proxy=True)) - set(rows(with_proxy=False))
        self.assertEqual(Counter(row.package for row in added), {TYPESCRIPT_2: 3, PYTHON_2: 3, BRIDGE: 2})
        self.assertEqual({row.transport for row in added}, {"http", "sse"})

    def test_http_sse_is_tested_with_the_older_version_only(self):
        self.assertEqual({row.version for row in rows(with_proxy=False) if row.transport == "sse"}, {OLD})

    def test_http_sse_client_gets_its_own_url(self):
        config = connection(SKILLKEEP, URL, 3, Row(PYTHON_1, "sse", OLD, None), "key")
        self.assertEqual(config["url"], "http://127.0.0.1:9/sse")
        self.assertEqual(config["client"]["name"], "skillkeep-check-3")

    def test_stdio_client_passes_the_key_to_the_program(self):
        config = connection(SKILLKEEP, URL, 0, Row(TYPESCRIPT_2, "stdio", NEW, None), "key")
        self.assertEqual(config["command"], ["/bin/skillkeep", "stdio"])
        self.assertEqual(config["env"], {"SKILLKEEP_DATA_DIR": "/data/d", "SKILLKEEP_API_KEY": "key"})

    def test_bridge_is_used_over_stdio_by_the_matching_sdk(self):
        packages = {}
        for version in (OLD, NEW):
            config = connection(SKILLKEEP, URL, 0, Row(BRIDGE, "http", version, None), "key")
            self.assertEqual((config["transport"], config["command"]), ("stdio", ["/bin/skillkeep", "bridge", URL]))
            packages[version] = config["package"]
        self.assertEqual(packages, {OLD: TYPESCRIPT_1, NEW: TYPESCRIPT_2})


class Reverse(socketserver.BaseRequestHandler):
    """Answers with the bytes reversed, after the client has sent all."""

    def handle(self):
        received = b""
        while data := self.request.recv(1000):
            received += data
        self.request.sendall(received[::-1])


class RelayTest(unittest.TestCase):
    def test_relay_carries_both_directions_to_their_ends(self):
        with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Reverse) as server, tempfile.TemporaryDirectory() as folder:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            path = Path(folder) / "relay"
            relay = tls_front.Relay(path, *server.server_address)
            try:
                for sent in [b"", b"abc", bytes(range(256)) * 1000]:
                    with socket.socket(socket.AF_UNIX) as client:
                        client.settimeout(10)
                        client.connect(str(path))
                        client.sendall(sent)
                        client.shutdown(socket.SHUT_WR)
                        received = b""
                        while data := client.recv(65536):
                            received += data
                    self.assertEqual(received, sent[::-1])
            finally:
                relay.stop()
                server.shutdown()


class EventsTest(unittest.TestCase):
    calls = [("whoami", "ok")]

    def event(self, **changes):
        event = {
            "tool": "whoami", "outcome": "ok", "transport": "http", "protocol_version": NEW, "client_name": "check",
            "client_version": "1",
        }
        return event | changes

    def check(self, event, row=Row(PYTHON_2, "http", NEW, "python-httpx2"), events=None):
        check_events([event] if events is None else events, self.calls, row, "check", "1")

    def test_matching_events_pass(self):
        self.check(self.event())

    def test_each_different_field_fails(self):
        for changes in [
            {"tool": "other"}, {"outcome": "tool_error"}, {"transport": "stdio"}, {"protocol_version": OLD},
            {"client_name": "x"}, {"client_version": "2"},
        ]:
            with self.subTest(changes), self.assertRaises(CheckFailed):
                self.check(self.event(**changes))

    def test_missing_and_additional_events_fail(self):
        for events in ([], [self.event(), self.event()]):
            with self.subTest(len(events)), self.assertRaises(CheckFailed):
                self.check(None, events=events)

    def test_older_http_client_is_known_by_its_user_agent(self):
        row = Row(PYTHON_2, "http", OLD, "python-httpx2")
        self.check(self.event(protocol_version=OLD, client_name="python-httpx2", client_version=None), row)
        with self.assertRaises(CheckFailed):
            self.check(self.event(protocol_version=OLD), row)

    def test_proxy_adds_its_name(self):
        row = Row(MCP_REMOTE, "sse", OLD, "undici")
        name = f"check (via {MCP_REMOTE.replace('@', ' ')})"
        self.check(self.event(transport="sse", protocol_version=OLD, client_name=name), row)
        with self.assertRaises(CheckFailed):
            self.check(self.event(transport="sse", protocol_version=OLD), row)


class InspectorTest(unittest.TestCase):
    def test_http_options_have_url_and_key(self):
        config = {"transport": "http", "protocol_version": NEW, "url": URL, "api_key": "key"}
        options = inspector.options(config)
        self.assertEqual(options[options.index("--protocol-era") + 1], "modern")
        self.assertEqual(options[-4:], ["--server-url", URL, "--header", "Authorization: Bearer key"])

    def test_stdio_options_have_the_environment(self):
        config = {"transport": "stdio", "protocol_version": OLD, "env": {"A": "1"}}
        options = inspector.options(config)
        self.assertEqual(options[options.index("--protocol-era") + 1], "legacy")
        self.assertEqual(options[-2:], ["-e", "A=1"])

    def test_several_lines_are_a_list_of_answers(self):
        self.assertEqual(inspector.parse_answers('{"a": 1}\n\n'), {"a": 1})
        self.assertEqual(inspector.parse_answers('{"a": 1}\n{"a": 2}\n'), [{"a": 1}, {"a": 2}])


def answer(structured, **changes):
    result = {"content": [{"type": "text", "text": json.dumps(structured)}], "structuredContent": structured}
    return {"result": result | changes}


class FakeClient:
    """Answers as the program should; `broken` names the answer that is wrong."""

    calls_unknown_tools = True

    def __init__(self, broken=None):
        self.broken = broken
        self.folder = SAMPLES / scenario.SAMPLE

    def either(self, name, right, wrong):
        return wrong if self.broken == name else right

    def list_tools(self):
        names = self.either("list_tools", scenario.TOOLS, scenario.TOOLS[1:])
        return [{"name": name} for name in names]

    def list_resources(self):
        return [{"name": scenario.SAMPLE, "uri": "skill://x"}]

    def read_resource(self, _uri):
        return [{"text": self.either("read_resource", (self.folder / "SKILL.md").read_text(), "other")}]

    def files(self):
        paths = sorted(path for path in self.folder.rglob("*") if path.is_file())
        files = [
            {
                "path": str(path.relative_to(self.folder)), "encoding": "base64",
                "content": base64.b64encode(path.read_bytes()).decode(), "digest": scenario.digest(path.read_bytes()),
            }
            for path in paths
        ]
        return self.either("install_skill", files, files[1:])

    def call(self, tool, arguments):
        if tool == "no_such_tool":
            return {"error": {"code": self.either("no_such_tool", -32602, -32603)}}
        if arguments.get("limit") == 99:
            return answer({}, isError=self.either("limit", True, False))
        return answer({
            "search_skills": {"hits": [{"skill": self.either("search_skills", scenario.SAMPLE, "other")}]},
            "get_skill": {"file": {"text": self.either("get_skill", (self.folder / "SKILL.md").read_text(), "")}},
            "install_skill": {"files": self.files(), "install_id": "i", "digest": "sha256:" + "0" * 64},
            "confirm_install": {"state": self.either("confirm_install", "confirmed", "mismatch")},
            "check_installed": {"skills": [{"state": self.either("check_installed", "current", "drifted")}]},
            "record_usage": {"outcome": self.either("record_usage", "helped", "failed")},
        }[tool])


class ScenarioTest(unittest.TestCase):
    def test_correct_answers_pass_and_name_the_expected_events(self):
        events = scenario.run_scenario(FakeClient())
        self.assertEqual(len(events), 9)
        self.assertEqual(events[-2:], [("search_skills", "invalid_arguments"), ("no_such_tool", "unknown_tool")])

    def test_each_wrong_answer_fails(self):
        for broken in [
            "list_tools", "search_skills", "get_skill", "install_skill", "read_resource", "confirm_install",
            "check_installed", "record_usage", "limit", "no_such_tool",
        ]:
            with self.subTest(broken), self.assertRaises(CheckFailed):
                scenario.run_scenario(FakeClient(broken))

    def test_text_must_equal_structured_content(self):
        wrong = answer({"a": 1}, structuredContent={"a": 2})
        for result in (wrong, answer({}, isError=True), {"error": {"code": 1}}):
            with self.assertRaises(CheckFailed):
                scenario.structured_result("whoami", result)

    def test_wrong_digest_fails(self):
        file = {"path": "a", "encoding": "utf-8", "content": "text", "digest": scenario.digest(b"text")}
        self.assertEqual(scenario.file_digests([file]), {"a": scenario.digest(b"text")})
        with self.assertRaises(CheckFailed):
            scenario.file_digests([file | {"content": "other"}])


if __name__ == "__main__":
    unittest.main()
