"""A process with one TLS listener, as a worker is: `python -m tests.downstream.serves_tls CERT KEY TICKETS`.

It prints its port, and ends with its standard input.
"""

import asyncio
import sys
from pathlib import Path

from edge.clock import SystemClock
from edge.downstream.listener import PROTOCOLS, Listener, bind
from edge.downstream.tls_contexts import TlsContexts
from edge.downstream.tls_files import CertificateFiles
from edge.downstream.tls_tickets import TicketKeys
from edge.policy.limits import Limits
from tests.downstream.talking import hearing, refuse


async def serve(cert: str, key: str, tickets: str) -> None:
    clock = SystemClock()
    contexts = TlsContexts(
        [CertificateFiles(Path(cert), Path(key))], protocols=PROTOCOLS, tickets=TicketKeys(Path(tickets), clock)
    )
    listener = Listener(hearing(), refuse, Limits(), clock, tls=contexts)
    bound = bind("127.0.0.1", 0)
    await listener.start(bound)
    print(bound.getsockname()[1], flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.read)
    listener.drain()
    listener.cut()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:]))
