from ansible_collections.hsc.jit.plugins.module_utils._images.sbom import bill, debian_packages, python_packages


def test_packages_of_the_base_and_of_layers_are_found(tmp_path):
    (tmp_path / "var/lib/dpkg/status.d").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(
        "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\n\nPackage: tar\nVersion: 1.34\n"
    )
    (tmp_path / "var/lib/dpkg/status.d/redis-server").write_text("Package: redis-server\nVersion: 5:7.0.15-1~deb12u5\n")
    assert debian_packages(tmp_path) == [("libc6", "2.36-9"), ("redis-server", "5:7.0.15-1~deb12u5"), ("tar", "1.34")]
    assert python_packages(tmp_path) == []


def test_python_packages_are_read_from_their_metadata(tmp_path):
    folder = tmp_path / "x/typing_extensions-4.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.4\nName: typing_extensions\nVersion: 4.16.0\n\nName: of the description\n")
    assert python_packages(tmp_path) == [("typing_extensions", "4.16.0")]


def test_the_bill_names_the_image_by_digest_and_each_component_by_purl():
    document = bill(
        "hsc-jit-service", "sha256:12", [("redis-server", "5:7.0.15-1~deb12u5"), ("libstdc++6", "12.2")], [("Typing_extensions", "4.16.0")]
    )
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.5")
    assert document["metadata"]["component"]["version"] == "sha256:12"
    assert [component["purl"] for component in document["components"]] == [
        "pkg:deb/debian/libstdc%2B%2B6@12.2",
        "pkg:deb/debian/redis-server@5%3A7.0.15-1~deb12u5",
        "pkg:pypi/typing-extensions@4.16.0",
    ]
    assert len({component["bom-ref"] for component in document["components"]}) == 3


def test_a_package_of_two_layers_stands_once():
    assert len(bill("x", "sha256:1", [("a", "1"), ("a", "1")], [])["components"]) == 1
