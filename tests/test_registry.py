"""The registry, on packages and distributions written for each test."""

import sys
from collections.abc import Callable, Iterator
from importlib import import_module, reload
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from automl_cf.errors import AutomlCfError, InputError, suggest
from automl_cf.registry import Registry

PACKAGE = "planted_things"
GROUP = "planted.things"
ENTRY = "from planted_things import things\n\n@things.register('{name}')\nclass Entry:\n    text = '{text}'\n"


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry[type]]:
    """The registry of a package with the built-ins `plain` and `two-words`."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    registry = f"from automl_cf.registry import Registry\nthings = Registry('thing', '{PACKAGE}', '{GROUP}')\n"
    (folder / "__init__.py").write_text(registry)
    (folder / "plain.py").write_text(ENTRY.format(name="plain", text="first"))
    (folder / "two_words.py").write_text(ENTRY.format(name="two-words", text="second"))
    (folder / "_helper.py").write_text("raise RuntimeError('never imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module(PACKAGE).things
    for module in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
        del sys.modules[module]


@pytest.fixture
def distribute(tmp_path: Path) -> Callable[[str, str, str], None]:
    """Make an installed distribution that offers one entry point of the group."""

    def write(distribution: str, name: str, value: str) -> None:
        info = tmp_path / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {value}\n")

    return write


def imported() -> set[str]:
    return {name for name in sys.modules if name.startswith(f"{PACKAGE}.")}


def test_names_imports_no_entry(things: Registry[type], distribute: Callable[[str, str, str], None]) -> None:
    distribute("foreign", "from-outside", "no_such_module:Entry")
    things.register("by-hand")(int)
    assert things.names() == ["by-hand", "from-outside", "plain", "two-words"]
    assert imported() == set()


def test_get_imports_the_one_built_in(things: Registry[type]) -> None:
    entry = things.get("two-words")
    assert entry is sys.modules[f"{PACKAGE}.two_words"].Entry
    assert imported() == {f"{PACKAGE}.two_words"}


def test_a_registry_without_a_package_holds_what_is_registered() -> None:
    registry: Registry[object] = Registry("thing", None, GROUP)
    assert registry.register("x")(registry) is registry
    assert registry.get("x") is registry
    assert registry.names() == ["x"]


@pytest.mark.parametrize("name", ["two_words", "two-word", "Two-Words"])
def test_unknown_name_gets_a_suggestion(things: Registry[type], name: str) -> None:
    with pytest.raises(InputError) as caught:
        things.get(name)
    assert str(caught.value) == (f"Unknown thing '{name}'. Did you mean 'two-words'? Known: plain, two-words.")


def test_unknown_name_in_an_empty_registry() -> None:
    with pytest.raises(InputError, match=r"^Unknown thing 'x'\. Known: none\.$"):
        Registry[object]("thing", None, GROUP).get("x")


def test_a_private_module_is_no_entry(things: Registry[type]) -> None:
    with pytest.raises(InputError, match="Unknown thing '-helper'"):
        things.get("-helper")


@pytest.mark.parametrize("load_first", [False, True])
def test_a_built_in_name_is_taken_loaded_or_not(things: Registry[type], load_first: bool) -> None:
    if load_first:
        things.get("plain")
    with pytest.raises(InputError, match="The thing name 'plain' is already taken"):
        things.register("plain")(int)
    assert things.get("plain").__module__ == f"{PACKAGE}.plain"


def test_a_registered_name_is_taken(things: Registry[type]) -> None:
    things.register("mine")(int)
    things.register("mine")(int)
    with pytest.raises(InputError, match="'mine' is already taken"):
        things.register("mine")(float)
    assert things.get("mine") is int


def test_a_reloaded_module_replaces_its_entry(things: Registry[type], tmp_path: Path) -> None:
    first = things.get("plain")
    (tmp_path / PACKAGE / "plain.py").write_text(ENTRY.format(name="plain", text="edited since"))
    reload(sys.modules[f"{PACKAGE}.plain"])
    second = things.get("plain")
    assert second is not first
    assert vars(second)["text"] == "edited since"


def test_a_module_that_registers_nothing_is_named(things: Registry[type], tmp_path: Path) -> None:
    (tmp_path / PACKAGE / "hollow.py").write_text("")
    with pytest.raises(AutomlCfError, match=r"planted_things\.hollow registers no thing named 'hollow'"):
        things.get("hollow")


@pytest.mark.parametrize("self_registering", [False, True])
def test_an_entry_point_is_loaded(
    things: Registry[type],
    distribute: Callable[[str, str, str], None],
    tmp_path: Path,
    self_registering: bool,
) -> None:
    source = ENTRY if self_registering else "class Entry:\n    text = '{text}'\n"
    (tmp_path / PACKAGE / "_foreign.py").write_text(source.format(name="foreign", text="from outside"))
    distribute("foreign", "foreign", f"{PACKAGE}._foreign:Entry")
    assert vars(things.get("foreign"))["text"] == "from outside"
    assert things.get("foreign") is things.get("foreign")


def test_an_entry_point_that_does_not_load_is_explained(
    things: Registry[type], distribute: Callable[[str, str, str], None]
) -> None:
    distribute("foreign", "broken", "no_such_module:Entry")
    with pytest.raises(AutomlCfError, match=r"'broken' of foreign \(no_such_module:Entry\) cannot be loaded"):
        things.get("broken")


def test_two_packages_with_one_name_are_refused(
    things: Registry[type], distribute: Callable[[str, str, str], None]
) -> None:
    distribute("one", "twice", "builtins:int")
    distribute("two", "twice", "builtins:float")
    with pytest.raises(InputError, match="Several packages offer the thing 'twice'") as caught:
        things.get("twice")
    assert {"one", "two"} <= set(str(caught.value).replace(",", "").split())


NAMES = st.text("abcdefghXYZ0123-", min_size=1)


@given(st.lists(NAMES), NAMES)
def test_suggest_finds_a_known_name_in_any_case(others: list[str], name: str) -> None:
    hint = suggest(name.upper(), [*others, name])
    assert hint.lower() == f" did you mean '{name.lower()}'?"


def test_suggest_keeps_quiet_when_nothing_is_near() -> None:
    assert suggest("zzz", ["sif", "random"]) == ""
    assert suggest("sif", []) == ""


@pytest.mark.parametrize(("error", "status"), [(AutomlCfError, 1), (InputError, 2)])
def test_exit_status(error: type[AutomlCfError], status: int) -> None:
    assert error.exit_status == status
