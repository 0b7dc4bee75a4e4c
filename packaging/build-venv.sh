#!/bin/sh
# Make the virtual environment of a server: labsched, klusta and all they need, as it will stand at FINAL, below STAGE.
#
#   packaging/build-venv.sh PYTHON WORK STAGE FINAL
#   packaging/build-venv.sh /usr/bin/python3 build/server build/root /opt/labsched/venv
#
# WORK keeps the wheels of klusta between calls; everything else is made anew. CONSTRAINTS=FILE, in the environment,
# pins versions: the file `versions.txt` of an earlier installation makes the same one again.
set -eu
umask 022
python=$1 work=$2 stage=$3 final=$4
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$work" "$stage"
work=$(cd "$work" && pwd) stage=$(cd "$stage" && pwd)
cd "$here/.."

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "labsched needs Python 3.11 or newer, and $python is older: name another with SERVER_PYTHON=" >&2
    exit 1
}
case $("$python" -c 'import os, sys; print(os.path.realpath(sys.executable))') in
/root/* | /home/*)
    echo "$python lies in somebody's home, where others' jobs cannot run it: name another with SERVER_PYTHON=" >&2
    exit 1
    ;;
esac
tag=$("$python" -c 'import sys; print(f"{sys.implementation.cache_tag}-{sys.version_info.micro}")')
tools=$work/tools-$tag wheels=$work/wheels klusta=$work/klusta-$tag
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
if [ -n "${CONSTRAINTS:-}" ]; then
    PIP_CONSTRAINT=$(realpath "$CONSTRAINTS")
    export PIP_CONSTRAINT
fi

if [ ! -x "$tools/bin/pip" ]; then
    rm -rf "$tools"
    "$python" -m venv "$tools"
fi
"$tools/bin/pip" install --quiet 'setuptools<81' wheel numpy cython

pins='klustakwik2==0.2.6 klusta==3.0.16'
# klustakwik2 is source only, and imports numpy and Cython while it builds. Neither debugging symbols nor the names of
# folders stay in what is built; a cached wheel would have those of another build.
if [ ! -f "$klusta/complete" ]; then
    rm -rf "$klusta" && mkdir -p "$klusta"
    printf '[build_ext]\nparallel = 2\n' >"$work/build.cfg"
    # shellcheck disable=SC2086
    DIST_EXTRA_CONFIG=$work/build.cfg CFLAGS=-g0 "$tools/bin/pip" wheel --quiet --no-cache-dir --no-deps \
        --no-build-isolation --wheel-dir "$klusta" $pins
    touch "$klusta/complete"
fi

# setuptools would take what an earlier build left in build/lib for a part of the package.
rm -rf "$wheels" build/lib build/bdist.*
"$tools/bin/pip" wheel --quiet --no-build-isolation --find-links "$klusta" --wheel-dir "$wheels" . klusta klustakwik2

rm -rf "$stage$final"
mkdir -p "$(dirname "$stage$final")"
"$python" -m venv --without-pip "$stage$final"
"$tools/bin/pip" --quiet --python "$stage$final/bin/python" install --quiet --no-index --no-compile \
    --find-links "$wheels" labsched klusta klustakwik2
"$tools/bin/pip" --python "$stage$final/bin/python" list --format freeze | grep -v '^labsched==' \
    >"$stage$(dirname "$final")/versions.txt"
"$stage$final/bin/python" -I "$here/relocate.py" "$stage" "$final"
