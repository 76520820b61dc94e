import json
import math
import pickle
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from example_spaces import SPACES, WIDTHS, mixed_space, nas_space
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from automl_cf.errors import InputError
from automl_cf.spaces import (
    Architecture,
    Category,
    Choice,
    Int,
    Parameter,
    Real,
    Space,
    Subset,
    Unit,
    Vector,
    interaction_space,
)

finite = st.floats(allow_nan=False, allow_infinity=False)
unit = st.floats(0, 1)
scalars = st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), finite, st.text())
values = st.dictionaries(st.text(), scalars | st.lists(scalars, max_size=4), max_size=4)
options = st.lists(st.text(max_size=3) | st.integers(-5, 5), min_size=1, max_size=5, unique=True)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    """Any space: all kinds of parameter, trained ones, conditions on any earlier choice."""
    parameters: list[Parameter] = []
    for index in range(draw(st.integers(0, 6))):
        name = f"x{index}"
        keywords: dict[str, Any] = {"role": draw(st.sampled_from(["searched", "searched", "trained"]))}
        parents = [p for p in parameters if isinstance(p, Choice) and p.role == "searched"]
        if parents and draw(st.booleans()):
            parent = draw(st.sampled_from(parents))
            listed = draw(st.lists(st.sampled_from(parent.options), min_size=1))
            keywords[draw(st.sampled_from(["when", "unless"]))] = (parent.name, listed)
        kind = draw(st.sampled_from([Choice, Choice, Subset, Real, Int, Vector]))
        if kind is Choice:
            parameters.append(Choice(name, draw(options), **keywords))
        elif kind is Subset:
            of = draw(options)
            parameters.append(Subset(name, of, draw(st.integers(1, len(of))), **keywords))
        elif kind is Real:
            low, high = sorted(draw(st.lists(finite, min_size=2, max_size=2, unique=True)))
            parameters.append(Real(name, low, high, log=low > 0 and draw(st.booleans()), **keywords))
        elif kind is Int:
            low_int, high_int = sorted(draw(st.lists(st.integers(), min_size=2, max_size=2, unique=True)))
            parameters.append(Int(name, low_int, high_int, **keywords))
        else:
            bound = draw(st.floats(1e-3, 1e3))
            parameters.append(Vector(name, draw(st.integers(1, 4)), bound, **keywords))
    return Space("any", tuple(parameters), draw(st.dictionaries(st.sampled_from(["a", "b"]), scalars)))


@st.composite
def points(draw: st.DrawFn) -> tuple[Space, list[float]]:
    space = draw(spaces())
    return space, draw(st.lists(unit, min_size=space.dimension, max_size=space.dimension))


