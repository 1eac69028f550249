import json
import random
import threading
import unittest
import unittest.mock
from types import SimpleNamespace

from common.errors import CannotRun
from crash import load
from crash.consistency import MISMATCH_QUERIES, Stored, count_all, find_violations, read_stored
from crash.load import FAILED, NO_ANSWER, Call, Client, LoadSwitch, WrongAnswer, record_answer
from crash.main import was_each_answered_since


def stored(events=(), effects=(), **mismatches):
    return Stored(list(events), set(effects), mismatches)


class ConsistencyTest(unittest.TestCase):
    install = Call("c1", "install_skill", None, "ok", effect="i1")
    report = Call("c2", "record_usage", "k1", "ok", effect="r1")
    events = [("c1", "install_skill", "ok"), ("c2", "record_usage", "ok")]

    def assert_violation(self, text, calls, database):
        found = find_violations(calls, database)
        self.assertEqual(len(found), 1, found)
        self.assertIn(text, found[0])

    def test_matching_history_has_no_violation(self):
        self.assertEqual(find_violations([self.install, self.report], stored(self.events, ["i1", "r1"])), [])

    def test_answered_call_without_event_is_found(self):
        database = stored(self.events[:1], ["i1", "r1"])
        self.assert_violation("answered calls without an event (1: c2)", [self.install, self.report], database)

    def test_second_event_of_a_call_is_found(self):
        database = stored([*self.events, self.events[0]], ["i1", "r1"])
        self.assert_violation("calls with more than one event (1: c1)", [self.install, self.report], database)

    def test_event_of_unknown_call_is_found(self):
        self.assert_violation("events of unknown calls (1: c2)", [self.install], stored(self.events, ["i1"]))

    def test_event_with_other_outcome_is_found(self):
        database = stored([("c1", "install_skill", "tool_error")], ["i1"])
        self.assert_violation("events with another outcome than the answer (1: c1)", [self.install], database)

    def test_event_of_other_tool_is_found(self):
        database = stored([("c1", "get_skill", "ok")], ["i1"])
        self.assert_violation("events with another outcome than the answer (1: c1)", [self.install], database)

    def test_named_effect_that_does_not_exist_is_found(self):
        database = stored(self.events[:1])
        self.assert_violation("answers that name an effect that does not exist (1: c1)", [self.install], database)

    def test_key_that_counted_twice_is_found(self):
        again = Call("c3", "record_usage", "k1", "ok", effect="r1")
        database = stored([self.events[1], ("c3", "record_usage", "ok")], ["r1"])
        self.assert_violation("idempotency keys that counted twice (1: k1)", [self.report, again], database)

    def test_duplicate_answer_is_no_violation(self):
        again = Call("c3", "record_usage", "k1", "ok", effect="r1", duplicate=True)
        database = stored([self.events[1], ("c3", "record_usage", "ok")], ["r1"])
        self.assertEqual(find_violations([self.report, again], database), [])

    def test_rows_of_mismatch_queries_are_found(self):
        for what, query in MISMATCH_QUERIES.items():
            database = read_stored(lambda sql, query=query: [["k1", "2"]] if sql == query else [])
            self.assert_violation(f"{what} (1: ", [], database)

    def test_unanswered_calls_may_have_an_event_or_none(self):
        calls = [Call("c1", "get_skill", None), Call("c2", "get_skill", None, FAILED)]
        self.assertEqual(find_violations(calls, stored([("c1", "get_skill", "ok")])), [])

    def test_long_lists_are_shortened(self):
        calls = [Call(f"c{number}", "whoami", None, "ok") for number in range(7)]
        self.assertEqual(
            find_violations(calls, stored()), ["answered calls without an event (7: c0, c1, c2, c3, c4, …)"]
        )

    def test_counts_distinguish_recorded_unanswered_calls(self):
        calls = [self.install, Call("c4", "get_skill", None), Call("c5", "get_skill", None)]
        database = stored([self.events[0], ("c4", "get_skill", "ok")], ["i1"])
        self.assertEqual(
            count_all(calls, database),
            {"calls": 3, "answered": 1, "events": 2, "effects": 1, "unanswered": 2, "of which recorded": 1},
        )


class AnswerTest(unittest.TestCase):
    def record(self, body, status=200):
        call = Call("c1", "install_skill", None)
        record_answer(call, status, json.dumps(body))
        return call

    def result(self, is_error=False, text="", **content):
        result = {"isError": is_error, "content": [{"type": "text", "text": text}], "structuredContent": content}
        return {"id": "c1", "result": result}

    def test_success_names_its_effect(self):
        call = self.record(self.result(install_id="i1"))
        self.assertEqual((call.outcome, call.effect, call.duplicate), ("ok", "i1", False))

    def test_duplicate_report_is_noted(self):
        call = self.record(self.result(report_id="r1", duplicate=True))
        self.assertEqual((call.outcome, call.effect, call.duplicate), ("ok", "r1", True))

    def test_tool_error_must_be_recorded(self):
        call = self.record(self.result(is_error=True, text="There is no such skill."))
        self.assertEqual((call.outcome, call.is_answered), ("tool_error", True))

    def test_internal_error_has_its_own_outcome(self):
        self.assertEqual(self.record(self.result(is_error=True, text="It failed to answer.")).outcome, "internal_error")

    def test_http_and_protocol_errors_promise_no_record(self):
        for call in (self.record({}, status=503), self.record({"id": "c1", "error": {"code": -32603}})):
            self.assertEqual((call.outcome, call.is_answered), (FAILED, False))

    def test_answer_to_another_request_is_an_error(self):
        with self.assertRaises(WrongAnswer):
            self.record(self.result() | {"id": "c2"})


class LoadTest(unittest.TestCase):
    def test_every_client_must_be_answered_after_its_mark(self):
        answered, unanswered = Call("c1", "whoami", None, "ok"), Call("c2", "whoami", None, NO_ANSWER)
        clients = [SimpleNamespace(calls=[answered, unanswered]), SimpleNamespace(calls=[unanswered, answered])]
        self.assertTrue(was_each_answered_since(clients, [0, 0]))
        self.assertFalse(was_each_answered_since(clients, [1, 0]))

    def test_same_seed_makes_the_same_calls(self):
        def calls(seed):
            client = Client(1, 0, "key", LoadSwitch(), seed)
            return [client.next_call() for _ in range(30)]

        self.assertEqual(calls(5), calls(5))
        self.assertNotEqual(calls(5), calls(6))
        tools = {tool for tool, _ in calls(5)}
        self.assertEqual(tools, {"search_skills", "get_skill", "install_skill", "record_usage"})

    def test_repeated_report_has_the_same_key(self):
        client = Client(1, 0, "key", LoadSwitch(), random.random())
        client.repeated_arguments = {"idempotency_key": "k"}
        self.assertEqual(client.next_call(), ("record_usage", {"idempotency_key": "k"}))
        self.assertIsNone(client.repeated_arguments)

    def test_switch_waits_for_running_calls(self):
        switch = LoadSwitch()
        switch.turn_on()
        self.assertTrue(switch.begin_call())
        off = threading.Thread(target=switch.turn_off)
        off.start()
        off.join(0.1)
        self.assertTrue(off.is_alive())
        switch.end_call()
        off.join(10)
        self.assertFalse(off.is_alive())

    def test_switch_reports_a_call_without_answer(self):
        switch = LoadSwitch()
        switch.turn_on()
        switch.begin_call()
        with unittest.mock.patch.object(load, "PAUSE_SECONDS", 0.05), self.assertRaises(CannotRun):
            switch.turn_off()

    def test_ended_switch_stops_clients(self):
        switch = LoadSwitch()
        switch.end()
        self.assertFalse(switch.begin_call())


if __name__ == "__main__":
    unittest.main()
