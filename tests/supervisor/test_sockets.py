import os
import socket

import pytest

from edge.downstream.listener import bind
from edge.supervisor.faults import StartError
from edge.supervisor.sockets import Sockets, given_by_manager

LOCAL = ("127.0.0.1", 0)


@pytest.fixture
def sockets():
    sockets = Sockets(bind)
    yield sockets
    sockets.keep_only([])


def test_an_address_that_stays_keeps_its_socket(sockets):
    first, second = sockets.open([LOCAL, LOCAL])
    assert first is not second
    assert sockets.open([LOCAL, LOCAL]) == [first, second]
    sockets.keep_only([second])
    assert (first.fileno(), sockets.held()) == (-1, [(LOCAL, second.fileno())])


def test_an_address_that_is_taken_is_a_sentence_and_nothing_stays_bound(sockets):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            sockets.open([LOCAL, ("127.0.0.1", port)])
        with pytest.raises(StartError, match=r"cannot listen on \[::zz\]:80"):
            sockets.open([("::zz", 80)])
    assert sockets.held() == []


@pytest.mark.parametrize(
    ("host", "asked", "refused"),
    [
        pytest.param("127.0.0.1", "127.0.0.1", False, id="the address that is configured"),
        pytest.param("0.0.0.0", "", False, id="every interface, however it is said"),
        pytest.param("127.0.0.1", "127.0.0.2", True, id="another address"),
    ],
)
def test_sockets_of_the_service_manager_are_those_of_the_configuration(sockets, host, asked, refused):
    given = bind(host, 0)
    port = given.getsockname()[1]
    left = sockets.adopt_given([given], [("127.0.0.1", 1), (asked, port)])
    assert left == ([f"{host}:{port}"] if refused else [])
    if refused:
        given.close()
    else:
        assert sockets.open([(asked, port)]) == [given]


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="nothing given"),
        pytest.param({"LISTEN_PID": "1", "LISTEN_FDS": "1"}, id="given to another process"),
        pytest.param({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "many"}, id="not a number"),
    ],
)
def test_no_socket_is_taken_that_was_not_given(environ):
    assert given_by_manager(environ) == []
    assert environ == {}
