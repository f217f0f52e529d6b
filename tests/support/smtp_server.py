"""A mail server that wants a login (RFC 4954) and keeps what it is given: PLAIN, LOGIN and CRAM-MD5, on a free port."""

from __future__ import annotations

import base64
import hmac
import socketserver
import threading
from typing import Any, Self


class _Talk(socketserver.StreamRequestHandler):
    server: SmtpServer

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def hear(self) -> str:
        return self.rfile.readline().decode().rstrip("\r\n")

    def asked(self, challenge: bytes) -> bytes:
        self.say(f"334 {base64.b64encode(challenge).decode()}")
        return base64.b64decode(self.hear())

    def handle(self) -> None:
        self.say("220 here")
        known = False
        while line := self.hear():
            verb, _, rest = line.partition(" ")
            match verb.upper():
                case "EHLO":
                    self.say("250-here", f"250 AUTH {self.server.mechanism}")
                case "AUTH":
                    known = self.knows(*rest.split(" ", 1))
                    self.say("235 welcome" if known else "535 who are you?")
                case "DATA" if known:
                    self.say("354 go on")
                    while (text := self.hear()) != ".":
                        self.server.mails.append(text)
                    self.say("250 kept")
                case "MAIL" | "RCPT" if known:
                    self.say("250 fine")
                case "QUIT":
                    return self.say("221 bye")
                case _:
                    self.say("530 log in first")
        return None

    def knows(self, mechanism: str, first: str = "") -> bool:
        if mechanism == "PLAIN":
            _, user, password = base64.b64decode(first).decode().split("\0")
            return (user, password) == ("site", self.server.password)
        if mechanism == "LOGIN":
            user = base64.b64decode(first).decode() if first else self.asked(b"Username:").decode()
            return (user, self.asked(b"Password:").decode()) == ("site", self.server.password)
        challenge = b"<1.2@here>"
        wanted = "site " + hmac.new(self.server.password.encode(), challenge, "md5").hexdigest()
        return self.asked(challenge).decode() == wanted


class SmtpServer(socketserver.ThreadingTCPServer):
    """`password` is the one that it takes now; `mails` are the lines of all mails; `mechanism` is what it offers."""

    daemon_threads = True

    def __init__(self, password: str, mechanism: str = "PLAIN") -> None:
        super().__init__(("127.0.0.1", 0), _Talk)
        self.password = password
        self.mechanism = mechanism
        self.mails: list[str] = []
        self._thread = threading.Thread(target=self.serve_forever)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()
