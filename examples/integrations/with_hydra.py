"""Run a job with Hydra: ``pip install hydra-core``. Try ``--multirun lr=0.1,0.2``."""

import os

import hydra
from hydra.core.config_store import ConfigStore

from track import TrackClient

CONFIG = {
    "lr": 0.1,
    "hydra": {
        "callbacks": {
            "track": {
                "_target_": "track.integrations.hydra.TrackCallback",
                "to": f"file:{os.getcwd()}/report.json",
                "project": "examples",
            }
        }
    },
}
ConfigStore.instance().store(name="config", node=CONFIG)


@hydra.main(version_base=None, config_name="config")
def main(config):
    """Train a little; the client without arguments logs to the trial of the job."""
    client = TrackClient()
    x = 1.0
    for step in range(5):
        x -= config.lr * 2 * x
        client.log({"loss": x**2}, step=step)
    client.close()
    return x**2


if __name__ == "__main__":
    main()
