"""The programs that are measured, each as its own documentation recommends, with its access log off.

A contestant is given ports and a certificate, an empty folder, and whether what it stores should not fit its memory; it
runs on the server's core until it is stopped.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

SERVER_CORE, LOAD_CORE = "0", "1"
_PATIENCE = 20.0

_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 16384; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000; keepalive_timeout 600s;
  open_file_cache max=10000 inactive=60s; open_file_cache_valid 60s; server_tokens off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_cache_path {folder}/cache levels=1:2 keys_zone=c:64m max_size=8g inactive=1h use_temp_path=off;
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 128; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    listen 127.0.0.1:{tls} ssl http2 backlog=4096;
    ssl_certificate {pem}; ssl_certificate_key {pem}; ssl_protocols TLSv1.2 TLSv1.3;
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_cache c; proxy_cache_lock on; proxy_cache_revalidate on; add_header X-Cache $upstream_cache_status;
    }}
  }}
}}
"""

_ORIGIN = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 16384; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 10000000; keepalive_timeout 600s;
  open_file_cache max=1000; server_tokens off; default_type application/octet-stream;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} backlog=4096; root {folder}/files;
    location /hit/ {{ add_header Cache-Control "max-age=3600"; rewrite ^/hit/([^/]+).*$ /$1 break; }}
    location /miss/ {{ add_header Cache-Control "max-age=3600"; rewrite ^/miss/([^/]+).*$ /$1 break; }}
    location /pass/ {{ add_header Cache-Control "private, no-store"; rewrite ^/pass/([^/]+).*$ /$1 break; }}
    location /valid/ {{ add_header Cache-Control "max-age=1"; rewrite ^/valid/([^/]+).*$ /$1 break; }}
    location /slow/ {{ limit_rate 200k; add_header Cache-Control "max-age=3600"; rewrite ^/slow/([^/]+).*$ /$1 break; }}
    location = /status {{ stub_status; }}
  }}
}}
"""

_HAPROXY = """
global
  nbthread 1
  maxconn 9000
  tune.bufsize 131072
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
cache c
  total-max-size 1024
  max-object-size 20000000
  max-age 3600
frontend f
  bind 127.0.0.1:{port}
  bind 127.0.0.1:{tls} ssl crt {pem} alpn h2,http/1.1
  http-request cache-use c
  http-response cache-store c
  default_backend b
backend b
  http-reuse always
  server o 127.0.0.1:{origin} pool-max-conn 256
"""

_VCL = """vcl 4.1;
backend default {{ .host = "127.0.0.1"; .port = "{origin}"; .max_connections = 1000; }}
sub vcl_backend_response {{ set beresp.do_stream = true; }}
"""

_ATS_RECORDS = """
CONFIG proxy.config.http.server_ports STRING {port}:ip-in=127.0.0.1
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.task_threads INT 1
CONFIG proxy.config.accept_threads INT 0
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.admin.user_id STRING nobody
CONFIG proxy.config.http.cache.http INT 1
CONFIG proxy.config.http.insert_age_in_response INT 1
CONFIG proxy.config.cache.ram_cache.size INT {memory}
CONFIG proxy.config.http.keep_alive_enabled_in INT 1
CONFIG proxy.config.http.keep_alive_no_activity_timeout_in INT 120
CONFIG proxy.config.diags.debug.enabled INT 0
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
CONFIG proxy.config.cache.min_average_object_size INT 8000
"""


_SQUID = """
http_port 127.0.0.1:{port} accel defaultsite=127.0.0.1 no-vhost
cache_peer 127.0.0.1 parent {origin} 0 no-query originserver no-digest
http_access allow all
cache_mem {memory} MB
maximum_object_size_in_memory 20 MB
maximum_object_size 20 MB
cache_dir ufs {folder}/store 4000 16 256
access_log none
cache_store_log none
cache_log {folder}/cache.log
pid_filename {folder}/squid.pid
coredump_dir {folder}
shutdown_lifetime 1 seconds
max_filedescriptors 16384
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program under measurement: its name, what it needs to be there, how to start it, and whether it speaks TLS."""

    name: str
    needs: str
    start: Callable[["Site", Path, bool], "Started"]
    has_tls: bool = False

    @property
    def is_there(self) -> bool:
        """Whether the machine has it."""
        return shutil.which(self.needs) is not None or Path(self.needs).exists()


@dataclass(frozen=True, slots=True)
class Site:
    """Where a contestant serves: its port, that for TLS, the origin's, and the file of its certificate and key."""

    port: int
    tls: int
    origin: int
    pem: Path


@dataclass(frozen=True, slots=True)
class Started:
    """A command line and its environment."""

    command: list[str]
    environment: dict[str, str]


def free_port() -> int:
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(name: str, started: Started, port: int, folder: Path, core: str, *others: int) -> Iterator[int]:
    """Run a program on `core` until the block ends; yields its process id once it accepts connections, on all its ports."""
    log = (folder / f"{name}.log").open("wb")
    process = subprocess.Popen(
        ["taskset", "-c", core, *started.command],
        stdout=log,
        stderr=subprocess.STDOUT,
        env={**os.environ, **started.environment},
        start_new_session=True,
    )
    try:
        for each in (port, *others):
            _wait_for(each, process, name, folder)
        yield process.pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()


