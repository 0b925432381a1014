package diagnosis

import "strings"

// Who are those whose opinions count, such as "rules and local".
func (r *Record) Who() string {
	var names []string
	for _, i := range r.Counts {
		names = append(names, r.Opinions[i].Diagnoser)
	}
	return strings.Join(names, " and ")
}

// shownFacts is how many of the cited facts are written out.
const shownFacts = 5

// Cited writes out the facts of these ids, five at the most, each with its id.
func (e *Evidence) Cited(ids []string) string {
	var parts []string
	for _, id := range ids[:min(len(ids), shownFacts)] {
		for i := range e.Facts {
			if e.Facts[i].ID == id {
				parts = append(parts, id+" "+e.Facts[i].String())
			}
		}
	}
	return strings.Join(parts, "; ")
}
