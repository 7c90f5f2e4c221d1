"""Captured output in the view of a trial."""

from playwright.sync_api import expect

AT = 1_700_000_000 * 10**9


def test_output_is_text_and_grows(look, logging):
    """Never markup; a progress bar is one line, and the end stays in sight."""
    url, trial = logging
    tab = look(url)
    tab.allowed = "Blocked script execution"  # of a medium in HTML
    page = tab.go(f"#/trial/{trial.uid}")
    lines = page.locator(".output-text")
    expect(lines).to_have_text(["<b>one", "␛[31m10%", "… 7 lines left out"])
    trial.protocol.log_trial_output(trial.trial, [[AT, 2, "100%\n"]])
    expect(lines).to_have_text(["<b>one", "… 7 lines left out", "100%"])
    many = [[AT, 1, f"line {number}\n"] for number in range(2500)]
    trial.protocol.log_trial_output(trial.trial, many)
    expect(lines).to_have_count(2000)
    expect(lines.last).to_have_text("line 2499")
    page.locator(".output-lines").scroll_into_view_if_needed()
    expect(lines.last).to_be_in_viewport()
    expect(page.get_by_text("track output prints the 503 before them")).to_be_visible()


def test_a_trial_that_printed_nothing_says_nothing(look, small):
    """No empty section."""
    page = look(small).go("#/trials")
    page.locator(".grid-body .cell-name a").first.click()
    expect(page.get_by_role("heading", name="Parameters")).to_be_visible()
    expect(page.get_by_role("heading", name="Output")).to_have_count(0)
