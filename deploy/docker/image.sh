#!/usr/bin/env bash
# Makes the container images, one for each of the architectures in ARCHES (amd64 arm64):
# IMAGE:VERSION-ARCH. This machine's own is IMAGE:VERSION and IMAGE:latest as well. The
# binaries are compiled here, and Docker adds nothing to them. For make image, which sets
# GO, TAGS, LDFLAGS, VERSION and REVISION. DOCKER is the client (docker).
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${GO:=go}" "${DOCKER:=docker}" "${IMAGE:=countersign}" "${ARCHES:=amd64 arm64}" "${VERSION:=devel}" "${REVISION:=}" "${TAGS:=}" "${LDFLAGS:=}"
# A tag may not have every character that a version may.
tag=${VERSION//[^A-Za-z0-9_.-]/-}
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
# Only a directory's mode comes from here; the Dockerfile names the owner.
mkdir -p "$context/volumes"
mkdir -m 0770 "$context/volumes/data" "$context/volumes/anchor"
created=$(git log -1 --format=%cI 2>/dev/null) || created=$(date -u +%FT%TZ)
for arch in $ARCHES; do
  CGO_ENABLED=0 GOOS=linux GOARCH=$arch "$GO" build -trimpath -tags "$TAGS" -buildvcs=false -ldflags "$LDFLAGS" \
    -o "$context/countersign" ./cmd/countersign
  chmod 0755 "$context/countersign"
  tags=(-t "$IMAGE:$tag-$arch")
  [ "$arch" = "$("$GO" env GOHOSTARCH)" ] && tags+=(-t "$IMAGE:$tag" -t "$IMAGE:latest")
  "$DOCKER" build --platform "linux/$arch" --build-arg "VERSION=$VERSION" --build-arg "REVISION=$REVISION" \
    --build-arg "CREATED=$created" "${tags[@]}" -f deploy/docker/Dockerfile "$context"
done
