"""Check that each event arrives once and in order, even if connections fail and processes die."""

import shutil
import tempfile
from collections import defaultdict
from contextlib import suppress

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.flaky import FlakyJournal
from track.errors import JournalUnreachable
from track.events.types import MetricsLogged
from track.forwarding.forwarder import Forwarder
from track.forwarding.journal import ForwardingJournal
from track.forwarding.spool import Spool
from track.journals.producer import Producer


class ForwardingMachine(RuleBasedStateMachine):
    """Two clients of one remote journal log, drain, close and die, while connections fail.

    Nothing is sent in the background, so that every run is the same again.
    """

    @initialize(size=st.sampled_from([100, 1000, 2**22]))
    def begin(self, size):
        self.file_bytes = size
        self.folder = tempfile.mkdtemp()
        self.contents = []
        self.acknowledged = []
        self.logged = [set(), set()]
        self.clients = [self.open(), self.open()]

    def open(self):
        far = FlakyJournal(self.contents)
        journal = ForwardingJournal(
            Forwarder(Spool(self.folder, file_bytes=self.file_bytes), far, 30)
        )
        journal._spool.on_begin = None
        return far, journal, Producer(journal)

    @rule(which=st.integers(0, 1), count=st.integers(1, 8))
    def log(self, which, count):
        """Log a few events, which never fails."""
        _, _, producer = self.clients[which]
        for _ in range(count):
            number = len(self.acknowledged)
            producer.record(which, MetricsLogged(number, {}, None))
            self.acknowledged.append(number)
            self.logged[which].add(number)

    @rule(which=st.integers(0, 1))
    def decide(self, which):
        """Record an event in an exclusive section; if that fails, its outcome is unknown."""
        far, journal, producer = self.clients[which]
        faults = far.away or far.fail_before or far.fail_after
        try:
            with journal.exclusive():
                assert self.arrived() >= self.logged[which]
                number = len(self.acknowledged)
                producer.record(which, MetricsLogged(number, {}, None))
        except JournalUnreachable:
            assert faults
            if number_is_there := {len(self.acknowledged)} & self.arrived():
                self.acknowledged += number_is_there
            else:
                self.acknowledged.append(None)
        else:
            self.acknowledged.append(number)

    @rule(which=st.integers(0, 1), name=st.sampled_from(["fail_before", "fail_after"]))
    def fail(self, which, name):
        """Lose the connection in one of the next appends."""
        setattr(self.clients[which][0], name, 1)

    @rule(which=st.integers(0, 1), away=st.booleans())
    def go_away(self, which, away):
        """Refuse everything, or accept it again."""
        self.clients[which][0].away = away

    @rule(which=st.integers(0, 1))
    def drain(self, which):
        """Once draining succeeds, everything has arrived."""
        far, journal, _ = self.clients[which]
        faults = far.away or far.fail_before or far.fail_after
        try:
            journal.forwarder.drain_all()
        except JournalUnreachable:
            assert faults
        else:
            assert journal._spool.is_empty
            assert self.arrived() >= self.logged[which]

    @rule(which=st.integers(0, 1))
    def send_some(self, which):
        """Send a batch, as the thread would."""
        _, journal, _ = self.clients[which]
        try:
            journal.forwarder._send_batch()
        except JournalUnreachable:
            assert not journal._spool.is_empty

    @rule(which=st.integers(0, 1), kindly=st.booleans())
    def end(self, which, kindly):
        """Close or kill a client, and replace it by another one."""
        _, journal, _ = self.clients[which]
        if kindly:
            with suppress(JournalUnreachable):
                journal.close()
        else:
            journal.forwarder.is_closed = True
            journal._spool.current = None
            journal._spool._release()
        self.clients[which] = self.open()
        self.logged[which] = set()

    def events(self):
        far = FlakyJournal(self.contents)
        return [(recorded.producer, recorded.event.step) for recorded in far.read()]

    def arrived(self):
        return {step for _, step in self.events()}

    @invariant()
    def nothing_is_invented_or_repeated(self):
        """Everything that arrived was logged, arrived once, and is in order for each producer."""
        steps = [step for _, step in self.events()]
        assert len(set(steps)) == len(steps)
        assert set(steps) <= set(self.acknowledged)
        by_producer = defaultdict(list)
        for producer, step in self.events():
            by_producer[producer].append(step)
        for found in by_producer.values():
            assert found == sorted(found)

    def teardown(self):
        for far, journal, _ in self.clients:
            far.away, far.fail_before, far.fail_after = False, 0, 0
            journal.close()
        last = self.open()[1]
        last.close()
        assert self.arrived() == {step for step in self.acknowledged if step is not None}
        shutil.rmtree(self.folder)


TestForwarding = ForwardingMachine.TestCase
if settings.default.max_examples <= 50:  # the profile of every day
    TestForwarding.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
