"""Mask secrets in command lines and errors before they are recorded.

The last words of an option decide, so ``--hf-token`` is a secret while ``--tokenizer``,
``--max-tokens`` and ``--token-type`` are not. A value is a secret by its form.
"""

from __future__ import annotations

import re

HIDDEN = "***"

_SECRET = frozenset(
    (
        *("accesskey", "accesstoken", "apikey", "auth", "authtoken", "credential", "credentials"),
        *("pass", "passphrase", "passwd", "password", "passwort", "pw", "pwd"),
        *("secret", "secretkey", "secrets", "token"),
    )
)
_KEY = frozenset(["access", "account", "api", "auth", "encryption", "private", "secret", "signing"])
"""Words before ``key`` that mean a secret."""

_FLAG = frozenset(["disable", "enable", "has", "is", "no", "skip", "use", "with", "without"])
"""First words of boolean options."""

_OF_TEXT = frozenset(
    ("bos", "cls", "end", "eos", "image", "mask", "pad", "sep", "special", "start", "stop", "unk")
)
"""Words before ``token`` that mean a part of a text."""

_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_NAME = r"[A-Za-z_][\w.\-]{0,80}"
_OPTION = re.compile(rf"(?:-{{1,2}}|\+{{0,2}}){_NAME}")

_USER_INFO = re.compile(r"(?<=://)[^/@\s]{0,200}:[^/@\s]{0,200}(?=@)")
_QUERY = re.compile(rf"(?<=[?&])({_NAME})=[^&#\s'\"]+")
_QUOTED = re.compile(
    rf"""(?P<name>["']?--{_NAME}["']\s?,|{_NAME}["']?\s?[:=])\s?(?P<quote>["'])[^"'\n]+(?P=quote)"""
)
_FORMS = re.compile(
    r"""(?<![A-Za-z0-9])(?:
      sk-(?=[\w-]{0,99}\d)[\w-]{20,}                # OpenAI, Anthropic
    | [srp]k_(?:live|test)_\w{16,}             # Stripe
    | gh[pousr]_\w{20,} | github_pat_\w{20,}   # GitHub
    | glpat-[\w-]{16,}                         # GitLab
    | hf_[A-Za-z0-9]{20,}                      # Hugging Face
    | xox[a-z]-[\w-]{10,}                      # Slack
    | A[KS]IA[A-Z0-9]{16}\b                    # Amazon
    | AIza[\w-]{30,}                           # Google
    | eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*          # JSON Web Tokens
    | (?<=[Bb]earer\s)[\w.+/=~-]{8,} | (?<=[Bb]asic\s)[\w+/=]{8,}
    )""",
    re.VERBOSE,
)
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[^-]*(?:-----END[^-]*-----)?")


def hide_secrets(command: list[str]) -> list[str]:
    """Return a command line without secrets, recognised by options or values."""
    shown, hide_next = [], False
    for argument in command:
        name, equals, _ = argument.partition("=")
        is_option = bool(_OPTION.fullmatch(name))
        is_secret = is_option and names_a_secret(name)
        if hide_next and not (is_option and name.startswith("--")):
            shown.append(HIDDEN)
        elif is_secret and equals:
            shown.append(f"{name}={HIDDEN}")
        else:
            shown.append(hide_in_text(argument))
        hide_next = is_secret and not equals and argument.startswith("-")
    return shown


def names_a_secret(name: str) -> bool:
    """Return whether the name of an option or a variable means a secret."""
    words = [word.lower() for word in _WORD.findall(name)] or [""]
    before = words[-2] if len(words) > 1 else ""
    if words[-1] == "key":
        return before in _KEY
    if words[-1] not in _SECRET or words[0] in _FLAG:
        return False
    return not (words[-1] == "token" and before in _OF_TEXT)


def hide_in_text(text: str) -> str:
    """Return a text without passwords in URIs, named secrets, and keys of known forms.

    Secrets with neither a name nor a known form cannot be found.
    """
    text = _USER_INFO.sub(HIDDEN, text)
    text = _QUERY.sub(_hide_value, text)
    text = _QUOTED.sub(_hide_quoted, text)
    return _FORMS.sub(HIDDEN, _PRIVATE_KEY.sub(HIDDEN, text))


def _hide_value(found: re.Match[str]) -> str:
    name = found[1]
    is_secret = names_a_secret(name) or name.lower() in ("sig", "signature")
    return f"{name}={HIDDEN}" if is_secret else found[0]


def _hide_quoted(found: re.Match[str]) -> str:
    if not names_a_secret(found["name"]):
        return found[0]
    quote = found["quote"]
    return found[0].partition(found["name"])[1] + f" {quote}{HIDDEN}{quote}"
