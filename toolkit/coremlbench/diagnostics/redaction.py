"""Redact personal data in text: home folders, user and host names, addresses, secrets.

Names and folders of this machine are replaced wherever they occur. Those of other machines are recognised by patterns:
home folders of Linux, macOS and Windows, e-mail addresses, shell prompts, "user=". A user name found in a home folder
is then replaced everywhere. A name that is also a word of the toolkit ("train", "metal") is replaced only where a
pattern shows that it is a name, since it occurs in many sentences as a word.
"""

from __future__ import annotations

import json
import os
import re
import socket
import unicodedata
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

USER, HOST, MAIL, SECRET, ADDRESS = "<user>", "<host>", "<e-mail>", "<secret>", "<address>"
HOME = "~"
MIN_NAME_LENGTH = 3
GENERIC_USERS = frozenset(
    ("root", "user", "users", "admin", "guest", "shared", "public", "default", "nobody", "runner", "ubuntu", "home")
)
"""User names that identify nobody."""

_WORD = r"[^\s/\\:*?\"'<>|,;()\[\]{}=]"
_NAME = rf"{_WORD}{{1,64}}(?:(?:\\? |%20){_WORD}{{1,64}}){{0,3}}(?=[/\\])|{_WORD}{{1,64}}"
"""A regular expression for a folder's name: it may contain spaces if a separator follows, else it ends at a space."""

HOMES = re.compile(
    r"(?:(?:/System/Volumes/Data|/private|/host_mnt|/mnt/[a-z]|/[a-z](?=/Users))?/(?:Users|home|export/home|var/home|"
    r"usr/home)/|(?<![A-Za-z])[A-Za-z]:(?:\\{1,4}|/)(?:Users|Documents and Settings)(?:\\{1,4}|/))"
    rf"(?P<name>{_NAME})"
)
PATH_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<![\w/.~-])/root(?=[/\s\"':,;)\]]|$)"), HOME),
    (re.compile(r"(/var/folders/)[^/\s]+/[^/\s\"':,;)\]]+"), rf"\1{USER}"),
    (re.compile(r"(/run/user/)\d+"), rf"\1{USER}"),
    (re.compile(rf"((?:/run)?/media/)(?:{_NAME})"), rf"\1{USER}"),
    (re.compile(rf"(/Volumes/)(?:{_NAME})"), r"\1<disk>"),
    (re.compile(r"(?<![\w\\])\\{2,4}[A-Za-z][\w.-]*(?=\\{1,2}\w)"), rf"\\\\\\\\{HOST}"),
    (re.compile(r"(?<![\w~/.])~[A-Za-z_][\w.-]*(?=/)"), HOME),
)
CONTENT_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<=://)[^/\s@\"']{1,256}@"), f"{SECRET}@"),
    (re.compile(r"[\w.%+-]{1,64}@[^\W_][\w-]{0,62}(?:\.[\w-]{1,63}){0,8}"), MAIL),
    (
        re.compile(
            r"(?i)\b([\w-]{0,40}(?:token|passwor[dt]|passwd|secret|api[_-]?key|authorization|credentials?)\b[\"']?\s*[:=]\s*"
            r"[\"']?(?:bearer\s+|basic\s+)?)(?!<)[^\s\"',;<]+"
        ),
        rf"\1{SECRET}",
    ),
    (
        re.compile(r"(?i)\b((?:user(?:[_ -]?name)?|logname|login|owner)\s*[:=]\s*[\"']?)[^\W\d_][^\s\"',;)<]*"),
        rf"\1{USER}",
    ),
    (re.compile(r"\b([ug]id=\d+)\([^)]*\)"), rf"\1({USER})"),
    (re.compile(r"(?i)\b(host(?:[_ -]?name)?\s*[:=]\s*[\"']?)(?!localhost\b)[^\W\d_][^\s\"',;)<]*"), rf"\1{HOST}"),
    (
        re.compile(
            r"(?<![\w.-])(?!threading\.)[^\W_][\w-]{0,62}\.(?:local|lan|home|internal|localdomain)\b(?![(/]|\.\w)"
        ),
        HOST,
    ),
    (re.compile(r"(?i)\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b"), ADDRESS),
    (re.compile(r"\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b"), ADDRESS),
)


