"""Create and migrate the tables of the SQL journal (``docs/format.md``)."""

from __future__ import annotations

from psycopg2 import errors

from track.errors import NewerFormat
from track.journals.sql.session import Session

PART_BYTES = 2**20
"""The longest value of a column. Longer values are split, since clusters handle them badly."""

_MIGRATIONS = (
    (
        """
        CREATE TABLE IF NOT EXISTS logs (
            log VARCHAR(255) NOT NULL,
            head INT8 NOT NULL DEFAULT 0,
            decided INT8 NOT NULL DEFAULT 0,
            CONSTRAINT logs_key PRIMARY KEY (log),
            CONSTRAINT logs_head_counts CHECK (head >= 0)
        )
        """,
        """
        CREATE TABLE IF NOT EXISTS locks (
            log VARCHAR(255) NOT NULL,
            name VARCHAR(16) NOT NULL,
            CONSTRAINT locks_key PRIMARY KEY (log, name)
        )
        """,
        f"""
        CREATE TABLE IF NOT EXISTS events (
            position INT8 NOT NULL,
            stream INT8,
            producer INT8,
            sequence INT8,
            at INT8,
            kind INT2,
            parts INT2 NOT NULL,
            log VARCHAR(255) NOT NULL,
            data BYTEA NOT NULL,
            CONSTRAINT events_key PRIMARY KEY (log, position),
            CONSTRAINT events_once UNIQUE (log, producer, sequence),
            CONSTRAINT events_data_fits CHECK (octet_length(data) <= {PART_BYTES})
        )
        """,
        f"""
        CREATE TABLE IF NOT EXISTS event_parts (
            log VARCHAR(255) NOT NULL,
            position INT8 NOT NULL,
            part INT8 NOT NULL,
            data BYTEA NOT NULL,
            CONSTRAINT event_parts_key PRIMARY KEY (log, position, part),
            CONSTRAINT event_parts_data_fits CHECK (octet_length(data) <= {PART_BYTES})
        )
        """,
    ),
    ("CREATE INDEX IF NOT EXISTS events_of_stream ON events (log, stream, position)",),
    (
        f"""
        CREATE TABLE IF NOT EXISTS contents (
            log VARCHAR(255) NOT NULL,
            digest BYTEA NOT NULL,
            data BYTEA NOT NULL,
            CONSTRAINT contents_key PRIMARY KEY (log, digest),
            CONSTRAINT contents_data_fits CHECK (octet_length(data) <= {PART_BYTES})
        )
        """,
    ),
)
"""The statements that upgrade each version to the next. Each may run twice, since another client
may run them at the same time, or may have been stopped in the middle.

The columns of events are ordered by width: PostgreSQL would fill the gaps between others with 12
bytes a row. Older tables have them in another order, and ``kind`` and ``parts`` in 8 bytes, which
makes no difference to any statement."""

VERSION = len(_MIGRATIONS)

_MAKE_VERSIONS = """
    CREATE TABLE IF NOT EXISTS schema_version (
        version INT8 NOT NULL,
        CONSTRAINT schema_version_key PRIMARY KEY (version)
    )
"""

DECIDE, APPEND = "decide", "append"
"""The names of rows that are only locked, never changed, so that waiters take turns."""

_KNOW_LOG = (
    "INSERT INTO logs (log) VALUES (%(log)s) ON CONFLICT (log) DO NOTHING",
    """
    INSERT INTO locks (log, name) VALUES (%(log)s, %(append)s), (%(log)s, %(decide)s)
    ON CONFLICT (log, name) DO NOTHING
    """,
)
"""The locks come last, so a log that has them also has a head."""

_MADE_MEANWHILE = (errors.UniqueViolation, errors.DuplicateTable, errors.DuplicateObject)
"""PostgreSQL's errors if two clients create a table at once, even with IF NOT EXISTS."""


def prepare(session: Session, log: str) -> None:
    """Create or upgrade the tables, and create a log in them.

    Raises
    ------
    NewerFormat
        a newer version of the package has upgraded the tables
    psycopg2.Error
        the tables cannot be created
    """
    found, is_known = _look(session, log)
    if found < VERSION:
        _make(session, _MAKE_VERSIONS)
    for version, statements in enumerate(_MIGRATIONS[found:], found + 1):
        for statement in statements:
            _make(session, statement)
        session.execute(
            "INSERT INTO schema_version (version) VALUES (%(version)s) "
            "ON CONFLICT (version) DO NOTHING",
            version=version,
        )
    for statement in () if is_known else _KNOW_LOG:
        session.execute(statement, log=log, append=APPEND, decide=DECIDE)


def is_there(session: Session, log: str) -> bool:
    """Return whether the tables exist and have a log, without creating anything.

    Raises
    ------
    NewerFormat
        a newer version of the package has upgraded the tables
    """
    return _look(session, log)[1]


def _look(session: Session, log: str) -> tuple[int, bool]:
    """Return the version of the tables, 0 where some are missing, and whether they have a log."""
    try:
        rows = session.execute(
            "SELECT max(version), (SELECT count(*) FROM locks WHERE log = %(log)s) "
            "FROM schema_version",
            log=log,
        )
    except errors.UndefinedTable:
        return 0, False
    found, locks = rows[0]
    if (found or 0) > VERSION:
        raise NewerFormat(
            f"the tables of the database have version {found}, but this version of Track reads up "
            f"to {VERSION}: upgrade the package 'track-journal'"
        )
    return found or 0, locks == len((APPEND, DECIDE))


def _make(session: Session, statement: str) -> None:
    try:
        session.execute(statement)
    except _MADE_MEANWHILE:
        session.execute(statement)  # it finds what the other client created
