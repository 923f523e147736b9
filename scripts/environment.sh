# Read by ./demo, ./test and .ci/run: makes a private Python environment and installs into it what is not there yet.

# ensure_environment FOLDER "INPUT ..." ARGUMENT ...
#
# Makes the virtual environment FOLDER with pip install ARGUMENT ..., and notes what it was made of: Python's version,
# the arguments, and the contents of the INPUTs (files or folders). While these stay the same, another call does nothing.
ensure_environment() {
    _folder=$1 _inputs=$2
    shift 2
    _need_python
    _made_of=$(
        python3 --version
        echo "$@"
        # shellcheck disable=SC2086 # the inputs are separate words
        find $_inputs -type f ! -name '*.pyc' -exec cksum {} + | sort | cksum
    )
    if [ -f "$_folder/made-of" ] && [ "$(cat "$_folder/made-of")" = "$_made_of" ]; then
        return
    fi
    # An environment of a Python that is no longer there has no working pip.
    if ! "$_folder/bin/python" -m pip --version >/dev/null 2>&1; then
        _need_venv
        python3 -m venv --clear "$_folder"
    fi
    echo "installing into $_folder; this takes a while the first time" >&2
    rm -f "$_folder/made-of"
    "$_folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
    echo "$_made_of" >"$_folder/made-of"
}

# as_root COMMAND ...: runs it as root where that needs no password, else fails.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif sudo -n true 2>/dev/null; then
        sudo -n "$@"
    else
        return 1
    fi
}

_need_python() {
    if ! command -v python3 >/dev/null; then
        _stop "python3 is not installed; install it with: sudo apt-get install python3 python3-venv"
    fi
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 10))'; then
        _stop "expected Python 3.10 or newer as python3, found $(python3 --version)"
    fi
}

# Debian and Raspberry Pi OS ship Python without ensurepip, which venv needs to put pip into an environment.
_need_venv() {
    if python3 -c 'import ensurepip, venv' 2>/dev/null; then
        return
    fi
    if command -v apt-get >/dev/null; then
        as_root apt-get update -qq >&2 || true
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >&2 || true
    fi
    if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
        _stop "Python's venv is not installed; install it with: sudo apt-get install python3-venv"
    fi
}

_stop() {
    echo "$0: error: $1" >&2
    exit 3
}
