"""Runs a command in a network of its own, in which the registry has a public address and TLS.

For clients that refuse plain HTTP and the addresses of the machine itself. Started as `unshare --net` starts it: with rights in a
new network, which has no other addresses. The registry is reached through a Unix socket, which belongs to no network.

    tls_front.py SOCKET CERTIFICATE KEY COMMAND...
"""

import contextlib
import fcntl
import socket
import socketserver
import ssl
import struct
import subprocess
import sys
import threading

# From a range for documentation (RFC 5737), so nothing real has it.
ADDRESS = "203.0.113.7"
PORT = 443
# linux/sockios.h, net/if.h
SIOCSIFADDR, SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8916, 0x8913, 0x8914, 1


def copy(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def join(left, right):
    """Copies both ways until both sides have ended."""
    back = threading.Thread(target=copy, args=(right, left), daemon=True)
    back.start()
    copy(left, right)
    back.join()


class Relay(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A Unix socket in front of the server at host and port."""

    daemon_threads = True

    def __init__(self, path, host, port):
        self.target = (host, port)
        super().__init__(str(path), RelayHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.shutdown()
        self.server_close()


class RelayHandler(socketserver.BaseRequestHandler):
    def handle(self):
        with socket.create_connection(self.server.target) as server:
            join(self.request, server)


class TlsFront(socketserver.ThreadingTCPServer):
    daemon_threads = True


def tls_handler(context, path):
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(OSError), context.wrap_socket(self.request, server_side=True) as client:
                with socket.socket(socket.AF_UNIX) as server:
                    server.connect(path)
                    join(client, server)

    return Handler


def add_address():
    """Starts the loopback interface, which a new network has, and gives the address to it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for name, address in [(b"lo", "127.0.0.1"), (b"lo:1", ADDRESS)]:
            request = struct.pack("16sH2s4s8s", name, socket.AF_INET, b"", socket.inet_aton(address), b"")
            fcntl.ioctl(control, SIOCSIFADDR, request)
            flags = fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sH14s", name, 0, b""))
            up = struct.unpack("16sH14s", flags)[1] | IFF_UP
            fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14s", name, up, b""))


def main(path, certificate, key, *command):
    add_address()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with TlsFront((ADDRESS, PORT), tls_handler(context, path)) as front:
        threading.Thread(target=front.serve_forever, daemon=True).start()
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
