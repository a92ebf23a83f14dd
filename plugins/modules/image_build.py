#!/usr/bin/python
# Copyright (c) 2026 the hsc.jit engineers
# Apache License 2.0 (see LICENSE)
"""Build the product's images and push them to a registry on this machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_build
short_description: Build the product's images and push them to a registry on this machine
version_added: 0.1.0
description:
  - Builds reproducible OCI images from Debian packages and, for the product, from its code and a hash-checked lock.
  - An image whose input did not change is not built; one that the registry has is not pushed.
  - Writes a CycloneDX bill of materials for each image beside it in the cache.
author:
  - The HSC-JIT deployment engineers (@hsc-jit)
extends_documentation_fragment:
  - hsc.jit.target.run
options:
  registry:
    description: Registry as host and port, reached by plain HTTP.
    type: str
    default: localhost:5001
  source:
    description: Folder of the product, with C(app/), C(ui/), C(migrations/) and C(requirements.txt).
    type: path
    required: true
  programs:
    description: Folder with the small programs that some images start with.
    type: path
    required: true
  cache_dir:
    description: Folder in which bases, packages and images are kept.
    type: path
    default: ~/.cache/hsc-jit
  edition:
    description: Edition of the Debian packages. Another value fetches the newest ones and builds everything anew.
    type: str
    default: 2026-11
  base:
    description: Reference by digest of the image that the product's image stands on. Empty stands on a small Debian made here.
    type: str
    default: ""
  ready:
    description: Images by digest that are used as they are instead of being built, by the names that C(images) returns.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Build and push
  hsc.jit.image_build:
    source: "{{ playbook_dir }}/../service"
    programs: "{{ role_path }}/files"
  register: built
"""

RETURN = r"""
images:
  description: Reference by digest of each image; in check mode only of those whose input did not change.
  returned: success
  type: dict
  sample: {redis: "localhost:5001/hsc-jit-redis@sha256:0123"}
done:
  description: What was built or pushed; in check mode what would be built.
  returned: success
  type: list
  elements: str
sboms:
  description: Path of each image's bill of materials.
  returned: success
  type: dict
"""

from pathlib import Path

from ..module_utils._errors import OperatorError
from ..module_utils._images import build
from ..module_utils._images.push import Registry
from ..module_utils._images.recipes import image_name
from ..module_utils._module import Context, Outcome, run

SPEC = {
    "registry": {"type": "str", "default": "localhost:5001"},
    "source": {"type": "path", "required": True},
    "programs": {"type": "path", "required": True},
    "cache_dir": {"type": "path", "default": "~/.cache/hsc-jit"},
    "edition": {"type": "str", "default": "2026-11"},
    "base": {"type": "str", "default": ""},
    "ready": {"type": "dict", "default": {}},
}


def work(context: Context) -> Outcome:
    params = context.params
    cache, source, programs = (Path(params[key]).expanduser() for key in ("cache_dir", "source", "programs"))
    workshop = build.Workshop(cache, source, programs, params["edition"], params["base"], params["ready"])
    problems = build.problems(workshop)
    if problems:
        raise OperatorError("\n".join(problems), "Nothing was built.")
    try:
        if context.check_mode:
            found = {name: build.built(workshop, name) for name in workshop.wanted}
            images = {name: build.reference(params["registry"], name, one) for name, one in found.items() if one}
            images, done = {**params["ready"], **images}, [f"would build {image_name(name)}" for name, one in found.items() if not one]
        else:
            images, done = build.ensure(workshop, Registry(params["registry"]), context.progress.say)
    except (RuntimeError, OSError) as error:
        raise OperatorError(f"Building the images failed: {error}", "Run it again: what was built is kept.") from error
    sboms = {name: one["sbom"] for name in workshop.wanted if (one := build.built(workshop, name))}
    return Outcome([], done, facts={"images": images, "done": done, "sboms": sboms})


def main() -> None:
    run(SPEC, work, cluster=False)


if __name__ == "__main__":
    main()
