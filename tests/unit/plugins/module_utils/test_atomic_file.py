import stat

from ansible_collections.hsc.jit.plugins.module_utils import _atomic_file


def test_the_folder_is_made_the_old_text_replaced_and_nobody_else_reads_it(tmp_path):
    path = tmp_path / "new folder" / "state.json"
    for text in ("a long old text", "new"):
        _atomic_file.write(path, text)
        assert path.read_text() == text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_is_cut_short_leaves_the_old_text(tmp_path, monkeypatch):
    path = tmp_path / "state.json"
    _atomic_file.write(path, "old")
    monkeypatch.setattr(type(path), "replace", lambda *_: None)  # killed a moment before
    _atomic_file.write(path, "ne")
    assert path.read_text() == "old"
    monkeypatch.undo()
    _atomic_file.write(path, "new")
    assert path.read_text() == "new"
