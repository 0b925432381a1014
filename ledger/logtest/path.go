package logtest

import (
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// parsePath reads the path of a tile or an entry bundle: that of x/mod without
// the height.
func parsePath(path string) (tile tlog.Tile, entries, ok bool) {
	rest, ok := strings.CutPrefix(path, "tile/")
	if !ok {
		return tile, false, false
	}
	if bundle, cut := strings.CutPrefix(rest, "entries/"); cut {
		rest, entries = "0/"+bundle, true
	}
	tile, err := tlog.ParseTilePath("tile/8/" + rest)
	return tile, entries, err == nil && tile.L >= 0
}
