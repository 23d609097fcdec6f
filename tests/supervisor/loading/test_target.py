"""Finding and importing apps, and what is said when that fails."""

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from vivace.errors import ConfigError, StartupError
from vivace.framework.app import Vivace
from vivace.supervisor.loading.failure import describe_failure
from vivace.supervisor.loading.target import find_target, is_loading, load_target

HERE = 'from vivace import Vivace\napp = Vivace("here")\n'


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working directory; modules and path entries of a test vanish with it."""
    path = list(sys.path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:] = path
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def write(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text))


def failure(target: str) -> str:
    with pytest.raises(StartupError) as caught:
        load_target(target)
    assert caught.value.exit_code == 3
    return str(caught.value)


@pytest.mark.parametrize("target", ["here:app", "here", "here.py:app", "here.py", "./here.py", "here: app"])
def test_ways_to_name_an_app(target: str) -> None:
    write("here.py", HERE)
    loaded = load_target(target)
    assert isinstance(loaded.app, Vivace)
    assert (loaded.target, loaded.kind) == (target, "native")
    assert "Vivace" in loaded.why


def test_modules_of_packages_by_name_and_by_file() -> None:
    write("pack/__init__.py", "")
    write("pack/names.py", "NAME = 'inner'")
    write("pack/site.py", "from vivace import Vivace\nfrom .names import NAME\napi = Vivace(NAME)\n")
    assert load_target("pack.site:api").app.name == "inner"
    assert load_target("pack/site.py:api").app is load_target("pack.site:api").app


def test_a_file_finds_its_neighbours() -> None:
    write("deep/project.py", HERE)
    write("deep/web.py", "from project import app\n")
    assert load_target("deep/web.py").app.name == "here"


def test_a_file_may_be_called_like_a_module_that_exists() -> None:
    write("json.py", HERE)
    assert load_target("json.py").app.name == "here"
    assert sys.modules["json"].__name__ == "json"


def test_a_file_name_need_not_be_an_identifier() -> None:
    write("json-head.py", HERE)
    assert load_target("json-head.py").app.name == "here"


def test_factories_and_attributes() -> None:
    write(
        "made.py",
        """
        from vivace import Vivace
        class Box:
            app = Vivace("boxed")
        def make():
            return Vivace("made")
        """,
    )
    assert load_target("made:make()").app.name == "made"
    assert load_target("made:Box.app").app.name == "boxed"
    assert load_target("made:make").app.name == "made"
    assert "cannot be called" in failure("made:__name__()")


def test_the_only_app_of_a_module_is_found_without_its_name() -> None:
    write("one.py", HERE.replace("app =", "board ="))
    assert load_target("one").app.name == "here"
    write("two.py", HERE.replace("app =", "board =") + 'chat = Vivace("chat")\n')
    assert "it has the apps board, chat: write two:board" in failure("two")


def test_an_app_of_sanic_is_led_to_the_option() -> None:
    write("web.py", "raise ModuleNotFoundError(\"No module named 'sanic'\", name='sanic')\n")
    assert "With `vivace run --sanic` the app runs on Vivace" in failure("web:app")
    write("other.py", "import nosuchsanic\n")
    assert "--sanic" not in failure("other:app")


def test_names_that_are_missing() -> None:
    write("here.py", HERE)
    assert "did you mean app?" in failure("here:ap")
    assert "it has the apps app" in failure("here:zzzz")
    assert "there is no module heer" in failure("heer:app")
    assert "did you mean here?" in failure("heer:app")
    assert "did you mean here.py?" in failure("heer.py")
    assert "there is no module here.deeper" in failure("here.deeper:app")
    assert "names no module" in failure(":app")
    assert "no name of a module" in failure("a b:app")
    write("empty.py", "")
    assert "has no attribute app or application" in failure("empty")


def test_a_traceback_shows_the_users_code_only() -> None:
    write("broken.py", "def deeper():\n    return 1 / 0\n\ndeeper()\n")
    for target in ("broken:app", "broken.py:app"):
        text = failure(target)
        assert "ZeroDivisionError" in text
        assert text.count('File "') == 2
        assert text.count("broken.py") >= 2
        assert "importlib" not in text
        assert "target.py" not in text


def test_a_traceback_ends_with_the_users_line_where_our_code_refused() -> None:
    write("broken.py", 'from vivace import Vivace\napp = Vivace("not a name")\n')
    text = failure("broken:app")
    assert "line 2" in text
    assert "not a name" in text
    assert text.count('File "') == 1


def test_causes_are_shown_without_our_frames_too() -> None:
    write(
        "broken.py",
        """
        def inner():
            raise KeyError("cause")
        try:
            inner()
        except KeyError as error:
            raise ValueError("effect") from error
        """,
    )
    text = failure("broken")
    assert "cause" in text
    assert "effect" in text
    assert text.count('File "') == 3


def test_a_syntax_error_names_its_line() -> None:
    write("broken.py", "x = 1\nif x\n")
    assert "line 2" in failure("broken.py")


def test_a_missing_dependency_is_the_users_error_and_not_a_missing_target() -> None:
    write("broken.py", "import no_such_dependency\n")
    text = failure("broken:app")
    assert "No module named 'no_such_dependency'" in text
    assert "broken.py" in text


def test_a_module_that_ends_the_process() -> None:
    write("broken.py", "import sys\nsys.exit(7)\n")
    assert "the code ended the process (exit code 7)" in failure("broken")


def test_a_factory_that_fails() -> None:
    write("broken.py", "def make():\n    raise RuntimeError('no database')\n")
    text = failure("broken:make()")
    assert "no database" in text
    assert text.count('File "') == 1


def test_run_without_its_guard_is_explained() -> None:
    write("web.py", HERE + "app.run()\n")
    text = failure("web.py")
    assert 'if __name__ == "__main__":' in text
    assert "line 3" in text
    assert not is_loading()


def test_a_module_without_a_name_is_looked_for_in_the_usual_files(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match=r"app\.py, main\.py, web\.py") as caught:
        find_target(tmp_path)
    assert caught.value.exit_code == 2
    write("web.py", "")
    assert find_target(tmp_path) == "web.py"
    write("app.py", "")
    assert find_target(tmp_path) == "app.py"


def test_factories_by_flasks_convention() -> None:
    write(
        "made.py",
        """
        import functools
        from vivace import Vivace
        def create_app(config=None, *, debug=False):
            return Vivace("made")
        make_partly = functools.partial(Vivace, "made")
        async def make_async():
            return Vivace("made")
        def make_with(config):
            return Vivace("made")
        def make_nothing():
            pass
        """,
    )
    for target in ("made:create_app", "made:create_app()", "made"):
        loaded = load_target(target)
        assert loaded.app.name == "made"
        assert loaded.why == "an instance of Vivace, made by create_app()"
    assert load_target("made:make_partly").why == "an instance of Vivace, made by make_partly()"
    assert "no loop runs yet" in failure("made:make_async")
    assert "no loop runs yet" in failure("made:make_async()")
    assert "with config" in failure("made:make_with")
    assert (
        "made:make_nothing (made by make_nothing()) is no app: it is an object of type NoneType"
        in failure("made:make_nothing")
    )


def test_an_app_whose_parameters_have_defaults_is_no_factory() -> None:
    write("odd.py", "def app(environ=None, start_response=None):\n    return []\n")
    assert load_target("odd:app").kind == "wsgi"


HOSTED = """
class App:
    def __call__(self, environ, start_response):
        return []
