"""Makes one request to a Lambda Invoke API for a PostgreSQL backend.

    copy (...) to program 'python -I -S invoke_program.py REPLY_FILE'

Reads one line of tab-separated fields: host, port, connect and request time-outs in ms, invocation type,
log type, hex of the function's name, hex of the qualifier, base64 of the client context, hex of the payload.
Leaves hex fields in REPLY_FILE: failure, HTTP status, function error, executed version, log, body. A failure
that the caller can be told of is a reply, so the program ends with 0.

A commit waits for this, so it imports next to nothing: no pathlib, no http, no json.
"""
# ruff: noqa: PTH103, PTH108, PTH120, PTH123

import _socket
import os
import sys
import time

MOST_AGE = 60.0
"""Seconds after which a reply has been read, or never will be."""


class Failed(Exception):
    """What the AWS client says when it has no answer."""


def main(reply_file: str) -> None:
    fields = sys.stdin.buffer.read().rstrip(b"\n").split(b"\t")
    try:
        reply = exchange(*fields)
    except Failed as failure:
        reply = [str(failure).encode(), b"", b"", b"", b"", b""]
    folder = os.path.dirname(reply_file)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with open(reply_file, "wb") as file:
        file.write(b" ".join(field.hex().encode() for field in reply))
    sweep(folder)


def exchange(
    host: bytes,
    port: bytes,
    connect_ms: bytes,
    request_ms: bytes,
    invocation_type: bytes,
    log_type: bytes,
    name: bytes,
    qualifier: bytes,
    context: bytes,
    payload: bytes,
) -> list[bytes]:
    """The reply's fields. Raises Failed when there is no answer in time."""
    path = b"/2015-03-31/functions/%s/invocations" % quote(unhex(name))
    if qualifier:
        path += b"?Qualifier=" + quote(unhex(qualifier))
    body = unhex(payload)
    lines = [
        b"POST %s HTTP/1.1" % path,
        b"Host: %s:%s" % (host, port),
        b"Connection: close",
        b"Content-Type: application/json",
        b"Content-Length: %d" % len(body),
        b"X-Amz-Invocation-Type: " + invocation_type,
        b"X-Amz-Log-Type: " + log_type,
    ]
    if context:
        lines.append(b"X-Amz-Client-Context: " + context)
    connection = connect(host.decode(), int(port), int(connect_ms) / 1000)
    answer = request(connection, b"\r\n".join(lines) + b"\r\n\r\n" + body, int(request_ms) / 1000)
    return read(answer)


def connect(host: str, port: int, seconds: float) -> _socket.socket:
    connection = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    connection.settimeout(seconds)
    try:
        connection.connect((host, port))
    except OSError as error:
        raise Failed("Unable to connect to endpoint") from error
    return connection


def request(connection: _socket.socket, message: bytes, seconds: float) -> bytes:
    """Everything that comes back until the other side closes, within so many seconds altogether."""
    deadline = time.monotonic() + seconds
    chunks: list[bytes] = []
    try:
        connection.settimeout(seconds)
        connection.sendall(message)
        while True:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            chunk = connection.recv(1 << 16)
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
    except TimeoutError as error:
        raise Failed("Timeout was reached") from error
    except OSError as error:
        raise Failed(f"Connection lost: {error.strerror}") from error


def read(answer: bytes) -> list[bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    words = status.split()
    if len(words) < 2 or not words[1].isdigit():
        raise Failed("Response is not HTTP")
    pairs = (line.partition(b":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if len(body) < int(headers.get(b"content-length", b"0")):
        raise Failed("Response ended too early")
    names = (b"x-amz-function-error", b"x-amz-executed-version", b"x-amz-log-result")
    return [b"", words[1], *(headers.get(name, b"") for name in names), body]


def unhex(field: bytes) -> bytes:
    return bytes.fromhex(field.decode())


def quote(name: bytes) -> bytes:
    """One segment of a URL's path: a name can neither leave its place nor bring a header along."""
    safe = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
    return b"".join(bytes([byte]) if byte in safe else b"%%%02X" % byte for byte in name)


def sweep(folder: str) -> None:
    """Removes the replies of backends that are long gone, or this folder would grow with every connection."""
    oldest = time.time() - MOST_AGE
    for entry in os.scandir(folder):
        try:
            if entry.stat().st_mtime < oldest:
                os.unlink(entry.path)
        except FileNotFoundError:
            pass  # another backend's program swept it at the same moment


if __name__ == "__main__":
    main(sys.argv[1])
