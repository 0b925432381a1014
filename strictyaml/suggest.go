package strictyaml

import (
	"fmt"
	"strings"
)

// Nearest returns the candidate that word was most likely meant to be: the
// one with the fewest insertions, deletions, substitutions and swaps of
// neighbours between them, when that is at most a third of the word's
// length. Ties go to the earlier candidate.
func Nearest(word string, candidates []string) (string, bool) {
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, c := range candidates {
		if d := editDistance(word, c); d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best, best != ""
}

// DidYouMean is the end of a sentence that asks whether the nearest candidate
// was meant; empty when none is near.
func DidYouMean(word string, candidates []string) string {
	if near, ok := Nearest(word, candidates); ok {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

// Unknown is the end of a sentence about a key that is none of those known: the
// nearest of them, or all when none is near.
func Unknown(key string, known []string) string {
	if near := DidYouMean(key, known); near != "" {
		return near
	}
	return "; it has " + strings.Join(known, ", ")
}

// editDistance is the optimal string alignment distance, in bytes.
func editDistance(a, b string) int {
	two, one, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range one {
		one[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(one[j+1]+1, row[j]+1, one[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], two[j-1]+1)
			}
		}
		two, one, row = one, row, two
	}
	return one[len(b)]
}
