"""Provide what backends behind a server share: a spool here, and the journal there."""

from __future__ import annotations

from typing import Any

from track.journals.forwarding import Forwarder, ForwardingJournal
from track.journals.journal import Journal
from track.journals.spool import Spool
from track.persistence.journaled import JournaledProtocol
from track.persistence.uri_options import RemoteSettings


class ForwardedProtocol(JournaledProtocol):
    """Storage on a journal far away.

    Parameters
    ----------
    uri
        as the user gave it
    forwarding
        the journal, behind the spool where what is logged waits for it
    strict, eager
        as of :class:`~track.persistence.journaled.JournaledProtocol`
    """

    def __init__(
        self,
        uri: str,
        forwarding: ForwardingJournal,
        *,
        strict: bool,
        eager: bool,
    ) -> None:
        self.forwarding = forwarding
        super().__init__(self.forwarding, strict=strict, eager=eager, uri=uri)

    def commit(self, file_name_override: str | None = None, **kwargs: Any) -> None:
        """Return once the server has everything, also what dead processes left behind here.

        Parameters
        ----------
        file_name_override
            write the report to a file of this machine, too

        Raises
        ------
        JournalUnreachable
            it does not answer; the message says where everything is kept
        """
        with self.producer.busy():  # a signal handler that wants to end a trial waits its turn
            super().commit(
                file_name_override, **kwargs
            )  # what waited in memory is in the spool now
            self.forwarding.drain()


def send_left_behind(spool: Spool, far: Journal, settings: RemoteSettings) -> int:
    """Send what processes that are gone could not send, and return how many events that were.

    Raises
    ------
    JournalUnreachable
        the server does not answer; nothing is lost
    """
    forwarder = Forwarder(spool, far, settings.timeout_s)
    try:
        return forwarder.send_left_behind()
    finally:
        forwarder.abandon()
