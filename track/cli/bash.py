"""Complete words in Bash."""

from __future__ import annotations

import os
import re
import shlex

from click.shell_completion import BashComplete, CompletionItem, split_arg_string


class Bash(BashComplete):
    """Completion in Bash, which inserts texts as they are, and cuts words at ``=``, ``:`` and more.

    Bash replaces only the part of a word behind the last of these characters, or behind the quote
    that is open. So the beginning of the word is left out of what is inserted, and what the shell
    would take for more than text is quoted.
    """

    source_template = """\
%(complete_func)s() {
    local type value
    COMPREPLY=()
    while IFS=, read -r type value; do
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(env COMP_LINE="${COMP_LINE:0:COMP_POINT}" %(complete_var)s=bash_complete "$1")
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""

    def get_completion_args(self) -> tuple[list[str], str]:
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)[1:]
        return (words[:-1], words[-1]) if _last_word(line)[0] else (words, "")

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        word, opened = _last_word(os.environ["COMP_LINE"])
        found = super().get_completions(args, incomplete)
        for item in found:
            item.value = _inserted(item.value, word, opened) if item.type == "plain" else item.value
        return [item for item in found if item.value]


def _last_word(line: str) -> tuple[str, int | None]:
    """Return the last word of a line as it was typed, and where in it a quote is open."""
    begin, opened, quote, is_escaped = 0, 0, "", False
    for index, character in enumerate(line):
        if is_escaped:
            is_escaped = False
        elif character == "\\" and quote != "'":
            is_escaped = True
        elif quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            opened, quote = index, character
        elif character.isspace():
            begin = index + 1
    return line[begin:], opened - begin if quote else None


def _inserted(value: str, word: str, opened: int | None) -> str:
    """Return what Bash is to insert for a value, nothing if it cannot complete the word."""
    if opened is not None:
        if opened > 0:
            return ""
        if word[0] == "'":
            return value.replace("'", "'\\''")
        return re.sub(r'[\\"$`]', r"\\\g<0>", value)
    quoted = shlex.quote(value)
    kept = re.match(r"""(?:.*[=:<>;|&(@"'])?""", word, re.DOTALL)
    before = kept[0] if kept else ""
    if value.startswith(before):
        return quoted[len(before) :] if quoted == value or not before else ""
    return quoted if before.startswith("--") and before.endswith("=") else ""