def _wait_for(port: int, process: subprocess.Popen[bytes], name: str, folder: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{name} ended at once: {(folder / f'{name}.log').read_text()[-2000:]}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        time.sleep(0.05)
    raise SystemExit(f"{name} does not accept connections: {(folder / f'{name}.log').read_text()[-2000:]}")


def origin(port: int, folder: Path) -> Started:
    """Return the origin: nginx with files of the sizes asked for, on the load's core."""
    files = folder / "files"
    files.mkdir(parents=True)
    for name, size in SIZES.items():
        (files / name).write_bytes(os.urandom(size))
    return _nginx(_ORIGIN.format(folder=folder, port=port), folder)


SIZES = {"1k": 1 << 10, "10k": 10 << 10, "100k": 100 << 10, "1m": 1 << 20, "10m": 10 << 20}


def certify(path: Path) -> None:
    """Write a certificate for 127.0.0.1, which nobody trusts, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(cert.public_bytes(Encoding.PEM) + secret)


def _nginx(conf: str, folder: Path) -> Started:
    path = folder / "nginx.conf"
    path.write_text(conf)
    folder.chmod(0o755)
    return Started(["nginx", "-e", str(folder / "start.log"), "-c", str(path)], {})


def _peer_nginx(site: Site, folder: Path, is_disk: bool) -> Started:
    return _nginx(_NGINX.format(folder=folder, port=site.port, tls=site.tls, origin=site.origin, pem=site.pem), folder)


def _foreland(site: Site, folder: Path, is_disk: bool) -> Started:
    return Started(
        [
            sys.executable, "-m", "edge", "serve", "--origin", f"http://127.0.0.1:{site.origin}",
            "--listen", f"127.0.0.1:{site.port}", "--listen-tls", f"127.0.0.1:{site.tls}", "--tls-cert", str(site.pem),
            "--tls-key", str(site.pem), "--admin", "off", "--cache", str(folder / "cache"),
            "--cache-size", "8GiB", "--memory", "1MiB" if is_disk else "512MiB", "--log", "off", "--workers", "1",
        ],
        # The load generators begin no connection for one that ends.
        {
            "EDGE_LIMITS__REQUESTS_PER_CONNECTION": "1000000", "EDGE_LIMITS__STREAMS_PER_CONNECTION": "1000000",
            "EDGE_LIMITS__CONNECTIONS": "16384",
        },
    )  # fmt: skip


def _varnish(site: Site, folder: Path, is_disk: bool) -> Started:
    vcl = folder / "default.vcl"
    vcl.write_text(_VCL.format(origin=site.origin))
    return Started(
        [
            "varnishd", "-F", "-a", f"127.0.0.1:{site.port}", "-f", str(vcl), "-s", f"file,{folder}/store,2g" if is_disk else "malloc,1g",
            "-n", str(folder / "vw"),
            "-p", "thread_pools=1", "-p", "thread_pool_min=100", "-p", "thread_pool_max=1000",
        ],
        {},
    )  # fmt: skip


def _haproxy(site: Site, folder: Path, is_disk: bool) -> Started:
    path = folder / "haproxy.cfg"
    path.write_text(_HAPROXY.format(port=site.port, tls=site.tls, origin=site.origin, pem=site.pem))
    return Started(["haproxy", "-db", "-f", str(path)], {})


def _ats(site: Site, folder: Path, is_disk: bool) -> Started:
    layout = folder / "ats"
    for name in ("etc", "cache", "log", "run"):
        (layout / name).mkdir(parents=True)
        (layout / name).chmod(0o777)
    etc = layout / "etc"
    (etc / "records.config").write_text(
        _ATS_RECORDS.format(port=site.port, memory=1 << 20 if is_disk else 512 << 20).strip() + "\n"
    )
    (etc / "remap.config").write_text(f"map / http://127.0.0.1:{site.origin}/\n")
    (etc / "storage.config").write_text(f"{layout / 'cache'} 2G\n")
    (etc / "plugin.config").write_text("")
    (etc / "ip_allow.yaml").write_text(
        "ip_allow:\n  - apply: in\n    ip_addrs: 0/0\n    action: allow\n    methods: ALL\n"
    )
    (layout / "runroot.yaml").write_text(
        "prefix: /usr\nexec_prefix: /usr\nbindir: /usr/bin\nsbindir: /usr/sbin\n"
        f"sysconfdir: {etc}\ndatadir: {layout}\nincludedir: /usr/include\nlibdir: /usr/lib\nlibexecdir: /usr/lib\n"
        f"localstatedir: {layout}\nruntimedir: {layout / 'run'}\nlogdir: {layout / 'log'}\ncachedir: {layout / 'cache'}\n"
    )
    return Started(["traffic_server", f"--run-root={layout / 'runroot.yaml'}"], {})


def _squid(site: Site, folder: Path, is_disk: bool) -> Started:
    folder.chmod(0o777)
    path = folder / "squid.conf"
    path.write_text(_SQUID.format(port=site.port, origin=site.origin, folder=folder, memory=1 if is_disk else 512))
    subprocess.run(["squid", "-N", "-z", "-f", str(path)], check=True, capture_output=True)
    return Started(["squid", "-N", "-f", str(path)], {})


OURS = "foreland"
CONTESTANTS = [
    Contestant(OURS, sys.executable, _foreland, has_tls=True),
    Contestant("nginx", "nginx", _peer_nginx, has_tls=True),
    Contestant("varnish", "varnishd", _varnish),
    Contestant("haproxy", "haproxy", _haproxy, has_tls=True),
    Contestant("trafficserver", "traffic_server", _ats),
    Contestant("squid", "squid", _squid),
]
