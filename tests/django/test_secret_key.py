"""SECRET_KEY while settings.py loads: from the store, with fallbacks after a rotation; thrown away in a build."""

from __future__ import annotations

import copy
import pickle
import pprint
from pathlib import Path

import pytest
from django.core import signing

from strongroom.errors import InvalidNameError, NotFoundError, PurposeError, SettingsError, StateError
from strongroom.keystore.opening import open_store
from strongroom.keystore.secretkey import django_secret_key
from tests.django.cache_sites import make_keys
from tests.django.conftest import ROOT, python, started, watched

NAME = "django-secret-key"

SETTINGS = """
import sys
import strongroom
before = set(sys.modules)
SECRET_KEY, SECRET_KEY_FALLBACKS = strongroom.django_secret_key("django-secret-key", store={store!r})
assert not [name for name in set(sys.modules) - before if name.startswith("django")], "Django while settings load"
INSTALLED_APPS = ["django.contrib.staticfiles", "strongroom.django"]
STRONGROOM = {{"default": {{"STORE": {store!r}}}}}
STATIC_URL = "static/"
STATIC_ROOT = {static!r}
STATICFILES_DIRS = [{assets!r}]
"""


def project(tmp_path: Path, store: Path) -> dict[str, str]:
    """A settings module whose SECRET_KEY comes from the store; the environment that names it."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "site.css").write_text("body {}\n")
    text = SETTINGS.format(store=str(store), static=str(tmp_path / "static"), assets=str(tmp_path / "assets"))
    (tmp_path / "sealed_settings.py").write_text(text)
    return {"DJANGO_SETTINGS_MODULE": "sealed_settings", "PYTHONPATH": f"{ROOT / 'src'}:{tmp_path}"}


def test_it_is_the_keysets_primary_and_has_no_fallbacks_at_first(development: Path) -> None:
    key, fallbacks = django_secret_key(NAME, store=development)
    with open_store(development) as keystore:
        assert key == keystore.secret(NAME).reveal_text()
    assert fallbacks == []
    assert len(key) >= 50  # what Django's own check asks for


def test_a_rotation_makes_the_old_key_a_fallback_under_which_signatures_stay_valid(development: Path) -> None:
    old = str(django_secret_key(NAME, store=development)[0])
    signed = signing.Signer(key=old).sign("a session")
    with open_store(development) as keystore:
        keystore.rotate(NAME, now=True, generate=True)
    new, fallbacks = django_secret_key(NAME, store=str(development))
    assert new != old
    assert fallbacks == [old]
    assert signing.Signer(key=new, fallback_keys=list(fallbacks)).unsign(signed) == "a session"


def test_a_version_on_its_way_is_a_fallback_on_the_hosts_that_have_not_changed_over(development: Path) -> None:
    with open_store(development) as keystore:
        keystore.rotate(NAME, generate=True)
    key, [coming] = django_secret_key(NAME, store=development)
    old = str(key)
    with open_store(development) as keystore:
        keystore.promote(NAME, 2)
    new, _ = django_secret_key(NAME, store=development)
    assert coming == new
    assert new != old


def test_a_missing_keyset_is_not_made_up(development: Path) -> None:
    with pytest.raises(NotFoundError):
        django_secret_key("other-secret-key", store=development)
    with open_store(development) as keystore:
        assert "other-secret-key" not in keystore


def test_a_keyset_of_another_kind_is_refused(development: Path) -> None:
    with pytest.raises(PurposeError):
        django_secret_key("student-records", store=development)


def test_a_build_gets_another_throw_away_value_each_time_and_still_checks_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRONGROOM_BUILD", "1")
    (first, none), (second, _) = (django_secret_key(NAME, store=tmp_path / "no store") for _ in range(2))
    assert none == []
    assert first != second
    assert len(first) >= 50
    with pytest.raises(InvalidNameError):
        django_secret_key("No Name", store=tmp_path)


def test_a_site_loads_its_settings_with_it(development: Path, tmp_path: Path) -> None:
    with open_store(development) as keystore:
        keystore.rotate(NAME, now=True, generate=True)
    shown = "from django.conf import settings; print(len(settings.SECRET_KEY), len(settings.SECRET_KEY_FALLBACKS))"
    done = python("-m", "django", "shell", "-v", "0", "-c", shown, environ=project(tmp_path, development))
    assert (done.stdout, done.returncode) == ("64 1\n", 0), done.stderr


def test_collectstatic_in_a_build_opens_nothing(sealed: Path, tmp_path: Path, stand_in: Path) -> None:
    environ = project(tmp_path, sealed) | watched(stand_in)
    built = python("-m", "django", "collectstatic", "--no-input", environ={**environ, "STRONGROOM_BUILD": "1"})
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "static" / "site.css").read_text() == "body {}\n"
    assert started(stand_in) == ""
    # the same command where it is no build opens the store, so gpg is asked
    opened = python("-m", "django", "collectstatic", "--no-input", environ=environ)
    assert opened.returncode != 0
    assert started(stand_in) != ""


PROMISES = ["opened-once", "rotated", "survived", "new-key-signs", "child-saw-it", "compromised-is-gone", "stays-open"]


@pytest.mark.parametrize(
    "engine",
    [
        "cache",
        pytest.param("cached_db", marks=pytest.mark.slow),
        pytest.param("signed_cookies", marks=pytest.mark.slow),
    ],
)
def test_sessions_signatures_and_reset_tokens_survive_a_rotation_in_the_running_process(
    development: Path, engine: str
) -> None:
    make_keys(development)
    done = python("-m", "tests.django.live_site", str(development), engine, environ={}, cwd=ROOT)
    assert done.stdout.split() == PROMISES, done.stderr
    assert done.returncode == 0
    for check in ("security.W009", "security.W025"):  # Django is content with the length and the characters
        assert check not in done.stderr


def test_neither_shows_itself_to_pages_that_print_settings(development: Path) -> None:
    with open_store(development) as keystore:
        keystore.rotate(NAME, now=True, generate=True)
    key, fallbacks = django_secret_key(NAME, store=development)
    text, former = str(key), str(fallbacks[0])
    shown = f"{key!r} {fallbacks!r} {fallbacks[0]!r} {vars(key)} {vars(fallbacks)} {pprint.pformat([key, fallbacks])}"
    assert text not in shown
    assert former not in shown
    for each in (key, fallbacks, fallbacks[0]):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(each)
    assert copy.deepcopy(key) is key
    assert copy.copy(fallbacks) is fallbacks


def test_what_code_in_c_takes_for_the_key_is_known_to_nobody_and_differs_each_time(development: Path) -> None:
    one, two = (django_secret_key(NAME, store=development)[0] for _ in range(2))
    taken = ["".join([each]) for each in (one, two)]
    assert taken[0] != taken[1]
    assert str(one) not in taken
    assert taken[0] not in repr(one)


def test_the_fallbacks_are_a_list_in_all_that_reads_and_refuse_what_writes(development: Path) -> None:
    with open_store(development) as keystore:
        keystore.rotate(NAME, now=True, generate=True)
        former = keystore.secret(NAME).reveal_text(1)
    _, fallbacks = django_secret_key(NAME, store=development)
    assert isinstance(fallbacks, list)
    assert fallbacks == [former] == list(fallbacks) == [*fallbacks] == fallbacks.copy() == fallbacks[:]
    assert [1] + fallbacks + [2] == [1, former, 2]  # noqa: RUF005  this is what is tried
    assert tuple(reversed(fallbacks)) == (former,)
    assert former in fallbacks
    assert (fallbacks.index(former), fallbacks.count(former), len(fallbacks)) == (0, 1, 1)
    for write in (lambda: fallbacks.append("x"), fallbacks.clear, lambda: fallbacks.__setitem__(0, "x")):
        with pytest.raises(TypeError, match="what the keyset"):
            write()


def test_a_suspended_key_signs_nothing(development: Path) -> None:
    with open_store(development) as keystore:
        keystore.suspend(NAME, 1, reason="a test")
    with pytest.raises(StateError):
        django_secret_key(NAME, store=development)


def test_a_workers_settings_that_name_a_cache_of_django_are_refused() -> None:
    with pytest.raises(SettingsError, match="still loading"):
        django_secret_key(NAME, settings={"CACHE": "default"})
    with pytest.raises(SettingsError, match="not a setting"):
        django_secret_key(NAME, settings={"STOR": "/srv"})


def test_a_site_without_its_store_ends_with_the_next_command(tmp_path: Path) -> None:
    environ = {"REGISTRAR_STORE": str(tmp_path / "nowhere"), "REGISTRAR_DATA": str(tmp_path)}
    told = python("manage.py", "check", environ=environ).stderr.rstrip().splitlines()
    assert told[-2].startswith("strongroom.errors.NotFoundError: there is no store in")
    assert told[-1] == "hint: 'strongroom init' makes one; --store names another"
