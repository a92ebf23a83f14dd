import pytest
from ansible_collections.hsc.jit.plugins.module_utils._images import service
from ansible_collections.hsc.jit.plugins.module_utils._images.service import _forget_controller, code, dependencies, files, key


@pytest.fixture
def source(tmp_path):
    for name in ("app/wiring.py", "app/__pycache__/wiring.pyc", "app/core/brands.tsv", "ui/page.js", "tests/test_x.py", "requirements.txt"):
        path = tmp_path / "service" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "service"


def test_code_and_data_go_in_tests_and_leftovers_do_not(source):
    assert [str(path.relative_to(source)) for path in files(source)] == ["app/core/brands.tsv", "app/wiring.py", "ui/page.js"]


def test_the_key_follows_content_and_names_and_nothing_else(source):
    first = key(source)
    (source / "tests/test_x.py").write_text("another test")
    assert key(source) == first
    (source / "app/wiring.py").rename(source / "app/wired.py")
    renamed = key(source)
    (source / "app/wired.py").write_text("changed")
    assert len({first, renamed, key(source)}) == 3


def test_code_is_laid_out_below_the_working_folder(source, tmp_path, monkeypatch):
    monkeypatch.setattr(service, "compile_python", lambda root, layer: None)
    (source / "app/wiring.py").chmod(0o600)
    code(source, tmp_path, tmp_path / "layer")
    assert (tmp_path / "layer/srv/app/app/core/brands.tsv").read_text() == "app/core/brands.tsv"
    assert (tmp_path / "layer/srv/app/app/wiring.py").stat().st_mode & 0o777 == 0o644, "uid 10001 reads what a careful umask wrote"


def test_nothing_of_the_controllers_python_stays(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/gunicorn").write_text("#!/somebody/s/checkout/.venv/bin/python")
    (tmp_path / "gunicorn-1.dist-info").mkdir()
    (tmp_path / "gunicorn-1.dist-info/RECORD").write_text("bin/gunicorn,sha256=of-the-path,311\ngunicorn/app.py,sha256=same,1\n")
    _forget_controller(tmp_path)
    assert not (tmp_path / "bin").exists()
    assert (tmp_path / "gunicorn-1.dist-info/RECORD").read_text() == "gunicorn/app.py,sha256=same,1\n"


def test_dependencies_are_checked_by_hash_for_the_python_of_the_base(source, tmp_path, monkeypatch):
    asked = []

    def execute(argv):
        asked.append([str(item) for item in argv])
        return "/usr/local/bin/python3 /usr/local/lib/python3.13/site-packages 3.13.9"

    monkeypatch.setattr(service, "execute", execute)
    monkeypatch.setattr(service, "find_uv", lambda: "/bin/uv")
    monkeypatch.setattr(service, "compile_python", lambda root, layer: None)
    dependencies(source, tmp_path / "root", tmp_path / "layer")
    install = asked[1]
    assert {"--require-hashes", "--only-binary=:all:", "--no-deps", "--python-version=3.13.9"} <= set(install)
    assert install[install.index("--target") + 1].endswith("layer/usr/local/lib/python3.13/site-packages")
    assert (tmp_path / "layer/usr/local/bin/celery").read_text().startswith("#!/usr/local/bin/python3\n")


def test_no_uv_is_said_with_what_to_do(source, tmp_path, monkeypatch):
    monkeypatch.setattr(service, "find_uv", lambda: None)
    with pytest.raises(RuntimeError, match="make env"):
        dependencies(source, tmp_path, tmp_path)
