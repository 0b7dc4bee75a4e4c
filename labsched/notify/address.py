"""Addresses have passwords in them: what may be shown of one, and taking them out of what others say."""

import re
from urllib.parse import unquote

#: URLs whose part after the `@`, or else before the first slash, is a machine's name, and no secret.
HOSTS = {"mailto", "mailtos", "json", "jsons", "xml", "xmls", "form", "forms", "matrix", "matrixs", "gotify", "gotifys",
         "ntfy", "ntfys", "rocket", "rockets", "mmost", "mmosts", "xmpp", "xmpps", "apprise", "apprises"}  # fmt: skip
MOST = 4096  # characters
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.+)", re.DOTALL)
_HOST = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:\d+)?|\[[0-9A-Fa-f:]+\](:\d+)?")
SHORT = 3  # letters: a word that is no longer is no secret, and would be found everywhere


def wrong(url: str) -> str | None:
    """What is wrong with a URL, as far as that can be seen without asking apprise; None where nothing is."""
    if len(url) > MOST:
        return f"it has more than {MOST} characters"
    if not url.isprintable() or url != url.strip():
        return "it has a character in it that no URL has: spell such a one as %20, for example"
    if _URL.fullmatch(url) is None:
        return "it does not begin with a service and ://, as mailto://, slack:// and ntfy:// do"
    return None


def shown(url: str) -> str:
    """What may be shown of a URL: the service, and the machine where that is no secret."""
    found = _URL.fullmatch(url)
    if found is None:
        return "…"
    schema, rest = found[1].lower(), found[2]
    place, slash, more = re.split(r"[?#]", rest)[0].partition("/")
    host = place.rpartition("@")[2]
    alone = "@" not in place and not more
    if schema not in HOSTS or not _HOST.fullmatch(host) or (schema.startswith("ntfy") and alone):
        return f"{schema}://…"
    hidden = "@" in place or bool(more) or "?" in rest
    return f"{schema}://{'…@' if '@' in place else ''}{host}{'/…' if slash and more else ('' if hidden else slash)}"


def scrub(words: str, url: str) -> str:
    """These words without anything of the URL but what `shown` shows."""
    seen = shown(url)
    parts = {url, unquote(url)}
    for part in re.split(r"[/:@?&=#,]+", url.partition("://")[2]):
        parts |= {part, unquote(part)}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) > SHORT and part not in seen:
            words = words.replace(part, "…")
    return words
