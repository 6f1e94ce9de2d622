import os
import re
import socket

import pytest

from edge.supervisor.notify import Notify


@pytest.mark.parametrize("is_abstract", [False, True])
def test_the_service_manager_hears_how_the_node_is(tmp_path, is_abstract):
    name = f"@foreland-test-{os.getpid()}" if is_abstract else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name.replace("@", "\0"))
        notify = Notify({"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "30000000"})
        assert notify.watchdog_seconds == 15
        notify.ready("2 workers serve")
        notify.reloading("loading")
        notify.alive()
        notify.stopping("draining")
        heard = [manager.recv(1000).decode() for _ in range(4)]
    assert heard[0] == "READY=1\nSTATUS=2 workers serve"
    assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=[0-9]+\nSTATUS=loading", heard[1])
    assert heard[2:] == ["WATCHDOG=1", "STOPPING=1\nSTATUS=draining"]


def test_without_a_service_manager_nothing_is_said(tmp_path):
    Notify({}).ready("well")
    Notify({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("well")
    assert Notify({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}).watchdog_seconds is None
