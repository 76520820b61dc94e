"""my-thing as a model: it learns, and what it reports is what it predicts."""

from pathlib import Path

import numpy as np
import pytest

from automl_cf import plugins
from automl_cf.cf.data import load
from automl_cf.cf.meter import NullMeter
from automl_cf.cf.models import TrainingTask, train
from automl_cf.cf.splits import random_split
from automl_cf.cf.training import Training
from automl_cf.spaces.architecture import Architecture

plugins.load([Path(__file__).with_name("my_thing.py")])


def test_my_thing_reports_the_error_of_its_predictions() -> None:
    data = random_split(load("planted", operation="plus", noise=0.5).ratings, 1).for_search()
    task = TrainingTask(data, Training(), 4, np.random.SeedSequence(1))
    fit = train(Architecture({"model": "my-thing"}), task, NullMeter(), l2=1e-4)
    assert fit.status == "ok"
    assert fit.model is not None
    error = fit.model.predict(data.valid.indices) - data.valid.values
    assert fit.rmse == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-5)
    assert fit.rmse < data.valid.values.std()  # better than the same prediction for all
