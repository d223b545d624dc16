"""Take out of text what tells whose machine it was written on: homes, user and host names, addresses, secrets.

What is known of this machine is taken out wherever it stands. What is not known, as in a record of another machine,
is recognised by its form: the homes of Linux, macOS and Windows, e-mail addresses, prompts, "user=". A name that is
found so is then taken out everywhere too. A name that is also an ordinary word here ("train", "metal") would tear
holes into every sentence: such a name is taken out only where its place says that it is a name.
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
SHORTEST_NAME = 3
NOBODY = frozenset(
    ("root", "user", "users", "admin", "guest", "shared", "public", "default", "nobody", "runner", "ubuntu", "home")
)
"""Names that are nobody's."""

_WORD = r"[^\s/\\:*?\"'<>|,;()\[\]{}=]"
_NAME = rf"{_WORD}{{1,64}}(?:(?:\\? |%20){_WORD}{{1,64}}){{0,3}}(?=[/\\])|{_WORD}{{1,64}}"
"""A folder's name: with spaces in it when a separator follows, else up to the first space."""

HOMES = re.compile(
    r"(?:(?:/System/Volumes/Data|/private|/host_mnt|/mnt/[a-z]|/[a-z](?=/Users))?/(?:Users|home|export/home|var/home|"
    r"usr/home)/|(?<![A-Za-z])[A-Za-z]:(?:\\{1,4}|/)(?:Users|Documents and Settings)(?:\\{1,4}|/))"
    rf"(?P<name>{_NAME})"
)
PLACES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<![\w/.~-])/root(?=[/\s\"':,;)\]]|$)"), HOME),
    (re.compile(r"(/var/folders/)[^/\s]+/[^/\s\"':,;)\]]+"), rf"\1{USER}"),
    (re.compile(r"(/run/user/)\d+"), rf"\1{USER}"),
    (re.compile(rf"((?:/run)?/media/)(?:{_NAME})"), rf"\1{USER}"),
    (re.compile(rf"(/Volumes/)(?:{_NAME})"), r"\1<disk>"),
    (re.compile(r"(?<![\w\\])\\{2,4}[A-Za-z][\w.-]*(?=\\{1,2}\w)"), rf"\\\\\\\\{HOST}"),
    (re.compile(r"(?<![\w~/.])~[A-Za-z_][\w.-]*(?=/)"), HOME),
)
FORMS: tuple[tuple[re.Pattern[str], str], ...] = (
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
    """Whose machine this is: names of the user, folders that are theirs, names of the machine."""

    users: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


def this_owner() -> Owner:
    """Return what this machine knows of its owner; nothing is asked of the network."""
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
    return Owner(*(tuple(dict.fromkeys(each for each in names if each)) for names in (users, homes, hosts)))


@dataclass
class Redaction:
    """Takes out what tells the owner. ``words`` are ordinary here, in lower case: a name among them is not hunted for.

    Call ``learn`` with all texts first, so that a name seen in one is taken out of all.
    """

    owner: Owner
    words: frozenset[str] = frozenset()
    _users: set[str] = field(default_factory=set)
    _hunts: tuple[tuple[re.Pattern[str], str], ...] | None = None

    def learn(self, text: str) -> None:
        """Note the names of users whose homes the text mentions."""
        for found in HOMES.finditer(text):
            name = found["name"].replace("\\ ", " ").replace("%20", " ")
            self._users.update((name, name.split(" ")[0]))
        self._hunts = None

    def text(self, text: str) -> str:
        """Return the text without what tells the owner."""
        if self._hunts is None:
            self._hunts = self._make_hunts()
        for home in sorted(self.owner.homes, key=len, reverse=True):
            if len(home) > 1:  # "/" is everybody's
                for form in _forms(home.rstrip("/")):
                    text = re.sub(rf"(?<![\w/]){re.escape(form)}(?![\w.-])", HOME, text)
        text = HOMES.sub(HOME, text)
        for pattern, instead in (*PLACES, *FORMS, *self._hunts):
            text = pattern.sub(instead, text)
        return text

    def value(self, value: Any) -> Any:
        """Return JSON values with every string in them redacted, names of fields that are paths included."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {
                self.text(key) if re.search(r"[/\\@]", key) else key: self.value(each) for key, each in value.items()
            }
        if isinstance(value, list):
            return [self.value(each) for each in value]
        return value

    def _make_hunts(self) -> tuple[tuple[re.Pattern[str], str], ...]:
        names = [(name, USER) for name in {*self.owner.users, *self._users}]
        names += [(name, HOST) for name in self.owner.hosts]
        hunts = []
        for name, instead in sorted(names, key=lambda each: (-len(each[0]), each)):
            if len(name) < SHORTEST_NAME or name.lower() in self.words | NOBODY | {"localhost"}:
                continue
            forms = "|".join(re.escape(form) for form in _forms(name))
            hunts.append((re.compile(rf"(?<![^\W_])(?:{forms})(?![^\W_])", re.IGNORECASE), instead))
        return tuple(hunts)


def _forms(name: str) -> tuple[str, ...]:
    """Return how a name may stand in a text: composed or not, with escaped spaces, in an address, in JSON."""
    forms: list[str] = []
    for form in (name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)):
        forms += [form, form.replace(" ", "\\ "), quote(form), json.dumps(form)[1:-1], form.replace("/", "\\/")]
    return tuple(dict.fromkeys(forms))


def words_of(values: Iterable[Any], keep: Callable[[str], bool] = lambda _: True) -> frozenset[str]:
    """Return the words, in lower case, of all texts in JSON values, names of fields included."""
    found: set[str] = set()
    for value in values:
        if isinstance(value, str):
            found.update(word.lower() for word in re.findall(r"[^\W_]+", value) if keep(word))
        elif isinstance(value, dict):
            found |= words_of([*value.keys(), *value.values()], keep)
        elif isinstance(value, (list, tuple)):
            found |= words_of(value, keep)
    return frozenset(found)
