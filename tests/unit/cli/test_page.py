"""The reference of the command line is what its verbs say of themselves."""

from tools.make_cli_page import PAGE, page


def test_the_page_is_that_of_the_verbs():
    """Otherwise: python tools/make_cli_page.py."""
    assert PAGE.read_text(encoding="utf-8") == page()
