"""Provide the base of backends with a local spool and a remote journal."""

from __future__ import annotations

from typing import Any

from track.contents.spooled import SpooledContents
from track.journals.forwarder import Forwarder
from track.journals.forwarding import ForwardingJournal
from track.journals.journal import Journal
from track.persistence.journaled import JournaledProtocol
from track.persistence.uri_options import RemoteSettings


class ForwardedProtocol(JournaledProtocol):
    """A backend on a remote journal.

    Parameters
    ----------
    uri
        the URI as the user gave it
    forwarding
        the remote journal behind its spool
    content
        the contents beside that spool
    strict, eager
        as for :class:`~track.persistence.journaled.JournaledProtocol`
    """

    def __init__(
        self,
        uri: str,
        forwarding: ForwardingJournal,
        content: SpooledContents,
        *,
        strict: bool,
        eager: bool,
    ) -> None:
        self.forwarding = forwarding
        super().__init__(self.forwarding, strict=strict, eager=eager, uri=uri)
        self.content = content

    def commit(self, file_name_override: str | None = None, **kwargs: Any) -> None:
        """Wait until the server has everything, including the spools of dead processes.

        Parameters
        ----------
        file_name_override
            write the report to this local path, too

        Raises
        ------
        JournalUnreachable
            the server does not answer; the message names the spool
        """
        with self.producer.busy():  # a signal handler that ends a trial must wait
            super().commit(file_name_override, **kwargs)  # moves events from memory to the spool
            self.forwarding.drain()


def send_left_behind(content: SpooledContents, far: Journal, settings: RemoteSettings) -> int:
    """Send the spools of dead processes and their contents, and return the number of events.

    Raises
    ------
    JournalUnreachable
        the server does not answer; nothing is lost
    """
    forwarder = Forwarder(content.spool, far, settings.timeout_s, contents=content)
    try:
        sent = forwarder.send_left_behind()
        forwarder.drain_contents()
        return sent
    finally:
        forwarder.abandon()
