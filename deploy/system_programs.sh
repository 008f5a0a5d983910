#!/bin/sh
# Installs the system programs that the tests use and this machine lacks, if that needs no question: apt-get as root or
# with a sudo that asks for no password, or brew. Never fails: what is still missing is skipped by the tests, with the reason.
# ANYTIME_SYSTEM_PROGRAMS=no leaves the machine alone.   Usage: system_programs.sh PYTHON
python=$1
cd "$(dirname "$0")/.." || exit 0
[ "${ANYTIME_SYSTEM_PROGRAMS:-yes}" = no ] && exit 0

install_with_apt() {
    packages=$("$python" tests/programs.py apt)
    [ -z "$packages" ] && return 0
    if [ "$(id -u)" = 0 ]; then
        sudo=
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo="sudo"
    else
        echo "not installed, for want of root: $packages (tests that need them are skipped)"
        return 0
    fi
    echo "installing for the tests: $packages"
    # The programs are wanted, not their services: nothing may start now (policy-rc.d) or at the next boot (disable).
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee "$policy" >/dev/null
        $sudo chmod 755 "$policy"
        trap '$sudo rm -f "$policy"' EXIT INT TERM
    fi
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    # One by one: a package that this release does not have must not keep the others away.
    for package in $packages; do
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
            echo "could not install $package (tests that need it are skipped)"
        if command -v systemctl >/dev/null; then
            for service in nginx prometheus redis-server; do
                case $package in "$service"*) $sudo systemctl disable "$service" >/dev/null 2>&1 ;; esac
            done
        fi
    done
    return 0
}

install_with_brew() {
    packages=$("$python" tests/programs.py brew)
    [ -z "$packages" ] && return 0
    echo "installing for the tests: $packages"
    for package in $packages; do
        brew install --quiet "$package" || echo "could not install $package (tests that need it are skipped)"
    done
    return 0
}

if command -v apt-get >/dev/null; then
    install_with_apt
elif command -v brew >/dev/null; then
    install_with_brew
fi
exit 0
