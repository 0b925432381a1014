# Sourced by the benchmarks: what they start with, and how they count.
cd "$(dirname "${BASH_SOURCE[0]}")/.."
rounds=${ROUNDS:-40} each=${SECONDS_EACH:-1} connections=${CONNECTIONS:-32}
bin=${BIN:-bin/countersign}
dir=$(mktemp -d)
pids=()

# need TOOL… says which is missing.
need() {
  for tool in "$@"; do
    command -v "$tool" >/dev/null || { echo "bench: $tool is missing (.ci/deps installs it)" >&2; exit 1; }
  done
}
end() { for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$dir"; }
trap end EXIT

# address FILE REGEXP waits for the line and prints its first group.
address() {
  for _ in $(seq 200); do
    if sed -nE "s|.*$2.*|\1|p" "$1" | head -n 1 | grep .; then return; fi
    sleep 0.05
  done
  echo "bench: nothing came up:" >&2; cat "$1" >&2; exit 1
}
memory() { awk '/VmHWM|VmRSS/ { printf "%s %.1f MiB  ", $1, $2/1024 }' "/proc/$1/status"; echo; }
# throughput SECONDS ADDRESS [COMMAND…] is wrk's requests a second, run by COMMAND.
throughput() { local d=$1 to=$2; shift 2; "$@" wrk -t2 -c"$connections" -d"${d}s" "http://$to/" | awk '/Requests\/sec/ { print $2 }'; }
# summary prints the median, least and greatest of the numbers it reads.
summary() { sort -g | awk '{ v[NR] = $1 } END { m = NR % 2 ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2; printf "median %.3f, from %.3f to %.3f (%d rounds)\n", m, v[1], v[NR], NR }'; }
# ratio reads pairs and prints the ratio of their totals, the median of the pairs' ratios, and from two pairs on the
# interval of twice the standard error of their log ratios round the mean. Rounds are short and many because
# neighbours on a machine disturb single ones badly: they move the totals and the interval, and hardly the median.
ratio() {
  awk '$1 > 0 && $2 > 0 { print $1/$2, $1, $2 }' | sort -g | awk '
    { v[NR] = $1; a += $2; b += $3; r = log($1); s += r; q += r*r }
    END {
      if (NR == 0) { print "no round without a failure"; exit }
      m = NR % 2 ? v[(NR+1)/2] : (v[NR/2]+v[NR/2+1])/2
      printf "%.3f of totals, median of pairs %.3f", a/b, m
      if (NR > 1) {
        mean = s/NR; d = (q/NR - mean*mean)/(NR-1); e = 2*sqrt(d > 0 ? d : 0)
        printf ", pairs %.3f to %.3f", exp(mean-e), exp(mean+e)
      }
      print ""
    }'
}
