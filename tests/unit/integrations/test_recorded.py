"""Each adapter is called in the order in which its framework was seen to call it."""

import copy
import os
import pickle
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tests.unit.integrations.courses import (
    Arguments,
    Base,
    RayTrial,
    environment,
    on_rank,
    state,
)
from track import TrackClient
from track.errors import MissingPackage, NotRecordedWarning
from track.structure import Status


def always(function):
    return function


SUBCLASSES = {
    "accelerate": "accelerate.tracking.GeneralTracker",
    "hydra": "hydra.experimental.callback.Callback",
    "ignite": "ignite.handlers.base_logger.BaseLogger",
    "keras": "keras.callbacks.Callback",
    "lightning": "lightning.pytorch.loggers.logger.Logger",
    "ray": "ray.tune.logger.LoggerCallback",
    "stable_baselines3": "stable_baselines3.common.logger.KVWriter",
    "transformers": "transformers.trainer_callback.TrainerCallback",
    "xgboost": "xgboost.callback.TrainingCallback",
}
"""What the integration of each framework is a subclass of."""


@pytest.mark.parametrize("name", SUBCLASSES)
def test_a_framework_that_is_not_there(integration, name):
    """One line says what to install."""
    with pytest.raises(MissingPackage, match=f"this needs {name}.*pip install"):
        integration(name, **{name: {"__path__": []}, "pytorch_lightning": {"__path__": []}})


@pytest.mark.parametrize(("name", "base"), SUBCLASSES.items())
def test_a_version_without_a_hook(integration, name, base):
    """One line says what it has not, and how to get it."""
    module = base.rpartition(".")[0].replace(".", "__")
    with pytest.raises(MissingPackage, match=f"pip install --upgrade.*lacks {re.escape(base)}"):
        integration(name, **{module: {}, "pytorch_lightning": {"__path__": []}})


def test_scikit_learn_before_it_had_callbacks(integration):
    """The other functions work there."""
    module = integration("sklearn", sklearn={"__path__": []})
    with pytest.raises(MissingPackage, match=r"scikit-learn>=1\.9"):
        module.TrackCallback("file:r.json")
    assert module.log_estimator


# Lightning


@pytest.fixture
def lightning(integration):
    rank = [0]
    module = integration(
        "lightning",
        lightning__pytorch__loggers__logger={"Logger": Base},
        lightning__pytorch__utilities={"rank_zero_only": on_rank(rank)},
    )
    return module.TrackLogger, rank


def test_lightning_fits_and_tests(lightning, trials):
    """It looks at `experiment` first, adds `epoch` to everything, and ends twice."""
    make, _ = lightning
    logger = make("file:r.json", name="net", prefix="a")
    assert logger.experiment.is_delayed
    assert (logger.name, logger.version) == ("net", logger.run.run_id)
    logger.log_hyperparams({"lr": 0.1, "act": Base()})
    logger.log_graph(Base())
    for step in range(2):
        logger.log_metrics({"loss": 0.5, "epoch": 0, "step": 9.0}, step)
    checkpoint = SimpleNamespace(best_model_path="x.ckpt", best_model_score=None, monitor=None)
    logger.after_save_checkpoint(checkpoint)
    logger.after_save_checkpoint(checkpoint)
    logger.finalize("success")
    logger.log_metrics({"test": 1.0}, 2)
    logger.finalize("success")
    (trial,) = trials()
    assert trial.metrics == {
        "a/loss": {0: 0.5, 1: 0.5}, "a/epoch": {0: 0, 1: 0}, "a/step": {0: 9.0, 1: 9.0},
        "a/test": {2: 1.0},
    }  # fmt: skip
    assert trial.parameters["lr"] == 0.1
    assert trial.metadata["checkpoint"]["path"] == "x.ckpt"
    assert trial.status == Status.Completed


def test_lightning_on_other_ranks(lightning):
    """They have no trial, but names for the folder of checkpoints."""
    make, rank = lightning
    rank[0] = 1
    logger = make("file:r.json")
    assert logger.experiment is None
    assert logger.version


def test_lightning_in_odd_orders(lightning, trials):
    """It may end before anything was logged, and fail without an exception."""
    make, _ = lightning
    logger = make("file:r.json")
    logger.finalize("failed")
    logger.log_metrics({}, 0)
    logger.log_metrics({"loss": 1}, 5)
    logger.log_metrics({"loss": 2}, 3)
    logger.log_metrics({"loss": 3}, 3)
    logger.finalize("failed")
    (trial,) = trials()
    assert trial.metrics["loss"] == {5: 1, 3: 3}
    assert trial.status == Status.Exception
    assert "training failed" in trial.failure["message"]


# Transformers