class TestArchitecture:
    def test_id_is_the_hash_of_the_canonical_json(self) -> None:
        # printf '{"activation":"sigmoid","operation":"plus","p":[0.1,-0.25]}' | sha256sum
        architecture = Architecture({"operation": "plus", "p": [0.1, -0.25], "activation": "sigmoid"})
        assert architecture.id == "82838b7fc6"

    def test_behaves_as_a_mapping(self) -> None:
        architecture = Architecture({"operation": "plus", "p": [0.5]})
        assert architecture["operation"] == "plus"
        assert architecture.get("q") is None
        assert "p" in architecture
        assert dict(architecture) == {"operation": "plus", "p": (0.5,)}

    def test_cannot_be_changed(self) -> None:
        given_values = {"p": [0.5]}
        architecture = Architecture(given_values)
        given_values["p"].append(1.0)
        assert architecture["p"] == (0.5,)
        with pytest.raises(TypeError):
            architecture["p"] = 1
        with pytest.raises(AttributeError):
            architecture.p = 1

    @given(values)
    def test_json_and_pickle_keep_it(self, given_values: dict[str, Any]) -> None:
        architecture = Architecture(given_values)
        back = Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
        for copy in (back, pickle.loads(pickle.dumps(architecture))):
            assert copy == architecture
            assert hash(copy) == hash(architecture)
            assert copy.id == architecture.id
            assert copy.to_json() == architecture.to_json()

    @given(values, values)
    def test_the_id_tells_values_apart_and_ignores_order(self, a: dict[str, Any], b: dict[str, Any]) -> None:
        same = json.dumps(a, sort_keys=True) == json.dumps(b, sort_keys=True)
        assert (Architecture(a).id == Architecture(b).id) is same
        assert (Architecture(a) == Architecture(b)) is same
        assert Architecture(dict(reversed(a.items()))) == Architecture(a)

    def test_kinds_of_number_differ(self) -> None:
        ones = [Architecture({"x": one}) for one in (1, 1.0, True, "1")]
        assert len({one.id for one in ones}) == len(set(ones)) == 4

    def test_takes_numpy_values(self) -> None:
        architecture = Architecture({"n": np.int64(3), "p": np.array([0.1, 0.2]), "x": np.float32(0.1)})
        assert architecture == Architecture({"n": 3, "p": [0.1, 0.2], "x": float(np.float32(0.1))})
        assert type(architecture["n"]) is int

    @pytest.mark.parametrize(
        "value",
        [
            math.nan,
            math.inf,
            [1.0, -math.inf],
            np.array([math.nan]),
            {"a": 1},
            [[1]],
            b"x",
            {1},
            np.eye(2),
            1j,
        ],
        ids=repr,
    )
    def test_refuses_what_is_not_flat_finite_json(self, value: Any) -> None:
        with pytest.raises(InputError, match="Value 'x'"):
            Architecture({"x": value})

    def test_refuses_names_that_are_not_strings(self) -> None:
        with pytest.raises(InputError, match="names a value 1"):
            Architecture({1: 2})
        with pytest.raises(InputError, match="must be an object"):
            Architecture.from_json([1])