def helper(environ, start_response):
    return []
"""


def test_the_only_hosted_app_of_a_module_is_found_without_its_name() -> None:
    write("one.py", HOSTED + "site = App()\nagain = site\n")
    assert load_target("one").kind == "wsgi"
    write("two.py", HOSTED + "site = App()\nother = App()\n")
    assert "it has the apps site, other: write two:site" in failure("two")
    write("none.py", HOSTED)
    assert "has no attribute app or application" in failure("none")


def test_a_module_called_app_is_no_app() -> None:
    write("pack/__init__.py", "from . import app\n")
    write("pack/app.py", HERE)
    assert "did you mean pack.app?" in failure("pack")


@pytest.mark.parametrize("target", ["shop", "./shop", "shop/"])
def test_a_project_is_asked_for_by_its_module(target: str, tmp_path: Path) -> None:
    write("shop/__init__.py", "")
    write("shop/wsgi.py", HOSTED + "application = App()\n")
    assert "did you mean shop.wsgi?" in failure(target)
    assert load_target("shop.wsgi").kind == "wsgi"
    with pytest.raises(StartupError, match=r"did you mean shop\.wsgi\?"):
        find_target(tmp_path)


def test_a_package_whose_parts_cannot_be_looked_for_gets_no_hint() -> None:
    write("odd/__init__.py", "import sys\nsys.modules[__name__ + '.asgi'] = None\n")
    assert failure("odd").endswith("odd has no attribute app or application")


def test_a_folder_without_an_app() -> None:
    write("empty/readme.txt", "")
    assert "empty is a folder; name a module or file in it" in failure("./empty")


def test_the_kind_may_be_given() -> None:
    write("any.py", "def app(*args):\n    return []\n")
    assert "--interface asgi, asgi2 or wsgi" in failure("any:app")
    assert load_target("any:app", "wsgi")[2:4] == ("wsgi", "as it was declared")


def test_a_failure_is_described_with_its_exit_code() -> None:
    assert describe_failure(ConfigError("bad")) == ("bad", 2)
    assert describe_failure(StartupError("in use", stage="bind", exit_code=4)) == ("in use", 4)
    text, code = describe_failure(ValueError("no"))
    assert code == 3
    assert "ValueError: no" in text


@pytest.mark.parametrize(
    "imported", ["from flask import request, g, session", "from django.conf import settings"]
)
def test_proxies_among_the_names_of_a_module_do_not_stop_the_search(imported: str) -> None:
    write("made.py", f"{imported}\nfrom vivace import Vivace\ndef create_app():\n    return Vivace('made')\n")
    assert load_target("made").why == "an instance of Vivace, made by create_app()"
    assert "no attribute 'nothing'" in failure("made:nothing")
