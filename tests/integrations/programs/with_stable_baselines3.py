"""Train an agent with Stable-Baselines3."""

import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import KVWriter, Logger

from tests.integrations.said import MODE, maybe_die, say
from track.integrations.stable_baselines3 import TrackWriter

STEPS, ROUNDS = 32, 6


class Saying(KVWriter):
    """Says what is trained."""

    def write(self, key_values, key_excluded, step=0):
        for name, value in key_values.items():
            say(name, step, value)

    def close(self):
        """Return: it is said already."""


class Keeping(BaseCallback):
    """Keeps the agent after each round."""

    def _on_step(self):
        return True

    def _on_rollout_start(self):
        done = self.num_timesteps // STEPS
        if done:
            self.model.save("agent")
        maybe_die(done)


writer = TrackWriter("file:r.json", run_id="one", parameters={"algorithm": "PPO"})
if MODE == "resumed":
    model = PPO.load("agent", env=gymnasium.make("CartPole-v1"), device="cpu")
else:
    model = PPO("MlpPolicy", "CartPole-v1", n_steps=STEPS, batch_size=32, n_epochs=1, device="cpu")
model.set_logger(Logger(folder=None, output_formats=[writer, Saying()]))
left = STEPS * ROUNDS - model.num_timesteps
model.learn(left, callback=Keeping(), reset_num_timesteps=MODE != "resumed", log_interval=1)
writer.close()
