"""The process that sends letters, from its first moment on: it loads what it takes, becomes the person, and sends.

`postman` starts it. What is loaded is loaded before: the person may not be able to read where labsched is installed.
"""

import ctypes
import os
import signal
import sys

from labsched.engines import account as accounts
from labsched.notify import sender

MOST_S = 300  # for everything
KEPT = ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "ssl_cert_file", "ssl_cert_dir", "requests_ca_bundle",
        "lang", "lc_all", "lc_ctype", "tz")  # fmt: skip
PATH = "/usr/local/bin:/usr/bin:/bin"


def main() -> None:
    """Send what stands on stdin: as ``argv[3]`` (uid ``argv[2]``), or where nobody is named, as who we are."""
    uid, name = sys.argv[2:4]
    signal.alarm(MOST_S)
    os.nice(10)
    letters = sender.read()
    if uid:
        account = accounts.find(int(uid), name)
        accounts.become(account, ctypes.CDLL(None, use_errno=True))
        kept = {key: value for key, value in os.environ.items() if key.lower() in KEPT}
        os.environ.clear()
        os.environ.update({"PATH": PATH, **kept, **account.env})
    try:
        os.chdir(os.environ.get("HOME") or "/")
    except OSError:
        os.chdir("/")
    sender.deliver(letters)
