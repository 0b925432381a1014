package config

import "maps"

// Change is a setting whose value differs between two configurations.
type Change struct {
	Field    Field
	Old, New string
	// Applied says that the new value is in use after the reload; else it
	// needs a restart.
	Applied bool
}

// Reload returns what a running sidecar with the configuration l uses after
// next was read: next's values where they can be reloaded, l's elsewhere. It
// also returns every difference between the two. Neither is modified.
func (l *Loaded) Reload(next *Loaded) (*Loaded, []Change) {
	merged := &Loaded{Config: l.Config, origins: map[string]Origin{}}
	maps.Copy(merged.origins, l.origins)
	switchesTLS := (l.Listen.CertFile == "") != (next.Listen.CertFile == "")
	var changes []Change
	for _, f := range fields {
		applies := f.Reloadable && !(switchesTLS && ofCertificate(f))
		if was, is := f.Value(l.Config), f.Value(next.Config); was != is {
			changes = append(changes, Change{Field: f, Old: was, New: is, Applied: applies})
		}
		if applies {
			f.copy(&merged.Config, &next.Config)
			merged.origins[f.Key] = next.origins[f.Key]
		}
	}
	return merged, append(changes, listChanges(l.Config, next.Config)...)
}

func ofCertificate(f Field) bool {
	return f.Key == "listen.cert_file" || f.Key == "listen.key_file"
}
