#!/bin/bash
# run.sh WORKDIR: test the livematte command between two cameras of the Linux kernel, in a QEMU guest.
#
# The guest boots the kernel of Debian with the files of this machine (9p, read-only, with an overlay in memory).
# vivid is the webcam, v4l2loopback the virtual camera; ffmpeg, v4l2-ctl, OpenCV and Chromium read it. Nothing is
# installed on the host except the tools below. Exit code: 0 all passed, 77 a requirement is missing, else failed.
# WORKDIR/out has results.json, test.log and dmesg.txt. WORKDIR (1 GB) can be kept for the next run.
#
#   PYTHON=/path/to/.venv/bin/python   with livematte and pyvirtualcam     CHROMIUM=1   add the browser test
#   ONLY=restart,unplugged             run only these tests                INSTALL=1    install tools with apt-get
#   LOOPBACK_DEB_URL=...               another v4l2loopback-dkms .deb (Debian 13 has 0.15.0)
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
WORK=$(mkdir -p "${1:?a work folder}" && cd "$1" && pwd)
PYTHON=${PYTHON:?the Python of a virtual environment with livematte and pyvirtualcam}
CHROMIUM=${CHROMIUM:-0}
say() { echo "[${SECONDS}s] $*"; }
skip() { say "skipped: $*"; exit 77; }

[ "$(uname -sm)" = "Linux x86_64" ] || skip "requires Linux on x86_64"
command -v apt-get >/dev/null || skip "requires apt-get, because the kernel of the guest is a Debian package"
missing=()
for tool in qemu-system-x86_64:qemu-system-x86 busybox:busybox-static gcc-12:gcc-12 make:make; do
  command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
