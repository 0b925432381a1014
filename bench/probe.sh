#!/usr/bin/env bash
# Measures what the eBPF probe costs an API at saturation, by each of its hooks,
# and what it takes up itself. Needs root, wrk, iproute2 and Go.
#
#   ROUNDS=40 SECONDS_EACH=1 CONNECTIONS=32 CAPABILITIES=all bench/probe.sh
#
# With CAPABILITIES=documented the probes are not root's, and have the capabilities
# of their hook alone, as docs/PROBE.md has them.
set -euo pipefail
source "$(dirname "$0")/rounds.bash"
need wrk curl go ip nsenter setpriv
capabilities=${CAPABILITIES:-all}
declare -A documented=([tcx]=-all,+bpf,+net_admin [socket]=-all,+bpf,+net_raw)
case $capabilities in all | documented) ;; *) echo "bench: CAPABILITIES=$capabilities: must be all or documented" >&2; exit 1 ;; esac
[ -x "$bin" ] || make -s build
CGO_ENABLED=0 go build -trimpath -o "$dir/upstream" ./bench/upstream

# Each has a network namespace and so a loopback interface of its own: what is
# attached to one costs the others nothing.
cases=(none tcx socket)
inside() { local name=$1; shift; nsenter --net="/run/netns/bench$$-$name" -- "$@"; }
# beside runs in the background what $! is afterwards, and not a shell round it.
beside() { local name=$1; shift; exec nsenter --net="/run/netns/bench$$-$name" -- "$@"; }
trap 'end || true; for c in "${cases[@]}"; do ip netns del "bench$$-$c" 2>/dev/null || true; done' EXIT
declare -A upstream pid
for c in "${cases[@]}"; do
  ip netns add "bench$$-$c"
  inside "$c" ip link set lo up
  beside "$c" "$dir/upstream" >"$dir/$c.addr" & pids+=($!)
  upstream[$c]=$(address "$dir/$c.addr" '(127.*)')
  [ "$c" = none ] && continue
  as=()
  if [ "$capabilities" = documented ]; then
    as=(setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs
      --bounding-set "${documented[$c]}" --inh-caps "${documented[$c]}" --ambient-caps "${documented[$c]}")
    chmod 711 "$dir"
    install -d -o 65534 -g 65534 -m 700 "$dir/$c.data"
  fi
  beside "$c" "${as[@]}" "$bin" run --sensor ebpf --port "${upstream[$c]##*:}" --ebpf-attach "$c" --admin 127.0.0.1:9090 --data "$dir/$c.data" 2>"$dir/$c" &
  pid[$c]=$!; pids+=($!)
  address "$dir/$c" '(msg=serving)' >/dev/null
done
# spent is the processor time of a process so far, user and system, in nanoseconds.
spent() { cat /proc/"$1"/task/*/schedstat | awk '{ s += $1 } END { printf "%d\n", s }'; }
# share FROM TO SECONDS is that in per cent of a core.
share() { awk -v a="$1" -v b="$2" -v s="$3" 'BEGIN { printf "%.2f %%", (b-a)/s/1e7 }'; }
unmeasured() { inside "$1" curl -fsS http://127.0.0.1:9090/metrics | awk '/^countersign_probe_requests_unmeasured_total/ { n += $2 } END { printf "%d\n", n }'; }
run() { throughput "$1" "${upstream[$2]}" inside "$2"; }

echo "# $("$bin" version), $(uname -r), $(nproc) CPUs, wrk with $connections connections, $capabilities capabilities"
for c in "${cases[@]}"; do run 2 "$c" >/dev/null; done # all are warm
for round in $(seq "$rounds"); do
  # Which goes first changes, so that a drift of the machine cancels out.
  for i in 0 1 2; do
    c=${cases[$(((i + round) % 3))]}
    run "$each" "$c" >>"$dir/$c.rates"
  done
done
for c in "${cases[@]}"; do echo "requests/s, $c: $(summary <"$dir/$c.rates")"; done
for c in tcx socket; do
  echo "ratio $c to none: $(paste "$dir/$c.rates" "$dir/none.rates" | ratio)"
  a=$(spent "${pid[$c]}"); sleep 10; b=$(spent "${pid[$c]}")
  echo "processor time of the process, $c: $(share "$a" "$b" 10) of a core at rest"
  for load in "" routes paths; do
    was=$(unmeasured "$c")
    inside "$c" wrk -t2 -c"$connections" -d3s ${load:+-s bench/$load.lua} "http://${upstream[$c]}/" >/dev/null # the rate is reached
    a=$(spent "${pid[$c]}")
    rate=$(inside "$c" wrk -t2 -c"$connections" -d10s ${load:+-s bench/$load.lua} "http://${upstream[$c]}/" | awk '/Requests\/sec/ { print $2 }')
    b=$(spent "${pid[$c]}")
    echo "processor time of the process, $c: $(share "$a" "$b" 10) of a core at $rate requests/s, ${load:-one path}; $(($(unmeasured "$c") - was)) unmeasured in 13 s"
  done
  echo "memory of the process, $c: $(memory "${pid[$c]}")"
  inside "$c" curl -fsS http://127.0.0.1:9090/metrics | awk -v c="$c" '
    /^countersign_probe_memory_bytes / { printf "memory in the kernel, %s: %.1f MiB\n", c, $2/1048576 }
    /^countersign_probe_requests_(seen|measured)_total / { split($1, n, "_"); printf "requests %s, %s: %d\n", n[4], c, $2 }'
done
