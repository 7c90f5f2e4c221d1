"""Create the tables of the SQL journal, and find the number of a log (``docs/format.md``)."""

from __future__ import annotations

from random import SystemRandom

from psycopg2 import errors

from track.errors import JournalError, NewerFormat
from track.journals.sql.session import Session

PART_BYTES = 2**20
"""The longest value of a column. Longer values are split, since clusters handle them badly."""

VERSION = 4
"""The version of the tables."""

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS schema_version (
        version INT8 NOT NULL,
        CONSTRAINT schema_version_key PRIMARY KEY (version)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS logs (
        log INT4 NOT NULL,
        name VARCHAR(255) NOT NULL,
        head INT8 NOT NULL DEFAULT 0,
        decided INT8 NOT NULL DEFAULT 0,
        CONSTRAINT logs_key PRIMARY KEY (log),
        CONSTRAINT logs_named_once UNIQUE (name),
        CONSTRAINT logs_head_counts CHECK (head >= 0)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS locks (
        log INT4 NOT NULL,
        name VARCHAR(16) NOT NULL,
        CONSTRAINT locks_key PRIMARY KEY (log, name)
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS producers (
        log INT4 NOT NULL,
        producer INT8 NOT NULL,
        first_sequence INT8 NOT NULL,
        last_sequence INT8 NOT NULL,
        CONSTRAINT producers_key PRIMARY KEY (log, producer)
    )
    """,
    f"""
    CREATE TABLE IF NOT EXISTS events (
        position INT8 NOT NULL,
        stream INT8,
        at INT8,
        log INT4 NOT NULL,
        kind INT2,
        parts INT2 NOT NULL,
        data BYTEA NOT NULL,
        CONSTRAINT events_key PRIMARY KEY (log, position),
        CONSTRAINT events_data_fits CHECK (octet_length(data) <= {PART_BYTES})
    )
    """,
    "CREATE INDEX IF NOT EXISTS events_of_stream ON events (stream, position)",
    f"""
    CREATE TABLE IF NOT EXISTS event_parts (
        log INT4 NOT NULL,
        position INT8 NOT NULL,
        part INT8 NOT NULL,
        data BYTEA NOT NULL,
        CONSTRAINT event_parts_key PRIMARY KEY (log, position, part),
        CONSTRAINT event_parts_data_fits CHECK (octet_length(data) <= {PART_BYTES})
    )
    """,
    f"""
    CREATE TABLE IF NOT EXISTS contents (
        log INT4 NOT NULL,
        digest BYTEA NOT NULL,
        data BYTEA NOT NULL,
        CONSTRAINT contents_key PRIMARY KEY (log, digest),
        CONSTRAINT contents_data_fits CHECK (octet_length(data) <= {PART_BYTES})
    )
    """,
)
"""The statements that create the tables. Each may run twice, since another client may run them at
the same time, or may have been stopped in the middle.

The columns of events are ordered by width, because PostgreSQL would fill the gaps between others.
The index of streams leaves out the log, as streams are random numbers: its pages are then twice as
full, because PostgreSQL notices that each stream only grows.
"""

_NOTE_VERSION = (
    "INSERT INTO schema_version (version) VALUES (%(version)s) ON CONFLICT (version) DO NOTHING"
)

DECIDE, APPEND = "decide", "append"
"""The names of rows that are only locked, never changed, so that waiters take turns."""

_FIND_LOG = """
    SELECT max(version), (
        SELECT logs.log FROM logs JOIN locks ON locks.log = logs.log
        WHERE logs.name = %(name)s GROUP BY logs.log HAVING count(*) = 2
    ) FROM schema_version
"""
_KNOW_LOG = (
    "INSERT INTO logs (log, name) VALUES (%(log)s, %(name)s) ON CONFLICT DO NOTHING",
    """
    INSERT INTO locks (log, name)
    SELECT logs.log, d.name FROM logs, (VALUES (%(append)s), (%(decide)s)) AS d (name)
    WHERE logs.name = %(name)s ON CONFLICT (log, name) DO NOTHING
    """,
)
"""The locks come last, so a log that has them also has a head."""

_MOST_LOGS = 2**31

_MADE_MEANWHILE = (errors.UniqueViolation, errors.DuplicateTable, errors.DuplicateObject)
"""PostgreSQL's errors if two clients create a table at once, even with IF NOT EXISTS."""


def prepare(session: Session, name: str) -> int:
    """Create the tables and a log in them where they are missing, and return its number.

    Raises
    ------
    JournalError
        another version of the package has made the tables
    psycopg2.Error
        the tables cannot be created
    """
    version, log = _look(session, name)
    if not version:
        for statement in TABLES:
            _make(session, statement)
        session.execute(_NOTE_VERSION, version=VERSION)
    while log is None:
        # A number is drawn by lot, so that the number of a deleted log is not used again.
        number = SystemRandom().randrange(1, _MOST_LOGS)
        for statement in _KNOW_LOG:
            session.execute(statement, log=number, name=name, append=APPEND, decide=DECIDE)
        _, log = _look(session, name)
    return log


def find(session: Session, name: str) -> int | None:
    """Return the number of a log, None where there is none, without creating anything.

    Raises
    ------
    JournalError
        another version of the package has made the tables
    """
    return _look(session, name)[1]


def _look(session: Session, name: str) -> tuple[int, int | None]:
    """Return the version of the tables, 0 where some are missing, and the number of a log."""
    try:
        ((version, log),) = session.execute(_FIND_LOG, name=name)
    except errors.UndefinedTable:
        return 0, None
    except errors.UndefinedColumn:
        ((version,),) = session.execute("SELECT max(version) FROM schema_version")
        if version is None:  # they are tables of another program
            raise
        log = None
    if (version or 0) > VERSION:
        raise NewerFormat(
            f"the tables of the database have version {version}, but this version of Track reads "
            f"version {VERSION}: upgrade the package 'track-journal'"
        )
    if 0 < (version or 0) < VERSION:
        raise JournalError(
            f"the tables of the database have version {version}, but this version of Track reads "
            f"version {VERSION}: copy each log to a file (track copy) with the version of Track "
            "that made them, drop the tables, and copy the files back"
        )
    return version or 0, log


def _make(session: Session, statement: str) -> None:
    try:
        session.execute(statement)
    except _MADE_MEANWHILE:
        session.execute(statement)  # it finds what the other client created
