"""A Dockerfile carried out in clean roots, where no engine is at hand: a fresh Debian a stage, namespaces of their own for what runs.

Knows what the project's Dockerfile uses, and refuses the rest. Needs root, debootstrap and util-linux.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DEBIAN = ("python3", "python3-venv", "ca-certificates")
"""What stands in for the base image: Debian's own Python, of the same version."""
_OF_THIS_MACHINE = ("/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")
_NOT_HERE = {"LABEL", "EXPOSE", "VOLUME", "STOPSIGNAL"}
"""Say something to an engine, and do nothing while it builds."""


def read_instructions(text: str) -> list[tuple[str, str]]:
    """Every instruction of a Dockerfile with its arguments; comments dropped, continued lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


class Stage:
    """The root of one stage, and what its instructions have set so far."""

    def __init__(self, root: Path, build_arguments: Mapping[str, str]) -> None:
        self.root = root
        self.environment = {"PATH": PLAIN_PATH}
        self.user = "0"
        self.folder = "/"
        self.command: list[str] = []
        self.health_check: list[str] = []
        self._given = dict(build_arguments)
        self._arguments: dict[str, str] = {}

    def run(self, command: str) -> None:
        """What RUN does: `sh -c` in the root, as root, with a /proc of its own.

        Raises:
            CalledProcessError: it failed.
        """
        settings = {**_of_this_machine(), **self._arguments, **self.environment, "HOME": "/root"}
        inside = f"mkdir -p {self.folder} && cd {self.folder} && {command}"
        namespaces = ["unshare", "--fork", "--pid", "--mount", "--kill-child", "--mount-proc", f"--root={self.root}"]
        subprocess.run([*namespaces, "/bin/sh", "-c", inside], env=settings, check=True, timeout=3000)

    def carry_out(self, name: str, arguments: str, context: Path, stages: Mapping[str, "Stage"]) -> None:
        """Do one instruction.

        Raises:
            ValueError: it is none that the project's Dockerfile has had so far.
        """
        if name == "RUN":
            self.run(arguments)
        elif name == "ARG":
            key, _, default = arguments.partition("=")
            self._arguments[key] = self._given.get(key, default)
        elif name == "ENV":
            for word in shlex.split(arguments):
                key, _, value = word.partition("=")
                self.environment[key] = re.sub(r"\$(\w+)", lambda found: self.environment[found[1]], value)
        elif name == "WORKDIR":
            self.folder = arguments
            (self.root / arguments.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif name == "COPY":
            self._copy(shlex.split(arguments), context, stages)
        elif name == "USER":
            self.user = arguments
        elif name == "CMD":
            self.command = json.loads(arguments)
        elif name == "HEALTHCHECK":
            self.health_check = json.loads(arguments.split("CMD ", 1)[1])
        elif name not in _NOT_HERE:
            raise ValueError(f"{name} {arguments}")

    def _copy(self, words: list[str], context: Path, stages: Mapping[str, "Stage"]) -> None:
        *sources, target = words
        place = self.root / os.path.join(self.folder, target).lstrip("/")
        if sources[0].startswith("--from="):
            (inside,) = sources[1:]
            origin = stages[sources[0].partition("=")[2]].root / inside.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            # gigabytes, which neither stage changes from here on
            subprocess.run(["cp", "-al", origin, place], check=True)
            return
        for source in sources:
            if (context / source).is_dir():
                shutil.copytree(context / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(context / source, place / Path(source).name)

    @contextmanager
    def start(self, volume: str) -> Iterator["Container"]:
        """The command of the stage, as its user, without capabilities, on a read-only root, with loopback as its whole network.

        Args:
            volume: the folder that stays writable, with /tmp.
        """
        root = shlex.quote(str(self.root))
        outside = (
            f"set -e; ip link set lo up; mount --bind {root} {root}; mount --bind {root}{volume} {root}{volume};"
            f"mount -o remount,bind,ro {root}; mount -t tmpfs -o mode=1777 tmpfs {root}/tmp; mount -t proc proc {root}/proc;"
            'exec "$@"'
        )
        namespaces = ["unshare", "--fork", "--pid", "--mount", "--net", "--kill-child", "sh", "-c", outside, "sh"]
        with subprocess.Popen([*namespaces, *self._as_user(self.command)], env=self.environment) as process:
            container = Container(self, process)
            try:
                yield container
            finally:
                container.kill()

    def _as_user(self, command: list[str]) -> list[str]:
        rights = [f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", "--no-new-privs"]
        inside = f'cd {self.folder} && exec "$@"'
        weak = ["setpriv", *rights, "--inh-caps=-all", "--bounding-set=-all", "sh", "-c", inside, "sh"]
        return ["chroot", str(self.root), *weak, *command]


class Container:
    """What runs in a stage's root."""

    def __init__(self, stage: Stage, process: "subprocess.Popen[bytes]") -> None:
        self._stage = stage
        self.process = process

    def execute(self, command: list[str], *, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        """Run a program beside the command, as `docker exec` does."""
        enter = ["nsenter", f"--target={self._main_process()}", "--pid", "--mount", "--net"]
        return subprocess.run(
            [*enter, *self._stage._as_user(command)],
            env=self._stage.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def stop(self, seconds: float) -> int:
        """Ask it to end, as `docker stop` does; its exit code.

        Raises:
            TimeoutExpired: it has not ended in time.
        """
        os.kill(self._main_process(), 15)
        return self.process.wait(timeout=seconds)

    def kill(self) -> None:
        """End it, and with it all of its namespace, where it has not ended."""
        if self.process.poll() is None:
            # the signal that unshare asks for does not reach one that has become another user
            os.kill(self._main_process(), 9)

    def _main_process(self) -> int:
        """The number that the first process of the namespace has outside of it."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        while not (numbers := children.read_text().split()):
            if self.process.poll() is not None:
                raise ProcessLookupError(f"the container has ended with {self.process.returncode}")
            time.sleep(0.05)
        return int(numbers[0])


def build(dockerfile: Path, folder: Path, build_arguments: Mapping[str, str]) -> Stage:
    """Carry out a Dockerfile; the folder of the Dockerfile is the context.

    Args:
        dockerfile: what is carried out.
        folder: gets a root for each stage, some gigabytes.
        build_arguments: values of its ARG.

    Returns:
        The last stage.
    """
    instructions = read_instructions(dockerfile.read_text(encoding="utf-8"))
    base, image = folder / "base", instructions[0][1].split()[0]
    make_base(base, image.rpartition("-")[2])
    stages: dict[str, Stage] = {}
    stage = None
    for name, arguments in instructions:
        if name == "FROM":
            called = arguments.partition(" AS ")[2] or "last"
            subprocess.run(["cp", "-a", base, folder / called], check=True)
            stage = stages[called] = Stage(folder / called, build_arguments)
        else:
            assert stage is not None
            stage.carry_out(name, arguments, dockerfile.parent, stages)
    assert stage is not None
    return stage


def make_base(root: Path, codename: str) -> None:
    """A fresh Debian of that name with Python alone, which reaches what this machine reaches."""
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(_DEBIAN)}", codename, str(root)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=1800)
    (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    (root / "etc/hosts").write_text("127.0.0.1\tlocalhost\n", encoding="utf-8")  # as every engine writes it
    for name in _OF_THIS_MACHINE:
        shutil.copy(name, root / name.lstrip("/"))


def _of_this_machine() -> dict[str, str]:
    """How this machine reaches packages."""
    return {name: value for name, value in os.environ.items() if name.startswith(("PIP_CERT", "PIP_DEFAULT", "http"))}
