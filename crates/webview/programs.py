"""Runs the example programs under Xvfb."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENT = {
    "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
    "WEBKIT_DISABLE_DMABUF_RENDERER": "1",
    "LIBGL_ALWAYS_SOFTWARE": "1",
    "GDK_BACKEND": "x11",
    "NO_AT_BRIDGE": "1",
    # No service of the desktop is started. With an address of a known kind, WebKit's sandbox would fail to start, or leave
    # a file in `/` after which WebKit starts no sandbox any more.
    "DBUS_SESSION_BUS_ADDRESS": "disabled:",
}


# The folder of the programs: that of `cargo build`, or that of `cargo build --release`.
profile = os.environ.get("PROFILE", "debug")


# The program for the API 6.0 of WebKitGTK. The others are for the API 4.1.
BROWSER6 = "browser6-example"


def path(name):
    """The path of a program of `cargo build`."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
    return str((target / "webkitgtk6" if name == BROWSER6 else target) / profile / name)


def has_browser6():
    """Whether the program for the API 6.0 is there. Says so if it is not."""
    is_there = os.path.exists(path(BROWSER6))
    if not is_there:
        print(f"not run: the API 6.0, because {BROWSER6} is not built", flush=True)
    return is_there


def has_sandbox():
    """Whether a web process of the program for the API 6.0 runs in WebKit's sandbox, which `bwrap` has made."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            parent = re.search(r"^PPid:\s*(\d+)", (process / "status").read_text(), re.MULTILINE)[1]
            program = os.readlink(f"/proc/{parent}/exe")
        except OSError:
            continue  # It has ended.
        is_of_web_process = any(it.endswith(b"/WebKitWebProcess") for it in command)
        if command[0].endswith(b"bwrap") and is_of_web_process and program == os.path.realpath(path(BROWSER6)):
            return True
    return False


def run(name, *arguments):
    """Runs a program of `cargo build`, in a profile of its own, until it ends."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        profile = {"HOME": home, "XDG_DATA_HOME": home, "XDG_CACHE_HOME": home}
        try:
            ended = subprocess.run(
                [path(name), *arguments],
                env={**os.environ, **ENVIRONMENT, **profile},
                capture_output=True,
                text=True,
                timeout=60,
            )
        except subprocess.TimeoutExpired:
            # What has not arrived by then counts as lost.
            print(f"{name} {' '.join(arguments)}: it does not end", file=sys.stderr)
            return
    if os.environ.get("VERBOSE"):
        print(ended.stdout, ended.stderr, sep="\n", file=sys.stderr)
    # SIGTERM ends an app without a handler, and is 143 with one.
    if ended.returncode not in (0, 143, -15):
        raise SystemExit(f"{name} {' '.join(arguments)}: code {ended.returncode}\n{ended.stderr}")


def with_display(main):
    """Calls `main`, on a display of Xvfb if there is none."""
    if "DISPLAY" in os.environ:
        main()
    elif shutil.which("xvfb-run"):
        os.execvp("xvfb-run", ["xvfb-run", "--auto-servernum", sys.executable, *sys.argv])
    else:
        raise SystemExit("there is neither a display nor xvfb-run")
