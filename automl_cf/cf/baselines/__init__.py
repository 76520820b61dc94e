"""The human-designed models (paper, Table 1, section 4.2, A.4) and strong baselines, by the name of their family.

An architecture `{"model": NAME}` may also have `learning_rate` and `l2`, and what the model's own options are; a
searcher of the same name tunes them by validation.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from automl_cf.cf.baselines.biased_mf import SGD_L2_GRID, train_biased_mf
from automl_cf.cf.baselines.conv_ncf import CHANNELS, conv_ncf_form
from automl_cf.cf.baselines.factor_model import FactorModel
from automl_cf.cf.baselines.factorization import fm_form, hofm_form
from automl_cf.cf.baselines.form import Form, FormModel, train_form
from automl_cf.cf.baselines.neural import deep_wide_form, ncf_form
from automl_cf.cf.baselines.operation import operation_form
from automl_cf.cf.baselines.outside import SampledFm, train_myfm, train_surprise
from automl_cf.cf.baselines.settings import check_order, whole, with_learning_rate, yes
from automl_cf.cf.baselines.svdpp import train_svdpp
from automl_cf.cf.baselines.tucker import tucker_form
from automl_cf.cf.fused import has_kernel, train_fused
from automl_cf.cf.interaction import InteractionModel
from automl_cf.cf.splits import SearchData
from automl_cf.cf.training import Fit, Model, Training
from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.formula import over

Arrays = Mapping[str, NDArray[Any]]
FormOf = Callable[[Architecture, int, int], Form]  # (architecture, dim, order)


@dataclass(frozen=True)
class Baseline:
    """One model.

    `train(architecture, data, training, *, dim, l2, rng, meter, device, epochs)` trains it once, as every engine does;
    `restore` makes it of the parts that it was stored as; `l2_grid` is its own where the study's does not fit.
    """

    train: Callable[..., Fit]
    restore: Callable[[Arrays, Mapping[str, Any]], Model]
    l2_grid: tuple[float, ...] | None = None


def _of_form(form_of: FormOf) -> Baseline:
    """A model under the common objective."""

    def train(
        architecture: Architecture, data: SearchData, training: Training, *, dim: int, device: str = "cpu", **how: Any
    ) -> Fit:
        order = data.train.order
        source = {"architecture": architecture.to_json(), "dim": dim, "order": order}
        form = replace(form_of(architecture, dim, order), source=source)
        return train_form(form, data, with_learning_rate(architecture, training), device=device, **how)

    def restore(arrays: Arrays, values: Mapping[str, Any]) -> Model:
        form = form_of(Architecture.from_json(values["architecture"]), int(values["dim"]), int(values["order"]))
        return FormModel.restore(replace(form, source=dict(values)), arrays)

    return Baseline(train, restore)


def _of_operation(name: str) -> Baseline:
    """One operation without networks; on the study's fused engine, unless that has no kernel: outer of three modes."""
    on_torch = _of_form(lambda architecture, dim, order: operation_form(name, dim, order))

    def train(
        architecture: Architecture, data: SearchData, training: Training, *, device: str = "cpu", **how: Any
    ) -> Fit:
        if training.engine == "fused" and has_kernel(over(name, data.train.order)):
            own = with_learning_rate(architecture, training)
            return train_fused(Architecture({"operation": name}), data, own, **how)
        return on_torch.train(architecture, data, training, device=device, **how)

    def restore(arrays: Arrays, values: Mapping[str, Any]) -> Model:
        kind = InteractionModel.restore if "operations" in values else on_torch.restore
        return kind(arrays, values)

    return Baseline(train, restore)


def _conv_ncf(architecture: Architecture, dim: int, order: int) -> Form:
    check_order(architecture, order, 2)
    return conv_ncf_form(dim, whole(architecture, "channels", CHANNELS))


BASELINES: Mapping[str, Baseline] = {
    "altgrad": _of_operation("multiply"),
    "biased-mf": Baseline(train_biased_mf, FactorModel.restore, SGD_L2_GRID),
    "conv": _of_operation("conv"),
    "conv-ncf": _of_form(_conv_ncf),
    "cp": _of_operation("multiply"),
    "deep-wide": _of_form(lambda a, dim, order: deep_wide_form(dim, order, yes(a, "wide"))),
    "fm": _of_form(lambda a, dim, order: fm_form(dim, order)),
    "hofm": _of_form(lambda a, dim, order: hofm_form(dim, order, whole(a, "degree", 3, least=2))),
    "minus": _of_operation("minus"),
    "myfm": Baseline(train_myfm, SampledFm.restore, (0.0,)),
    "ncf": _of_form(lambda a, dim, order: ncf_form(dim, order)),
    "outer": _of_operation("outer"),
    "surprise-svd": Baseline(partial(train_surprise, "SVD"), FactorModel.restore, SGD_L2_GRID),
    "surprise-svdpp": Baseline(partial(train_surprise, "SVDpp"), FactorModel.restore, SGD_L2_GRID),
    "svdpp": Baseline(train_svdpp, FactorModel.restore, SGD_L2_GRID),
    "tucker": _of_form(lambda a, dim, order: tucker_form(dim, order)),
}
