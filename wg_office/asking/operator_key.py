"""The operator's private key: its file, and whether the program can log in with it. Room: asking; dials nobody."""

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

_PUTTY = "PuTTY-User-Key-File"


class UnusableKey(Exception):
    """Nobody can log in with this key; the message is what is the matter with it, and where it helps what to do: `is a directory`."""


def read_key(file: Path) -> str:
    """The text of a private key's file. Raises UnusableKey."""
    try:
        text = file.expanduser().read_text(encoding="utf-8")
    except RuntimeError:
        raise UnusableKey("names the home of a user that is not known here") from None
    except UnicodeDecodeError:
        raise UnusableKey("is not text, and so no private key") from None
    except OSError as error:
        raise UnusableKey(error.strerror or "cannot be read") from None
    refuse_unusable(text)
    return text


def refuse_unusable(text: str) -> None:
    """Raise UnusableKey unless the text is a private key without a passphrase: the program cannot ask for one."""
    load = load_ssh_private_key if "OPENSSH PRIVATE KEY" in text else load_pem_private_key
    try:
        load(text.encode(), None)
    except TypeError:
        raise UnusableKey("has a passphrase, which the program cannot ask for: `ssh-add` the key, so that the SSH agent is used") from None
    except UnsupportedAlgorithm:
        raise UnusableKey("is of a kind that only an SSH agent can use: `ssh-add` it") from None
    except ValueError:
        raise UnusableKey(_what_it_is(text)) from None


def _what_it_is(text: str) -> str:
    if text.startswith(_PUTTY):
        return "is in PuTTY's format: `puttygen KEY.ppk -O private-openssh -o KEY` makes one that fits"
    return "is no private key"
