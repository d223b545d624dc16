"""What tells the owner is taken out of text, whoever they are and whatever their system; the rest stays."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coremlbench.diagnostics.redaction import Owner, Redactor, collect_words, detect_owner

JANE = Owner(users=("jdoe", "Jane Doe"), homes=("/Users/jdoe",), hosts=("Janes-MacBook-Pro.local", "Janes-MacBook-Pro"))


def clean(text: str, owner: Owner = JANE, words: frozenset[str] = frozenset()) -> str:
    redactor = Redactor(owner, words)
    redactor.learn(text)
    return redactor.text(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # --- this machine's owner
        ("/Users/jdoe/runs/x.py", "~/runs/x.py"),
        ("/private/Users/jdoe/x and '/System/Volumes/Data/Users/jdoe/y'", "~/x and '~/y'"),
        ("jdoe ran it on Janes-MacBook-Pro.local", "<user> ran it on <host>"),
        ("Copyright Jane Doe, JANE DOE, Jane\\ Doe, Jane%20Doe", "Copyright <user>, <user>, <user>, <user>"),
        ("/opt/venvs/jdoe_env/bin", "/opt/venvs/<user>_env/bin"),
        # --- homes of other systems and other people
        ("/home/bob/x.py: No such file", "~/x.py: No such file"),
        ("/Users/Bob Smith/my runs/x", "~/my runs/x"),
        ("file:///Users/bob%20smith/x", "file://~/x"),
        ("cd /home/bob", "cd ~"),
        (r"C:\Users\Bob Smith\AppData\x.dll", r"~\AppData\x.dll"),
        (r"C:\\Users\\bob\\x", r"~\\x"),
        ("D:/Users/bob/x", "~/x"),
        ("/mnt/c/Users/bob/x", "~/x"),
        ("/export/home/bob/x", "~/x"),
        ("/root/x and /root", "~/x and ~"),
        ("/var/folders/2q/p93y5kzd4p54/T/tmp1", "/var/folders/<user>/T/tmp1"),
        ("/Volumes/Bobs Disk/x", "/Volumes/<disk>/x"),
        ("/run/media/bob/STICK/x", "/run/media/<user>/STICK/x"),
        ("~bob/x", "~/x"),
        # --- by their form
        ("mail bob.smith+x@example.co.uk!", "mail <e-mail>!"),
        ("bob@host42:~$ make", "<e-mail>:~$ make"),
        ("https://bob:s3cret@example.org/simple", "https://<secret>@example.org/simple"),
        ("GITHUB_TOKEN=ghp_abc123 done", "GITHUB_TOKEN=<secret> done"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer <secret>"),
        ("uid=501(bob) gid=20(staff)", "uid=501(<user>) gid=20(<user>)"),
        ("user: bob, hostname: host42", "user: <user>, hostname: <host>"),
        ("connected to bobs-mbp.local.", "connected to <host>."),
        ("ether a4:83:e7:01:02:03 inet 192.168.1.20", "ether <address> inet <address>"),
    ],
)
def test_what_tells_the_owner_is_taken_out(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "numpy 1.26.4, coremltools 9.0, macOS 15.1 (24B83), clang 14.0.3.1",
        "dlopen(/usr/lib/libfoo.dylib): Library not loaded: @rpath/libbar.dylib",
        "epoch 3 of 5: loss 0.31, 12.5 steps/s, ~10 s left, /opt/homebrew/bin/python3.11",
        "E5RT encountered an STL exception. msg = MILCompilerForANE error",
        "listening on 127.0.0.1 and localhost; host: localhost",
        "threading.local() and /usr/local/lib/x",
        "max_iterations=25 tokens of 3: TokenAndPositionEmbedding",
        "a user error; the host's processor; user 0.5 s, host: 3",
        "A:\\ drive, 3/4 home/away, re:/x",
    ],
)
def test_what_tells_nothing_stays(text: str) -> None:
    assert clean(text) == text


def test_a_name_that_is_an_ordinary_word_is_taken_out_of_paths_only() -> None:
    owner = Owner(users=("train",), homes=("/home/train",), hosts=("model",))
    words = collect_words([{"phases": ["train", "evaluate"]}, "the model was saved"])
    text = "train: /home/train/data, train@model, user=train; the model was saved, trained"
    expected = "train: ~/data, <e-mail>, user=<user>; the model was saved, trained"
    assert clean(text, owner, words) == expected


def test_a_name_found_in_a_path_is_taken_out_elsewhere() -> None:
    redactor = Redactor(JANE)
    redactor.learn("/home/bsmith/x")
    redactor.learn("/Users/Zoë van Dijk/x")
    assert redactor.text("started by bsmith") == "started by <user>"
    assert redactor.text("bsmithers and absmith stay") == "bsmithers and absmith stay"
    assert redactor.text("Zoë van Dijk's, Zoë's") == "<user>'s, <user>'s"


def test_names_nobody_has_are_not_hunted() -> None:
    redactor = Redactor(Owner(users=("root", "me"), homes=("/",), hosts=("localhost",)))
    redactor.learn("/home/runner/work and /home/user/x")
    assert redactor.text("the runner told me of a root user on localhost") == (
        "the runner told me of a root user on localhost"
    )


def test_a_home_of_another_style_is_known_by_the_system() -> None:
    owner = Owner(users=("kim",), homes=("/work/people/kim", "/work/people"), hosts=())
    assert clean("/work/people/kim/x, /work/people/x, /work/peopled/x", owner) == "~/x, ~/x, /work/peopled/x"


def test_composed_and_decomposed_names_are_the_same() -> None:
    owner = Owner(users=("Jürgen",), homes=("/Users/Jürgen",), hosts=())
    for form in ("NFC", "NFD"):
        text = unicodedata.normalize(form, "/Users/Jürgen/x by Jürgen")
        assert clean(text, owner) == "~/x by <user>"
    assert clean('{"by": "J\\u00fcrgen"}', owner) == '{"by": "<user>"}'


def test_json_keeps_its_fields_and_loses_what_tells() -> None:
    redactor = Redactor(JANE)
    value = {"user": "jdoe", "jdoe": 1, "/Users/jdoe/a.jpg": ["/Users/jdoe/b", 2, None, True], "seconds": 1.5}
    assert redactor.value(value) == {"user": "<user>", "jdoe": 1, "~/a.jpg": ["~/b", 2, None, True], "seconds": 1.5}


def test_this_machine_is_known() -> None:
    owner = detect_owner()
    assert owner.homes
    assert all(owner.hosts)
    for home in owner.homes:
        assert len(home) == 1 or home not in clean(f"see {home}/x and '{home}'", owner)


NAMES = st.from_regex(r"[A-Za-zÀ-ž][A-Za-zÀ-ž0-9._-]{2,12}", fullmatch=True).filter(
    lambda name: (
        not re.fullmatch(r"(?i)(volumes|users?|home|tmp|host|disk|mail|secret|address|opened|file|while|by)", name)
        and not name.endswith(".")
    )
)


@given(
    NAMES,
    st.sampled_from(["/home/{}/x", "/Users/{}/a b/x", "C:\\Users\\{}\\x", "/mnt/c/Users/{}/x", "file:///home/{}/x"]),
)
def test_no_name_survives_beside_its_home(name: str, place: str) -> None:
    text = f"opened {place.format(name)} while by {name}, {name}@example.org and /tmp/{name}/y"
    assert name not in clean(text, Owner())


@pytest.mark.parametrize("part", ["a", "a-", "a.", "%20a", "a ", "/Users/a ", "://a", "token", "a@"])
def test_a_long_line_of_anything_takes_no_longer_than_its_length_asks_for(part: str) -> None:
    assert clean(part * 40_000)  # a pattern that looks back over the whole line at each step would not come back


@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    assert isinstance(clean(text), str)
