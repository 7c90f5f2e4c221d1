"""How each framework calls its integration in a training, over stubs of the framework.

A course is a list of calls, from the beginning of a training to its end, so that a test can do
something in between, or call in another order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import count
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

STEPS = range(4)
LOSSES = {step: step / 4 for step in STEPS}


numbers = count()
"""Trials of Optuna and Ray that are told apart."""


class Base:
    """Any base class of a framework."""

    def __init__(self, *args, **kwargs):
        pass


def on_rank(rank):
    """Make what Lightning and Accelerate call `rank_zero_only` and `on_main_process`."""

    def decorate(function):
        return lambda *args, **kwargs: function(*args, **kwargs) if rank[0] == 0 else None

    return decorate


class Course(NamedTuple):
    """What a framework does with its integration.

    Attributes
    ----------
    make
        makes the integration, for the URI of a store
    calls
        returns the calls of one training
    metrics
        what is recorded of it
    """

    make: Callable[..., Any]
    calls: Callable[[Any], list[Callable[[], Any]]]
    metrics: dict[str, Any]


def lightning(load, rank):
    module = load(
        "lightning",
        lightning__pytorch__loggers__logger={"Logger": Base},
        lightning__pytorch__utilities={"rank_zero_only": on_rank(rank)},
    )

    def calls(logger):
        checkpoint = SimpleNamespace(best_model_path="x", best_model_score=None, monitor=None)
        return [
            partial(logger.log_hyperparams, {"lr": 0.1}),
            lambda: (logger.experiment, logger.name, logger.version, logger.save_dir),
            *(partial(logger.log_metrics, {"loss": LOSSES[step]}, step) for step in STEPS),
            partial(logger.after_save_checkpoint, checkpoint),
            partial(logger.log_graph, Base()),
            partial(logger.finalize, "success"),
        ]

    return Course(module.TrackLogger, calls, {"loss": LOSSES})


class Arguments:
    """Those of a trainer of Transformers."""

    learning_rate = 5e-5
    output_dir = None
    warmup = 3
    __dataclass_fields__ = MappingProxyType(
        {name: SimpleNamespace(name=name) for name in ("learning_rate", "output_dir", "warmup")}
    )

    def to_dict(self):
        return {"learning_rate": 5e-5, "output_dir": "o", "warmup": 4, "hub_token": "hf_x"}


def state(step=0, *, zero=True, **more):
    """Return the state of a trainer of Transformers."""
    return SimpleNamespace(is_world_process_zero=zero, global_step=step, **more)


def transformers(load, rank):
    module = load(
        "transformers",
        transformers__trainer_callback={"TrainerCallback": Base},
        transformers__integrations={"INTEGRATION_TO_CALLBACK": {}},
    )

    def calls(callback):
        def hook(name, step, **kwargs):
            return lambda: getattr(callback, name)(
                Arguments(), state(step, zero=rank[0] == 0), None, **kwargs
            )

        return [
            hook("on_train_begin", 0, model=Base()),
            *(hook("on_log", step, logs={"loss": LOSSES[step]}) for step in STEPS),
            hook("on_predict", 4, metrics={"test_loss": 0.5}),
            callback.state,
            hook("on_train_end", 4),
        ]

    metrics = {"train/loss": LOSSES, "test/loss": {4: 0.5}}
    return Course(module.TrackCallback, calls, metrics)


def accelerate(load, rank):
    names = {"GeneralTracker": Base, "on_main_process": on_rank(rank)}
    module = load("accelerate", accelerate__tracking=names)

    def calls(tracker):
        return [
            partial(tracker.store_init_configuration, {"lr": 0.1}),
            *(partial(tracker.log, {"loss": LOSSES[step]}, step=step) for step in STEPS),
            partial(tracker.log_table, "t", columns=["a"], data=[[1]]),
            tracker.finish,
        ]

    return Course(lambda to: module.TrackTracker("p", to=to), calls, {"loss": LOSSES})


def keras(load, rank):
    module = load("keras", keras__callbacks={"Callback": Base})

    def calls(callback):
        callback.model = SimpleNamespace(optimizer=None)
        callback.params = {"epochs": len(STEPS)}
        return [
            callback.on_train_begin,
            *(partial(callback.on_epoch_end, step, {"loss": LOSSES[step]}) for step in STEPS),
            callback.on_train_end,
        ]

    return Course(module.TrackCallback, calls, {"loss": LOSSES})


def environment(model, iteration, end=4, results=(("valid", "auc", 0.5, True),)):
    """Return what LightGBM says to a callback."""
    return SimpleNamespace(
        model=model, params={"depth": 2}, iteration=iteration, begin_iteration=0,
        end_iteration=end, evaluation_result_list=list(results),
    )  # fmt: skip


def lightgbm(load, rank):
    module = load("lightgbm")

    def calls(callback):
        model = Base()
        each = [environment(model, n, results=[("v", "l", LOSSES[n], True)]) for n in STEPS]
        return [partial(callback, one) for one in each]

    return Course(module.TrackCallback, calls, {"v/l": LOSSES})


def xgboost(load, rank):
    module = load(
        "xgboost",
        xgboost__callback={"TrainingCallback": Base},
        xgboost__collective={"get_rank": lambda: rank[0]},
    )

    def calls(callback):
        model = Base()
        losses = list(LOSSES.values())
        return [
            partial(callback.before_training, model=model),
            *(
                partial(callback.after_iteration, model, n, {"v": {"l": losses[: n + 1]}})
                for n in STEPS
            ),
            partial(callback.after_training, model=model),
        ]

    return Course(module.TrackCallback, calls, {"v/l": LOSSES})


def catboost(load, rank):
    module = load("catboost")

    def calls(callback):
        return [
            *(
                partial(
                    callback.after_iteration,
                    SimpleNamespace(iteration=n + 1, metrics={"v": {"l": [LOSSES[n]]}}),
                )
                for n in STEPS
            ),
            callback.finish,
        ]

    return Course(module.TrackCallback, calls, {"v/l": LOSSES})


def ignite(load, rank):
    module = load(
        "ignite",
        ignite__handlers__base_logger={
            "BaseLogger": Base,
            "BaseOutputHandler": Base,
            "BaseOptimizerParamsHandler": Base,
        },
        ignite__distributed={"get_rank": lambda: rank[0]},
    )

    def calls(logger):
        return [
            partial(logger.log_params, {"lr": 0.1}),
            *(partial(logger.log, {"loss": LOSSES[step]}, step) for step in STEPS),
            logger.close,
        ]

    return Course(module.TrackLogger, calls, {"loss": LOSSES})


def stable_baselines3(load, rank):
    module = load("stable_baselines3", stable_baselines3__common__logger={"KVWriter": Base})

    def calls(writer):
        return [
            partial(writer.write, {"hparams": SimpleNamespace(hparam_dict={"lr": 0.1})}, {}, 0),
            *(partial(writer.write, {"loss": LOSSES[step]}, {}, step) for step in STEPS),
            writer.close,
        ]

    return Course(module.TrackWriter, calls, {"loss": LOSSES})


class RayTrial:
    """A trial of Ray Tune."""

    error_file = "error.txt"

    def __init__(self, trial_id, lr):
        self.trial_id, self.config = trial_id, {"lr": lr}

    def __str__(self):
        return f"train_{self.trial_id}"


def ray(load, rank):
    module = load("ray", ray__tune__logger={"LoggerCallback": Base})

    def calls(callback):
        trial = RayTrial(str(next(numbers)), 0.1)
        results = [{"loss": LOSSES[step], "training_iteration": step} for step in STEPS]
        return [
            partial(callback.log_trial_start, trial),
            *(partial(callback.log_trial_result, 17, trial, result) for result in results),
            partial(callback.log_trial_end, trial),
        ]

    return Course(module.TrackCallback, calls, {"loss": LOSSES})


def hydra(load, rank):
    module = load("hydra", hydra__experimental__callback={"Callback": Base})
    config = {"lr": 0.1, "hydra": {"job": {"name": "app"}, "overrides": {"task": []}}}

    def calls(callback):
        done = SimpleNamespace(_return_value=0.5)
        return [
            partial(callback.on_job_start, config=config, task_function=None),
            partial(callback.on_job_end, config=config, job_return=done),
        ]

    return Course(module.TrackCallback, calls, {"result": [0.5]})


def optuna(load, rank):
    import track.integrations.optuna as module

    def calls(callback):
        study = SimpleNamespace(study_name="s")
        trial = SimpleNamespace(
            study=study, number=next(numbers), params={"x": 1.0}, intermediate_values={},
            values=[0.5], user_attrs={}, state=SimpleNamespace(name="COMPLETE"),
        )  # fmt: skip
        return [
            *(partial(callback.log, trial, {"loss": LOSSES[step]}, step) for step in STEPS),
            partial(callback, study, trial),
        ]

    return Course(module.TrackCallback, calls, {"loss": LOSSES, "value": [0.5]})


def sklearn(load, rank):
    module = load("sklearn", sklearn__callback={})

    def calls(callback):
        estimator = SimpleNamespace(get_params=lambda deep: {"C": 1.0})
        context = SimpleNamespace(task_name="fit", task_id=0, parent=None)
        tasks = [SimpleNamespace(task_name="it", task_id=step, parent=context) for step in STEPS]
        return [
            partial(callback.setup, estimator, context),
            *(partial(callback.on_fit_task_end, estimator, task) for task in tasks),
            partial(callback.teardown, estimator, context),
        ]

    return Course(module.TrackCallback, calls, {"fit/it/done": dict.fromkeys(STEPS, 1)})


def tensorboard(load, rank):
    import track.integrations.tensorboard as module

    def calls(writer):
        return [
            partial(writer.add_hparams, {"lr": 0.1}, {}),
            *(partial(writer.add_scalar, "loss", LOSSES[step], step) for step in STEPS),
            writer.flush,
            writer.close,
        ]

    return Course(lambda to: module.SummaryWriter(to=to), calls, {"loss": LOSSES})


def wandb(load, rank):
    import track.integrations.wandb as module

    def calls(run):
        return [
            partial(run.config.update, {"lr": 0.1}),
            *(partial(run.log, {"loss": LOSSES[step]}, step=step) for step in STEPS),
            partial(run.alert, "done"),
            run.finish,
        ]

    return Course(lambda to: module.init(to=to, reinit=True), calls, {"loss": LOSSES})


COURSES = {
    course.__name__: course
    for course in (
        *(accelerate, catboost, hydra, ignite, keras, lightgbm, lightning, optuna, ray, sklearn),
        *(stable_baselines3, tensorboard, transformers, wandb, xgboost),
    )
}
RANKED = ("accelerate", "ignite", "lightning", "transformers", "xgboost")
"""Those whose framework calls them in every process of a training."""