class TestDecode:
    @given(points())
    def test_reaches_only_what_the_space_contains(self, point: tuple[Space, list[float]]) -> None:
        space, x = point
        architecture = space.decode(x)
        assert space.contains(architecture)
        assert space.contains(Architecture.from_json(json.loads(json.dumps(architecture.to_json()))))

    @given(points())
    def test_agrees_with_the_map_from_coordinates(self, point: tuple[Space, list[float]]) -> None:
        space, x = point
        assert len(space.coordinates) == space.dimension == len(x)
        numbers: dict[str, float] = {}
        for coordinate, u in zip(space.coordinates, x, strict=True):
            numbers[coordinate.name] = (
                min(math.floor(u * coordinate.n), coordinate.n - 1) if isinstance(coordinate, Category) else u
            )
        assert space.from_coordinates(numbers) == space.decode(x)

    def test_sample_decodes_uniforms(self) -> None:
        space = mixed_space()
        x = np.random.default_rng(3).random(space.dimension)
        assert space.sample(np.random.default_rng(3)) == space.decode(x)

    @pytest.mark.parametrize("n", [1, 2, 3, 5, 49])
    def test_classes_cut_the_unit_interval_evenly(self, n: int) -> None:
        choice = Space("s", (Choice("c", tuple(range(n))),))
        assert [choice.decode([(i + 0.5) / n])["c"] for i in range(n)] == list(range(n))
        assert choice.decode([0.0])["c"] == 0
        assert choice.decode([1.0])["c"] == n - 1

    @pytest.mark.parametrize("size", [1, 2, 3, 4])
    def test_a_subset_reaches_every_combination_in_lexicographic_order(self, size: int) -> None:
        subset = Space("s", (Subset("c", ("w", "x", "y", "z"), size),))
        (coordinate,) = subset.coordinates
        assert coordinate == Category("c", math.comb(4, size))
        reached = [subset.from_coordinates({"c": i})["c"] for i in range(math.comb(4, size))]
        assert reached == list(combinations("wxyz", size))

    @given(st.lists(unit, min_size=1, max_size=20), st.floats(1e-3, 1e3))
    def test_a_vector_is_radial_and_its_norm_has_the_closed_form(self, x: list[float], bound: float) -> None:
        v = np.array(Vector("p", len(x), bound).decode(x))
        z = 6 * np.array(x) - 3
        assert np.linalg.norm(v) == pytest.approx(bound * np.abs(z).max() / 3, rel=1e-12)
        assert v @ z == pytest.approx(np.linalg.norm(v) * np.linalg.norm(z), rel=1e-12)

    def test_the_middle_of_the_cube_is_the_zero_vector(self) -> None:
        assert Vector("p", 4, 3.0).decode([0.5] * 4) == (0.0,) * 4

    def test_a_vector_reaches_the_whole_ball(self) -> None:
        # The inverse, written down independently: v has z = v * 3 ||v|| / (bound * max|v|).
        rng = np.random.default_rng(0)
        for _ in range(100):
            v = rng.normal(size=16)
            v *= 3.0 * rng.random() / np.linalg.norm(v)
            z = v * 3 * np.linalg.norm(v) / (3.0 * np.abs(v).max())
            assert Vector("p", 16, 3.0).decode(list((z + 3) / 6)) == pytest.approx(v)

    def test_numbers_are_uniform_on_their_scale(self) -> None:
        space = Space("s", (Int("dimension", 2, 16), Real("x", -3.0, 1.0), Real("lam", 1e-6, 1e-1, log=True)))
        assert space.coordinates == (Unit("dimension"), Unit("x"), Unit("lam"))
        rng = np.random.default_rng(1)
        drawn = [space.sample(rng) for _ in range(3000)]
        _, counts = np.unique([a["dimension"] for a in drawn], return_counts=True)
        assert len(counts) == 15
        assert stats.chisquare(counts).pvalue > 0.01
        assert stats.kstest([a["x"] for a in drawn], stats.uniform(-3, 4).cdf).pvalue > 0.01
        logs = np.log10([a["lam"] for a in drawn])
        assert stats.kstest(logs, stats.uniform(-6, 5).cdf).pvalue > 0.01
        ends = [space.decode([end] * 3) for end in (0, 1)]
        assert [end["dimension"] for end in ends] == [2, 16]
        assert [end["x"] for end in ends] == [-3.0, 1.0]
        assert [end["lam"] for end in ends] == pytest.approx([1e-6, 1e-1])

    @pytest.mark.parametrize("x", [[0.5, 0.5], [[0.5]], [], [1.1], [-0.1], [math.nan]], ids=repr)
    def test_refuses_what_is_not_in_the_cube(self, x: Any) -> None:
        for parameter in (Choice("c", ("a", "b")), Real("c", 0.0, 1.0)):
            with pytest.raises(InputError):
                Space("s", (parameter,)).decode(x)

    @pytest.mark.parametrize("number", [2, -1, 0.5, "1", None, math.nan], ids=repr)
    def test_refuses_a_class_that_there_is_not(self, number: Any) -> None:
        with pytest.raises(InputError, match=r"'c' is .*, but must be an integer below 2"):
            Space("s", (Choice("c", ("a", "b")),)).from_coordinates({"c": number})

    def test_refuses_a_point_without_a_coordinate_that_it_needs(self) -> None:
        with pytest.raises(InputError, match=r"'p\[0\]' of space 'interaction' is missing"):
            interaction_space().from_coordinates({"operation": 0})


