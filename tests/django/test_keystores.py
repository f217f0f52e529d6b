"""`keystores["default"]`: opened when first used, shared by threads, true to the settings, alive after a fork."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.test import override_settings

from strongroom.django import keystores
from strongroom.errors import ClosedError, NotFoundError, SettingsError
from tests.django.conftest import python


def test_all_threads_share_one_keystore_that_is_opened_once(development: Path) -> None:
    ready = threading.Barrier(8)

    def use() -> tuple[int, bytes]:
        ready.wait()
        keystore = keystores["default"]
        return id(keystore), keystore.fernet("student-records").encrypt(b"x")

    with override_settings(STRONGROOM={"default": {"STORE": development}}), ThreadPoolExecutor(8) as pool:
        used = list(pool.map(lambda _: use(), range(8)))
        assert len({identity for identity, _ in used}) == 1
        box = keystores["default"].fernet("student-records")
        assert {box.decrypt(token) for _, token in used} == {b"x"}


def test_nothing_is_opened_before_the_first_use(tmp_path: Path) -> None:
    with override_settings(STRONGROOM={"default": {"STORE": tmp_path / "none"}}):
        assert list(keystores) == ["default"]
        with pytest.raises(NotFoundError, match="there is no store"):
            keystores["default"]


def test_a_failed_opening_is_tried_again(tmp_path: Path, development: Path) -> None:
    late = tmp_path / "late"
    with override_settings(STRONGROOM={"default": {"STORE": late}}):
        with pytest.raises(NotFoundError):
            keystores["default"]
        late.symlink_to(development)
        assert "student-records" in keystores["default"]


def test_override_settings_is_followed_there_and_back(development: Path) -> None:
    with override_settings(STRONGROOM={"default": {"STORE": development}}):
        outer = keystores["default"]
        with override_settings(STRONGROOM={"default": {"STORE": "memory:"}}):
            inner = keystores["default"]
            assert inner.names() == ()
            with pytest.raises(ClosedError):
                outer.names()
        assert "student-records" in keystores["default"]


def test_other_settings_close_nothing(development: Path) -> None:
    with override_settings(STRONGROOM={"default": {"STORE": development}}):
        before = keystores["default"]
        with override_settings(TIME_ZONE="Europe/Vienna"):
            assert keystores["default"] is before


def test_each_alias_has_a_keystore_of_its_own(development: Path) -> None:
    with override_settings(STRONGROOM={"default": {"STORE": development}, "tests": {"STORE": "memory:"}}):
        assert list(keystores) == ["default", "tests"]
        assert keystores["default"] is not keystores["tests"]
        assert keystores["tests"].names() == ()


def test_an_unknown_alias_is_told_with_the_known_ones(development: Path) -> None:
    with override_settings(STRONGROOM={"default": {"STORE": development}, "archive": {"STORE": "memory:"}}):
        with pytest.raises(SettingsError, match="no store 'defualt'; it has 'default', 'archive'") as caught:
            keystores["defualt"]
        assert "STRONGROOM" in caught.value.hint


def test_after_close_all_the_next_use_opens_again(development: Path) -> None:
    with override_settings(STRONGROOM={"default": {"STORE": development}}):
        before = keystores["default"]
        keystores.close_all()
        with pytest.raises(ClosedError):
            before.names()
        assert keystores["default"].names() == ("django-secret-key", "student-records")


FORKING = """
import os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of a fork beside threads: that is the test
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=["strongroom.django"], STRONGROOM={"default": {"STORE": sys.argv[1]}})
django.setup()
from strongroom.django import keystores

def in_child(work):
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            print(type(error).__name__, error, flush=True)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

# a child that is forked while a thread of the parent is opening gets no lock that nobody will ever release
held, go = threading.Event(), threading.Event()
def hold():
    with keystores._lock:
        held.set()
        go.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
assert in_child(lambda: keystores["default"].fernet("student-records").encrypt(b"x")) == 0
go.set()
thread.join()

# a worker that is forked after the parent has opened goes on with the parent's keystore
box = keystores["default"].fernet("student-records")
token = box.encrypt(b"before the fork")
def work():
    assert box.decrypt(token) == b"before the fork"
    again = keystores["default"].fernet("student-records")
    assert again.decrypt(again.encrypt(b"in the child")) == b"in the child"
assert [in_child(work) for _ in range(3)] == [0, 0, 0]
assert box.decrypt(token) == b"before the fork"
print("all is well")
"""


def test_forked_workers_go_on_with_what_the_parent_opened(development: Path) -> None:
    done = python("-c", FORKING, str(development), environ={})
    assert (done.stdout, done.returncode) == ("all is well\n", 0), done.stdout + done.stderr
