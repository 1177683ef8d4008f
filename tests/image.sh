#!/bin/bash
# Builds the Dockerfile as it stands, without any image registry, and shows that what comes out runs as non-root.
#
#   tests/image.sh           needs root, Debian's package source and cargo; does a release build
#   tests/image.sh bases     only makes the two base images
#
# The base images are made of Debian packages by debootstrap, and carry the names that the Dockerfile asks for. The one
# for the build gets this machine's Rust tool chain and its downloaded crates, so the build itself asks no network for them.

set -euo pipefail
cd "$(dirname "$0")/.."
work=$PWD/target/image
runtime_base=debian:bookworm-slim
build_base=rust:1.95-bookworm

say() { printf 'image: %s\n' "$*" >&2; }

fail() {
    say "$1"
    exit 1
}

[ "$(id -u)" -eq 0 ] || fail "needs root: debootstrap and buildah both make root file systems"
mkdir -p "$work"
# Everything buildah keeps, below target/ and away from the machine's own images. Whole copies instead of overlays:
# slower, and works inside a container too.
export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
buildah() { command buildah --root "$work/storage" --runroot "$work/runroot" "$@"; }

install_tools() {
    type -P buildah >/dev/null && type -P debootstrap >/dev/null && return
    say "apt-get install buildah debootstrap"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
        buildah debootstrap; } >"$work/apt.log" 2>&1 || fail "apt-get failed; see target/image/apt.log"
}

exists() { buildah inspect --type image "localhost/$1" >/dev/null 2>&1; }

# debian PACKAGES: a root folder of Debian with these packages; its path is left in `root`.
debian() {
    root=$(mktemp -d "$work/root.XXXXXX")
    debootstrap --variant=minbase --include="$1" bookworm "$root" >"$work/debootstrap.log" 2>&1 ||
        fail "debootstrap failed; see target/image/debootstrap.log"
    # This machine's, which debootstrap left there; buildah brings its own.
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root/etc/resolv.conf" "$root/etc/hostname"
}

# image NAME [SETTING…]: makes `root` an image of this name and removes the folder.
image() {
    local name=$1 container
    shift
    container=$(buildah from scratch)
    buildah add -q "$container" "$root" / >/dev/null
    [ $# -eq 0 ] || buildah config "$@" "$container"
    buildah commit -q --rm "$container" "localhost/$name" >/dev/null
    rm -rf "$root"
}

runtime_image() {
    exists "$runtime_base" && return
    say "making $runtime_base"
    debian ca-certificates
    image "$runtime_base"
}

build_image() {
    exists "$build_base" && return
    say "making $build_base, with this machine's Rust tool chain"
    debian build-essential,pkg-config,libssl-dev,ca-certificates
    mkdir -p "$root/usr/local/rust" "$root/usr/local/cargo/registry"
    cp -a "$(rustc --print sysroot)"/{bin,lib} "$root/usr/local/rust/"
    image "$build_base" --env CARGO_HOME=/usr/local/cargo --env CARGO_NET_OFFLINE=true \
        --env PATH=/usr/local/rust/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
}

build() {
    cargo fetch --locked
    say "building the Dockerfile; a release build, which takes a while"
    buildah bud --pull-never --tag auditline \
        --volume "${CARGO_HOME:-$HOME/.cargo}/registry:/usr/local/cargo/registry" .
}

prove() {
    local container user
    user=$(buildah inspect --type image --format '{{.OCIv1.Config.User}}' auditline)
    [ "$user" = 10001:10001 ] || fail "the image runs as '$user', not as 10001:10001"
    container=$(buildah from --pull-never auditline)
    # shellcheck disable=SC2064
    trap "buildah rm $container >/dev/null" EXIT
    in_image() { buildah run --user 10001:10001 "$container" -- "$@"; }

    in_image auditline --version || fail "the binary does not start"
    [ "$(in_image id -u)" = 10001 ] || fail "it does not run as 10001"
    in_image sh -c 'touch /var/lib/auditline/probe && rm /var/lib/auditline/probe' ||
        fail "it cannot write to its own folder"
    in_image sh -c '! touch /usr/local/bin/probe 2>/dev/null' || fail "it can write where its binary lies"
    in_image sh -c '! ls /build 2>/dev/null' || fail "the sources are in the image"
    say "runs as 10001, and writes only to /var/lib/auditline"
}

install_tools
runtime_image
build_image
say "base images ready: $runtime_base, $build_base"
[ "${1:-}" = bases ] && exit
build
prove
