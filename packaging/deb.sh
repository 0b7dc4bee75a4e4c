#!/bin/sh
# Build a Debian package with dpkg-deb alone: packaging/deb.sh STAGE WORK OUT VERSION
#
# STAGE holds the environment that build-venv.sh made for /opt/labsched/venv, with this distribution's own Python. The
# same commit and the same versions of all that is in it make the same file: SOURCE_DATE_EPOCH is the commit's time.
set -eu
umask 022
stage=$(cd "$1" && pwd) out=$3 version=$4
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
rm -rf "$2"
mkdir -p "$2" "$out"
work=$(cd "$2" && pwd) out=$(cd "$out" && pwd)
root=$work/root
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || date -r CHANGELOG.md +%s)}"
export SOURCE_DATE_EPOCH

python=$(readlink -f "$stage/opt/labsched/venv/bin/python")
dpkg-query -S "$python" >/dev/null 2>&1 || {
    echo "$python is of no package, so no package can depend on it: make deb SERVER_PYTHON=/usr/bin/python3" >&2
    exit 1
}
DESTDIR=$root PREFIX=/usr OPT=/opt/labsched sh packaging/install.sh "$stage"
maintainer="${DEBFULLNAME:-labsched} <${DEBEMAIL:-root@localhost}>"
doc=$root/usr/share/doc/labsched
{
    printf 'labsched (%s) UNRELEASED; urgency=medium\n\n  * See CHANGELOG.md.gz.\n\n' "$version"
    printf ' -- %s  %s\n' "$maintainer" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
} | gzip -9n >"$doc/changelog.gz"
gzip -9n "$doc/CHANGELOG.md"
cp packaging/deb/copyright "$doc/copyright"
mkdir -p "$root/usr/share/lintian/overrides"
cp packaging/deb/lintian-overrides "$root/usr/share/lintian/overrides/labsched"
find "$root/opt" -name '*.so*' -type f -exec chmod a-x {} +

# What the compiled parts need of the system: the packages of the libraries that are not in the environment itself.
libraries=$(find "$root/opt" -name '*.so*' -type f -exec ldd {} + 2>/dev/null |
    awk '$2 == "=>" && $3 ~ /^\// && $3 !~ /^\/opt\/labsched/ && index($3, root) != 1 {print $3}' "root=$root" | sort -u)
packages=$(for library in $libraries; do
    dpkg-query -S "$(readlink -f "$library")" 2>/dev/null || dpkg-query -S "*$(basename "$library")"
done | sed 's/:.*//' | sort -u)
depends=
for package in $packages; do
    # of what this was built with, or newer
    depends="$depends, $package (>= $(dpkg-query -W -f '${Version}' "$package:$(dpkg --print-architecture)" |
        sed 's/^\([0-9]*:\)\{0,1\}\([0-9.]*[0-9]\).*/\1\2/'))"
done
minor=$("$python" -c 'import sys; print(sys.version_info[1])')
depends="python3 (>= 3.$minor), python3 (<< 3.$((minor + 1))~), passwd$depends"

mkdir "$root/DEBIAN"
size=$(du -sk --apparent-size --exclude=DEBIAN "$root" | cut -f 1)
sed "s|@VERSION@|$version|; s|@ARCHITECTURE@|$(dpkg --print-architecture)|; s|@DEPENDS@|$depends|; s|@SIZE@|$size|; s|@MAINTAINER@|$maintainer|" \
    packaging/deb/control >"$root/DEBIAN/control"
echo /etc/labsched/config.toml >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do
    sed -e '/^@ACCOUNTS@$/{r packaging/accounts.sh
d}' "packaging/deb/$script" >"$root/DEBIAN/$script"
    chmod 0755 "$root/DEBIAN/$script"
done
(cd "$root" && find . -path ./DEBIAN -prune -o -type f -printf '%P\n' | LC_ALL=C sort | tr '\n' '\0' | xargs -0 md5sum) \
    >"$root/DEBIAN/md5sums"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
package=$out/labsched_${version}_$(dpkg --print-architecture).deb
dpkg-deb --root-owner-group -Zxz -z2 --build "$root" "$package.new" >/dev/null
mv "$package.new" "$package"
echo "$package"