@dataclass(frozen=True)
class Owner:
    """What identifies a machine's owner: user names, home folders, host names."""

    users: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


def detect_owner() -> Owner:
    """Return this machine's owner from environment, password database and host name, without the network."""
    users = [os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER")]
    homes = [os.environ.get("HOME", "")]
    with suppress(ImportError, KeyError):
        import pwd

        entry = pwd.getpwuid(os.getuid())
        users += [entry.pw_name, entry.pw_gecos.split(",")[0]]
        homes.append(entry.pw_dir)
    with suppress(RuntimeError):
        homes += [str(Path.home()), str(Path.home().resolve())]
    node = socket.gethostname()
    hosts = [node, node.partition(".")[0], os.environ.get("HOSTNAME", "")]
    return Owner(*(tuple(dict.fromkeys(name for name in names if name)) for names in (users, homes, hosts)))


@dataclass
class Redactor:
    """Replaces personal data with placeholders such as ``<user>``.

    ``words`` are ordinary words in lower case: a name among them is replaced only where a pattern matches. Call
    ``learn`` with all texts first, so that a user name found in one text is replaced in all of them.
    """

    owner: Owner
    words: frozenset[str] = frozenset()
    _users: set[str] = field(default_factory=set)
    _name_patterns: tuple[tuple[re.Pattern[str], str], ...] | None = None

    def learn(self, text: str) -> None:
        """Add the users whose home folders occur in the text."""
        for match in HOMES.finditer(text):
            name = match["name"].replace("\\ ", " ").replace("%20", " ")
            self._users.update((name, name.split(" ")[0]))
        self._name_patterns = None

    def text(self, text: str) -> str:
        """Return the text with personal data replaced."""
        if self._name_patterns is None:
            self._name_patterns = self._compile_name_patterns()
        for home in sorted(self.owner.homes, key=len, reverse=True):
            if len(home) > 1:  # "/" identifies nobody
                for spelling in _spellings(home.rstrip("/")):
                    text = re.sub(rf"(?<![\w/]){re.escape(spelling)}(?![\w.-])", HOME, text)
        text = HOMES.sub(HOME, text)
        for pattern, replacement in (*PATH_PATTERNS, *CONTENT_PATTERNS, *self._name_patterns):
            text = pattern.sub(replacement, text)
        return text

    def value(self, value: Any) -> Any:
        """Return JSON values with every string redacted, and field names too if they look like paths or addresses."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {
                self.text(key) if re.search(r"[/\\@]", key) else key: self.value(item) for key, item in value.items()
            }
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return value

    def _compile_name_patterns(self) -> tuple[tuple[re.Pattern[str], str], ...]:
        names = [(name, USER) for name in {*self.owner.users, *self._users}]
        names += [(name, HOST) for name in self.owner.hosts]
        patterns = []
        for name, replacement in sorted(names, key=lambda pair: (-len(pair[0]), pair)):
            if len(name) < MIN_NAME_LENGTH or name.lower() in self.words | GENERIC_USERS | {"localhost"}:
                continue
            spellings = "|".join(re.escape(spelling) for spelling in _spellings(name))
            patterns.append((re.compile(rf"(?<![^\W_])(?:{spellings})(?![^\W_])", re.IGNORECASE), replacement))
        return tuple(patterns)


def _spellings(name: str) -> tuple[str, ...]:
    """Return the spellings of a name: Unicode composed and decomposed, shell-escaped, URL-quoted, as in JSON."""
    spellings: list[str] = []
    for form in (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)):
        spellings += [form, form.replace(" ", "\\ "), quote(form), json.dumps(form)[1:-1], form.replace("/", "\\/")]
    return tuple(dict.fromkeys(spellings))


def collect_words(values: Iterable[Any], keep: Callable[[str], bool] = lambda _: True) -> frozenset[str]:
    """Return the words of all strings in JSON values and their field names, in lower case.

    ``keep`` selects words before they are converted to lower case.
    """
    words: set[str] = set()
    for value in values:
        if isinstance(value, str):
            words.update(word.lower() for word in re.findall(r"[^\W_]+", value) if keep(word))
        elif isinstance(value, dict):
            words |= collect_words([*value.keys(), *value.values()], keep)
        elif isinstance(value, (list, tuple)):
            words |= collect_words(value, keep)
    return frozenset(words)
