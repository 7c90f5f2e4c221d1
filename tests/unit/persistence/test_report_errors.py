"""A report that cannot be written costs nothing but itself."""

import errno
import os
from contextlib import contextmanager
from pathlib import Path

import pytest

from track import Project, Status, TrackClient
from track.errors import ReportWriteError
from track.persistence import get_protocol


@contextmanager
def full_disk():
    """Have every write of a report fail as on a full disk."""

    def fail(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("track.persistence.storage.os.fsync", fail)
        yield


def test_a_report_that_cannot_be_written_leaves_the_old_one_and_says_so():
    """The error names the report, and everything logged is still in the journal."""
    store = get_protocol("file:report.json")
    store.new_project(Project(name="p"))
    before = Path("report.json").read_text()
    with full_disk(), pytest.raises(ReportWriteError, match=r"report\.json.*No space.*journal"):
        store.commit()
    assert Path("report.json").read_text() == before
    assert not Path(".report.json.tmp").exists()
    store.commit()
    assert '"p"' in Path("report.json").read_text()


def test_the_end_of_a_trial_says_that_its_report_was_not_written():
    """The trial is completed all the same, and saving again works."""
    client = TrackClient("file:report.json")
    trial = client.new_trial(parameters={})
    with full_disk(), pytest.raises(ReportWriteError), trial:
        trial.log_metrics(loss=1.0)
    assert client.trial.status is Status.Completed
    client.save()
    assert "302" in Path("report.json").read_text()


def test_a_report_that_cannot_be_written_is_a_warning_where_errors_are(monkeypatch, told):
    """Under log.on_error = warn the end of a training does not fail for want of a report."""
    monkeypatch.setenv("TRACK_LOG_ON_ERROR", "warn")
    client = TrackClient("file:report.json")
    trial = client.new_trial(parameters={})
    with full_disk(), trial:
        trial.log_metrics(loss=1.0)
    assert client.trial.status is Status.Completed
    assert "cannot write the report" in told[0]
