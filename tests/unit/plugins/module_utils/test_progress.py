import json

from ansible_collections.hsc.jit.plugins.module_utils._progress import Progress, as_line


def test_a_line_says_what_how_far_and_how_long(tmp_path):
    path = tmp_path / "progress"
    progress = Progress(str(path), monotonic=iter([0.0, 12.3]).__next__)
    progress.say("Deployment hsc-jit-worker", done=2, total=3, detail="pulling image")
    assert as_line(json.loads(path.read_text())) == "[  12 s] Deployment hsc-jit-worker 2/3: pulling image"


def test_the_same_line_is_said_once(tmp_path):
    path = tmp_path / "progress"
    progress = Progress(str(path))
    for _ in range(3):
        progress.say("waiting")
    progress.say("done")
    assert len(path.read_text().splitlines()) == 2


def test_without_a_file_it_is_silent(capsys):
    Progress().say("nobody listens")
    assert capsys.readouterr() == ("", "")
