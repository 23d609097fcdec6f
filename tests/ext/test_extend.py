"""An app is extended: which extensions start, in which order, and what `app.ext` shows."""

from collections.abc import Iterator

import pytest

from tests.framework.streams import make_app
from vivace import Vivace
from vivace.errors import ConfigError
from vivace.ext import Config, Extend, Extension
from vivace.ext.errors import InitError
from vivace.framework.route import Route


@pytest.fixture(autouse=True)
def names() -> Iterator[None]:
    """The classes of one test are forgotten, and those that code of other tests declared."""
    Extend(make_app())  # those that come with Vivace are there
    known = Extension._name_registry
    before = {name: kind for name, kind in known.items() if kind.__module__.startswith("vivace.")}
    known.clear()
    known.update(before)
    yield
    Extension._name_registry.clear()
    Extension._name_registry.update(before)
    Extend.reset()


def declare(name: object, started: list[str] | None = None) -> type[Extension]:
    def startup(self: Extension, bootstrap: Extend) -> None:
        if started is not None:
            started.append(f"{self.app.name} {self.config.CORS_MAX_AGE} {bootstrap.app is self.app}")

    return type("Made", (Extension,), {"name": name, "startup": startup, "provides": ("label",)})


def test_an_extension_starts_with_its_app_and_is_found_on_it(app: Vivace) -> None:
    started: list[str] = []
    kind = declare("greeter", started)
    ext = Extend(app, extensions=[kind], config={"cors_max_age": 7})
    assert started == ["app 7 True"]
    assert app.ext is ext
    assert ext.extensions[0].name == "greeter"
    assert ext.label() == ""


def test_own_extensions_start_first_and_registered_ones_last(app: Vivace) -> None:
    Extend.register(declare("late"))
    ext = Extend(app, extensions=[declare("early")])
    found = [extension.name for extension in ext.extensions]
    assert found == ["early", "injection", "openapi", "http", "health", "logging", "templating", "late"]


def test_built_in_extensions_can_be_left_out(app: Vivace) -> None:
    assert Extend(app, built_in_extensions=False).extensions == []


def test_a_class_that_is_named_twice_starts_once(app: Vivace) -> None:
    started: list[str] = []
    kind = declare("once", started)
    Extend.register(kind)
    Extend(app, extensions=[kind, kind], built_in_extensions=False)
    assert len(started) == 1


def test_an_object_can_be_given_instead_of_a_class(app: Vivace) -> None:
    given = declare("made")()
    assert Extend(app, extensions=[given], built_in_extensions=False).extensions == [given]


def test_an_app_is_extended_once(app: Vivace) -> None:
    Extend(app)
    with pytest.raises(RuntimeError, match="Cannot extend"):
        Extend(app)


def test_an_app_that_is_not_extended_says_how_it_could_be(app: Vivace) -> None:
    with pytest.raises(AttributeError, match=r"Extend\(app\)"):
        _ = app.ext


def test_only_an_app_can_be_extended() -> None:
    with pytest.raises(InitError, match="'shop'"):
        Extend("shop")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a-b", "a1", None])
def test_an_extension_has_a_name_of_letters(name: str | None) -> None:
    with pytest.raises(InitError, match="alphabetic"):
        declare(name)


@pytest.mark.parametrize("name", ["http", "mine"])
def test_a_name_belongs_to_one_class(name: str, app: Vivace) -> None:
    Extend(app)
    if name == "mine":
        declare(name)
    with pytest.raises(InitError, match=f'"{name}" already exists'):
        declare(name)


@pytest.mark.parametrize("wrong", ["text", int, 3])
def test_what_is_no_extension_is_refused(app: Vivace, wrong: object) -> None:
    with pytest.raises(TypeError):
        Extend(app, extensions=[wrong])  # type: ignore[list-item]


def test_what_no_extension_provides_is_an_attribute_error(app: Vivace) -> None:
    with pytest.raises(AttributeError, match="'nothing'"):
        _ = Extend(app).nothing


def test_a_label_is_rendered_in_brackets() -> None:
    extension = declare("labelled")()
    assert extension.render_label() == ""
    extension.label = lambda: "3 things"  # type: ignore[method-assign]
    assert extension.render_label() == "[3 things]"


def test_an_app_that_extends_nothing_keeps_the_short_way(app: Vivace) -> None:
    @app.get("/")
    async def index(request: object) -> None: ...

    Extend(app)
    assert app.routes[0].plain


def test_routes_can_be_amended_whenever_they_are_compiled(app: Vivace) -> None:
    seen: list[int] = []

    def amend(routes: list[Route]) -> list[Route]:
        seen.append(len(routes))
        return [route for route in routes if route.name != "app.hidden"]

    app.amend_routes(amend)

    async def handler(request: object) -> None: ...

    app.add_route(handler, "/shown", name="shown")
    app.add_route(handler, "/hidden", name="hidden")
    app.finalize()
    app.finalize()
    assert seen == [2, 2]
    assert [route.name for route in app.routes] == ["app.shown"]


# Settings


def test_settings_have_defaults_as_attributes_and_items() -> None:
    config = Config()
    assert config.CORS is True
    assert config["HEALTH_URL_PREFIX"] == "/__health__"
    assert "API_TITLE" not in config
    with pytest.raises(AttributeError, match="NOTHING"):
        _ = config.NOTHING


def test_names_are_taken_in_either_case_and_own_ones_kept() -> None:
    config = Config.from_dict({"cors_origins": "a", "HEALTH": True, "mine": 1})
    assert (config.CORS_ORIGINS, config.HEALTH, config.MINE) == ("a", True, 1)
    config.HEALTH = False
    assert config["HEALTH"] is False


def test_the_configuration_of_the_app_goes_first_and_gets_what_it_lacks(app: Vivace) -> None:
    app.config.CORS_ORIGINS = "from-app"
    ext = Extend(app, config=Config(cors_origins="given", cors_max_age=9), oas=False)
    assert ext.config.CORS_ORIGINS == "from-app"
    assert (app.config.CORS_MAX_AGE, app.config.OAS, app.config.HEALTH) == (9, False, False)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("cors_origins", 3, "CORS_ORIGINS: 3 cannot be used; expected text"),
        ("health", "yes", "HEALTH: 'yes' cannot be used; expected yes or no"),
        ("logging_queue_max_size", True, "LOGGING_QUEUE_MAX_SIZE: True"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_its_name(name: str, value: object, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        Config(**{name: value})


def test_a_wrong_value_in_the_configuration_of_the_app_is_refused() -> None:
    app = make_app()
    app.config.CORS_METHODS = 5
    with pytest.raises(ConfigError, match="CORS_METHODS: 5"):
        Extend(app)


def test_settings_are_a_mapping() -> None:
    with pytest.raises(ConfigError, match="config=3"):
        Extend(make_app(), config=3)  # type: ignore[arg-type]
