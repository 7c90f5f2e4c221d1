"""Provide the base of backends with a local spool and a remote journal."""

from __future__ import annotations

from typing import Any

from track.contents.store import ContentStore
from track.forwarding.contents import SpooledContents
from track.forwarding.forwarder import Forwarder
from track.forwarding.journal import ForwardingJournal
from track.forwarding.spool import Spool
from track.journals.journal import Journal
from track.persistence.journaled import JournaledProtocol
from track.persistence.uri_options import RemoteSettings


class ForwardedProtocol(JournaledProtocol):
    """A backend on a remote journal.

    Parameters
    ----------
    uri
        the URI as the user gave it
    forwarder
        sends what is logged to the remote journal
    strict, eager
        as for :class:`~track.persistence.journaled.JournaledProtocol`
    """

    def __init__(self, uri: str, forwarder: Forwarder, *, strict: bool, eager: bool) -> None:
        self.forwarder = forwarder
        super().__init__(ForwardingJournal(forwarder), strict=strict, eager=eager, uri=uri)
        self.content = forwarder.contents

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
            self.forwarder.drain_all()


def forwarder_to(
    far: Journal, contents: ContentStore, folder: str, settings: RemoteSettings
) -> Forwarder:
    """Return the forwarder of this process to a remote journal and its contents.

    Parameters
    ----------
    far, contents
        the remote journal and contents
    folder
        the folder for spools of the store
    settings
        the settings of the URI
    """
    spool = Spool(folder, settings.durability)
    return Forwarder(spool, far, settings.timeout_s, contents=SpooledContents(spool, contents))


def send_left_behind(forwarder: Forwarder) -> int:
    """Send the spools of dead processes and their contents, and return the number of events.

    Raises
    ------
    JournalUnreachable
        the server does not answer; nothing is lost
    """
    try:
        sent = forwarder.send_left_behind()
        if forwarder.contents is not None:
            forwarder.contents.send_all()
        return sent
    finally:
        forwarder.abandon()
