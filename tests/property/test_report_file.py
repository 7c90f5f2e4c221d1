"""A report of which most is copied from the last one is as if all of it had been rendered."""

import os
from contextlib import suppress
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from tests.property.test_folds import STORIES
from track.errors import EncodingError
from track.journals.file import FileJournal
from track.journals.producer import Producer
from track.persistence import report_file
from track.projections.objects import Objects
from track.projections.projection import catch_up
from track.projections.report import render_report


@given(st.lists(STORIES, max_size=4))
def test_copied_texts_are_those_of_the_trials(stories):
    """Whatever happens from one report to the next."""
    with TemporaryDirectory() as folder, patch.object(report_file, "SMALLEST", 0):
        path, objects = os.path.join(folder, "report"), Objects()
        journal = FileJournal(path + ".journal", "process")
        producer = Producer(journal)
        for story in stories:
            for stream, event in story:
                with suppress(EncodingError):  # as of a value that only others can have written
                    producer.record(stream, event)
            catch_up(objects, journal)
            with open(path + ".new", "w", encoding="ascii") as file:
                last = report_file.load_last_report(journal)
                report_file.write_next_report(file, path, objects, journal, last)
            os.replace(path + ".new", path)
            last = report_file.load_last_report(journal)
            assert last.tells(path, objects.position)
            assert not last.tells(path, objects.position + 1)
            with open(path, encoding="ascii") as file:
                assert file.read() == "".join(render_report(objects))
        journal.close()
