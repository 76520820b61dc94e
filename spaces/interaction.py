"""The paper's space of interaction functions for matrices (section 3.2)."""

from collections.abc import Sequence

from automl_cf.errors import InputError
from automl_cf.spaces.architecture import Value
from automl_cf.spaces.parameters import Choice, Parameter, Real, Subset, Vector
from automl_cf.spaces.space import Space

OPERATIONS = ("multiply", "plus", "min", "max", "concat")
PREDICTORS = ("linear", "mlp")  # w of equation (5), or a perceptron with one hidden layer in its place


def interaction_space(
    operations: Sequence[str] = OPERATIONS,
    units: int = 5,
    activation: str = "sigmoid",
    norm_bound: float = 3.0,
    k: int = 1,
    bias: bool = False,
    predictor: str = "linear",
    l2: Sequence[float] = (),
    dims: Sequence[int] = (),
) -> Space:
    """Return the space of f(u, v) = O(g(u; p), g(v; q)), equation (7).

    `operation` is O, or with k > 1 `operations` are the k of them that are used together (section 4.5.2).
    `p` and `q` are the element-wise networks with 1 input, `units` hidden units of `activation` and 1 output:
    each 3 * units + 1 floats (input weights, input biases, output weights, output bias) in a ball of radius
    `norm_bound`. With units = 0 there is no p, q or activation, and g is the identity.

    Beyond the search space of the paper: with `bias` the function is fitted to what a bias of each user and item leaves
    (`automl_cf.cf.biased`); `predictor` "mlp" puts a perceptron in the place of w (section 4.5.4); `l2` and `dims` make
    the penalty and the dimension of the training parameters of the space (`of_training`). Raises InputError for options
    that make no sense.
    """
    return space_of_functions(
        "interaction",
        operations,
        ("p", "q"),
        units=units,
        activation=activation,
        norm_bound=norm_bound,
        k=k,
        bias=bias,
        predictor=predictor,
        l2=l2,
        dims=dims,
    )


def space_of_functions(
    name: str,
    operations: Sequence[str],
    modes: Sequence[str],
    *,
    units: int,
    activation: str,
    norm_bound: float,
    k: int,
    bias: bool,
    predictor: str,
    l2: Sequence[float],
    dims: Sequence[int],
) -> Space:
    """The space `name` of functions O(g(u; p), g(v; q), ...): `modes` names the networks, one for each mode."""
    if isinstance(units, bool) or not isinstance(units, int) or units < 0:
        raise InputError(f"The {name} space has units {units!r}, but it must be an integer of at least 0.")
    options = tuple(operations)
    parameters: list[Parameter] = [Choice("operation", options) if k == 1 else Subset("operations", options, k)]
    constants: dict[str, Value] = {}
    if units:
        parameters += [Vector(mode, 3 * units + 1, norm_bound) for mode in modes]
        constants["activation"] = activation
    if not isinstance(bias, bool):
        raise InputError(f"The {name} space has bias {bias!r}, but it must be true or false.")
    if bias:
        constants["bias"] = True
    if predictor not in PREDICTORS:
        raise InputError(
            f"The {name} space has predictor {predictor!r}, but it must be one of {', '.join(PREDICTORS)}."
        )
    if predictor != "linear":
        constants["predictor"] = predictor
    return Space(name, (*parameters, *of_training(l2, dims)), constants)


def of_training(l2: Sequence[float], dims: Sequence[int]) -> list[Parameter]:
    """Parameters of the training that may be searched as well, beyond the paper: none by default.

    `l2`, two numbers above 0, are the ends of a range of penalties on a logarithmic scale; with it the penalty is not
    chosen from the study's grid any more. `dims` are embedding dimensions to choose from instead of the study's.
    Raises InputError for anything else.
    """
    parameters: list[Parameter] = []
    if l2:
        if not (isinstance(l2, Sequence) and len(l2) == 2 and all(isinstance(end, int | float) for end in l2)):
            raise InputError(f"A space's l2 is {l2!r}, but it must be the two ends of a range.")
        parameters.append(Real("l2", float(l2[0]), float(l2[1]), log=True))
    if dims:
        if not all(isinstance(dim, int) and not isinstance(dim, bool) and dim > 0 for dim in dims):
            raise InputError(f"A space's dims are {tuple(dims)}, but they must be integers of at least 1.")
        parameters.append(Choice("dim", tuple(dims)))
    return parameters