@pytest.fixture
def transformers(integration):
    known = {}
    module = integration(
        "transformers",
        transformers__trainer_callback={"TrainerCallback": Base},
        transformers__integrations={"INTEGRATION_TO_CALLBACK": known},
    )
    assert known == {"track": module.TrackCallback}
    return module.TrackCallback


def test_transformers_train(transformers, trials):
    """What is logged is shared with others, and stays as it is."""
    callback = transformers("file:r.json")
    args, logs = Arguments(), {"loss": 1.0, "epoch": 0.5, "eval_loss": 2.0}
    callback.on_train_begin(args, state(), None, model=None)
    callback.on_log(args, state(1), None, logs=logs)
    callback.on_save(SimpleNamespace(output_dir="o"), state(1), None)
    callback.on_log(args, state(2), None, logs={"train_loss": 1.5, "epoch": 1.0})
    callback.on_train_end(args, state(2), None)
    callback.on_predict(args, state(2), None, metrics={"test_loss": 3.0})
    (trial,) = trials()
    assert trial.metrics == {
        "train/loss": {1: 1.0}, "train/epoch": {1: 0.5}, "eval/loss": {1: 2.0},
        "train/train_loss": [1.5], "test/loss": {2: 3.0},
    }  # fmt: skip
    assert trial.parameters == {"learning_rate": 5e-5, "warmup": 4}
    assert trial.metadata["training_arguments"]["hub_token"] == "***"
    assert logs == {"loss": 1.0, "epoch": 0.5, "eval_loss": 2.0}
    assert callback.state()["args"] == {"to": callback._to, "uid": trial.uid}


def test_transformers_on_other_ranks_and_without_their_hooks(transformers, tmp_path):
    """Nothing is made there."""
    callback = transformers("file:r.json")
    for hook in (callback.on_train_begin, callback.on_log, callback.on_train_end):
        hook(Arguments(), state(zero=False), None, logs={"loss": 1})
    callback.on_train_end(Arguments(), state(), None)
    callback.on_log(Arguments(), state(), None, logs=None)
    assert not (tmp_path / "r.json").exists()


def test_transformers_search(transformers, trials):
    """Each trial of a search is one of its own, with what was suggested."""
    callback = transformers("file:r.json")
    for number in range(2):
        found = state(
            is_hyper_param_search=True, trial_name=f"t{number}", trial_params={"lr": number}
        )
        callback.on_train_begin(Arguments(), found, None)
        callback.on_log(Arguments(), found, None, logs={"loss": number})
        callback.on_train_end(Arguments(), found, None)
    assert [(t.name, t.parameters["lr"]) for t in trials()] == [("t0", 0), ("t1", 1)]


def test_a_password_stays_out_of_checkpoints(transformers):
    """They are copied and published."""
    callback = transformers("socket://ada:secret@host:1")
    assert "secret" not in str(callback.state())


# Accelerate


def test_accelerate(integration, trials):
    """What cannot be kept is told."""
    registered = []
    module = integration(
        "accelerate",
        accelerate__tracking={
            "GeneralTracker": Base,
            "on_main_process": always,
            "register_tracker_class": registered.append,
        },
    )
    assert registered == [module.TrackTracker]
    tracker = module.TrackTracker("p", to="file:r.json")
    tracker.store_init_configuration({"lr": 0.1})
    tracker.log({"loss": 1}, step=0)
    tracker.log({"acc": 2})
    tracker.log_images({"noise": np.zeros((2, 4, 4, 3))}, step=1)
    tracker.log_table("table", columns=["a"], data=[[1]], step=1)
    with pytest.warns(NotRecordedWarning, match="cannot log 'sample'"):
        tracker.log_images({"sample": object()}, step=1)
    assert tracker.tracker.uid
    with pytest.warns(NotRecordedWarning, match="1 x 'sample'"):
        tracker.finish()
    tracker.finish()
    (trial,) = trials()
    assert (trial.metrics, trial.parameters) == ({"loss": {0: 1}, "acc": [2]}, {"lr": 0.1})
    assert (trial.project_id, trial.status) == ("p", Status.Completed)
    module.TrackTracker("never", to="file:never.json").finish()


# Keras


def test_keras(integration, trials):
    """`on_test_end` also comes within a training."""
    module = integration("keras", keras__callbacks={"Callback": Base})
    callback = module.TrackCallback("file:r.json", every=1)
    optimizer = SimpleNamespace(get_config=lambda: {"learning_rate": 0.1, "schedule": Base})
    callback.model, callback.params = (
        SimpleNamespace(optimizer=optimizer),
        {"epochs": 2, "steps": 1},
    )
    callback.on_train_begin()
    for epoch in range(2):
        callback.on_train_batch_end(0, {"loss": epoch})
        callback.on_test_end({"loss": 9})
        callback.on_epoch_end(epoch, {"loss": epoch, "val_loss": 9})
    callback.on_train_end()
    (trial,) = trials()
    assert trial.metrics == {
        "batch/loss": {0: 0, 1: 1}, "loss": {0: 0, 1: 1}, "val_loss": {0: 9, 1: 9}
    }  # fmt: skip
    assert trial.parameters["optimizer"]["learning_rate"] == 0.1


