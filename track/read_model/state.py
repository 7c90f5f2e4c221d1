"""Keep the objects of a journal up to date, in memory and in a cache."""

from __future__ import annotations

import logging
from functools import partial
from itertools import count as count_up
from weakref import ref

from track.configuration import number
from track.containers.points import Points, Unusable
from track.containers.series import StepSeries
from track.journals.journal import Batch, Journal
from track.journals.stretches import Stretches
from track.projections.history import until
from track.projections.objects import Objects
from track.projections.projection import fold, gathered
from track.projections.stored import StoredObjects
from track.projections.trials import stream_of
from track.read_model.cache import Cache
from track.read_model.cache_format import Busy, Foreign, Moved

logger = logging.getLogger(__name__)

FEWEST_NEW_EVENTS = 4096
"""The default of the option ``cache.after``; fewer events are replayed as fast as they are kept."""

MOST_NEW_EVENTS = 2**17
"""The number of events after which the cache is written, so that memory need not hold them."""

_MOST_ATTEMPTS = 5
"""The number of times that another process may write the cache first, before this one gives up."""


class State:
    """Keeps all objects of a journal; callers must hold the owner's lock.

    If a cache has any problem, it is not used, and the reason is logged.

    Parameters
    ----------
    journal
        the journal of the events
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._fewest_new_events = number("cache.after", FEWEST_NEW_EVENTS)
        self.objects = Objects()
        self.stretches = Stretches()
        """The places of the events of each stream, up to the position of the objects."""
        self._kept: int | None = None
        """The number of events that the cache covers, None before it was loaded."""
        self._cache: Cache | None = None
        self._refused: str | None = None
        """The path of a file in place of the cache that is not ours and was warned of."""
        self._readers = 0
        self._is_folding = False

    def enter(self) -> Objects:
        """Bring the objects up to date and return them, to be read until :meth:`leave`."""
        for attempt in count_up():
            try:
                self._catch_up()
                break
            except Unusable as error:
                self._begin_again(error, is_last=attempt >= _MOST_ATTEMPTS)
            except BaseException:
                self._unpin()
                raise
        self._readers += 1
        return self.objects

    def leave(self) -> None:
        """End a use of the objects that :meth:`enter` began."""
        self._readers -= 1
        self._unpin()

    def is_used(self) -> bool:
        """Return whether the objects are being read, or brought up to date."""
        return self._readers > 0 or self._is_folding

    def _unpin(self) -> None:
        if self._cache is not None and not self._readers:
            self._cache.unpin()

    def forget(self) -> None:
        """Drop all objects, to start over."""
        self.objects, self.stretches = Objects(), Stretches()
        self._kept, self._readers = None, 0

    def release(self) -> None:
        """Close the cache; it is opened again on demand."""
        if self._cache is not None:
            self._cache.release()

    def _catch_up(self) -> None:
        if self._kept is None:
            self._load()
        cache, journal = self._cache, self.journal
        if cache is not None and isinstance(self.objects, StoredObjects):
            cache.pin()
        self._is_folding = True
        try:
            for batch in gathered(journal.read_batches(self.objects.position)):
                self._apply(batch)
                if self._new_events() >= MOST_NEW_EVENTS:
                    self._save()
            if self._new_events() >= self._fewest_new_events:
                self._save()
        finally:
            self._is_folding = False

    def _apply(self, batch: Batch) -> None:
        try:
            self.stretches.add(*batch)
            fold(self.objects, [batch])
        except Unusable:
            raise
        except BaseException:
            # Ctrl-C may end a fold in the middle of a batch, which must not be applied twice.
            self._start_over()
            raise

    def _new_events(self) -> int:
        return self.objects.events - (self._kept or 0)

    def _begin_again(self, error: Unusable, *, is_last: bool) -> None:
        """Start over from the cache that another process wrote, or from the first event."""
        cache = self._cache
        assert cache is not None
        logger.info("the cache %s is not used: %s", cache.path, error)
        if not isinstance(error, (Busy, Moved)):
            cache.discard()
        self._start_over()
        if is_last:
            self._kept = 0

    def _start_over(self) -> None:
        self.release()
        self.objects, self.stretches = Objects(), Stretches()
        self._kept, self._cache = None, None

    def _load(self) -> None:
        self._kept = 0
        source = self.journal.cache_source()
        path = None if source is None else source.cache_path()
        if source is None or path is None or path == self._refused:
            return
        self._cache = cache = Cache(path, partial(_replay, self.journal))
        this = ref(self)  # a weak reference, so that it is freed as soon as it is unused

        def recover(objects: Objects, error: Unusable) -> Objects:
            state = this()
            if state is None:
                raise error
            return state.recover(cache, objects, error)

        try:
            objects = cache.load(source.fingerprint, recover)
            if objects is not None:
                self.objects, self._kept = objects, objects.events
                self.stretches = Stretches(cache.stretches)
        except Foreign as error:
            self._refused, self._cache = path, None
            logger.warning("%s was not changed, and is not used as a cache: %s", path, error)
        except Unusable as error:
            logger.info("the cache %s is not used: %s", path, error)
            if not isinstance(error, Busy):
                cache.discard()

    def recover(self, cache: Cache, objects: Objects, error: Unusable) -> Objects:
        """Return all objects from the journal, as of the position of the given ones."""
        if self._is_folding:
            raise error
        logger.info("the cache %s is not used: %s", cache.path, error)
        if not isinstance(error, (Busy, Moved)):
            cache.discard()
        if cache is self._cache:
            self._cache, self._kept = None, None
        replayed = Objects()
        fold(replayed, until(self.journal.read_batches(), position=objects.position))
        return replayed

    def _save(self) -> None:
        """Write what is new to the cache, unless a reader is using it."""
        cache, source = self._cache, self.journal.cache_source()
        if cache is None or source is None or self._readers:
            return
        self._kept = self.objects.events
        cache.unpin()
        try:
            if source.is_damaged():
                raise Unusable("the journal is damaged, which a cache would hide")  # noqa: TRY301
            cache.save(self.objects, self.stretches, source.fingerprint)
        except Moved:
            raise
        except (Unusable, ValueError, TypeError, AttributeError) as error:
            logger.info("the cache %s was not written: %s", cache.path, error)
        if isinstance(self.objects, StoredObjects):
            cache.pin()


def _replay(journal: Journal, uid: str, name: str, position: int) -> Points | None:
    """Return the points of a metric of a trial, as of a position, from its events alone."""
    objects = Objects()
    fold(objects, until(journal.read_stream(stream_of(uid)), position=position))
    trial = objects.trials.get(uid) or objects.parts.get(stream_of(uid))
    series = None if trial is None else trial.metrics.get(name)
    return series.points() if isinstance(series, StepSeries) else None
