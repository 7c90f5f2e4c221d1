"""Train an agent with Stable-Baselines3: ``pip install stable-baselines3``."""

from stable_baselines3 import PPO
from stable_baselines3.common.logger import Logger

from track.integrations.stable_baselines3 import TrackWriter

writer = TrackWriter(
    "file:report.json", project="examples", name="ppo", parameters={"algorithm": "PPO"}
)
model = PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=32, n_epochs=1, device="cpu")
model.set_logger(Logger(folder=None, output_formats=[writer]))
model.learn(256)
writer.close()
