#!/bin/sh
# Remove what install.sh has laid out, with the same DESTDIR, PREFIX and OPT. The configuration, the queue with its logs,
# and the groups stay.
set -eu
: "${DESTDIR:=}" "${PREFIX:=/usr/local}" "${OPT:=/opt/labsched}"
if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then
    systemctl disable --now labsched.socket labsched.service || true
fi
rm -rf "$DESTDIR$OPT/venv" "$DESTDIR$OPT/versions.txt" "$DESTDIR$PREFIX/share/doc/labsched"
rmdir "$DESTDIR$OPT" 2>/dev/null || true
rm -f "$DESTDIR$PREFIX/bin/labsched" \
    "$DESTDIR$PREFIX/lib/systemd/system/labsched.service" "$DESTDIR$PREFIX/lib/systemd/system/labsched.socket" \
    "$DESTDIR$PREFIX/lib/sysusers.d/labsched.conf" "$DESTDIR$PREFIX/lib/tmpfiles.d/labsched.conf" \
    "$DESTDIR$PREFIX/share/man/man1/labsched.1.gz" "$DESTDIR$PREFIX"/share/man/man1/labsched-*.1.gz \
    "$DESTDIR$PREFIX/share/man/man5/labsched.toml.5.gz" \
    "$DESTDIR$PREFIX/share/bash-completion/completions/labsched" \
    "$DESTDIR$PREFIX/share/zsh/site-functions/_labsched" "$DESTDIR$PREFIX/share/zsh/vendor-completions/_labsched" \
    "$DESTDIR$PREFIX/share/fish/vendor_completions.d/labsched.fish"
if [ -z "$DESTDIR" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
echo "labsched is removed. Its queue and logs stay in /var/lib/labsched, its configuration in /etc/labsched."
