package verify

import "context"

// onceTwice finds the first entry whose "once" an earlier one has.
func onceTwice(ctx context.Context, s *sorter) (*failure, error) {
	var first *failure
	var last record
	begun := false
	for r, err := range s.sorted() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		if begun && r.key == last.key {
			if f := fail(Invalid, "", `its "once" is that of entry %d: what must be done once was recorded twice`, last.index).at(r.index); f.before(first) {
				first = f
			}
		}
		last, begun = r, true
	}
	return first, nil
}
