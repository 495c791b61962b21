# SPDX-License-Identifier: GPL-2.0-only
#
# What the lab's scripts share: where things are. Sourced by bash scripts only.
# Terms: L0 is this machine, L1 the emulated machine with AMD-V or VT-x that loads the module under
# test, L2 the guest that the module runs.

lab=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$lab/../../.." && pwd)
cache=${KEEL_CACHE:-/var/cache/keel}

# What was said to the make that called us is no concern of the makes that we call.
unset MAKEFLAGS MFLAGS MAKELEVEL T MODULES KERNEL VENDOR

die() {
	echo "${0##*/}: $*" >&2
	exit 125
}

# The kernel headers that modules are built against, as the top Makefile chooses them.
kernel_headers() {
	if [ -z "${KDIR:-}" ]; then
		KDIR=$(make -s -C "$top" --no-print-directory print-kdir) || return
	fi
	[ -f "$KDIR/include/generated/utsrelease.h" ] || die "no kernel headers: run 'make setup'"
	echo "$KDIR"
}

kernel_release() {
	local headers
	headers=$(kernel_headers) || exit
	sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' "$headers/include/generated/utsrelease.h"
}

# kernel_root stock|small|debug: a directory with boot/vmlinuz-RELEASE (or vmlinux-RELEASE) and
# lib/modules/RELEASE.
kernel_root() {
	local release
	case $1 in
	stock) release=$(kernel_release) || exit; echo "$cache/linux-$release" ;;
	small|debug) echo "$cache/$1/root" ;;
	*) die "unknown kernel '$1': stock, small or debug" ;;
	esac
}

# default_kernel amd|intel: the small kernel is made for the VT-x lab; the stock one does, too.
default_kernel() {
	if [ "$1" = intel ] && compgen -G "$(kernel_root small)/boot/vmlinux-*" >/dev/null; then
		echo small
	else
		echo stock
	fi
}

# module_dir stock|small|debug: where Keel's modules for that kernel are built.
module_dir() {
	case $1 in
	stock) echo "$top" ;;
	*) echo "$cache/$1/keel-$(printf %s "$top" | cksum | cut -d' ' -f1)" ;;
	esac
}

# Where the programs of tools/testing/selftests/kvm are built.
selftest_dir() {
	echo "$cache/selftests-$(printf %s "$top" | cksum | cut -d' ' -f1)"
}

# Built afresh, so that no program outlives its source.
build_selftests() {
	rm -rf "$(selftest_dir)"
	make -k -j2 -C "$top/tools/testing/selftests/kvm" OUTPUT="$(selftest_dir)" \
		KSFT_DIR="$cache/src/tools/testing/selftests"
}

# guest_boot stock|small DIR: sets the array `guest` to QEMU's arguments that boot L2 with that kernel.
# The small kernel wants its RAM disk unpacked, into DIR.
guest_boot() {
	guest=(-kernel "$cache/guest/vmlinuz" -initrd "$cache/guest/initrd.img")
	[ "$1" = small ] || return 0
	busybox zcat "$cache/guest/initrd.img" >"$2/initrd.img" || return
	guest=(-kernel "$(compgen -G "$(kernel_root small)/boot/vmlinux-*")" -initrd "$2/initrd.img")
}

# emulator 7.2|10: sets the array `emulator` to the command that runs that QEMU.
emulator() {
	case $1 in
	7.2) emulator=(qemu-system-x86_64) ;;
	10) emulator=("$cache/qemu10/run") ;;
	*) die "unknown QEMU '$1': 7.2 or 10" ;;
	esac
}

# install_packages NAME...: of the distribution, those that are missing.
install_packages() {
	local missing p
	for p in "$@"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' ||
			missing="${missing:-} $p"
	done
	[ -n "${missing:-}" ] || return 0
	[ "$(id -u)" = 0 ] || die "needs root to install:$missing"
	export DEBIAN_FRONTEND=noninteractive
	echo "installing$missing"
	# shellcheck disable=SC2086
	apt-get -q -o DPkg::Lock::Timeout=600 update &&
		apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends $missing
}
