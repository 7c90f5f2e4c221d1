"""A callback for the ``Trainer`` of Hugging Face Transformers and the trainers of TRL.

After ``import track.integrations.transformers``, ``report_to="track"`` works as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from track.integrations.packages import need
from track.integrations.run import Run
from track.persistence.utils import without_password

_callbacks = need(
    "transformers.trainer_callback", names=["TrainerCallback"], install="transformers"
)
_integrations = need("transformers.integrations", install="transformers")

_ALWAYS = (
    *("learning_rate", "num_train_epochs", "max_steps", "per_device_train_batch_size"),
    *("gradient_accumulation_steps", "weight_decay", "lr_scheduler_type", "optim", "seed"),
)
"""Arguments that are parameters of the trial even when they have their default value."""

_NOT_TRAINED = (
    *("accelerator_config", "dataloader_num_workers", "dataloader_pin_memory"),
    *("include_for_metrics", "torch_empty_cache_steps"),
    *("do_eval", "do_predict", "do_train", "eval_on_start", "eval_steps", "eval_strategy"),
    *("greater_is_better", "hub_model_id", "hub_strategy", "load_best_model_at_end"),
    *("log_level_replica", "log_on_each_node", "logging_first_step", "logging_nan_inf_filter"),
    *("logging_steps", "logging_strategy", "metric_for_best_model", "per_device_eval_batch_size"),
    *("project", "push_to_hub", "restore_callback_states_from_checkpoint", "save_on_each_node"),
    *("save_only_model", "save_steps", "save_strategy", "save_total_limit", "use_cpu"),
)
"""Arguments that control how a training is evaluated, logged and saved, not what is trained."""

_SUMMARY = ("total_flos", "train_loss", "train_runtime")
_PREFIXES = {"eval_": "eval/", "test_": "test/"}

# Versions of Transformers that support it keep the state of the callback in checkpoints.
_STATE = getattr(_callbacks, "ExportableState", object)


class TrackCallback(_callbacks.TrainerCallback, _STATE):  # type: ignore[misc,name-defined,valid-type]
    """Logs everything that a ``Trainer`` logs, in the process of rank zero.

    Parameters
    ----------
    to
        where to log, see :class:`track.integrations.run.Run`
    uid
        the uid of a trial to continue; a training that resumes from a checkpoint finds its own
    settings
        further arguments of :class:`~track.integrations.run.Run`

    Notes
    -----
    Metrics are named ``train/loss``, ``eval/loss`` and so on. The parameters of the trial are the
    training arguments that differ from their defaults, and a few more; all arguments and the
    configuration of the model are metadata. Each trial of a hyperparameter search is its own trial.
    """

    def __init__(self, to: Any = None, uid: str | None = None, **settings: Any) -> None:
        self._to, self._settings = to, settings
        self._uid = uid
        self.run = Run(to, uid=uid, **settings)
        self._is_search = False

    def state(self) -> dict[str, Any]:
        """Return the state for checkpoints: the trial's uid and, without a password, its store."""
        to = (
            self._to
            if isinstance(self._to, str) and without_password(self._to) == self._to
            else None
        )
        return {"args": {"to": to, "uid": self.run.uid}, "attributes": {}}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        if getattr(state, "is_hyper_param_search", False) or self._is_search:
            self._is_search = True
            self._end()
            name = getattr(state, "trial_name", None) or self._settings.get("name")
            self.run = Run(self._to, **{**self._settings, "name": name})
            self.run.configure(getattr(state, "trial_params", None))
        elif not self.run.is_open and self.run.uid is None:
            self.run.uid = self._uid or _uid_in(state)
        self._configure(args, kwargs.get("model"))
        self.run.start()

    def _configure(self, args: Any, model: Any) -> None:
        known = args.to_dict()
        defaults = getattr(type(args), "__dataclass_fields__", {})
        chosen = {
            name: value
            for name, value in known.items()
            if name in _ALWAYS
            or (name not in _NOT_TRAINED and _differs(value, defaults.get(name), type(args)))
        }
        self.run.configure(chosen)
        described: dict[str, Any] = {"training_arguments": known}
        config: Any = getattr(model, "config", None)
        if hasattr(config, "to_dict"):
            described["model_config"] = config.to_dict()
        if hasattr(model, "num_parameters"):
            described["model"] = type(model).__qualname__
            described["num_parameters"] = model.num_parameters()
        self.run.describe(described)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if state.is_world_process_zero and logs:
            if not self.run.is_open:  # an evaluation without a training
                self._configure(args, kwargs.get("model"))
            _log(self.run, logs, state.global_step)

    def on_predict(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero and metrics:
            _log(self.run, metrics, state.global_step)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            path = f"{args.output_dir}/checkpoint-{state.global_step}"
            best = getattr(state, "best_model_checkpoint", None)
            self.run.metadata({"checkpoint": {"last": path, "path": best}})

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self._end()

    def _end(self) -> None:
        if self.run.is_open:
            self.run.finish()


def _log(run: Run, logs: Mapping[str, Any], step: int) -> None:
    """Log the values that a trainer reports; values reported once per training have no step."""
    is_summary = any(name in logs for name in _SUMMARY)
    values = {_renamed(name): value for name, value in logs.items()}
    if is_summary:
        values.pop("train/epoch", None)
    run.log(values, None if is_summary else step)


def _renamed(name: str) -> str:
    for prefix, folder in _PREFIXES.items():
        if name.startswith(prefix):
            return folder + name[len(prefix) :]
    return f"train/{name}"


def _differs(value: Any, field: Any, owner: Any) -> bool:
    """Return whether an argument differs from its default."""
    if field is None:
        return True
    default = getattr(owner, field.name, None)
    if not value and not default:
        return False
    return bool(value != default and str(value) != str(getattr(default, "value", default)))


def _uid_in(state: Any) -> str | None:
    """Return the uid of the trial that a checkpoint belongs to, None if it names none."""
    kept = (getattr(state, "stateful_callbacks", None) or {}).get(TrackCallback.__name__)
    for one in kept if isinstance(kept, list) else [kept]:
        uid = ((one or {}).get("args") or {}).get("uid")
        if isinstance(uid, str):
            return uid
    return None


if hasattr(_integrations, "INTEGRATION_TO_CALLBACK"):
    _integrations.INTEGRATION_TO_CALLBACK["track"] = TrackCallback
