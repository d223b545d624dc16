"""Checks the commit message in the file that the command line names; git runs it as a commit-msg hook.

The exit code is 1 when the first line, the subject, is missing or longer than 72 characters, else 0.
"""

import sys
from pathlib import Path

LONGEST = 72


def problem_of(message: str) -> str | None:
    """Return what is wrong with a message; lines that begin with # are git's own."""
    lines = "\n".join(line for line in message.splitlines() if not line.startswith("#")).strip().splitlines()
    if not lines:
        return "The commit message is empty; say in its first line what changed."
    subject, *rest = lines
    if len(subject) > LONGEST:
        return f"The subject has {len(subject)} characters; shorten it to {LONGEST}, and put the rest in the body."
    if rest and rest[0].strip():
        return "The second line of the commit message is not empty; leave one between subject and body."
    return None


def main() -> int:
    """Check the message in the file that the command line names."""
    problem = problem_of(Path(sys.argv[1]).read_text(encoding="utf-8"))
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
