#!/bin/bash
# mkinitrd.sh KROOT KVER OUT: make a small initramfs with busybox, the modules for virtio, 9p and overlay, and an
# init script. The script mounts the root: files of the host (read-only), additional files of the guest, and memory
# for changes.
set -euo pipefail
KROOT=$1 KVER=$2 OUT=$3
MODULES=$KROOT/lib/modules/$KVER
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
mkdir -p "$WORK"/{bin,dev,proc,sys,host,extra,rw,root,lib/modules/"$KVER"}
cp "$(command -v busybox)" "$WORK/bin/busybox"
order=()
add() { # add a module after its dependencies; modules.dep lists the direct ones first
  local line each
  line=$(grep -m1 -E "(^|/)$1\.ko:" "$MODULES/modules.dep")
  for each in $(printf '%s\n' ${line#*:} | tac) "${line%%:*}"; do
    case " ${order[*]-} " in *" $each "*) ;; *) order+=("$each") ;; esac
  done
}
for module in virtio virtio_ring virtio_pci 9pnet_virtio 9p overlay; do add $module; done
for each in "${order[@]}"; do
  cp "$MODULES/$each" "$WORK/lib/modules/"
  basename "$each"
done > "$WORK/lib/modules/order"
cat > "$WORK/init" <<'INIT'
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
# the order may be wrong: repeat until all modules are loaded
left=$(cat /lib/modules/order); turn=0
while [ -n "$left" ] && [ $turn -lt 8 ]; do
  again=; for each in $left; do insmod /lib/modules/$each 2>/dev/null || again="$again $each"; done
  left=$again; turn=$((turn + 1))
done
[ -n "$left" ] && echo "init: modules not loaded: $left"
OPTIONS=trans=virtio,version=9p2000.L,msize=512000
mount -t 9p -o ro,cache=loose,$OPTIONS hostroot /host || exec sh
mount -t 9p -o ro,cache=loose,$OPTIONS extra /extra || exec sh
mount -t tmpfs -o size=60% tmpfs /rw; mkdir -p /rw/up /rw/work
mount -t overlay -o lowerdir=/extra:/host,upperdir=/rw/up,workdir=/rw/work overlay /root || exec sh
for each in proc sys dev tmp run mnt; do mkdir -p /root/$each; done
mount -t tmpfs tmpfs /root/run; mkdir -p /root/run/out
mount -t 9p -o rw,cache=none,$OPTIONS out /root/run/out || exec sh
for each in proc sys dev; do mount --move /$each /root/$each; done
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts; mount -t tmpfs tmpfs /root/dev/shm
exec switch_root /root /bin/bash /run/out/guest_init.sh
INIT
chmod +x "$WORK/init"
(cd "$WORK" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) > "$OUT"
