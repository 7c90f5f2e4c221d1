"""What every backend promises about archived trials."""

import pytest

from track import TrackClient
from track.errors import TrialDoesNotExist
from track.structure import Trial


class ArchivingContract:
    """The suite."""

    def test_an_archived_trial_is_in_no_listing(self, store):
        """It is back in its old place after it is restored."""
        client = TrackClient(store)
        client.set_project(name="p")
        client.set_group(name="g")
        uids = []
        for number in range(3):
            trial = client.new_trial(force=True, parameters={"n": number})
            store.add_group_trial(client.group, trial.trial)
            uids.append(trial.trial.uid)
        middle = Trial()
        middle.uid = uids[1]

        def shown():
            (project,), (group,) = store.fetch_projects(), store.fetch_groups()
            return (
                [trial.uid for trial in store.fetch_trials()],
                sorted(trial.uid for trial in project.trials),
                sorted(group.trials),
            )

        everything = uids, sorted(uids), sorted(uids)
        assert shown() == everything
        store.archive_trial(middle)
        rest = [uids[0], uids[2]]
        assert shown() == (rest, sorted(rest), sorted(rest))
        assert store.get_trial(middle) is None
        assert store.fetch_trials({"uid": uids[1]}) == []
        assert [trial.uid for trial in store.fetch_archived_trials()] == [uids[1]]
        assert store.fetch_archived_trials({"uid": uids[0]}) == []
        store.log_trial_metadata(middle, note="late")
        store.archive_trial(middle)
        store.restore_trial(middle)
        store.restore_trial(middle)
        assert shown() == everything
        assert store.get_trial(middle)[0].metadata["note"] == "late"
        assert store.fetch_archived_trials() == []

    def test_the_uid_of_an_archived_trial_is_taken(self, store):
        """An equal trial becomes the next revision."""
        store.new_trial(Trial(_hash="a"))
        store.archive_trial(Trial(_hash="a"))
        assert store.new_trial(Trial(_hash="a")) is None
        assert store.new_trial(Trial(_hash="a"), auto_increment=True).revision == 1
        assert [trial.revision for trial in store.get_trial(Trial(_hash="a", revision=1))] == [1]

    def test_a_trial_that_runs_may_be_archived(self, store):
        """Its logger continues, and shows what it logged."""
        trial = TrackClient(store).new_trial(parameters={"n": 1})
        trial.log_metrics(step=0, loss=1.0)
        store.archive_trial(trial.trial)
        trial.log_metrics(step=1, loss=0.5)
        assert trial.trial.metrics == {"loss": {0: 1.0, 1: 0.5}}
        assert store.fetch_archived_trials()[0].metrics == {"loss": {0: 1.0, 1: 0.5}}

    def test_an_unknown_trial_is_not_archived(self, store):
        """It cannot be restored either."""
        for change in (store.archive_trial, store.restore_trial):
            with pytest.raises(TrialDoesNotExist):
                change(Trial(_hash="nobody"))
