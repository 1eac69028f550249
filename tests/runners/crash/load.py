"""Clients that call tools, and remember every request before it is sent and every answer."""

import http.client
import json
import random
import threading
import time
from dataclasses import dataclass

from common.errors import CannotRun

SKILLS = ["debug-flaky-test", "design-rest-endpoint", "review-sql-migration", "summarise-meeting"]
QUERIES = ["flaky test", "rest endpoint", "lock a table in a migration", "minutes of a meeting", "nothing like this"]
ASSISTANTS = ["claude-code", "codex", "cursor", "gemini-cli", "vscode", "folder"]
# Longer than the recovery after a kill, during which a call may wait.
ANSWER_SECONDS = 45
PAUSE_SECONDS = 90

# Outcomes of a call beside those of usage events.
NO_ANSWER = None
FAILED = "failed"


@dataclass
class Call:
    """One request and its answer.

    `outcome` is NO_ANSWER, FAILED (an answer that promises no record), or the outcome that the usage event must have.
    `effect` is the id of the install or report that the answer named.
    """

    request_id: str
    tool: str
    idempotency_key: str | None
    outcome: str | None = NO_ANSWER
    effect: str | None = None
    duplicate: bool = False

    @property
    def is_answered(self):
        return self.outcome not in (NO_ANSWER, FAILED)


class WrongAnswer(Exception):
    """The answer belongs to another request."""


def record_answer(call, status, body):
    """Notes in `call` what an HTTP response says."""
    call.outcome = FAILED
    if status != 200:
        return
    answer = json.loads(body)
    if answer.get("id") != call.request_id:
        raise WrongAnswer(f"the answer to {call.request_id} has the id {answer.get('id')}")
    result = answer.get("result")
    if result is None:
        return
    call.outcome = "tool_error" if result.get("isError") else "ok"
    if call.outcome == "tool_error" and "failed to answer" in result["content"][0]["text"]:
        call.outcome = "internal_error"
    content = result.get("structuredContent") or {}
    call.effect = content.get("install_id") or content.get("report_id")
    call.duplicate = bool(content.get("duplicate"))


class Client(threading.Thread):
    """Calls tools one after the other while `switch` allows it."""

    def __init__(self, number, port, api_key, switch, seed):
        super().__init__(name=f"client {number}", daemon=True)
        self.number = number
        self.port = port
        self.headers = {
            "Authorization": f"Bearer {api_key}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2025-06-18",
        }
        self.switch = switch
        self.random = random.Random(f"{seed}/{number}")
        self.calls = []
        self.connection = None
        self.repeated_arguments = None

    def run(self):
        while self.switch.begin_call():
            try:
                self.call()
            finally:
                self.switch.end_call()

    def next_call(self):
        """A tool and its arguments."""
        if self.repeated_arguments is not None:
            arguments, self.repeated_arguments = self.repeated_arguments, None
            return "record_usage", arguments
        skill = self.random.choice(SKILLS)
        match self.random.randrange(10):
            case 0 | 1:
                return "search_skills", {"query": self.random.choice(QUERIES)}
            case 2 | 3:
                return "get_skill", {"skill": skill, "file": "SKILL.md"}
            # A tool error is an answer, so it must be recorded.
            case 4:
                return "install_skill", {"skill": "no-such-skill", "assistant": "codex"}
            case 5 | 6:
                return "install_skill", {"skill": skill, "assistant": self.random.choice(ASSISTANTS)}
            case _:
                key = f"k{self.number:02}-{len(self.calls):06}"
                outcome = self.random.choice(["helped", "failed", "stale"])
                return "record_usage", {"skill": skill, "outcome": outcome, "minutes_saved": 5, "idempotency_key": key}

    def call(self):
        tool, arguments = self.next_call()
        call = Call(f"c{self.number:02}-{len(self.calls):06}", tool, arguments.get("idempotency_key"))
        self.calls.append(call)
        body = {
            "jsonrpc": "2.0",
            "id": call.request_id,
            "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        }
        try:
            if self.connection is None:
                self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
            self.connection.request("POST", "/mcp", json.dumps(body), self.headers)
            response = self.connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            self.connection.close()
            self.connection = None
            time.sleep(0.02)
        else:
            record_answer(call, response.status, text)
            if response.status != 200:
                time.sleep(0.02)
        # A client that does not know whether its report arrived repeats it with the same key. Some clients repeat
        # reports that did arrive.
        if tool == "record_usage" and (call.outcome != "ok" or self.random.random() < 0.1):
            self.repeated_arguments = arguments


class LoadSwitch:
    """Lets the clients call, or pauses them between two calls."""

    def __init__(self):
        self.condition = threading.Condition()
        self.is_on = False
        self.has_ended = False
        self.running_calls = 0

    def begin_call(self):
        """Waits while the load is off. Returns False when the client must end."""
        with self.condition:
            self.condition.wait_for(lambda: self.is_on or self.has_ended)
            if self.has_ended:
                return False
            self.running_calls += 1
            return True

    def end_call(self):
        with self.condition:
            self.running_calls -= 1
            self.condition.notify_all()

    def turn_on(self):
        with self.condition:
            self.is_on = True
            self.condition.notify_all()

    def turn_off(self):
        """Waits until every client has its answer."""
        with self.condition:
            self.is_on = False
            if not self.condition.wait_for(lambda: self.running_calls == 0, timeout=PAUSE_SECONDS):
                raise CannotRun(f"a client still waits for its answer after {PAUSE_SECONDS} s")

    def end(self):
        with self.condition:
            self.has_ended = True
            self.condition.notify_all()
