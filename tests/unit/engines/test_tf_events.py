"""Terraform's JSON stream becomes readable events, and its diagnostics are kept."""

import json

from mlstacks_dagster.engines.redaction import Redactor
from mlstacks_dagster.engines.tf_events import Diagnostic, Event, StreamParser


def feed(*messages, total=0, secrets=()):
    events: list[Event] = []
    parser = StreamParser(Redactor(secrets), events.append, total)
    for message in messages:
        parser.feed(message if isinstance(message, str) else json.dumps(message))
    return parser, events


def hook(kind, address="aws_vpc.main", text="text"):
    return {"@message": text, "type": kind, "hook": {"resource": {"addr": address}}}


def test_each_finished_resource_is_progress():
    _, events = feed(hook("apply_start"), hook("apply_complete"), hook("apply_complete"), total=5)
    assert [(e.kind, e.done, e.total) for e in events] == [
        ("line", 0, 0), ("progress", 1, 5), ("progress", 2, 5),
    ]  # fmt: skip
    assert events[1].address == "aws_vpc.main"


def test_progress_never_says_more_than_all():
    _, events = feed(hook("apply_complete"), hook("apply_complete"), total=1)
    assert (events[-1].done, events[-1].total) == (2, 2)


def test_the_summary_is_a_milestone_and_its_counts_are_kept():
    parser, events = feed(
        {"@message": "Plan: 2 to add", "type": "change_summary", "changes": {"add": 2, "remove": 0}}
    )
    assert events[0].kind == "milestone"
    assert parser.changes == {"add": 2, "remove": 0}


def test_a_diagnostic_keeps_place_and_address():
    parser, events = feed(
        {
            "@message": "Error: bad",
            "type": "diagnostic",
            "diagnostic": {
                "severity": "error",
                "summary": "bad",
                "detail": "because\nof this",
                "address": "aws_vpc.main",
                "range": {"filename": "main.tf", "start": {"line": 7}},
            },
        }
    )
    (error,) = parser.errors
    assert (error.file, error.line, error.address) == ("main.tf", 7, "aws_vpc.main")
    assert events[0].kind == "error"
    assert events[0].text == "Error: bad (aws_vpc.main, main.tf:7)\n  because\n  of this"


def test_a_warning_is_no_error():
    parser, events = feed(
        {
            "@message": "w",
            "type": "diagnostic",
            "diagnostic": {"severity": "warning", "summary": "w"},
        }
    )
    assert parser.errors == ()
    assert len(parser.diagnostics) == 1
    assert events[0].kind == "line"


def test_plain_errors_become_diagnostics_with_their_detail():
    parser, events = feed(
        "\x1b[31m│\x1b[0m Error: Resource already managed", "│ ", "│ To import, remove it first."
    )
    assert parser.errors == (Diagnostic("Resource already managed", "To import, remove it first."),)
    assert events[0].kind == "error"


def test_two_plain_errors_are_two():
    parser, _ = feed("Error: one", "detail 1", "Error: two", "detail 2")
    assert [d.summary for d in parser.errors] == ["one", "two"]
    assert [d.detail for d in parser.errors] == ["detail 1", "detail 2"]


def test_lines_that_only_look_like_json_are_plain():
    for line in ("{", "{}", "[1]", '{"a": 1}', "panic: runtime error"):
        parser, events = feed(line)
        assert events[0].text == line
        assert parser.tail == [line]


def test_a_message_that_was_cut_off_is_not_shown_since_it_may_be_the_state():
    """On a full disk Terraform prints the whole state, and the line ends where the disk does."""
    dump = json.dumps({"@level": "info", "@message": "Emergency state dump", "state": "hunter22"})
    whole, cut = feed(dump), feed(dump[:-3])
    assert [e.text for e in whole[1]] == ["Emergency state dump"]
    assert [e.text for e in cut[1]] == ["(a message of Terraform's was cut off)"]
    assert "hunter22" not in f"{cut[0].tail} {cut[0].diagnostics}"


def test_unknown_message_types_are_lines():
    _, events = feed({"@message": "later", "type": "invented_in_2030"})
    assert (events[0].text, events[0].kind) == ("later", "line")


def test_secrets_are_masked_in_events_and_diagnostics():
    secret = "hunter22-secret"
    parser, events = feed(
        {"@message": f"saw {secret}", "type": "log"},
        {
            "@message": "e",
            "type": "diagnostic",
            "diagnostic": {"severity": "error", "summary": secret, "detail": f"x {secret}"},
        },
        f"plain {secret}",
        f"Error: {secret}",
        secrets=[secret],
    )
    assert len(events) == 4
    assert secret not in repr((events, parser.errors, parser.tail))
