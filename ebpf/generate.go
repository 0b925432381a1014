package ebpf

// The kernel's part is compiled with clang 14 of Debian 12, whose output is
// committed: whoever builds or runs the probe needs no compiler. One object
// serves amd64 and arm64, which are both little-endian; there is nothing of a
// processor or of a kernel's structures in it.
//
//go:generate go tool bpf2go -target bpfel -type connection -type stream -type request -type counters -type page -type name bpf probe.c -- -O2 -mcpu=v3 -Wall -Wextra -Wno-unused-parameter -Werror -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu
