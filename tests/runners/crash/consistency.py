"""Compares the calls of the clients with the usage events and effects in the database."""

import collections
from dataclasses import dataclass

SELECT_EVENTS = "SELECT request_id, tool, outcome FROM usage_events"
SELECT_EFFECTS = "SELECT id FROM installs UNION ALL SELECT id FROM skill_feedback"
INSTALLS_UNLIKE_EVENTS = """
SELECT coalesce(e.n, 0), coalesce(i.n, 0), coalesce(e.created_at, i.created_at)
FROM (SELECT tenant_id, api_key_id, user_id, skill_id, version_id, created_at, count(*) AS n FROM usage_events
      WHERE tool = 'install_skill' AND outcome = 'ok' GROUP BY 1, 2, 3, 4, 5, 6) e
FULL JOIN (SELECT tenant_id, api_key_id, user_id, skill_id, version_id, created_at, count(*) AS n FROM installs
           GROUP BY 1, 2, 3, 4, 5, 6) i
    USING (tenant_id, api_key_id, user_id, skill_id, version_id, created_at)
WHERE e.n IS DISTINCT FROM i.n
"""
# now() is the start of the transaction, so a report and the event of its transaction have the same created_at.
REPORTS_WITHOUT_EVENT = """
SELECT r.idempotency_key, count(e.id) FROM skill_feedback r
LEFT JOIN usage_events e ON e.tenant_id = r.tenant_id AND e.user_id = r.user_id AND e.tool = 'record_usage'
    AND e.outcome = 'ok' AND e.idempotency_key = r.idempotency_key AND e.created_at = r.created_at
    AND e.skill_id = r.skill_id AND e.version_id = r.version_id
GROUP BY r.tenant_id, r.id HAVING count(e.id) <> 1
"""
EVENTS_WITHOUT_REPORT = """
SELECT e.request_id, count(r.id) FROM usage_events e
LEFT JOIN skill_feedback r ON r.tenant_id = e.tenant_id AND r.user_id = e.user_id
    AND r.idempotency_key = e.idempotency_key AND r.skill_id = e.skill_id AND r.version_id = e.version_id
WHERE e.tool = 'record_usage' AND e.outcome = 'ok'
GROUP BY e.tenant_id, e.id, e.request_id HAVING count(r.id) <> 1
"""
# Each must return no row.
MISMATCH_QUERIES = {
    "installs and events that do not match": INSTALLS_UNLIKE_EVENTS,
    "reports without the event of their transaction": REPORTS_WITHOUT_EVENT,
    "events of reports without their report": EVENTS_WITHOUT_REPORT,
}


@dataclass(frozen=True)
class Stored:
    """What the database has: (request id, tool, outcome) of each event, effect ids, and mismatches by description."""

    events: list
    effects: set
    mismatches: dict


def read_stored(sql):
    """`sql` runs a query and returns its rows."""
    return Stored(
        events=[tuple(row) for row in sql(SELECT_EVENTS)],
        effects={row[0] for row in sql(SELECT_EFFECTS)},
        mismatches={what: sql(query) for what, query in MISMATCH_QUERIES.items()},
    )


def describe(what, found, shown=5):
    more = ", …" if len(found) > shown else ""
    return f"{what} ({len(found)}: {', '.join(map(str, found[:shown]))}{more})"


def events_by_request(stored):
    events = collections.defaultdict(list)
    for request_id, tool, outcome in stored.events:
        events[request_id].append((tool, outcome))
    return events


def find_violations(calls, stored):
    """A description of each promise that the whole history breaks."""
    events = events_by_request(stored)
    known = {call.request_id for call in calls}
    answered = [call for call in calls if call.is_answered]
    first_reports = collections.Counter(
        call.idempotency_key
        for call in answered
        if call.tool == "record_usage" and call.outcome == "ok" and not call.duplicate
    )
    found = {
        "answered calls without an event": [c.request_id for c in answered if c.request_id not in events],
        "calls with more than one event": [request_id for request_id, rows in events.items() if len(rows) > 1],
        "events of unknown calls": [request_id for request_id in events if request_id not in known],
        "events with another outcome than the answer": [
            c.request_id for c in answered for row in events.get(c.request_id, []) if row != (c.tool, c.outcome)
        ],
        "answers that name an effect that does not exist": [
            c.request_id for c in answered if c.effect is not None and c.effect not in stored.effects
        ],
        "idempotency keys that counted twice": [key for key, count in first_reports.items() if count > 1],
        **stored.mismatches,
    }
    return [describe(what, items) for what, items in found.items() if items]


def count_all(calls, stored):
    events = events_by_request(stored)
    unanswered = [call for call in calls if not call.is_answered]
    return {
        "calls": len(calls),
        "answered": len(calls) - len(unanswered),
        "events": len(stored.events),
        "effects": len(stored.effects),
        "unanswered": len(unanswered),
        "of which recorded": sum(1 for call in unanswered if call.request_id in events),
    }
