#!/bin/sh
# Lay out an installation below DESTDIR: the environment that build-venv.sh made below STAGE, and all that goes with it.
#
#   DESTDIR=... PREFIX=/usr/local OPT=/opt/labsched packaging/install.sh STAGE
#
# What is there is replaced, but for the configuration. Where DESTDIR is empty the groups and folders are made, too, and
# systemd is told; nothing is started.
set -eu
umask 022
stage=$(cd "$1" && pwd)
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
: "${DESTDIR:=}" "${PREFIX:=/usr/local}" "${OPT:=/opt/labsched}" "${SYSCONFDIR:=/etc}"
mkdir -p "$DESTDIR$OPT" 2>/dev/null && [ -w "$DESTDIR$OPT" ] || {
    echo "$DESTDIR$OPT cannot be written: run make install as root, or with DESTDIR=FOLDER; for yourself alone, without" \
        "root, there are make venv and make user-service" >&2
    exit 1
}

put() { # FILE TO: with the places of this installation in it
    mkdir -p "$(dirname "$DESTDIR$2")"
    sed "s|/opt/labsched|$OPT|g" "$1" >"$DESTDIR$2.new"
    chmod 0644 "$DESTDIR$2.new"
    mv "$DESTDIR$2.new" "$DESTDIR$2"
}

# Beside the old one, then in its place: whoever starts labsched meanwhile has the one or the other.
rm -rf "$DESTDIR$OPT/venv.new" "$DESTDIR$OPT/venv.old"
cp -R -P -p "$stage$OPT/venv" "$DESTDIR$OPT/venv.new"
if [ -e "$DESTDIR$OPT/venv" ]; then mv "$DESTDIR$OPT/venv" "$DESTDIR$OPT/venv.old"; fi
mv "$DESTDIR$OPT/venv.new" "$DESTDIR$OPT/venv"
rm -rf "$DESTDIR$OPT/venv.old"
cp "$stage$OPT/versions.txt" "$DESTDIR$OPT/versions.txt"
mkdir -p "$DESTDIR$PREFIX/bin"
ln -sfn "$OPT/venv/bin/labsched" "$DESTDIR$PREFIX/bin/labsched"

put systemd/labsched.service "$PREFIX/lib/systemd/system/labsched.service"
put systemd/labsched.socket "$PREFIX/lib/systemd/system/labsched.socket"
put systemd/labsched.sysusers "$PREFIX/lib/sysusers.d/labsched.conf"
put systemd/labsched.tmpfiles "$PREFIX/lib/tmpfiles.d/labsched.conf"

python=$stage$OPT/venv/bin/python # it works where it was built, too
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
"$python" -B -W ignore packaging/man.py "$made/man"
for page in "$made"/man/man*/*; do
    gzip -9n "$page"
    put_raw=$PREFIX/share/man/$(basename "$(dirname "$page")")/$(basename "$page").gz
    mkdir -p "$(dirname "$DESTDIR$put_raw")"
    cp "$page.gz" "$DESTDIR$put_raw"
done
for shell in bash zsh fish; do
    "$python" -I -m labsched completion "$shell" >"$made/$shell"
done
zsh=$PREFIX/share/zsh/site-functions
if [ "$PREFIX" = /usr ] && [ -e /etc/debian_version ]; then zsh=/usr/share/zsh/vendor-completions; fi
put "$made/bash" "$PREFIX/share/bash-completion/completions/labsched"
put "$made/zsh" "$zsh/_labsched"
put "$made/fish" "$PREFIX/share/fish/vendor_completions.d/labsched.fish"

sed 's|^# *socket_group = .*|socket_group = "labsched"|' examples/config.toml >"$made/config.toml"
"$python" -B -c 'import sys; from pathlib import Path; from labsched.config import load
assert load(Path(sys.argv[1])).daemon.socket_group == "labsched", "examples/config.toml has no socket_group"' \
    "$made/config.toml"
if [ ! -e "$DESTDIR$SYSCONFDIR/labsched/config.toml" ]; then
    put "$made/config.toml" "$SYSCONFDIR/labsched/config.toml"
fi
put "$made/config.toml" "$PREFIX/share/doc/labsched/examples/config.toml"
for file in examples/rigs/* examples/probes/*; do
    put "$file" "$PREFIX/share/doc/labsched/$file"
done
put README.md "$PREFIX/share/doc/labsched/README.md"
put CHANGELOG.md "$PREFIX/share/doc/labsched/CHANGELOG.md"

if [ -n "$DESTDIR" ]; then exit 0; fi
sh packaging/accounts.sh "$PREFIX"
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
cat <<END
labsched is installed. Say in $SYSCONFDIR/labsched/config.toml where blocks lie and where results go, then:
  systemctl enable --now labsched.service     # after an upgrade: systemctl restart labsched.service
  usermod -aG labsched PERSON                 # everybody who may queue; it holds from their next login on
  labsched doctor
END