class TestContains:
    @given(points(), st.data())
    def test_not_what_lacks_or_adds_something(self, point: tuple[Space, list[float]], data: st.DataObject) -> None:
        space, x = point
        architecture = space.decode(x)
        assert not space.contains(Architecture({**architecture, "more": 1}))
        assume(len(architecture))
        dropped = data.draw(st.sampled_from(sorted(architecture)))
        assert not space.contains(Architecture({k: v for k, v in architecture.items() if k != dropped}))

    @pytest.mark.parametrize(
        "wrong",
        [
            {"operation": "divide"},
            {"operation": ["plus"]},
            {"operation": None},
            {"p": [0.1] * 3},
            {"p": [0.1] * 5},
            {"p": 0.1},
            {"p": "0.1"},
            {"p": [0.1, 0.1, 0.1, "0.1"]},
            {"p": [0.1, 0.1, 0.1, True]},
            {"p": [0, 0, 0, 0]},
            {"p": [1.51] * 4},
            {"p": [1e300] * 4},
            {"activation": "tanh"},
        ],
        ids=repr,
    )
    def test_not_what_is_malformed(self, wrong: dict[str, Any]) -> None:
        space = interaction_space(units=1)
        good = {"operation": "plus", "p": [1.5] * 4, "q": [0.0] * 4, "activation": "sigmoid"}
        assert space.contains(Architecture(good))
        assert not space.contains(Architecture({**good, **wrong}))

    @pytest.mark.parametrize(
        ("parameter", "good", "wrong"),
        [
            (Choice("x", (0, 2)), [0, 2], [0.0, False, "0", 1, (0,), None]),
            (
                Subset("x", (1, 2, 3), 2),
                [(1, 2), (1, 3)],
                [(2, 1), (1, 1), (1, 4), (1,), (1, 2, 3), (1.0, 2), 1],
            ),
            (Int("x", 2, 4), [2, 3, 4], [1, 5, 2.0, True, "3"]),
            (Real("x", 0, 1), [0.0, 0.5, 1.0], [-0.1, 1.1, 0, 1, True, "0.5", None]),
            (Vector("x", 2, 5.0), [(3.0, 4.0), (3.0, 4.0 + 1e-9), (0.0, -0.0)], [(3.0, 4.0 + 1e-7), (3.0,)]),
        ],
        ids=["choice", "subset", "int", "real", "vector"],
    )
    def test_each_kind_knows_its_values(self, parameter: Parameter, good: list[Any], wrong: list[Any]) -> None:
        assert [value for value in good if not parameter.contains(value)] == []
        assert [value for value in wrong if parameter.contains(value)] == []


class TestConditions:
    def test_nas_widths_stop_at_the_first_zero(self) -> None:
        space = nas_space()
        assert space.coordinates == tuple(Category(f"width_{i}", 5) for i in range(1, 6))
        rng = np.random.default_rng(0)
        depths = []
        for _ in range(2000):
            architecture = space.sample(rng)
            names = [f"width_{i}" for i in range(1, 6) if f"width_{i}" in architecture]
            widths = [architecture[name] for name in names]
            assert names == [f"width_{i}" for i in range(1, len(names) + 1)]
            assert 0 not in widths[:-1]
            assert widths[-1] == 0 or len(widths) == 5
            depths.append(len(widths))
        # A layer ends the network with probability 1/5, except that the fifth always does.
        expected = [0.2 * 0.8**i for i in range(4)] + [0.8**4]
        assert stats.chisquare(np.bincount(depths)[1:], 2000 * np.array(expected)).pvalue > 0.01

    def test_nas_architectures_with_gaps_are_not_contained(self) -> None:
        space = nas_space()

        def contains(**widths: int) -> bool:
            return space.contains(Architecture({**widths, "activation": "tanh"}))

        assert contains(width_1=0)
        assert contains(width_1=4, width_2=0)
        assert contains(**{f"width_{i}": 8 for i in range(1, 6)})
        assert not contains(width_1=4)
        assert not contains(width_1=0, width_2=4)
        assert not contains(width_1=0, width_2=0)
        assert not contains(width_2=4, width_3=0)
        assert not contains(width_1=4, width_2=0, width_3=4)
        assert not contains(width_1=3, width_2=0)

    def test_absent_parameters_need_no_coordinates(self) -> None:
        assert nas_space().from_coordinates({"width_1": WIDTHS.index(0)}) == Architecture(
            {"width_1": 0, "activation": "tanh"}
        )

    def test_when_and_unless_need_the_parameter_that_they_name(self) -> None:
        a = Choice("a", (0, 1))
        b = Choice("b", (0, 1), when=("a", (1,)))
        both = Space(
            "s",
            (a, b, Choice("when_b", (7,), when=("b", (0,))), Choice("unless_b", (8,), unless=("b", (0,)))),
        )
        reached = {both.from_coordinates({"a": i, "b": j, "when_b": 0, "unless_b": 0}) for i in (0, 1) for j in (0, 1)}
        assert reached == {
            Architecture({"a": 0}),
            Architecture({"a": 1, "b": 0, "when_b": 7}),
            Architecture({"a": 1, "b": 1, "unless_b": 8}),
        }

    def test_trained_parameters_are_declared_only(self) -> None:
        space = Space("gen", (Vector("w", 100, 1.0, role="trained"), Choice("c", ("a",))))
        assert [parameter.name for parameter in space.parameters] == ["w", "c"]
        assert space.coordinates == (Category("c", 1),)
        assert space.contains(Architecture({"c": "a"}))
        assert not space.contains(Architecture({"c": "a", "w": [0.0] * 100}))


