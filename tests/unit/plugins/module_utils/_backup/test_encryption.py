"""Encryption at rest: who can open a backup, who cannot, and that what is plain has no name."""

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._backup.encryption import Seal, nameless
from ansible_collections.hsc.jit.plugins.module_utils._backup.snapshot import Artefact, file_sha256
from ansible_collections.hsc.jit.plugins.module_utils._errors import BackupError
from pyrage import x25519

CONTENT = b"REDIS0010 and all the keys" * 100


@pytest.fixture
def identity(tmp_path):
    """(public key, file of the private one), as age-keygen writes it."""
    key = x25519.Identity.generate()
    path = tmp_path / "identity.txt"
    path.write_text(f"# created: today\n# public key: {key.to_public()}\n{key}\n")
    return str(key.to_public()), str(path)


def sealed(seal, folder):
    path = folder / "redis.rdb.age"
    with nameless(folder) as plain:
        plain.write_bytes(CONTENT)
        seal.close(plain, path)
    return Artefact("redis", str(path), path.stat().st_size, file_sha256(path), "pod", {}, encryption="age")


def test_the_run_itself_proves_without_the_identity_and_later_only_the_identity_opens(tmp_path, identity):
    public, file = identity
    run = Seal([public])
    artefact = sealed(run, tmp_path)
    with run.opened(artefact) as plain:
        assert plain.read_bytes() == CONTENT
        assert plain.stat().st_size == len(CONTENT)
    with Seal([], file).opened(artefact) as plain:
        assert plain.read_bytes() == CONTENT
    with pytest.raises(BackupError, match="does not open"), Seal([public]).opened(artefact):
        pass
    with pytest.raises(BackupError, match="no identity"), Seal().opened(artefact):
        pass
    assert CONTENT[:20] not in (tmp_path / "redis.rdb.age").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["identity.txt", "redis.rdb.age"]


def test_an_identity_that_is_not_the_recipients_proves_nothing(tmp_path, identity):
    other = str(x25519.Identity.generate().to_public())
    seal = Seal([other], identity[1])
    with pytest.raises(BackupError, match=r"identity\.txt"), seal.opened(sealed(seal, tmp_path)):
        pass


@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content[:-20] + bytes(20)])
def test_a_changed_file_does_not_open(tmp_path, identity, change):
    seal = Seal([identity[0]])
    artefact = sealed(seal, tmp_path)
    path = tmp_path / "redis.rdb.age"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(BackupError), seal.opened(artefact):
        pass


def test_what_is_no_key_is_named_and_no_private_key_is_in_a_message(tmp_path, identity):
    with pytest.raises(ValueError, match="age1nonsense"):
        Seal(["age1nonsense"])
    broken = tmp_path / "broken"
    broken.write_text("AGE-SECRET-KEY-1NONSENSE\n")
    for name in (str(broken), str(tmp_path / "missing")):
        with pytest.raises(ValueError, match="backup_age_identity_file") as caught:
            Seal([], name)
        assert "SECRET" not in str(caught.value)
    (tmp_path / "empty").write_text("# nothing\n")
    with pytest.raises(ValueError, match="no identity in it"):
        Seal([], str(tmp_path / "empty"))
