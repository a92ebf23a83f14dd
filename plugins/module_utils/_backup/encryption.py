# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Backups at rest, encrypted in the age format to the public keys of those who may read them. What is plain never has a name on disk."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .._errors import BackupError
from .snapshot import Artefact


@contextmanager
def nameless(folder: Path) -> Iterator[Path]:
    """A file in ``folder`` that no directory lists: it is gone with this process, even a killed one."""
    with tempfile.TemporaryFile(dir=folder) as file:
        yield Path(f"/proc/self/fd/{file.fileno()}")


class Seal:
    """Encrypts and decrypts the artefacts of one run. Without recipients files are written as they are.

    A recipient's public key cannot open what is encrypted to it. So that a backup is proved from the encrypted file also where the
    identity is not (it should lie elsewhere), each run adds a key of its own, which is in no file and ends with the process.
    ValueError: a recipient or the identity's file is none.
    """

    def __init__(self, recipients: Sequence[str] = (), identity_file: str = "") -> None:
        self.recipients = [_recipient(text.strip()) for text in recipients]
        self._identities = _identities(identity_file) if identity_file else []
        self._names = identity_file or "this run's own key (set backup_age_identity_file)"
        self._added: list[Any] = []
        if self.recipients and not self._identities:
            from pyrage import x25519

            self._identities = [x25519.Identity.generate()]
            self._added = [self._identities[0].to_public()]

    def close(self, plain: Path, target: Path) -> None:
        import pyrage

        pyrage.encrypt_file(str(plain), str(target), [*self.recipients, *self._added])

    @contextmanager
    def opened(self, artefact: Artefact) -> Iterator[Path]:
        """The artefact's content, plain. BackupError: none of the identities opens it, or it was changed."""
        path = Path(artefact.path)
        if not artefact.encryption:
            yield path
            return
        import pyrage

        if not self._identities:
            raise BackupError(f"{path} is encrypted, and there is no identity to open it with (set backup_age_identity_file).")
        with nameless(path.parent) as plain:
            try:
                pyrage.decrypt_file(str(path), str(plain), self._identities)
            except (pyrage.DecryptError, OSError) as error:
                raise BackupError(f"{path} does not open with {self._names}: {error}") from error
            yield plain


def _recipient(text: str) -> Any:
    import pyrage

    try:
        return pyrage.ssh.Recipient.from_str(text) if text.startswith("ssh-") else pyrage.x25519.Recipient.from_str(text)
    except pyrage.RecipientError as error:
        raise ValueError(f"backup_age_recipients: {text[:80]!r} is no age recipient (age1… or ssh-ed25519 …): {error}") from error


def _identities(name: str) -> list[Any]:
    """Of a file as age-keygen writes it, or of a private key of SSH. Its content is in no message."""
    import pyrage

    try:
        content = Path(name).read_bytes()
        if content.startswith(b"-----BEGIN"):
            return [pyrage.ssh.Identity.from_buffer(content)]
        lines = [line.strip() for line in content.decode().splitlines()]
        found = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (OSError, UnicodeDecodeError, pyrage.IdentityError) as error:
        raise ValueError(f"backup_age_identity_file: {name} cannot be used ({type(error).__name__}).") from error
    if not found:
        raise ValueError(f"backup_age_identity_file: {name} has no identity in it.")
    return found
