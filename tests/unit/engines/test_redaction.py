"""Known secrets are masked in every form in which tools print them."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.engines.redaction import MASK, Redactor

SECRET = 'p<ss"w\\ord&7é'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(SECRET)[1:-1].replace("<", "\\u003c").replace("&", "\\u0026"),
        quote(SECRET, safe=""),
    ],
)
def test_a_secret_is_masked_in_each_written_form(form):
    assert Redactor([SECRET])(f"before {form} after") == f"before {MASK} after"


@pytest.mark.parametrize("before", ["", "u", "us", "use", "user:"])
def test_a_secret_inside_a_base64_text_is_masked_wherever_it_starts(before):
    encoded = base64.b64encode(f"{before}correct-horse-battery".encode()).decode()
    assert base64.b64encode(b"correct-horse-battery").decode()[4:12] not in Redactor(
        ["correct-horse-battery"]
    )(f"Basic {encoded}")
    assert MASK in Redactor(["correct-horse-battery"])(f"Basic {encoded}")


def test_each_line_of_a_key_with_several_lines_is_masked():
    key = "-----BEGIN KEY-----\nabcdefghijkl\nmnopqrstuvwx\n-----END KEY-----\n"
    redact = Redactor([key])
    assert redact("saw abcdefghijkl") == f"saw {MASK}"
    assert "mnopqrstuvwx" not in redact(json.dumps({"key": key}))


def test_a_longer_secret_wins_over_one_that_it_contains():
    assert Redactor(["secret", "secret-and-more"])("x secret-and-more y") == f"x {MASK} y"


@pytest.mark.parametrize("value", ["", "a", "true", "8080"])
def test_values_of_four_characters_or_less_are_left_alone(value):
    assert Redactor([value])("true 8080 a") == "true 8080 a"


def test_without_secrets_the_text_stays():
    assert Redactor()("anything") == "anything"


@given(st.text(min_size=5, max_size=30), st.text(max_size=20), st.text(max_size=20))
def test_no_secret_survives_in_any_surroundings(secret, before, after):
    assert secret not in Redactor([secret])(before + secret + after).replace(MASK, "")
