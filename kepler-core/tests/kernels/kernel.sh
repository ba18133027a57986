# Kernels of Debian, and what boots them. Sourced.

# Kernels are kept here.
cache=${KERNEL_CACHE:-$HOME/.cache/kepler-kernels}

# Installs those of these packages that are missing.
installed() {
	local package missing=()
	for package; do
		dpkg -s "$package" >/dev/null 2>&1 || missing+=("$package")
	done
	if [ ${#missing[@]} -gt 0 ]; then
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	fi
}

# The newest kernel of a series in Debian's archive, unpacked; prints its folder.
kernel() {
	local package root
	package=$(apt-cache search --names-only "^linux-image-$1\.[0-9.]+.*-cloud-amd64-unsigned$" | awk '{ print $1 }' | sort -V | tail -1)
	[ -n "$package" ] || { echo "no kernel of series $1; run apt-get update" >&2; return 1; }
	if [ ! -d "$cache/$package" ]; then
		mkdir -p "$cache"
		root=$(mktemp -d)
		(cd "$root" && apt-get download -qq "$package" >&2 && dpkg-deb -x "$package"_*.deb kernel)
		mv "$root/kernel" "$cache/$package"
		rm -rf "$root"
	fi
	echo "$cache/$package"
}

# A folder as a system in memory.
initramfs() { (cd "$1" && find . | cpio --quiet -o -H newc | gzip -1); }

# Boots a kernel's folder with a system in memory, by software; more arguments are qemu's.
boot() {
	local image=$1 system=$2
	shift 2
	timeout "${BOOT_S:-300}" qemu-system-x86_64 -accel tcg -cpu max -m 1024 -smp 2 -nographic -no-reboot -kernel "$image"/boot/vmlinuz-* \
		-initrd "$system" -append "console=ttyS0 quiet panic=-1" "$@" </dev/null
}
