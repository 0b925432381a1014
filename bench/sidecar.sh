#!/usr/bin/env bash
# Measures one sidecar on this machine: what measuring costs in throughput,
# what memory it needs, and how soon it serves. Needs wrk, curl and Go.
#
#   ROUNDS=40 SECONDS_EACH=1 CONNECTIONS=32 bench/sidecar.sh
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${ROUNDS:-40} each=${SECONDS_EACH:-1} connections=${CONNECTIONS:-32}
for tool in wrk curl go; do
  command -v "$tool" >/dev/null || { echo "bench: $tool is missing (.ci/deps installs it)" >&2; exit 1; }
done
bin=${BIN:-bin/countersign}
[ -x "$bin" ] || make -s build

dir=$(mktemp -d)
pids=()
trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$dir"' EXIT
CGO_ENABLED=0 go build -trimpath -o "$dir/upstream" ./bench/upstream
CGO_ENABLED=0 go build -trimpath -o "$dir/firstrequest" ./bench/firstrequest

# address FILE REGEXP waits for the line and prints its first group.
address() {
  for _ in $(seq 200); do
    if sed -nE "s|.*$2.*|\1|p" "$1" | head -n 1 | grep .; then return; fi
    sleep 0.05
  done
  echo "bench: nothing came up:" >&2; cat "$1" >&2; exit 1
}
# sidecar NAME ARGS… starts one; afterwards $listen, $admin and $pid are its own.
sidecar() {
  local name=$1; shift
  "$bin" run --upstream "http://$upstream" --listen 127.0.0.1:0 --admin 127.0.0.1:0 --data "$dir/$name.data" "$@" 2>"$dir/$name" &
  pid=$!; pids+=("$pid")
  listen=$(address "$dir/$name" 'msg=serving listen=([^ ]+)')
  admin=$(address "$dir/$name" 'msg=serving .*admin=([^ ]+)')
}
memory() { awk '/VmHWM|VmRSS/ { printf "%s %.1f MiB  ", $1, $2/1024 }' "/proc/$1/status"; echo; }
throughput() { wrk -t2 -c"$connections" -d"${1}s" "http://$2/" | awk '/Requests\/sec/ { print $2 }'; }
# summary prints the median, least and greatest of the numbers it reads.
summary() { sort -g | awk '{ v[NR] = $1 } END { m = NR % 2 ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2; printf "median %.3f, from %.3f to %.3f (%d rounds)\n", m, v[1], v[NR], NR }'; }
# ratio reads pairs and prints the ratio of their totals, with the interval of
# twice the standard error of the pairs' log ratios round their mean: rounds are
# short and many because neighbours on a machine disturb single ones badly.
ratio() {
  awk '{ a += $1; b += $2; r = log($1/$2); s += r; q += r*r; n++ }
    END { m = s/n; e = 2*sqrt((q/n - m*m)/(n-1)); printf "%.3f of totals, pairs %.3f to %.3f\n", a/b, exp(m-e), exp(m+e) }'
}

"$dir/upstream" >"$dir/upstream.addr" & pids+=($!)
upstream=$(address "$dir/upstream.addr" '(127.*)')

echo "# $("$bin" version), $(nproc) CPUs, wrk with $connections connections"
sidecar on;                   on=$listen
sidecar off --measure=false;  off=$listen
throughput 2 "$on" >/dev/null; throughput 2 "$off" >/dev/null # both are warm
for round in $(seq "$rounds"); do
  # Which goes first alternates, so that a drift of the machine cancels out.
  if [ $((round % 2)) -eq 1 ]; then a=$(throughput "$each" "$on"); b=$(throughput "$each" "$off")
  else b=$(throughput "$each" "$off"); a=$(throughput "$each" "$on"); fi
  echo "$a" >>"$dir/a"; echo "$b" >>"$dir/b"
done
echo "requests/s, measuring on:  $(summary <"$dir/a")"
echo "requests/s, measuring off: $(summary <"$dir/b")"
echo "ratio on to off:           $(paste "$dir/a" "$dir/b" | ratio)"

sidecar memory; load=$listen
seen=0
while [ "$seen" -lt 200000 ]; do
  wrk -t2 -c"$connections" -d2s -s bench/routes.lua "http://$load" >/dev/null
  seen=$("$bin" status --json --admin "$admin" | sed -nE 's/.*"seen": ([0-9]+).*/\1/p')
done
echo "memory after $seen requests over ten routes: $(memory "$pid")"

sidecar bodies
head -c 1073741824 /dev/zero | curl -fsS -T - "http://$listen/up" >"$dir/up"
grep -qx 1073741824 "$dir/up" || { echo "bench: the upload arrived as $(cat "$dir/up") bytes" >&2; exit 1; }
down=$(curl -fsS "http://$listen/zeros?bytes=1073741824" | wc -c)
[ "$down" -eq 1073741824 ] || { echo "bench: the download has $down bytes" >&2; exit 1; }
echo "memory during 1 GiB up and 1 GiB down: $(memory "$pid")"

for start in $(seq 10); do
  port=$((20000 + RANDOM % 12000))
  "$dir/firstrequest" "http://127.0.0.1:$port/" "$bin" run --upstream "http://$upstream" \
    --listen "127.0.0.1:$port" --admin 127.0.0.1:0 --log-level warn --data "$dir/first.data$start"
done >"$dir/first"
echo "milliseconds from exec to the first answer: $(summary <"$dir/first")"
