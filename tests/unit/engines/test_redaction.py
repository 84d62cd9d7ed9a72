"""Known secrets are masked in every form in which tools print them."""

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlstacks_dagster.engines.redaction import MASK, Redactor, secret_values

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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("proxy http://u:p@h:3128 refused", f"proxy http://{MASK}@h:3128 refused"),
        ('{"url": "https://token@git.example/x"}', f'{{"url": "https://{MASK}@git.example/x"}}'),
        ("see https://example.org/a@b and https://example.org", None),
        ("mail me@example.org", None),
    ],
)
def test_a_login_in_a_url_is_masked_though_nobody_named_it(text, shown):
    assert Redactor()(text) == (text if shown is None else shown)


SERVICE_ACCOUNT = json.dumps({
    "type": "service_account",
    "project_id": "my-project",
    "private_key_id": "0123456789abcdef",
    "private_key": "-----BEGIN PRIVATE KEY-----\nabcdefghijkl\n-----END PRIVATE KEY-----\n",
})  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DB_PASS", "hunter22", "hunter22"),
        ("ANYTHING", "hunter22", "hunter22"),
        ("HTTPS_PROXY", "http://u:p%40ssword@h", "the password p@ssword"),
        ("HTTPS_PROXY", "http://u:p%40ssword@h", "the password p%40ssword"),
        ("GOOGLE_CREDENTIALS", SERVICE_ACCOUNT, "abcdefghijkl"),
        ("GOOGLE_CREDENTIALS", SERVICE_ACCOUNT, "0123456789abcdef"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI", "wJalrXUtnFEMI"),
    ],
)
def test_what_a_component_sets_is_masked_whatever_its_name(name, value, said):
    redact = Redactor(secret_values({name: value}, {}))
    assert redact(said).removeprefix("the password ") == MASK


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_REGION", "eu-north-9"),
        ("MY_REGION", "eu-north-1"),
        ("MY_FLAG", "False"),
        ("AWS_PROFILE", "production"),
        ("AWS_CONFIG_FILE", "/home/me/.aws/config"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/key.json"),
        ("LOG_LEVEL", "debug"),
    ],
)
def test_what_hides_nothing_stays_readable(name, value):
    assert Redactor(secret_values({name: value}, {name: value}))(value) == value


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "GOOGLE_CREDENTIALS",
        "GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN", "CLOUDSDK_PROXY_PASSWORD",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN", "TF_TOKEN_app_terraform_io",
    ],
)  # fmt: skip
def test_credentials_of_our_own_environment_are_masked(name):
    assert Redactor(secret_values({}, {name: "hunter22"}))("hunter22") == MASK


def test_of_our_own_environment_a_proxys_password_is_masked_and_the_rest_is_not():
    passed = {"HOME": "/home/me", "http_proxy": "http://user:hunter22@proxy:1"}
    redact = Redactor(secret_values({}, passed))
    assert redact("at /home/me by proxy:1 hunter22") == f"at /home/me by proxy:1 {MASK}"