done
if [ ${#missing[@]} -gt 0 ]; then
  [ "${INSTALL:-0}" = 1 ] || skip "apt-get install ${missing[*]} first, or set INSTALL=1"
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
mkdir -p "$WORK"/{debs,xdebs/partial,kroot,xroot,out}
cd "$WORK"

IMAGE=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1)
[ -n "$IMAGE" ] || skip "apt has no package linux-image-amd64: run apt-get update (on Debian)"
KV=${IMAGE#linux-image-} KB=${IMAGE#linux-image-}
KB=${KB%-amd64}
say "the guest's kernel is $KV"
if [ ! -e "ready.$KV.$CHROMIUM" ]; then
  (cd debs && apt-get download -qq "$IMAGE" "linux-headers-$KV" "linux-headers-$KB-common" \
    "linux-kbuild-${KB%%.0-*}" v4l2loopback-dkms 2>/dev/null) || skip "the Debian packages cannot be downloaded"
  if [ -n "${LOOPBACK_DEB_URL:-}" ]; then
    rm debs/v4l2loopback-dkms*
    (cd debs && curl -sfO "$LOOPBACK_DEB_URL")
  fi
  for each in debs/*.deb; do dpkg -x "$each" kroot; done
  HEADERS=$WORK/kroot/usr/src/linux-headers-$KV
  sed -i "s#include /usr/src/#include $WORK/kroot/usr/src/#" "$HEADERS/Makefile"
  LOOPBACK=$(echo "$WORK"/kroot/usr/src/v4l2loopback-*)
  make -s -C "$HEADERS" M="$LOOPBACK" modules > build.log 2>&1
  mkdir -p "kroot/lib/modules/$KV/extra"
  strip --strip-debug -o "kroot/lib/modules/$KV/extra/v4l2loopback.ko" "$LOOPBACK/v4l2loopback.ko"
  (cd kroot && busybox depmod -b "$PWD" "$KV")
  say "v4l2loopback $(basename "$LOOPBACK") is built"
  packages=(ffmpeg v4l-utils)
  [ "$CHROMIUM" = 1 ] && packages+=(chromium-headless-shell)
  apt-get install -y -qq --no-install-recommends --download-only -o Debug::NoLocking=1 -o Dir::Cache::archives="$WORK/xdebs" \
    "${packages[@]}" >/dev/null || skip "the Debian packages cannot be downloaded"
  for each in xdebs/*.deb; do dpkg -x "$each" xroot; done
  for each in bin sbin lib lib64; do # otherwise the overlay would hide the links of the host with these names
    if [ -d xroot/$each ] && [ ! -L xroot/$each ]; then
      mkdir -p xroot/usr/$each && cp -a xroot/$each/. xroot/usr/$each/ && rm -rf xroot/$each
    fi
  done
  LIBRARIES=xroot/usr/lib/x86_64-linux-gnu
  for each in blas lapack; do # as update-alternatives does
    [ ! -e $LIBRARIES/$each/lib$each.so.3 ] || ln -sf $each/lib$each.so.3 $LIBRARIES/
  done
  "$HERE/mkinitrd.sh" kroot "$KV" initrd.gz
  touch "ready.$KV.$CHROMIUM"
  say "programs unpacked, initrd made"
fi

# An emulated processor needs minutes to compile the Python modules and the numba loops. So they are compiled here,
# for a generic x86-64, into folders that have the same paths in the guest.
SETTINGS="PYTHONPATH=$HERE/stub${PYTHONPATH:+:$PYTHONPATH} PYTHONPYCACHEPREFIX=$WORK/pycache
  NUMBA_CPU_NAME=generic NUMBA_CPU_FEATURES= NUMBA_CACHE_DIR=$WORK/numba"
# shellcheck disable=SC2086
env -u PYTHONDONTWRITEBYTECODE $SETTINGS "$PYTHON" "$HERE/warm.py"
say "modules and loops are compiled"

cat > out/guest_init.sh <<INIT
#!/bin/bash
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root CHROMIUM=$CHROMIUM ONLY=${ONLY:-}
export $(echo $SETTINGS)
exec </dev/console >/dev/console 2>&1
echo "guest up \$(uname -r) after \$(cut -d' ' -f1 /proc/uptime)s"
busybox ip link set lo up
mkdir -p /lib/modules && ln -sfn $WORK/kroot/lib/modules/$KV /lib/modules/$KV
cd /run/out
timeout -k 5 ${PATIENCE:-3000} $PYTHON -u $HERE/guest.py > test.log 2>&1; echo \$? > rc
dmesg > dmesg.txt; sync; busybox poweroff -f
INIT
rm -f out/rc out/results.json out/test.log out/dmesg.txt
# /dev/kvm alone is not enough: on a PVM host it exists, but unmodified kernels hang
if [ -e /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; then
  ACCELERATOR=(-accel kvm -cpu host -smp 2)
else # the clock of the guest counts instructions (500 million per second), so a slow host causes no timeouts
  ACCELERATOR=(-accel tcg,thread=single,tb-size=1024 -icount shift=1,sleep=on -cpu max -smp 1)
fi
say "boot: ${ACCELERATOR[*]}"
timeout -k 5 $((${PATIENCE:-3000} + 300)) nice qemu-system-x86_64 "${ACCELERATOR[@]}" -m 4G -nodefaults -no-user-config \
  -display none -no-reboot -serial stdio -net none -kernel "kroot/boot/vmlinuz-$KV" -initrd initrd.gz \
  -append "console=ttyS0 quiet panic=-1 mitigations=off nokaslr" \
  -fsdev local,id=h,path=/,security_model=none,readonly=on,multidevs=remap \
  -device virtio-9p-pci,fsdev=h,mount_tag=hostroot \
  -fsdev local,id=x,path="$WORK/xroot",security_model=none,readonly=on \
  -device virtio-9p-pci,fsdev=x,mount_tag=extra \
  -fsdev local,id=o,path="$WORK/out",security_model=none -device virtio-9p-pci,fsdev=o,mount_tag=out \
  </dev/null | grep --line-buffered -v schedule_timeout || true # vivid prints this when it is late
cat out/test.log || true
CODE=$(cat out/rc 2>/dev/null || echo 125)
say "the guest has finished: $CODE"
exit "$CODE"
