package letter

import "testing"

func TestBrief(t *testing.T) {
	for issue, want := range map[string]string{
		"P95 is high (twice)": "P95 is high (twice)",
		"error rate 27.6 % is at or above the critical threshold of 5 % (552 from the upstream, 0 from the gateway)": "error rate 27.6 % is at or above the critical threshold of 5 %",
		"one two three four five six seven eight nine ten eleven twelve thirteen fourteen fif":                       "one two three four five six seven eight nine ten eleven twelve thirteen fourtee…",
	} {
		if got := brief(issue); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
