"""The working folder on a device: its files, its lock and its removal, with a fake adb."""

import os
import socket
import subprocess

import pytest

from agecompact.errors import UsageError
from android_bench.adb import client
from android_bench.adb.failure import AdbFailure
from android_bench.adb.session import Session


def test_nothing_is_left_on_the_device(folder_adb, tmp_path):
    (tmp_path / "file").write_text("content")
    with Session(folder_adb.client(), str(folder_adb.root)) as session:
        session.push(tmp_path / "file", "deep/file name")
        assert session.read("deep/file name") == "content"
    assert list(folder_adb.root.iterdir()) == []


def test_a_file_that_is_there_is_not_pushed_again(folder_adb, tmp_path, monkeypatch):
    file = tmp_path / "file"
    file.write_text("one")
    pushed = []
    real = client.Client.push

    def push(self, local, remote):
        pushed.append(local.name)
        real(self, local, remote)

    monkeypatch.setattr(client.Client, "push", push)
    with Session(folder_adb.client(), str(folder_adb.root)) as session:
        session.push(file, "file")
        session.push(file, "file")
        session.reopen()
        session.push(file, "file")
        assert pushed == ["file"]
        file.write_text("two")
        session.push(file, "file")
        assert pushed == ["file", "file"]
        assert session.read("file") == "two"


def test_a_copy_that_differs_is_refused(folder_adb, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("content")
    monkeypatch.setattr(
        client.Client, "push", lambda self, _, remote: self.check(f"echo cont > {remote}")
    )
    with (
        Session(folder_adb.client(), str(folder_adb.root)) as session,
        pytest.raises(AdbFailure, match="not what was pushed"),
    ):
        session.push(tmp_path / "file", "file")


def test_two_processes_do_not_measure_at_once(folder_adb):
    root = str(folder_adb.root)
    with Session(folder_adb.client(), root):
        with (
            pytest.raises(UsageError, match="another process") as caught,
            Session(folder_adb.client(), root),
        ):
            pass
        assert str(os.getpid()) in caught.value.why
        assert "rm -r" in caught.value.fix
    with Session(folder_adb.client(), root):
        pass


def test_the_lock_of_a_dead_process_is_taken_over(folder_adb):
    dead = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True)
    lock = folder_adb.root / "agecompact.lock"
    with Session(folder_adb.client(), str(folder_adb.root)):
        owner = (lock / "owner").read_text().split()
    lock.mkdir()
    (lock / "owner").write_text(f"{owner[0]} {dead.stdout.strip()} {owner[2]}\n")
    with Session(folder_adb.client(), str(folder_adb.root)):
        assert str(os.getpid()) in (lock / "owner").read_text()


def test_the_lock_of_another_machine_holds_until_the_device_restarts(folder_adb):
    lock = folder_adb.root / "agecompact.lock"
    with Session(folder_adb.client(), str(folder_adb.root)):
        boot = (lock / "owner").read_text().split()[2]
    lock.mkdir()
    (lock / "owner").write_text(f"someone@not-{socket.gethostname()} 1 {boot}\n")
    with pytest.raises(UsageError), Session(folder_adb.client(), str(folder_adb.root)):
        pass
    (lock / "owner").write_text(f"someone@not-{socket.gethostname()} 1 another-boot\n")
    with Session(folder_adb.client(), str(folder_adb.root)):
        pass


def test_a_program_that_takes_too_long_is_killed(folder_adb):
    forever = f"sleep {200_000 + os.getpid()}"
    with Session(folder_adb.client(), str(folder_adb.root)) as session:
        with pytest.raises(AdbFailure, match="did not end"):
            session.run(forever, timeout_s=0.5)
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
        assert forever not in listed.stdout.splitlines()