class TestJson:
    @given(spaces())
    def test_json_and_pickle_keep_a_space(self, space: Space) -> None:
        assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
        assert pickle.loads(pickle.dumps(space)) == space
        assert hash(pickle.loads(pickle.dumps(space))) == hash(space)

    def test_spaces_that_differ_differ_in_json(self) -> None:
        for a, b in pairwise([*SPACES.values(), interaction_space(units=1, norm_bound=2.0)]):
            assert a != b
            assert a.to_json() != b.to_json()

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ([], "must have name, parameters and constants"),
            ({"name": "s", "parameters": []}, "must have name, parameters and constants"),
            ({"name": "s", "parameters": [1], "constants": {}}, "must be an object with a kind"),
            ({"name": "s", "parameters": [{"kind": "Chioce"}], "constants": {}}, "Did you mean 'Choice'"),
            ({"name": "s", "parameters": [{"kind": "Int", "name": "a"}], "constants": {}}, "fields name,"),
            ({"name": "s", "parameters": [], "constants": {"x": {}}}, "Value 'x'"),
        ],
        ids=repr,
    )
    def test_refuses_other_json(self, data: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            Space.from_json(data)


class TestDefinitions:
    @pytest.mark.parametrize(
        ("define", "message"),
        [
            (lambda: Choice("a", ()), r"'a' has options \(\), but it must be a list of at least one"),
            (lambda: Choice("a", "abc"), "a list of at least one"),
            (lambda: Choice("a", (math.nan,)), "finite number"),
            (lambda: Choice("a", ((1, 2), 3)), "string or finite number"),
            (lambda: Choice("a", ("x", "x")), "without repetition"),
            (lambda: Choice("a", (1, True)), "without repetition"),
            (lambda: Choice("p[0]", (1,)), r"named 'p\[0\]', but .* identifier"),
            (lambda: Choice("", (1,)), "named '', but .* identifier"),
            (lambda: Choice(3, (1,)), "named 3, but .* identifier"),
            (lambda: Choice("a", (1,), role="fixed"), "role 'fixed', but it must be 'searched' or 'trained'"),
            (lambda: Choice("a", (1,), when="b"), "has when 'b', but it must be a pair"),
            (lambda: Choice("a", (1,), when=("b", ())), "must be a pair"),
            (lambda: Choice("a", (1,), unless=("b", 3)), "has unless .* must be a pair"),
            (lambda: Subset("a", (), 1), "at least one"),
            (lambda: Subset("a", (1, 2), 3), "size 3, but it must be an integer from 1 to 2"),
            (lambda: Subset("a", (1, 2), 0), "size 0, but it must be an integer from 1 to 2"),
            (lambda: Subset("a", (1, 2), 1.0), "size 1.0, but it must be an integer"),
            (lambda: Real("a", 1.0, 1.0), "low 1.0, but it must be less than high, 1.0"),
            (lambda: Real("a", 2, 1), "low 2, but it must be less than high, 1"),
            (lambda: Real("a", 0.0, math.inf), "high inf, but it must be a finite number"),
            (lambda: Real("a", "0", 1.0), "low '0', but it must be a finite number"),
            (lambda: Real("a", 0.0, 1.0, log=True), "low 0.0, but it must be more than 0, since log"),
            (lambda: Real("a", 0.5, 1.0, log="yes"), "log 'yes', but it must be true or false"),
            (lambda: Int("a", 4, 4), "low 4, but it must be less than high, 4"),
            (lambda: Int("a", 1.5, 4), "low 1.5, but it must be an integer"),
            (lambda: Int("a", False, 4), "low False, but it must be an integer"),
            (lambda: Vector("a", 0, 1.0), "size 0, but it must be an integer of at least 1"),
            (lambda: Vector("a", 3, 0.0), "bound 0.0, but it must be a finite number above 0"),
            (lambda: Vector("a", 3, math.nan), "bound nan, but it must be a finite number above 0"),
        ],
    )  # fmt: skip
    def test_a_parameter_that_makes_no_sense(self, define: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            define()

    @pytest.mark.parametrize(
        ("parameters", "constants", "message"),
        [
            ([Int("a", 1, 2), Real("a", 0.0, 1.0)], {}, "the name 'a' twice"),
            ([Int("a", 1, 2)], {"a": 1}, "the name 'a' twice"),
            ([Int("a", 1, 2)], {"b": math.nan}, "Value 'b'"),
            (
                [Choice("width", (1,)), Int("a", 1, 2, when=("widht", (1,)))],
                {},
                "when 'widht', .* mean 'width'",
            ),
            ([Int("a", 1, 2, unless=("b", (1,))), Choice("b", (1,))], {}, "unless 'b', but .* before it"),
            ([Int("a", 1, 2, when=("a", (1,)))], {}, "when 'a', but .* before it"),
            (
                [Choice("b", (1,), role="trained"), Int("a", 1, 2, when=("b", (1,)))],
                {},
                "a searched parameter",
            ),
            (
                [Choice("b", (0, 1)), Int("a", 1, 2, when=("b", (2,)))],
                {},
                "'b' is 2, but .* one of its values",
            ),
            ([Choice("b", (0, 1)), Int("a", 1, 2, when=("b", (True,)))], {}, "'b' is True"),
        ],
    )
    def test_a_space_that_makes_no_sense(self, parameters: Any, constants: Any, message: str) -> None:
        with pytest.raises(InputError, match=message):
            Space("s", parameters, constants)


class TestInteractionSpace:
    def test_is_the_papers(self) -> None:
        space = interaction_space()
        operations = ("multiply", "plus", "min", "max", "concat")
        assert space == Space(
            "interaction",
            (Choice("operation", operations), Vector("p", 16, 3.0), Vector("q", 16, 3.0)),
            {"activation": "sigmoid"},
        )
        assert space.dimension == 33
        assert [c.name for c in space.coordinates[:2]] == ["operation", "p[0]"]

    def test_k_operations_are_a_subset(self) -> None:
        space = interaction_space(k=2)
        assert space.coordinates[0] == Category("operations", 10)
        assert space.decode([0.0] * 33)["operations"] == ("multiply", "plus")

    def test_without_units_there_is_no_network(self) -> None:
        space = interaction_space(("plus", "concat"), units=0)
        assert space.contains(Architecture({"operation": "plus"}))
        assert space.dimension == 1

    def test_decode_is_the_same_everywhere(self) -> None:
        assert interaction_space().decode(np.linspace(0, 1, 33)).id == "3be5a2d857"

    @pytest.mark.parametrize(
        ("wrong", "message"),
        [
            ({"operations": ()}, "'operation' has options"),
            ({"operations": ("plus", "plus")}, "without repetition"),
            ({"units": -1}, "units -1, but .* at least 0"),
            ({"units": 2.5}, "units 2.5"),
            ({"norm_bound": -1.0}, "'p' has bound -1.0"),
            ({"k": 6}, "'operations' has size 6, but it must be an integer from 1 to 5"),
            ({"k": 0}, "size 0"),
        ],
    )
    def test_refuses_options_that_make_no_sense(self, wrong: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            interaction_space(**wrong)
