"""Secrets of a command line and of errors: what is left out, and what is not."""

import pytest

from track.provenance.masking import hide_in_text, hide_secrets, names_a_secret

KEY = "A1b2C3d4E5f6G7h8I9j0K1l2"  # of no service in particular


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (["train.py", "--lr", "0.1"], ["train.py", "--lr", "0.1"]),
        (["x", "--password", "hunter2", "a"], ["x", "--password", "***", "a"]),
        (["x", "--db-password=hunter2"], ["x", "--db-password=***"]),
        (["x", "--api-key", "k", "--api_key=k"], ["x", "--api-key", "***", "--api_key=***"]),
        (["x", "TOKEN=abc", "--hf-token", "t"], ["x", "TOKEN=***", "--hf-token", "***"]),
        (["x", "postgres://me:pw@host/db"], ["x", "postgres://***@host/db"]),
        (["x", "--store=socket://me:pw@host:1"], ["x", "--store=socket://***@host:1"]),
        (["x", "token", "value"], ["x", "token", "value"]),
        (["x", "--use-auth", "train.csv"], ["x", "--use-auth", "train.csv"]),
        (["x", "--token", "--lr", "1"], ["x", "--token", "--lr", "1"]),
        (["x", "+db.password=x", "dbPassword=x"], ["x", "+db.password=***", "dbPassword=***"]),
        (["data/token=3/part.csv"], ["data/token=3/part.csv"]),
        ([], []),
    ],
)
def test_secrets_of_the_command_line_are_left_out(command, shown):
    """They would be in every copy of the journal."""
    assert hide_secrets(command) == shown


@pytest.mark.parametrize(
    "option",
    [
        *("--tokenizer", "--max-tokens", "--num_tokens", "--author", "--authors", "--passes"),
        *("--token-type", "--pad-token", "--eos_token", "--password-file", "--key", "--sort-key"),
        *("--secretary", "--no-auth", "--keyboard", "--monkey", "--compass", "--bypass", "lr"),
    ],
)
def test_harmless_options_are_shown(option):
    """A command without them cannot be repeated."""
    assert hide_secrets(["train.py", option, "bert", "4096"]) == [
        "train.py",
        option,
        "bert",
        "4096",
    ]
    assert hide_secrets([f"{option}=bert"]) == [f"{option}=bert"]


@pytest.mark.parametrize(
    "option",
    [
        *("--token", "--hf-token", "--auth-token", "--accessToken", "--password", "--db_passwd"),
        *("--client-secret", "--api-key", "--apiKey", "--apikey", "--secret-access-key", "--auth"),
        *("--private-key", "--credentials", "--wandb.api_key", "-password", "--PASS", "--pwd"),
    ],
)
def test_secret_options_are_hidden(option):
    """However their names are written."""
    assert hide_secrets(["x", option, "hunter2", "y"]) == ["x", option, "***", "y"]
    assert hide_secrets([f"{option}=hunter2"]) == [f"{option}=***"]


@pytest.mark.parametrize(
    "secret",
    [
        *(f"sk-{KEY}", f"sk-ant-api03-{KEY}", f"ghp_{KEY}", f"github_pat_{KEY}", f"hf_{KEY}"),
        *(f"glpat-{KEY}", "xoxb-123456789012-abc", "AKIA" + "ABCD" * 4, f"AIza{KEY}{KEY}"),
        *(f"eyJhbGciOiJIUzI1NiJ9.{KEY}.{KEY}", f"sk_live_{KEY}"),
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_values_that_look_like_keys_are_hidden(secret):
    """Whatever they are given to; what is around them stays."""
    assert hide_secrets(["x", secret, "--key", secret]) == ["x", "***", "--key", "***"]
    assert hide_in_text(f"401 for {secret}: denied") == "401 for ***: denied"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET https://me:pw@host/a?b=1", "GET https://***@host/a?b=1"),
        ("https://host/a?b=1&token=abc&c=2", "https://host/a?b=1&token=***&c=2"),
        ("Authorization: Bearer abcdefgh123", "Authorization: Bearer ***"),
        ("connect(user='me', password='x y')", "connect(user='me', password= '***')"),
        ('{"api_key": "abc", "model": "m"}', '{"api_key": "***", "model": "m"}'),
        ("Command '['x', '--token', 'abc', 'y']'", "Command '['x', '--token', '***', 'y']'"),
    ],
)
def test_secrets_in_texts_are_hidden(text, shown):
    """As errors have them."""
    assert hide_in_text(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "SyntaxError: invalid token 'x'",
        "sk-learn-random-forest-classifier",
        "commit 0123456789abcdef0123456789abcdef01234567",
        "eyJ.not.enough",
        "KeyError: 'password'",
        "tokenizer: 'bert', max_tokens: '4096'",
        "https://host:8080/path?tokens=3",
        "a@b.example wrote: key='x'",
    ],
)
def test_harmless_texts_stay(text):
    """An error that cannot be read helps nobody."""
    assert hide_in_text(text) == text


@pytest.mark.parametrize(
    "piece", ["a", "--a", "://", "eyJ", "sk-", "a.", "?a=", '"', "-----BEGIN "]
)
def test_a_long_text_takes_no_time(piece):
    """A pattern that tries everything would stop a training at its end."""
    assert hide_in_text("://" + piece * 20_000) is not None


def test_a_name_without_words_is_no_secret():
    """It says nothing."""
    assert not names_a_secret("--")
