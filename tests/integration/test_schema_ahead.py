"""The database is ahead of the image: lived with where a recorded release says that it only grew, refused with both ids otherwise.

The revision is changed in its table, as a newer release would have left it.
"""

import secrets
from dataclasses import replace

import pytest
from ansible_collections.hsc.jit.plugins.module_utils._release import applier, record
from deployment import Deployment
from stores import sql

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
NEWER = secrets.token_hex(6)  # another one in each run: records remember what was lived with


@pytest.fixture
def ahead(product):
    """The revision that the running release was made for; the database has another meanwhile."""
    made_for = sql(product, "SELECT version_num FROM alembic_version")
    sql(product, f"UPDATE alembic_version SET version_num = '{NEWER}'")
    yield made_for
    sql(product, f"UPDATE alembic_version SET version_num = '{made_for}'")


@pytest.fixture
def grown(product, ahead):
    """A withdrawn release that brought the schema there, and said that its migrations only add."""
    releases = applier.read_releases(product)
    number = record.newest(releases).number + 1
    grown = record.Release(number, "withdrawn", "of-nothing", schema_revision=NEWER, schema_class="expand")
    applier.write_release(product, grown, releases)
    yield number
    applier.forget_releases(product, [grown])


def deploy(kubeconfig, images, tmp_path):
    return Deployment(tmp_path, kubeconfig=kubeconfig, release_images=images, release_log_level="DEBUG")


def test_a_schema_that_no_release_explains_is_refused_with_both_ids(product, kubeconfig, images, ahead, tmp_path):
    before = product.get(product.namespaced("configmaps/hsc-jit-config"))["metadata"]["resourceVersion"]
    run = deploy(kubeconfig, images, tmp_path)
    assert run.returncode == 2
    (message,) = run.messages("MG-02", "fail")
    assert NEWER in message
    assert ahead in message
    assert product.get(product.namespaced("configmaps/hsc-jit-config"))["metadata"]["resourceVersion"] == before


def test_a_schema_that_only_grew_is_lived_with_and_nothing_is_migrated(product, kubeconfig, images, ahead, grown, tmp_path):
    run = deploy(kubeconfig, images, tmp_path)
    assert run.returncode == 0, run.output[-3000:]
    (message,) = set(run.messages("MG-02", "pass"))
    assert f"The database is at {NEWER}, not in this image ({ahead}): newer, and allowed by release {grown}'s record" in message
    assert any("Nothing was migrated" in one for one in run.messages("MG-01", "pass"))
    newest = record.newest(applier.read_releases(product))
    assert (newest.status, newest.schema_revision, len(newest.inventory)) == ("deployed", ahead, 64)
    assert newest.database == NEWER
    assert sql(product, "SELECT version_num FROM alembic_version") == NEWER


def test_it_is_lived_with_when_the_history_no_longer_says_how_it_grew(product, kubeconfig, images, ahead, tmp_path):
    """The release that was deployed so says it itself."""
    releases = applier.read_releases(product)
    newest = record.newest(releases)
    applier.write_release(product, replace(newest, database=NEWER), releases)
    run = Deployment(tmp_path, kubeconfig=kubeconfig, release_images=images, release_log_level="INFO")
    assert run.returncode == 0, run.output[-3000:]
    (message,) = set(run.messages("MG-02", "pass"))
    assert f"allowed by release {newest.number}'s record" in message