# Boosting


def test_lightgbm(integration, trials):
    """Results are tuples of four, five or six, by version; the callback is in a set there."""
    callback = integration("lightgbm").TrackCallback("file:r.json")
    assert len({callback}) == 1
    callback.order = 25
    model = Base()
    for iteration in range(3):
        results = [("valid", "auc", 0.5, True), ("cv", "l2", 1.0, False, 0.25)]
        callback(environment(model, iteration, end=3, results=results))
    callback(environment(Base(), 1, results=()))
    callback.finish()
    first, second = trials()
    assert first.metrics["cv/l2/stdv"] == dict.fromkeys(range(3), 0.25)
    assert (first.status, second.status) == (Status.Completed, Status.Completed)
    for duplicate in (copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        duplicate(environment(Base(), 0, end=1))
    assert len(trials()) == 4


def test_lightgbm_on_several_machines(integration, trials):
    """The first of them logs, told by its port and its address."""
    callback = integration("lightgbm").TrackCallback("file:r.json")
    machines = "127.0.0.1:4000,127.0.0.1:4001,192.0.2.1:4000"
    for distributed in (
        {"machines": machines, "local_listen_port": 4000},
        {"machines": machines, "local_listen_port": 4001},
        {"machines": "192.0.2.1:4000,127.0.0.1:4000", "local_listen_port": 4000},
    ):
        called = environment(Base(), 0)
        called.params = {"depth": 2, **distributed}
        callback(called)
    callback.finish()
    (trial,) = trials()
    assert trial.metrics == {"valid/auc": {0: 0.5}}


def test_xgboost_on_ranks_and_without_its_first_hook(integration, trials):
    """Only rank zero logs; the model that is given is given back."""
    rank = [0]
    module = integration(
        "xgboost",
        xgboost__callback={"TrainingCallback": Base},
        xgboost__collective={"get_rank": lambda: rank[0]},
    )
    callback = module.TrackCallback("file:r.json")
    model = Base()
    model.num_boosted_rounds = lambda: 2
    model.save_config = lambda: (
        '{"learner": {"objective": {"name": "o"}, "gradient_booster":'
        ' {"name": "b", "tree_train_param": {"eta": "0.5", "max_depth": "3"}}}}'
    )
    assert callback.before_training(model=model) is model
    assert callback.after_iteration(model, 0, {"d": {"auc": [0.1, 0.2]}}) is False
    assert callback.after_iteration(model, 1, {"d": {"auc": [(0.3, 0.01)]}}) is False
    assert callback.after_training(model=model) is model
    rank[0] = 1
    callback.before_training(model)
    callback.after_iteration(model, 0, {})
    callback.after_training(model)
    rank[0] = 0
    callback.after_iteration(Base(), 0, {"d": {"auc": [0.5]}})
    callback.finish()
    first, second = trials()
    assert first.metrics == {"d/auc": {2: 0.2, 3: 0.3}, "d/auc/std": {3: 0.01}}
    assert first.parameters == {"objective": "o", "booster": "b", "eta": 0.5, "max_depth": 3}
    assert second.metrics == {"d/auc": {0: 0.5}}


def test_catboost(integration, trials):
    """Nothing tells it that another training begins but the number of the iteration."""
    callback = integration("catboost").TrackCallback("file:r.json")
    with callback:
        for iteration in (1, 2, 1):
            info = SimpleNamespace(iteration=iteration, metrics={"learn": {"RMSE": [9, iteration]}})
            assert callback.after_iteration(info) is True
    first, second = trials()
    assert first.metrics == {"learn/RMSE": {0: 1, 1: 2}}
    assert second.metrics == {"learn/RMSE": {0: 1}}


# Hydra, Ignite, Stable-Baselines3, Ray


def test_hydra(integration, trials, monkeypatch):
    """A job finds its trial by the environment, which is as before at its end."""
    module = integration("hydra", hydra__experimental__callback={"Callback": Base})
    monkeypatch.setenv("TRACK_LOG_BACKEND_NAME", "memory:")
    callback = module.TrackCallback("file:r.json", project="p")
    for number, result in enumerate((0.5, ValueError("boom"))):
        job = {"name": "app"}
        config = {"lr": number, "hydra": {"job": job, "overrides": {"task": ["lr=1"]}}}
        callback.on_job_start(config=config, task_function=None)
        client = TrackClient()
        client.log({"loss": number}, step=0)
        client.close()
        callback.on_job_end(config=config, job_return=SimpleNamespace(_return_value=result))
    callback.on_job_end(config={}, job_return=None)
    assert os.environ["TRACK_LOG_BACKEND_NAME"] == "memory:"
    assert "ORION_TRIAL_ID" not in os.environ
    first, second = trials()
    assert first.metrics == {"loss": {0: 0}, "result": [0.5]}
    assert (first.parameters, first.name) == ({"lr": 0}, "app")
    assert (first.status, second.status) == (Status.Completed, Status.Exception)
    assert "boom" in second.failure["message"]


def test_ignite(integration, trials):
    """Handlers of outputs and of the optimizer, on rank zero."""
    rank = [0]

    class Output(Base):
        global_step_transform = staticmethod(lambda engine, event: engine.step)

        def _setup_output_metrics_state_attrs(self, engine, key_tuple=True):
            return {"training/loss": engine.loss}

    class Optimizer(Base):
        def __init__(self, optimizer, param_name="lr", tag=None):
            self.optimizer, self.param_name, self.tag = optimizer, param_name, tag

    module = integration(
        "ignite",
        ignite__handlers__base_logger={
            "BaseLogger": Base,
            "BaseOutputHandler": Output,
            "BaseOptimizerParamsHandler": Optimizer,
        },
        ignite__distributed={"get_rank": lambda: rank[0]},
    )  # fmt: skip
    logger = module.TrackLogger("file:r.json")
    logger.log_params({"lr": 0.1})
    engine = SimpleNamespace(
        step=3, loss=0.5, state=SimpleNamespace(get_event_attrib_value=lambda name: 4)
    )
    logger._create_output_handler("training")(engine, logger, "e")
    optimizer = SimpleNamespace(param_groups=[{"lr": 0.1}, {"lr": 0.2}])
    logger._create_opt_params_handler(optimizer, tag="opt")(engine, logger, "e")
    rank[0] = 1
    logger.log({"never": 1})
    logger.close()
    rank[0] = 0
    logger.close()
    (trial,) = trials()
    assert trial.metrics == {
        "training/loss": {3: 0.5}, "opt/lr/group_0": {4: 0.1}, "opt/lr/group_1": {4: 0.2}
    }  # fmt: skip
    assert (trial.parameters, trial.status) == ({"lr": 0.1}, Status.Completed)


def test_stable_baselines3(integration, trials):
    """Values that exclude this writer, and those that are no values, are left out."""
    video = type("Video", (), {"__module__": "stable_baselines3.common.logger"})
    module = integration("stable_baselines3", stable_baselines3__common__logger={"KVWriter": Base})
    writer = module.TrackWriter("file:r.json")
    parameters = SimpleNamespace(hparam_dict={"lr": 0.1}, metric_dict={})
    writer.write({"hparams": parameters}, {}, 0)
    picture = type("Image", (), {"__module__": "stable_baselines3.common.logger"})()
    picture.image, picture.dataformats = np.zeros((3, 4, 4)), "CHW"
    with pytest.warns(NotRecordedWarning, match="Video is not supported"):
        values = {"rollout/reward": 1.5, "secret": 1, "film": video(), "picture": picture}
        writer.write(values, {"secret": ("track",)}, 2048)
    with pytest.warns(NotRecordedWarning):
        writer.close()
    (trial,) = trials()
    assert trial.metrics == {"rollout/reward": {2048: 1.5}}
    assert trial.parameters == {"lr": 0.1}


def test_ray(integration, trials):
    """The iteration that it names is the tuner's; a restored tuner goes on with its trials."""
    module = integration("ray", ray__tune__logger={"LoggerCallback": Base})
    callback = module.TrackCallback("file:r.json", project="p")
    one, two = RayTrial("a", 0.1), RayTrial("b", 0.2)
    callback.log_trial_start(one)
    callback.log_trial_result(
        17, one, {"loss": 1, "training_iteration": 1, "pid": 3, "config/lr": 1}
    )
    callback.log_trial_result(18, two, {"loss": 2, "training_iteration": 1, "done": False})
    restored = pickle.loads(pickle.dumps(module.TrackCallback("file:r.json")))
    restored.log_trial_start(one)
    restored.log_trial_result(46, one, {"loss": 3, "training_iteration": 2})
    restored.log_trial_end(one)
    Path("error.txt").write_text("ValueError: boom", encoding="utf-8")
    callback.log_trial_end(two, failed=True)
    callback.log_trial_end(RayTrial("never", 0))
    first, second = trials()
    assert first.metrics == {"loss": {1: 1, 2: 3}}
    assert second.metrics == {"loss": {1: 2}}
    assert [first.parameters, second.parameters] == [{"lr": 0.1}, {"lr": 0.2}]
    assert [first.status, second.status] == [Status.Completed, Status.Exception]
    assert "ValueError: boom" in second.failure["message"]
