package strictyaml

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"listen", "limits", "log", "address", "upstream"}
	for word, want := range map[string]string{
		"lisen": "listen", "lsiten": "listen", "limit": "limits", "lgo": "log", "adress": "address",
		"upstrem": "upstream", "zebra": "", "": "", "l": "",
	} {
		if got, ok := Nearest(word, words); got != want || ok != (want != "") {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}

func TestUnknown(t *testing.T) {
	known := []string{"listen", "upstream"}
	for word, want := range map[string]string{"lisen": `; did you mean "listen"?`, "zebra": "; it has listen, upstream"} {
		if got := Unknown(word, known); got != want {
			t.Errorf("of %q it says %q, want %q", word, got, want)
		}
	}
}
