#!/usr/bin/env bash
# Builds the image, with whatever this machine can reach.
#
#   deploy/build_image.sh [TAG]             TAG: anytime-serving:latest
#
# 1. Where an image registry answers: docker, podman or buildah build the Dockerfile as it is (ENGINE=... names one).
# 2. Where none does, on Debian or Ubuntu as root: a Debian 12 base is made by debootstrap (MIRROR=... names its archive),
#    and buildah builds the same Dockerfile on it, with chroot isolation: no daemon, no namespaces to be granted.
#    Packages are fetched by the pip outside, as it is configured here, and nothing of that configuration enters the image.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

TAG=${1:-anytime-serving:latest}
REMOTE_BASE=$(sed -n 's/^ARG BASE=//p' Dockerfile)
LOCAL_BASE=localhost/anytime-base:bookworm
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/anytime-image

say() { printf '==> %s\n' "$*" >&2; }
has() { command -v "$1" >/dev/null; }

engine() {
    if [[ -n ${ENGINE:-} ]]; then echo "$ENGINE"
    elif has docker && docker info >/dev/null 2>&1; then echo docker
    elif has podman; then echo podman
    elif has buildah; then echo buildah
    fi
}

build_on_remote_base() {
    local engine=$1
    case $engine in
        docker) docker build --tag "$TAG" . ;;
        # Only docker's own format keeps the health check.
        podman | buildah) "$engine" build --format docker --build-arg BASE="docker.io/library/$REMOTE_BASE" --tag "$TAG" . ;;
    esac
}

can_pull() {
    # It answers or it does not; where packets are dropped silently, five minutes end the wait (macOS has no `timeout`).
    local engine=$1 limit=()
    has timeout && limit=(timeout 300)
    ${limit[@]+"${limit[@]}"} "$engine" pull "docker.io/library/$REMOTE_BASE" >/dev/null 2>&1
}

mirror() {
    # The archive that apt here already uses, if it is a Debian one.
    local site
    site=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -m1 '/debian/*$' || true)
    echo "${MIRROR:-${site:-http://deb.debian.org/debian}}"
}

make_local_base() {
    local root=$CACHE/rootfs container
    if buildah inspect --type image "$LOCAL_BASE" >/dev/null 2>&1; then return; fi
    say "a Debian 12 base from $(mirror)"
    rm -rf "$root"
    mkdir -p "$CACHE"
    # python3-distutils: debootstrap does not see that it is what python3.11-venv means by python3.11-distutils.
    debootstrap --variant=minbase --include=ca-certificates,python3.11,python3.11-venv,python3-distutils \
        bookworm "$root" "$(mirror)" >&2
    rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/var/log/*.log
    rm -rf "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/*
    container=$(buildah from scratch)
    buildah copy --quiet "$container" "$root" / >/dev/null
    buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
    buildah commit --quiet --format docker --rm "$container" "$LOCAL_BASE" >/dev/null
    rm -rf "$root"
}

fetch_wheels() {
    # Wheels for the image's Python, chosen by the same constraints.
    local into=$1 python=python3 platforms=() machine
    [[ -x .venv/bin/python ]] && python=.venv/bin/python
    machine=$(uname -m)
    # manylinux2014, and each glibc up to Debian 12's 2.36.
    platforms+=(--platform "manylinux2014_$machine" --platform "manylinux_2_17_$machine" --platform "linux_$machine")
    for minor in $(seq 18 36); do platforms+=(--platform "manylinux_2_${minor}_$machine"); done
    say "wheels for the image"
    "$python" - >"$into/requirements.txt" <<'PYTHON'
import tomllib
project = tomllib.load(open("pyproject.toml", "rb"))
print("\n".join(project["project"]["dependencies"] + project["build-system"]["requires"]))
PYTHON
    "$python" -m pip download --quiet --disable-pip-version-check --dest "$into" --only-binary=:all: \
        --implementation cp --python-version 3.11 --abi cp311 --abi abi3 --abi none "${platforms[@]}" \
        -c constraints.txt -r "$into/requirements.txt"
    printf '[global]\nno-index = true\nfind-links = /wheels\n' >"$into/pip.conf"
}

build_on_local_base() {
    [[ $(id -u) == 0 ]] || { say "no image registry answers; making a base of our own takes root"; exit 1; }
    for program in buildah debootstrap; do
        has "$program" || { say "no image registry answers, and $program is missing: apt-get install $program"; exit 1; }
    done
    local wheels=$CACHE/wheels
    make_local_base
    rm -rf "$wheels"
    mkdir -p "$wheels"
    fetch_wheels "$wheels"
    buildah build --isolation chroot --format docker --pull-never --tag "$TAG" --build-arg BASE="$LOCAL_BASE" \
        --volume "$wheels:/wheels:ro" --volume "$wheels/pip.conf:/etc/pip.conf:ro" .
}

found=$(engine)
[[ -n $found ]] || { say "none of docker, podman and buildah is here"; exit 1; }
if can_pull "$found"; then
    say "$found, on $REMOTE_BASE"
    build_on_remote_base "$found"
else
    say "no image registry answers: building on a Debian base of our own"
    build_on_local_base
fi
say "built $TAG"
