import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# In a process of its own, since the tests have threads.
FORKING = """
import os, signal, socket, sys
from edge.supervisor.fork import fork, may_fork

{before}
ours, theirs = socket.socketpair()
reading, writing = os.pipe()
signal.signal(signal.SIGTERM, lambda *_: None)
print("before", end="")

def become(end, supervisor):
    assert supervisor == os.getppid()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
    {become}

assert may_fork()
pid = fork(become, theirs, [theirs.fileno()])
theirs.close()
os.close(writing)
# Nobody else has the other end.
assert os.read(reading, 1) == b""
print(" heard", ours.recv(100), end="")
print(" code", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), signal.pthread_sigmask(signal.SIG_BLOCK, []))
"""


def forked(become: str, before: str = "") -> subprocess.CompletedProcess[str]:
    program = FORKING.format(become=become, before=before)
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("become", "heard", "code"),
    [
        pytest.param('end.send(b"x")', b"x", 0, id="it works"),
        pytest.param('print(" it", end="")', b"", 0, id="it ends without a word"),
        pytest.param('raise SystemExit("no")', b"", 1, id="it fails"),
        pytest.param("os.kill(os.getpid(), signal.SIGTERM)", b"", -signal.SIGTERM, id="it is ended by a signal"),
    ],
)
def test_a_fork_is_a_process_of_its_own(become, heard, code):
    done = forked(become)
    assert done.returncode == 0, done.stderr
    said = " it" if "print" in become else ""
    assert done.stdout == f"before{said} heard {heard!r} code {code} set()\n"
    assert ("SystemExit: no" in done.stderr) is (code == 1)


def test_with_another_thread_there_is_no_fork():
    done = forked(
        "pass", before="import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()"
    )
    assert "AssertionError" in done.stderr
    assert done.stdout == "before"


def test_files_that_objects_of_the_supervisor_have_stay_taken():
    become = 'number = os.dup(end.fileno()); end.send(b"ok" if number > writing else b"taken anew")'
    done = forked(become)
    assert "heard b'ok'" in done.stdout, done.stderr
