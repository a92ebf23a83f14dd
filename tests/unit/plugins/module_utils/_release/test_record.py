"""Recorded releases: whole, without Secrets, and which of them is put back."""

import base64

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._release import record as r

OBJECTS = [{"kind": "ConfigMap", "metadata": {"name": "a"}}, {"kind": "Secret", "metadata": {"name": "s"}, "data": {"password": "geheim"}}]


def release(number, status="deployed", run="", **more):
    return r.Release(number, status, f"digest-{number}", run=run, **more)


def test_there_and_back_and_no_secret_in_it():
    recorded = release(3, images={"service": "x@sha256:1"}, objects=r.without_secrets(OBJECTS))
    config_map = r.as_config_map(recorded)
    assert r.from_config_map(config_map) == recorded
    assert r.as_config_map(release(3, objects=OBJECTS))["binaryData"] == config_map["binaryData"]


def test_a_damaged_record_is_named():
    config_map = r.as_config_map(release(3))
    config_map["binaryData"]["objects.json.gz"] = base64.b64encode(b"no gzip").decode()
    with pytest.raises(ValueError, match="ConfigMap hsc-jit-release-3 is no release record"):
        r.from_config_map(config_map)


def test_the_digest_is_of_the_set_not_of_its_order_or_secrets():
    assert r.set_digest(OBJECTS) == r.set_digest([*reversed(OBJECTS)]) == r.set_digest(OBJECTS[:1])
    assert r.set_digest(OBJECTS) != r.set_digest([])


@pytest.mark.parametrize(
    ("releases", "number", "run", "wanted"),
    [
        ([release(1), release(2, "started", "now")], 0, "now", 1),
        ([release(1), release(2, "deployed", "now")], 0, "now", 1),
        ([release(1), release(2, "withdrawn"), release(3, "started", "now")], 0, "now", 1),
        ([release(1), release(2, "deployed", "before")], 0, "now", None),
        ([release(1), release(2, "deployed", "before")], 0, "", 1),
        ([release(1, "started", "now")], 0, "now", None),
        ([release(1), release(2), release(3)], 1, "", 1),
        ([release(1)], 9, "", None),
        ([release(1), r.Release(2, "deployed", "same"), release(3, "withdrawn"), r.Release(4, "deployed", "same")], 0, "", 1),
        ([], 0, "", None),
    ],
)
def test_which_release_is_put_back(releases, number, run, wanted):
    found = r.to_put_back(releases, number, run)
    assert (found and found.number) == wanted


@pytest.mark.parametrize(
    ("releases", "run", "wanted"),
    [
        ([], "now", False),
        ([release(1)], "now", False),
        ([release(1), release(2, "started", "before")], "now", True),
        ([release(1), release(2, "started", "before")], "", True),
        ([release(1, "started", "before"), release(2, run="before")], "now", False),
        ([release(1), release(2, "started", "now")], "now", False),
        ([release(1, "started", "before"), release(2, "started", "now")], "now", True),
    ],
)
def test_whose_release_never_became_good(releases, run, wanted):
    """A run's own, whose data stores were applied before the rest, is none that has failed."""
    assert r.never_good(releases, run) is wanted


EXPANDED = release(2, "withdrawn", schema_revision="b", schema_class="expand")


@pytest.mark.parametrize(
    ("releases", "wanted"),
    [
        ([release(1, schema_revision="a"), EXPANDED], 2),
        ([release(1, schema_revision="a"), EXPANDED, release(3, schema_revision="a")], 2),  # put back
        ([release(1, schema_revision="a"), release(2, "withdrawn", schema_revision="b", schema_class="contract")], None),
        ([release(1, schema_revision="a"), release(2, "withdrawn", schema_revision="b")], None),  # nobody said of which class
        ([EXPANDED], None),  # whether code made for "a" ever ran before it is not recorded
        ([release(1, schema_revision="a"), release(2, schema_revision="x", schema_class="contract"),
          release(3, schema_revision="b", schema_class="expand")], None),
        ([release(1, schema_revision="a")], None),
        # How the schema came there is no longer in the history, but this code was deployed on it.
        ([release(30, schema_revision="a", database="b"), release(31, "withdrawn", schema_revision="a", database="b")], 30),
        ([release(30, schema_revision="a", database="a"), release(31, schema_revision="c", database="b")], None),
    ],
)  # fmt: skip
def test_code_that_is_older_than_the_schema_may_run_where_all_since_only_added(releases, wanted):
    found = r.newer_schema(releases, "b", "a")
    assert (found and found.number) == wanted


def test_history_keeps_the_two_newest_good_ones():
    releases = [release(1), release(2), *(release(number, "withdrawn") for number in range(3, 8))]
    assert [one.number for one in r.superfluous(releases, 3)] == [3, 4]
    assert r.superfluous(releases, 10) == []
