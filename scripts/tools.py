"""What `make test-all` needs beside Python: installed where that is ours to do, else demanded; named with its version.

On Debian as root the missing packages are installed. Anywhere else they are listed and the exit status is 1.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, the Debian package that has it, and what the tests do with it."""

    program: str
    package: str
    purpose: str
    version: tuple[str, ...] = ("--version",)


TOOLS = (
    Tool("git", "git", "the repositories"),
    Tool("gpg", "gnupg", "the OpenPGP engine"),
    Tool("openssl", "openssl", "a second opinion on keys", ("version",)),
    Tool("ssh", "openssh-client", "ssh-keygen comes with it: keys in a form of their own", ("-V",)),
    Tool("redis-server", "redis-server", "caches"),
    Tool("redis-cli", "redis-tools", "a Redis Cluster"),
    Tool("redis-sentinel", "redis-sentinel", "a failover of Redis"),
    Tool("memcached", "memcached", "Django's cache for it"),
    Tool("strace", "strace", "what is written, and where"),
    Tool("setpriv", "util-linux", "a process with no rights"),
    Tool("prlimit", "util-linux", "a process with small limits"),
    Tool("unshare", "util-linux", "mounts that nobody else sees"),
    Tool("pg_lsclusters", "postgresql", "encrypted columns", ("--help",)),
    Tool("mariadbd", "mariadb-server", "encrypted columns"),
    Tool("mount", "mount", "full and read-only disks"),
)


def missing() -> list[Tool]:
    return [tool for tool in TOOLS if shutil.which(tool.program) is None]


def install(packages: list[str]) -> None:
    """Install Debian packages without a question; the lists are fetched only if they do not know one."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    get = ["apt-get", "--quiet=2", "-o", "DPkg::Lock::Timeout=120"]
    command = [*get, "install", "-y", "--no-install-recommends", *packages]
    print(f"tools: installing {' '.join(packages)}", flush=True)
    quiet = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if quiet.returncode == 0:
        return
    subprocess.run([*get, "update"], env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=True)


def version(tool: Tool) -> str:
    """The first line that the program prints of itself."""
    shown = subprocess.run([tool.program, *tool.version], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return next(iter((shown.stdout or shown.stderr).splitlines()), "says no version")


def main() -> int:
    absent = missing()
    if absent and os.geteuid() == 0 and shutil.which("apt-get"):
        try:
            install(sorted({tool.package for tool in absent}))
        except subprocess.CalledProcessError as error:
            print(f"tools: error: apt-get exited {error.returncode}", file=sys.stderr)
        absent = missing()
    if absent:
        for tool in absent:
            print(f"tools: error: there is no {tool.program} ({tool.purpose})", file=sys.stderr)
        packages = " ".join(sorted({tool.package for tool in absent}))
        print(f"tools: hint: apt-get install --no-install-recommends {packages}", file=sys.stderr)
        return 1
    for tool in TOOLS:
        print(f"tools: {tool.program:13} {version(tool)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
