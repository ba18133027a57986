"""The images of this repository, by their Dockerfiles and a real builder (buildah), where no registry can be reached.

The images that they begin with are made here: distroless of the Debian packages that it consists of, and Rust's of this
machine's own root, of which a build sees a layer that is thrown away. Cargo gives what the same command built before
(`make programs`); all else is done in earnest.
"""

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from programs import run

RUST = "docker.io/library/rust:1.95-slim-bookworm"
DISTROLESS = "gcr.io/distroless/cc-debian12:latest"
PACKAGES = """
base-files ca-certificates gcc-12-base libc6 libgcc-s1 libgomp1 libssl3 libstdc++6 media-types netbase tzdata
"""
# Folders that it finds as they are here, and may write to as it likes.
SEEN = ("/usr", "/var")
# Of what a machine has, without containers of its own; steps that two images share are done once.
HERE = ("--pull-never", "--isolation=chroot", "--layers")
CARGO = """#!/bin/sh
# Whether all sources are there
test -f Cargo.lock && /toolchain/bin/cargo metadata --no-deps --offline --format-version=1 >/dev/null || exit
grep -qxF "$*" /built/commands || { echo "not built by: cargo $*" >&2; exit 1; }
cp -r /built/target/. target/
"""
RUSTUP = "#!/bin/sh\n[ \"$1 $2\" = 'target add' ]\n"


class Builder:
    def __init__(self, folder, sources):
        self.folder, self.sources = Path(folder), sources
        self.built = self.folder / "built"

    def buildah(self, *arguments, **options):
        storage = (f"--root={self.folder}/store", f"--runroot={self.folder}/run", "--storage-driver=overlay")
        # What a build that failed leaves mounted goes with its namespace.
        return run("unshare", "--mount", "buildah", *storage, *arguments, **options)

    def base(self, name, tree, variables=""):
        """An image of a folder, under the name of one that a registry has."""
        text = f"FROM scratch\nADD . /\n{variables}"
        self.buildah("bud", "--quiet", "--tag", name, "--file=-", tree, input=text.encode(), stdout=subprocess.DEVNULL)

    def bases(self):
        self.base(DISTROLESS, distroless(self.folder / "distroless"))
        variables = "ENV PATH=/stand-ins:/usr/sbin:/usr/bin DEBIAN_FRONTEND=noninteractive\n"
        self.base(RUST, workshop(self.folder / "workshop"), variables)

    def cargo_built(self, command, program, path):
        """Takes what `cargo COMMAND` built; it is had in the build by the same command alone."""
        target = self.built / "target" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(program, target)
        with (self.built / "commands").open("a") as commands:
            commands.write(f"{command}\n")

    def build(self, dockerfile, archive, names, target=""):
        """Builds an image, and writes an archive of it for each of its names."""
        own = f"localhost/{Path(archive).name}"
        volumes = [f"--volume={path}:{path}:O" for path in SEEN]
        toolchain = run("rustc", "--print=sysroot", capture_output=True, text=True, cwd=self.sources).stdout.strip()
        volumes += [f"--volume={self.built}:/built:ro", f"--volume={toolchain}:/toolchain:ro"]
        stage = [f"--target={target}"] if target else []
        flags = (*volumes, f"--file={dockerfile}", f"--tag={own}", *stage)
        log = self.folder / "log"
        with log.open("ab") as said:
            done = self.buildah("bud", *HERE, *flags, self.sources, check=False, stdout=said, stderr=said)
        assert done.returncode == 0, f"{dockerfile} {target}\n{log.read_text(errors='replace')[-4000:]}"
        archives = [Path(f"{archive}-{number}.tar") for number in range(len(names))]
        for name, path in zip(names, archives, strict=True):
            self.buildah("push", "--quiet", own, f"docker-archive:{path}:{name}", stdout=subprocess.DEVNULL)
        return archives


@contextmanager
def builder(sources):
    with tempfile.TemporaryDirectory() as folder:
        made = Builder(folder, sources)
        made.bases()
        yield made


def distroless(tree):
    packed = tree.with_name("packages")
    packed.mkdir()
    command = ("apt-get", "download", "-q", *PACKAGES.split())
    fetch = lambda: subprocess.run(command, cwd=packed, check=False, capture_output=True)  # noqa: E731
    if fetch().returncode:
        # Lists that are older than what the archive holds.
        run("apt-get", "update", "-q", stdout=subprocess.DEVNULL)
        done = fetch()
        assert done.returncode == 0, done.stderr.decode()
    for package in sorted(packed.glob("*.deb")):
        run("dpkg-deb", "--extract", package, tree)
    return tree


def workshop(tree):
    for folder in (*SEEN, "/stand-ins"):
        (tree / folder[1:]).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        (tree / name).symlink_to(f"usr/{name}")
    (tree / "tmp").mkdir()
    (tree / "tmp").chmod(0o1777)
    run("cp", "-a", "/etc", tree / "etc")
    for name, text in (("cargo", CARGO), ("rustup", RUSTUP)):
        program = tree / "stand-ins" / name
        program.write_text(text)
        program.chmod(0o755)
    return tree
