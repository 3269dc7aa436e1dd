//! The Debian packages that building and testing vxn takes.

use anyhow::Result;
use testbed::apt::{self, Package};

const PACKAGES: &[Package] = &[
    package("libxen-dev", "libxl's headers and libraries, for vxn"),
    package("pkg-config", "finds them"),
    package("libclang-dev", "bindgen reads the headers with it"),
    package("libseccomp-dev", "vxn links it, statically"),
    package("qemu-system-x86", "runs Xen, in software emulation"),
    package("mmdebstrap", "makes the Dom0 image and the images under test"),
    package("e2fsprogs", "makes the Dom0 image's file system"),
    package("openssh-client", "runs commands in Dom0"),
    package("squashfs-tools", "sqfstar, which makes root disks of images"),
    package("skopeo", "fetches images"),
    package("nftables", "nft, which publishes ports; tests run it in network namespaces"),
    package("iproute2", "ip, with which tests make hosts and cables"),
    package("docker-registry", "the registry that the image tests pull from and push to"),
    package("podman", "another engine: images go to and fro, and it is measured against"),
    package("buildah", "builds an image that vxn reads"),
    package("umoci", "another reading of layers, to compare root disks with"),
    package("netavark", "podman wants it before it does anything"),
    package("openssl", "makes the test registry's certificate"),
    package("curl", "searches registries"),
    package("time", "measures pulls"),
    package("util-linux", "setpriv, which ties QEMU to its parent"),
];

const fn package(name: &'static str, why: &'static str) -> Package {
    Package { name, why }
}

/// Installs what is missing.
pub fn install() -> Result<()> {
    apt::install(PACKAGES)
}
