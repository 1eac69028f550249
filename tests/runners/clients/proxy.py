"""nginx in front of the server, below a path of its own."""

import os
import shutil
import socket
import subprocess
import time

from common.errors import CannotRun
from common.process import START_SECONDS, free_port, stop_group

PATH_PREFIX = "/skills-registry"

# Workers keep the account of the test, which owns the folder.
CONFIGURATION = """\
daemon off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/client_body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 20m;
    server {{
        listen 127.0.0.1:{port};
        location {prefix}/ {{
            proxy_pass {upstream}/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Prefix {prefix};
            proxy_buffering off;
            proxy_read_timeout 1h;
        }}
    }}
}}
"""


class Nginx:
    """Forwards to the server at `url`, the address of its MCP endpoint."""

    def __init__(self, folder, url):
        program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None:
            raise CannotRun("nginx is not installed; install it, or pass --without-proxy")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}{PATH_PREFIX}/mcp"
        self.log = folder / "nginx.log"
        configuration = folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        configuration.write_text(CONFIGURATION.format(
            folder=folder, port=port, prefix=PATH_PREFIX, upstream=url.removesuffix("/mcp"), user=user,
        ))
        self.process = subprocess.Popen(
            [program, "-e", self.log, "-p", folder, "-c", configuration], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        self.wait(port)

    def wait(self, port):
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    text = self.log.read_text(errors="replace") if self.log.exists() else ""
                    raise CannotRun(f"nginx did not start:\n{text[-2000:]}") from None
                time.sleep(0.05)

    def stop(self):
        stop_group(self.process)
