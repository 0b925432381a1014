#!/usr/bin/env bash
# Checks one entry of a ledger without Countersign: openssl, sha256sum and the
# usual text tools. Prints the entry, and ends with 0 only when it is in the
# log that the key signed.
#
#   check-entry.sh PROOF VKEY
#
# PROOF is a file as `countersign ledger prove` writes it (c2sp.org/tlog-proof),
# VKEY the log's verifier key as `countersign ledger key` prints it.
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: check-entry.sh PROOF VKEY" >&2; exit 2; }
proof=$1 vkey=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "NOT PROVEN: $*" >&2; exit 1; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
bytes() { # hexadecimal to bytes
  printf "$(sed 's/../\\x&/g' <<<"$1")"
}
node() { bytes "01$1$2" | sha256sum | cut -c1-64; }

# The proof is a head, an empty line, and the checkpoint.
[ "$(head -n 1 "$proof")" = c2sp.org/tlog-proof@v1 ] || fail "$proof is not a tlog-proof"
sed '/^$/,$d' "$proof" >"$work/head"
sed '1,/^$/d' "$proof" >"$work/checkpoint"
sed -n 's/^extra //p' "$work/head" | base64 -d >"$work/entry"
index=$(sed -n 's/^index //p' "$work/head")
sed '1,/^index /d' "$work/head" >"$work/path"

# The checkpoint is three lines (origin, size, root), an empty line, signatures.
sed '/^$/,$d' "$work/checkpoint" >"$work/text"
size=$(sed -n 2p "$work/text")
root=$(sed -n 3p "$work/text" | base64 -d | hex)
origin=$(sed -n 1p "$work/text")

# Numbers have one form: bash would take 010 for eight.
[[ $index =~ ^(0|[1-9][0-9]{0,17})$ && $size =~ ^[1-9][0-9]{0,17}$ ]] || fail "index or size is malformed"

# 1. The checkpoint is signed. A verifier key is name+id+base64(01 ‖ public key);
#    a signature line is "— name base64(id ‖ signature)".
name=${vkey%%+*}
[ "$name" = "$origin" ] || fail "the checkpoint is of $origin, the key of $name"
public=$(base64 -d <<<"${vkey#*+*+}" | tail -c +2 | hex)
bytes "302a300506032b6570032100$public" >"$work/key.der"
id=${vkey#*+}
id=${id%%+*}
signature=$(grep -F "— $name " "$work/checkpoint" | while read -r _ _ line; do
  line=$(base64 -d <<<"$line" | hex)
  if [ "${line:0:8}" = "$id" ]; then echo "${line:8}"; fi
done | head -n 1)
[ -n "$signature" ] || fail "the key $name+$id has not signed the checkpoint"
bytes "$signature" >"$work/signature"
openssl pkeyutl -verify -rawin -pubin -keyform DER -inkey "$work/key.der" \
  -in "$work/text" -sigfile "$work/signature" >/dev/null || fail "the signature does not fit the checkpoint"

# 2. The entry leads to the root (RFC 9162, 2.1.3.2). A leaf's hash is
#    SHA-256(00 ‖ entry), a node's SHA-256(01 ‖ left ‖ right).
[ "$index" -lt "$size" ] || fail "entry $index is not among the checkpoint's $size"
hash=$({ printf '\0'; cat "$work/entry"; } | sha256sum | cut -c1-64)
n=$index last=$((size - 1))
while read -r sibling; do
  [ "$last" -gt 0 ] || fail "the path is too long"
  sibling=$(base64 -d <<<"$sibling" | hex)
  if [ $((n & 1)) -eq 1 ] || [ "$n" -eq "$last" ]; then
    hash=$(node "$sibling" "$hash")
    while [ $((n & 1)) -eq 0 ] && [ "$n" -gt 0 ]; do n=$((n >> 1)) last=$((last >> 1)); done
  else
    hash=$(node "$hash" "$sibling")
  fi
  n=$((n >> 1)) last=$((last >> 1))
done <"$work/path"
[ "$last" -eq 0 ] || fail "the path is too short"
[ "$hash" = "$root" ] || fail "the path leads to $hash, the checkpoint says $root"

cat "$work/entry"
echo
echo "PROVEN: entry $index of $size in $origin, signed by $name+$id" >&2
