"""Complete words in Zsh and Fish."""

from __future__ import annotations

from click.shell_completion import CompletionItem, FishComplete, ShellComplete, ZshComplete


class _WholeWords(ShellComplete):
    """Completion in shells that replace a whole word, also one such as ``--sort=metrics.l``."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        found = super().get_completions(args, incomplete)
        option, equals, _ = incomplete.partition("=")
        if equals and option.startswith("--"):
            for item in found:
                item.value = option + equals + str(item.value)
        return found


class Zsh(_WholeWords, ZshComplete):
    """Completion in Zsh."""


class Fish(_WholeWords, FishComplete):
    """Completion in Fish, also of words with commas."""

    source_template = FishComplete.source_template.replace(
        'string split "," $completion', 'string split --max 1 "," $completion'
    )
