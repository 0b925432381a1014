//go:build race

package synthetic

func init() { raced = true }
